// Package proxytest starts proxies for tests, and has both sides of one talk packet
// by packet over real sockets.
package proxytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// Limit keeps a test that waits for a peer from waiting for ever.
const Limit = time.Minute

// Broker starts a broker and returns its URL.
func Broker(t testing.TB) string {
	t.Helper()
	return servetest.Start(t, func(c *serve.Config) { c.Listeners[0].MaxConnRate = -1 }).URLs()[0]
}

// Start runs a proxy in front of the broker at that URL, until the test ends. It
// listens on a free port for plain MQTT unless change says otherwise.
func Start(t testing.TB, to string, change func(*proxy.Config)) *proxy.Engine {
	t.Helper()
	e, _ := Run(t, to, change)
	return e
}

// Run is Start for a proxy that stop ends; stop waits for that.
func Run(t testing.TB, to string, change func(*proxy.Config)) (e *proxy.Engine, stop func()) {
	t.Helper()
	cfg := proxy.Config{
		Listeners: []proxy.Listener{{URL: "mqtt://127.0.0.1:0", ListenConfig: transport.ListenConfig{MaxConnRate: -1}}},
		Upstreams: []proxy.Upstream{{URL: to}},
		Logger:    slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	e, err := proxy.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

// URL is where clients come in, at the first listener.
func URL(e *proxy.Engine) string { return e.Listeners()[0].URL() }

// Peer is one end of a connection, that of a client or of a broker.
type Peer struct {
	transport.Conn
	t       testing.TB
	version mqtt.Version
	client  bool
	b       []byte // read and not used
	room    []byte // for one read
}

// Dial connects a client.
func Dial(t testing.TB, url string, v mqtt.Version) *Peer {
	t.Helper()
	nc, err := transport.Dial(t.Context(), url, transport.DialConfig{Timeout: Limit, Schemes: proxy.Schemes(), TLS: &transport.ClientTLS{SkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, nc, v, true)
}

// Connect is Dial, and CONNECT as that client, with an answer of success.
func Connect(t testing.TB, url string, v mqtt.Version, clientID string) *Peer {
	t.Helper()
	p := Dial(t, url, v)
	p.Send(mqtt.Connect{ClientID: clientID, CleanStart: true, KeepAlive: 60})
	if ack, ok := p.Next().(mqtt.Connack); !ok || ack.Code != mqtt.Success {
		t.Fatalf("the answer to CONNECT: %+v", ack)
	}
	return p
}

func newPeer(t testing.TB, nc transport.Conn, v mqtt.Version, client bool) *Peer {
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(Limit))
	return &Peer{Conn: nc, t: t, version: v, client: client, room: make([]byte, 64<<10)}
}

// Listener takes the place of a broker.
type Listener struct {
	transport.Listener
	t testing.TB
}

// Listen opens a port for connections of a proxy.
func Listen(t testing.TB, url string, cfg transport.ListenConfig) *Listener {
	t.Helper()
	cfg.Schemes, cfg.MaxConnRate = proxy.Schemes(), -1
	l, err := transport.Listen(t.Context(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &Listener{l, t}
}

// Next waits for the next connection of the proxy.
func (l *Listener) Next(v mqtt.Version) *Peer {
	l.t.Helper()
	late := time.AfterFunc(Limit, func() { _ = l.Close() })
	defer late.Stop()
	nc, err := l.Accept()
	if err == nil {
		err = nc.Handshake(l.t.Context())
	}
	if err != nil {
		l.t.Fatalf("no connection of the proxy: %v", err)
	}
	return newPeer(l.t, nc, v, false)
}

// Welcome is Next for a broker that answers the CONNECT, which it returns, with
// success.
func (l *Listener) Welcome(v mqtt.Version) (*Peer, mqtt.Connect) {
	l.t.Helper()
	p := l.Next(v)
	c, ok := p.Next().(mqtt.Connect)
	if !ok {
		l.t.Fatal("the proxy does not begin with CONNECT")
	}
	p.Send(mqtt.Connack{})
	return p, c
}

// Send writes a packet.
func (p *Peer) Send(packet mqtt.Packet) {
	p.t.Helper()
	b, err := packet.Append(nil, p.version)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Raw(b)
}

// Raw writes bytes.
func (p *Peer) Raw(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// Next waits for a packet, and fails the test when the connection ends first.
func (p *Peer) Next() mqtt.Packet {
	p.t.Helper()
	packet, err := p.Read1()
	if err != nil {
		p.t.Fatalf("no packet: %v", err)
	}
	return packet
}

// Read1 waits for a packet.
func (p *Peer) Read1() (mqtt.Packet, error) {
	for {
		packet, n, err := mqtt.Parse(p.b, mqtt.Options{Version: p.version, FromServer: p.client})
		if err == nil {
			// A copy: the packet aliases what the next read may change.
			p.b = append([]byte(nil), p.b[n:]...)
			return packet, nil
		}
		if !errors.Is(err, mqtt.ErrShort) {
			return nil, fmt.Errorf("%x: %w", p.b[:min(len(p.b), 32)], err)
		}
		n, err = p.Read(p.room)
		p.b = append(p.b, p.room[:n]...)
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

// End waits for the connection to end without a further packet, and returns how.
func (p *Peer) End() error {
	p.t.Helper()
	packet, err := p.Read1()
	if err == nil {
		p.t.Fatalf("%T in place of the end: %+v", packet, packet)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatal("the connection does not end")
	}
	return err
}

// Closed waits for an orderly end.
func (p *Peer) Closed() {
	p.t.Helper()
	if err := p.End(); !errors.Is(err, io.EOF) {
		p.t.Fatalf("the connection ended by %v", err)
	}
}
