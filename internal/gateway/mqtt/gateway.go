// Package mqtt serves MQTT 3.1, 3.1.1 and 5.0: it turns packets into broker
// calls and deliveries into packets.
//
// # Goroutines
//
// One goroutine per connection reads, parses, calls the broker and owns the
// end of the connection. There is no writer goroutine while there is nothing
// that waits: whoever flushes writes what the kernel takes, and only what is
// left over starts one, which ends when it has written everything. Serve
// returns after the last of them.
//
// # Memory
//
// An idle connection holds no buffer. What waits to be written is bounded
// (Config.PendingBytes); above that deliveries are refused and the session
// decides, and a client that does not read its acknowledgements is not read
// from. Nothing is allocated from a length that a client announces.
//
// # Strictness
//
// The strict parser judges. MQTT 5.0 clients hear why in DISCONNECT, earlier
// ones are cut off. QoS 0 messages that may not be published are dropped; a
// client before 5.0 has no way to be told and gets its PUBACK.
package mqtt

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/transport"
)

// Gateway serves MQTT on any number of listeners.
type Gateway struct {
	cfg   Config
	b     *broker.Broker
	bufs  sync.Pool     // *[readBytes]byte
	read  func() []byte // borrows one
	mu    sync.Mutex
	conns map[*conn]struct{}

	sweepEvery time.Duration
}

// readBytes is the size of a borrowed read buffer.
const readBytes = 32 << 10

// New returns a gateway to b.
func New(cfg Config, b *broker.Broker) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg.withDefaults(), b: b, conns: map[*conn]struct{}{}, sweepEvery: sweepEvery}
	g.bufs.New = func() any { return new([readBytes]byte) }
	g.read = func() []byte { return g.bufs.Get().(*[readBytes]byte)[:] }
	return g, nil
}

// Serve implements gateway.Gateway.
func (g *Gateway) Serve(ctx context.Context, l transport.Listener) error {
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var accepting sync.WaitGroup
	errs := make([]error, l.Config().Acceptors)
	for i := range errs {
		accepting.Go(func() { errs[i] = g.accept(ctx, l, &wg) })
	}
	resting := make(chan struct{})
	var sweeping sync.WaitGroup
	sweeping.Go(func() { g.sweep(l, resting) })
	defer sweeping.Wait()
	defer close(resting)
	accepting.Wait()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		wg.Wait()
	}()
	select {
	case <-gone:
	case <-ctx.Done(): // now, or after l has been closed alone
		g.shutdown(l)
		<-gone
	}
	return errors.Join(errs...)
}

func (g *Gateway) accept(ctx context.Context, l transport.Listener, wg *sync.WaitGroup) error {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		g.b.Stats().Connections.Add(1)
		c := newConn(g, l, nc)
		g.mu.Lock()
		g.conns[c] = struct{}{}
		g.mu.Unlock()
		wg.Go(func() { g.run(ctx, wg, c) })
	}
}

// run serves a connection to its end, the next part on another goroutine.
func (g *Gateway) run(ctx context.Context, wg *sync.WaitGroup, c *conn) {
	if c.serve(ctx) {
		g.mu.Lock()
		delete(g.conns, c)
		g.mu.Unlock()
		return
	}
	wg.Go(func() {
		c.nc.Wait()
		g.run(ctx, wg, c)
	})
}

// shutdown says goodbye to the clients of l.
func (g *Gateway) shutdown(l transport.Listener) {
	g.mu.Lock()
	var all []*conn
	for c := range g.conns {
		if c.listener == l {
			all = append(all, c)
		}
	}
	g.mu.Unlock()
	for _, c := range all {
		c.Close(broker.ReasonShutdown)
	}
}
