// Package exproto serves devices whose protocol is known to a program of the
// user's, the handler. The gateway owns sockets, sessions, rights and routing;
// the handler hears by gRPC what a device sends, and says by gRPC what it means.
// README.md in this directory is for users.
//
//	device → listener → queue → Handler.OnReceivedBytes …
//	handler → Adapter.Publish, Send … → broker, device
//
// The interface is emqx.exproto.v1 (exprotov1/exproto.proto), so that programs
// which were written for EMQX need no change.
//
// # Goroutines
//
// A device has the goroutine of gateway.Conn, which reads, and while events
// wait one that tells them to the handler, one at a time. Calls of the handler
// run on gRPC's goroutines. No lock is held while the handler is called, so it
// may call back from within. Serve returns after all of them.
//
// # Memory
//
// What waits for the handler is bounded in events and bytes per device. While
// there is no room a device is not read from (datagrams are dropped and counted
// by the listener), and messages wait in the session. Bytes and gRPC messages
// are bounded by the configuration of the adapter.
//
// # Locks
//
// client.mu, queue.mu and registry.mu are leaves: taken inside the broker's
// locks, and nothing is called while they are held.
package exproto

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/transport"
)

// Gateway serves devices on any number of listeners.
type Gateway struct {
	cfg     Config
	log     *slog.Logger
	b       *broker.Broker
	srv     *gateway.Server
	adapter *adapter
	clients registry
	count   counters

	turns       turns
	mountpoints seldom // that handlers give

	mu    sync.Mutex
	ports map[transport.Listener]*port
}

// New returns a gateway to b. The adapter listens while Serve is running, or it is
// held.
func New(cfg Config, b *broker.Broker) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	g := &Gateway{cfg: cfg, log: cfg.Logger, b: b, ports: map[transport.Listener]*port{}}
	g.srv = gateway.NewServer(gateway.ServerConfig{
		Broker: b, Logger: cfg.Logger, PendingBytes: cfg.PendingBytes, SendTimeout: cfg.SendTimeout,
		Open: func() gateway.Client { return &client{g: g} },
	})
	var err error
	g.adapter, err = newAdapter(g)
	return g, err
}

// Hold opens the adapter, which is otherwise there as long as Serve is running;
// release lets go of it. Errors begin with the setting, adapter.address.
func (g *Gateway) Hold(ctx context.Context) (release func(), err error) {
	if err := g.adapter.acquire(ctx); err != nil {
		return nil, err
	}
	return g.adapter.release, nil
}

// Serve implements gateway.Gateway. The first call opens the adapter, unless it is
// held, and the last one closes it.
func (g *Gateway) Serve(ctx context.Context, l transport.Listener) error {
	p, err := g.openPort(l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer p.close()
	if err := g.adapter.acquire(ctx); err != nil {
		return errors.Join(fmt.Errorf("exproto: %w", err), l.Close())
	}
	defer g.adapter.release()
	g.mu.Lock()
	g.ports[l] = p
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.ports, l)
		g.mu.Unlock()
	}()
	p.announce()
	stopping := context.AfterFunc(ctx, p.handler.giveUpLater(g.cfg.FlushTimeout))
	defer stopping()
	err = g.srv.Serve(ctx, l)
	p.handler.giveUpLater(g.cfg.FlushTimeout)()
	p.telling.Wait()
	return err
}

// AdapterURL is where handlers call, with the real port; "" while no listener
// is served.
func (g *Gateway) AdapterURL() string { return g.adapter.url() }

type counters struct{ handlerErrors, eventsLost, denied atomic.Uint64 }

// Counters are for $SYS, by topic level: calls of handlers that have failed,
// events that nobody could be told, and what devices were not allowed.
func (g *Gateway) Counters() map[string]uint64 {
	return map[string]uint64{
		"handler_errors": g.count.handlerErrors.Load(),
		"events_lost":    g.count.eventsLost.Load(),
		"denied":         g.count.denied.Load(),
	}
}

func (g *Gateway) port(l transport.Listener) *port {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ports[l]
}

// registry finds devices by what calls name them.
type registry struct {
	mu     sync.Mutex
	byConn map[string]*client
}

// connBytes is how much chance a conn holds: it is a secret.
const connBytes = 16

// add gives the client its name.
func (r *registry) add(c *client) {
	b := make([]byte, connBytes)
	_, _ = rand.Read(b) // never fails
	c.conn = base64.RawURLEncoding.EncodeToString(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byConn == nil {
		r.byConn = map[string]*client{}
	}
	r.byConn[c.conn] = c
}

func (r *registry) remove(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byConn, c.conn)
}

// find fails with errGone, or with errConn for what never was a name.
func (r *registry) find(conn string) (*client, error) {
	r.mu.Lock()
	c := r.byConn[conn]
	r.mu.Unlock()
	if c != nil {
		return c, nil
	}
	if b, err := base64.RawURLEncoding.DecodeString(conn); err != nil || len(b) != connBytes {
		return nil, errConn
	}
	return nil, errGone
}

// seldom lets something be logged once a minute.
type seldom struct {
	mu   sync.Mutex
	last time.Time
	kept int // since then
}

// now reports whether it is time, and how often it was not since.
func (s *seldom) now() (yes bool, kept int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := time.Now(); s.last.IsZero() || t.Sub(s.last) >= time.Minute {
		kept, s.kept, s.last = s.kept, 0, t
		return true, kept
	}
	s.kept++
	return false, 0
}
