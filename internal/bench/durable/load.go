package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// sessions says what the subscribers' are.
type sessions int

const (
	online sessions = iota
	offline
	clean
)

func (s sessions) String() string { return [...]string{"online", "offline", "clean"}[s] }

const payloadBytes = 200

// load lets every publisher keep its window open for the time of a run.
func (o options) load(ctx context.Context, b *broker, kind sessions) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, o.run+time.Minute)
	defer cancel()
	var received atomic.Int64
	var listening, publishing sync.WaitGroup
	var all []*peer
	defer func() {
		for _, p := range all {
			_ = p.Close()
		}
		listening.Wait()
	}()
	for i := range o.publishers {
		sub, err := connect(ctx, b.addr, fmt.Sprint("sub", i), kind == clean)
		if err != nil {
			return result{}, err
		}
		all = append(all, sub)
		if err := sub.subscribe(topic(i)); err != nil {
			return result{}, err
		}
		if kind == offline {
			_ = sub.Close()
			continue
		}
		listening.Go(func() { sub.listen(&received) })
	}
	var publishers []*publisher
	for i := range o.publishers {
		p, err := connect(ctx, b.addr, fmt.Sprint("pub", i), true)
		if err != nil {
			return result{}, err
		}
		all = append(all, p)
		publishers = append(publishers, newPublisher(p, topic(i), o.window))
	}
	before, began := b.written(), time.Now()
	end := began.Add(o.run)
	errs := make([]error, len(publishers))
	for i, p := range publishers {
		publishing.Go(func() { errs[i] = p.publish(end) })
	}
	publishing.Wait()
	took := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return result{}, err
	}
	var latencies []time.Duration
	for _, p := range publishers {
		latencies = append(latencies, p.latencies...)
	}
	for kind != offline && int(received.Load()) < len(latencies) {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return result{}, fmt.Errorf("%d of %d messages arrived", received.Load(), len(latencies))
		}
	}
	slices.Sort(latencies)
	n := len(latencies)
	return result{
		rate: float64(n) / took.Seconds(), p50: latencies[n/2], p99: latencies[n*99/100],
		bytes: (b.written() - before) / float64(n),
	}, nil
}

func topic(i int) string { return fmt.Sprintf("durable/%d", i) }

// peer is a client of MQTT 3.1.1 that does not check much.
type peer struct {
	net.Conn
	buf        []byte
	start, end int
}

func connect(ctx context.Context, addr, id string, clean bool) (*peer, error) {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &peer{Conn: nc, buf: make([]byte, 64<<10)}
	if deadline, ok := ctx.Deadline(); ok {
		_ = nc.SetDeadline(deadline)
	}
	return p, p.exchange(mqtt.Connect{ClientID: id, Version: mqtt.V311, CleanStart: clean}, mqtt.TypeConnack)
}

func (p *peer) subscribe(topic string) error {
	return p.exchange(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: topic, QoS: 1}}}, mqtt.TypeSuback)
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
		h, _, err := p.next()
		switch {
		case err == nil && h.Type == answer:
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

// next takes a packet out of what has been read.
func (p *peer) next() (mqtt.Header, []byte, error) {
	h, body, n, err := mqtt.Frame(p.buf[p.start:p.end], len(p.buf))
	if err == nil {
		p.start += n
	}
	return h, body, err
}

// listen acknowledges until the connection ends.
func (p *peer) listen(received *atomic.Int64) {
	var acks []byte
	for p.fill() == nil {
		acks = acks[:0]
		for {
			h, body, err := p.next()
			if err != nil {
				break
			}
			if h.Type == mqtt.TypePublish {
				at := 2 + int(body[0])<<8 + int(body[1]) // behind the topic
				acks = append(acks, 0x40, 2, body[at], body[at+1])
				received.Add(1)
			}
		}
		if _, err := p.Write(acks); err != nil {
			return
		}
	}
}

// publisher keeps a window of messages open.
type publisher struct {
	*peer
	message   []byte // encoded
	id        int    // offset of the packet identifier
	sent      []time.Time
	latencies []time.Duration
}

func newPublisher(p *peer, topic string, window int) *publisher {
	m, err := mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: 1, Payload: bytes.Repeat([]byte{'x'}, payloadBytes)}.Append(nil, mqtt.V311)
	if err != nil {
		panic(err) // our own constants
	}
	return &publisher{peer: p, message: m, id: len(m) - payloadBytes - 2, sent: make([]time.Time, window+1)}
}

// publish sends a message for each that was acknowledged until end, and waits
// for the rest.
func (p *publisher) publish(end time.Time) error {
	var out []byte
	free := make([]int, 0, len(p.sent)) // packet identifiers
	for id := 1; id < len(p.sent); id++ {
		free = append(free, id)
	}
	for open := 0; ; {
		now := time.Now()
		out = out[:0]
		for ; now.Before(end) && len(free) > 0; free = free[:len(free)-1] {
			id := free[len(free)-1]
			p.sent[id] = now
			at := len(out) + p.id
			out = append(out, p.message...)
			out[at], out[at+1] = byte(id>>8), byte(id)
			open++
		}
		if _, err := p.Write(out); err != nil {
			return err
		}
		if open == 0 {
			return nil
		}
		if err := p.fill(); err != nil {
			return err
		}
		for now = time.Now(); ; open-- {
			h, body, err := p.next()
			if err != nil || h.Type != mqtt.TypePuback {
				break
			}
			id := int(body[0])<<8 + int(body[1])
			p.latencies = append(p.latencies, now.Sub(p.sent[id]))
			free = append(free, id)
		}
	}
}
