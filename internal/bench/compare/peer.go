package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// peer is the other end of a measurement: a connection in MQTT 3.1.1 with as
// little as possible around it.
type peer struct {
	net.Conn
	buf        []byte
	start, end int // what is in buf
}

func connect(ctx context.Context, addr string) (*peer, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &peer{Conn: conn, buf: make([]byte, 1<<20)}
	hello := mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V311, CleanStart: true}
	if err := p.exchange(hello, mqtt.TypeConnack); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return p, nil
}

func (p *peer) subscribe(topic string) error {
	return p.exchange(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: topic}}}, mqtt.TypeSuback)
}

// exchange sends a packet and reads the answer.
func (p *peer) exchange(packet mqtt.Packet, answer mqtt.Type) error {
	b, err := packet.Append(nil, mqtt.V311)
	if err != nil {
		return err
	}
	if _, err := p.Write(b); err != nil {
		return err
	}
	for {
		h, _, n, err := mqtt.Frame(p.buf[p.start:p.end], len(p.buf))
		switch {
		case err == nil && h.Type == answer:
			p.start += n
			return nil
		case err == nil:
			return fmt.Errorf("%s as answer to %s", h.Type, packet.Type())
		case !errors.Is(err, mqtt.ErrShort):
			return err
		}
		if err := p.fill(); err != nil {
			return err
		}
	}
}

// fill reads once.
func (p *peer) fill() error {
	p.end = copy(p.buf, p.buf[p.start:p.end])
	p.start = 0
	n, err := p.Read(p.buf[p.end:])
	p.end += n
	return err
}

// arrivals reads once and returns how many messages that has completed.
func (p *peer) arrivals() (n int, err error) {
	if err := p.fill(); err != nil {
		return 0, err
	}
	for {
		h, _, size, err := mqtt.Frame(p.buf[p.start:p.end], len(p.buf))
		if errors.Is(err, mqtt.ErrShort) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		p.start += size
		if h.Type == mqtt.TypePublish {
			n++
		}
	}
}

// discard reads until the connection ends.
func (p *peer) discard() { _, _ = io.Copy(io.Discard, p.Conn) }

// burst is encoded messages, to be sent again and again.
type burst struct {
	buf []byte
	one int // bytes of a message
	id  int // offset of the packet identifier in a message, 0 at QoS 0
	n   uint16
}

func newBurst(topic string, qos uint8, payload []byte, most int) *burst {
	m := mqtt.Publish{Topic: []byte(topic), QoS: qos, Payload: payload}
	if qos > 0 {
		m.PacketID = 1
	}
	one, err := m.Append(nil, mqtt.V311)
	if err != nil {
		panic(err) // our own constants
	}
	b := &burst{buf: bytes.Repeat(one, most), one: len(one)}
	if qos > 0 {
		b.id = len(one) - len(payload) - 2
	}
	return b
}

// messages returns n messages, each with another packet identifier, valid
// until the next call.
func (b *burst) messages(n int) []byte {
	out := b.buf[:n*b.one]
	for i := 0; b.id > 0 && i < n; i++ {
		if b.n++; b.n == 0 {
			b.n = 1
		}
		at := i*b.one + b.id
		out[at], out[at+1] = byte(b.n>>8), byte(b.n)
	}
	return out
}

// tally counts lines.
type tally struct {
	mu    sync.Mutex
	moved *sync.Cond
	n     int
	ended bool
}

func newTally() *tally {
	t := &tally{}
	t.moved = sync.NewCond(&t.mu)
	return t
}

// count reads r to its end.
func (t *tally) count(r io.Reader) {
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		t.mu.Lock()
		t.n += bytes.Count(buf[:n], []byte{'\n'})
		t.ended = err != nil
		t.moved.Broadcast()
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (t *tally) lines() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// wait waits until there are n lines.
func (t *tally) wait(ctx context.Context, n int) error {
	stop := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		t.moved.Broadcast()
		t.mu.Unlock()
	})
	defer stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.n < n {
		if t.ended {
			return errors.New("the subscriber has ended")
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d of %d lines: %w", t.n, n, err)
		}
		t.moved.Wait()
	}
	return nil
}
