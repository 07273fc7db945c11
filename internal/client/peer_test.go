package client

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

var bothLibraries = []mqtt.Version{mqtt.V311, mqtt.V5}

// listener hands the server's ends of the client's connections to the test.
type listener struct {
	t     *testing.T
	conns chan net.Conn
}

func newListener(t *testing.T) *listener { return &listener{t, make(chan net.Conn, 16)} }

func (l *listener) dial(context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours, nil
}

// peer is a server played by the test.
type peer struct {
	t    *testing.T
	conn net.Conn
	v    mqtt.Version
	buf  []byte
}

// next takes the next connection.
func (l *listener) next(v mqtt.Version) *peer { return &peer{t: l.t, conn: <-l.conns, v: v} }

// accept takes the next connection and its CONNECT, and lets it in.
func (l *listener) accept(ack mqtt.Connack, v mqtt.Version) *peer {
	l.t.Helper()
	p := l.next(v)
	p.connect()
	p.send(ack)
	return p
}

func (p *peer) connect() mqtt.Connect {
	p.t.Helper()
	c, ok := p.read().(mqtt.Connect)
	if !ok {
		p.t.Fatal("the first packet is not CONNECT")
	}
	return c
}

// read returns the next packet, nil at the end of the connection.
func (p *peer) read() mqtt.Packet {
	p.t.Helper()
	chunk := make([]byte, 4096)
	for {
		packet, n, err := mqtt.Parse(p.buf, mqtt.Options{Version: p.v})
		if err == nil {
			p.buf = slices.Clone(p.buf[n:]) // the packet aliases the rest
			return packet
		}
		if !errors.Is(err, mqtt.ErrShort) {
			p.t.Fatalf("the client sent % x: %v", p.buf, err)
		}
		got, err := p.conn.Read(chunk)
		if err != nil {
			return nil
		}
		p.buf = append(p.buf, chunk[:got]...)
	}
}

func (p *peer) want(packets ...mqtt.Packet) {
	p.t.Helper()
	for _, want := range packets {
		if diff := cmp.Diff(want, p.read(), cmpopts.EquateEmpty()); diff != "" {
			p.t.Fatalf("packet from the client (-want +got):\n%s", diff)
		}
	}
}

func (p *peer) send(packets ...mqtt.Packet) {
	p.t.Helper()
	var b []byte
	for _, packet := range packets {
		var err error
		if b, err = packet.Append(b, p.v); err != nil {
			p.t.Error(err) // perhaps not on the test's own goroutine
			return
		}
	}
	if _, err := p.conn.Write(b); err != nil {
		p.t.Errorf("send: %v", err)
	}
}

// end closes the connection and reads it dry, so that nothing hangs.
func (p *peer) end() {
	_ = p.conn.Close()
}

// serve answers CONNECT, swallows everything else, and closes after DISCONNECT.
func (p *peer) discard() { _, _ = io.Copy(io.Discard, p.conn) }

func options(l *listener, v mqtt.Version) Options {
	return Options{Dial: l.dial, Version: v, ClientID: "c", CleanStart: true}
}

// start connects a client against accept.
func start(t *testing.T, l *listener, o Options, ack mqtt.Connack) (*Client, *peer) {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan *peer, 1)
	go func() { accepted <- l.accept(ack, o.Version) }()
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatalf("connect: %v", err)
	}
	p := <-accepted
	t.Cleanup(func() {
		_ = c.Close()
		<-c.Done()
	})
	return c, p
}

// outcomes collects what became of messages, by name.
type outcomes struct {
	mu  sync.Mutex
	got map[string]Outcome
}

func (o *outcomes) of(name string) func(Outcome) {
	return func(r Outcome) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.got == nil {
			o.got = map[string]Outcome{}
		}
		if _, twice := o.got[name]; twice {
			panic("two outcomes for " + name)
		}
		o.got[name] = r
	}
}

func (o *outcomes) all() map[string]Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.got
}

func publish(topic string, qos uint8, id uint16, dup bool) mqtt.Publish {
	return mqtt.Publish{Topic: []byte(topic), QoS: qos, PacketID: id, Dup: dup}
}
