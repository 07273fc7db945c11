package fault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/transport"
)

// wire is a connection that a test drives: what goes out on both sides is kept, and
// what is done to it.
type wire struct {
	t      *testing.T
	v      mqtt.Version
	stage  proxy.Stage
	conn   *proxy.Conn
	events []Event

	mu     sync.Mutex
	out    [2][]string
	raw    [2][]byte
	done   []string
	ctx    context.Context
	cancel context.CancelFunc
}

var wires uint64

// newWire opens a connection of client through rules.
func newWire(t *testing.T, client string, v mqtt.Version, rules ...string) *wire {
	t.Helper()
	w := &wire{t: t, v: v}
	set := NewSet(Options{Seed: 1, Live: true, Report: func(e Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	}})
	addRules(t, set, rules...)
	w.join(set, client)
	return w
}

func addRules(t *testing.T, s *Set, rules ...string) {
	t.Helper()
	for _, text := range rules {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
}

// join opens a connection of client with the rules of set.
func (w *wire) join(set *Set, client string) {
	w.t.Helper()
	wires++
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.conn = &proxy.Conn{Number: wires, ClientID: client, Version: w.v, Began: time.Now(), Log: slog.New(slog.DiscardHandler), Metrics: &proxy.Metrics{}, Powers: w}
	s, err := set.Open(w.conn)
	if err != nil {
		w.t.Fatal(err)
	}
	w.stage = s
	w.t.Cleanup(w.end)
}

func (w *wire) end() {
	w.cancel()
	if e, ok := w.stage.(proxy.Ender); ok {
		e.Ended(&proxy.End{Why: "test"})
	}
}

// sends hands packets to the stage, and returns its error.
func (w *wire) sends(d proxy.Direction, packets ...mqtt.Packet) error {
	w.t.Helper()
	for _, p := range packets {
		b, err := p.Append(nil, w.v)
		if err != nil {
			w.t.Fatal(err)
		}
		f, err := proxy.NewFrame(d, b)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := w.stage.Handle(w.ctx, f, w.emit); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) client(packets ...mqtt.Packet) error { return w.sends(proxy.ToServer, packets...) }
func (w *wire) broker(packets ...mqtt.Packet) error { return w.sends(proxy.ToClient, packets...) }

func (w *wire) emit(f proxy.Frame) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, _, err := mqtt.Parse(f.Bytes, mqtt.Options{Version: w.v, EitherSide: true, Lenient: true})
	if err != nil {
		return err
	}
	w.out[f.Direction] = append(w.out[f.Direction], mqtt.Describe(p, w.v))
	return nil
}

func (w *wire) Inject(_ proxy.Stage, f proxy.Frame) error { return w.emit(f) }

func (w *wire) Write(d proxy.Direction, b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raw[d] = append(w.raw[d], b...)
	return nil
}

func (w *wire) did(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, fmt.Sprintf(format, a...))
}

// acts is what was done to the connection.
func (w *wire) acts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.done)
}

func (w *wire) Stall(d proxy.Direction, on bool) { w.did("stall %v %v", d, on) }
func (w *wire) Slice(d proxy.Direction, n int, _ time.Duration) {
	w.did("slice %v %d", d, n)
}
func (w *wire) End(e *proxy.End) { w.did("end %v", e.Manner) }
func (w *wire) Server() string   { return "" }
func (w *wire) Dial(context.Context, string) (transport.Conn, error) {
	return nil, errors.New("not here")
}

// went compares what has gone out in a direction since the last time.
func (w *wire) went(d proxy.Direction, want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.out[d], want) {
		w.t.Errorf("%v: %s\nwant %s", d, strings.Join(w.out[d], "; "), strings.Join(want, "; "))
	}
	w.out[d] = nil
}

func (w *wire) texts() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		all = append(all, e.String())
	}
	return all
}

func publish(id uint16, qos uint8) mqtt.Publish {
	return mqtt.Publish{Topic: []byte("a/b"), QoS: qos, PacketID: id, Payload: []byte("x")}
}

func line(p mqtt.Packet) string { return mqtt.Describe(p, mqtt.V5) }
