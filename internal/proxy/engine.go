package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// Engine is a proxy with open sockets.
type Engine struct {
	cfg       Config
	log       *slog.Logger
	m         *Metrics
	listeners []transport.Listener
	pool      *pool
	relays    *relays
	bufs      sync.Pool // *[readBytes]byte
	borrow    func() []byte
	numbers   atomic.Uint64
	cut       chan struct{}
	cutOnce   sync.Once

	mu       sync.Mutex
	sessions map[*session]struct{}
	wg       sync.WaitGroup // of sessions
}

// readBytes is how much is read at once.
const readBytes = 64 << 10

// New opens the listeners. Connections wait until Serve.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	e := &Engine{cfg: cfg, log: cfg.Logger, m: cfg.Metrics, sessions: map[*session]struct{}{}, cut: make(chan struct{})}
	e.bufs.New = func() any { return new([readBytes]byte) }
	e.borrow = func() []byte { return e.bufs.Get().(*[readBytes]byte)[:] }
	var err error
	if e.pool, err = newPool(&cfg); err != nil {
		return nil, err
	}
	for i := range cfg.Listeners {
		l, err := e.listen(ctx, &cfg.Listeners[i])
		if err != nil {
			e.closeListeners()
			return nil, err
		}
		e.listeners = append(e.listeners, l)
	}
	return e, nil
}

func (e *Engine) listen(ctx context.Context, l *Listener) (transport.Listener, error) {
	c := l.ListenConfig
	c.Schemes = Schemes()
	if e.cfg.Transparent {
		c.Schemes = opaque()
	}
	if c.Logger == nil {
		c.Logger = e.log
	}
	return transport.Listen(ctx, l.URL, c)
}

func (e *Engine) closeListeners() {
	for _, l := range e.listeners {
		_ = l.Close()
	}
}

// release gives a buffer of borrow back.
func (e *Engine) release(b []byte) {
	if cap(b) == readBytes {
		e.bufs.Put((*[readBytes]byte)(b[:readBytes]))
	}
}

// Listeners are the open ones.
func (e *Engine) Listeners() []transport.Listener { return e.listeners }

// Metrics is what the engine counts.
func (e *Engine) Metrics() *Metrics { return e.m }

// Serve passes connections on until ctx ends, lets those that are open go on for
// Config.DrainTimeout, and returns when all have ended. It is called once.
func (e *Engine) Serve(ctx context.Context) error {
	defer e.closeListeners()
	relays, err := newRelays(e)
	if err != nil {
		return err
	}
	e.relays = relays
	defer relays.close()
	lasting, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	watching, unwatch := context.WithCancel(lasting)
	defer unwatch()
	var watches sync.WaitGroup
	e.watch(watching, &watches)
	var accepting sync.WaitGroup
	for _, l := range e.listeners {
		for range l.Config().Acceptors {
			accepting.Go(func() { e.accept(lasting, l) })
		}
	}
	<-ctx.Done()
	e.closeListeners()
	accepting.Wait()
	e.drain()
	unwatch()
	watches.Wait()
	return nil
}

// watch starts the health checks.
func (e *Engine) watch(ctx context.Context, wg *sync.WaitGroup) {
	if e.cfg.Health.Mode == HealthOff {
		return
	}
	for _, u := range e.pool.all {
		p := &probe{Health: e.cfg.Health, u: u, log: e.log, preface: ownHeader(e.cfg.SendProxy)}
		wg.Go(func() { p.watch(ctx) })
	}
}

func (e *Engine) accept(ctx context.Context, l transport.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				e.log.Error("cannot accept connections", "listener", l.URL(), "err", err)
			}
			return
		}
		s := newSession(e, nc)
		e.add(s)
		go s.serve(ctx)
	}
}

func (e *Engine) add(s *session) {
	e.m.opened.Add(1)
	e.wg.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sessions[s] = struct{}{}
}

// gone is the last that is heard of a session.
func (e *Engine) gone(s *session) {
	e.mu.Lock()
	delete(e.sessions, s)
	e.mu.Unlock()
	e.m.closed.Add(1)
	e.wg.Done()
}

// each calls fn for all connections there are.
func (e *Engine) each(fn func(s *session)) {
	e.mu.Lock()
	all := make([]*session, 0, len(e.sessions))
	for s := range e.sessions {
		all = append(all, s)
	}
	e.mu.Unlock()
	for _, s := range all {
		fn(s)
	}
}

// drain waits for the connections to end, and ends them.
func (e *Engine) drain() {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		e.wg.Wait()
	}()
	if e.cfg.DrainTimeout > 0 {
		late := time.NewTimer(e.cfg.DrainTimeout)
		defer late.Stop()
		select {
		case <-gone:
			return
		case <-late.C:
		case <-e.cut:
		}
	}
	bye := e.shutdown()
	e.each(func(s *session) { s.end(bye) })
	<-gone
}

// Cut ends the wait for connections, after Serve has been told to stop.
func (e *Engine) Cut() { e.cutOnce.Do(func() { close(e.cut) }) }

// Reload reads all certificate files again, for connections to come, and has stages
// read theirs, if their factories have a method Reload. Where that fails the present
// ones stay in use.
func (e *Engine) Reload() error {
	var errs []error
	for _, f := range e.cfg.Stages {
		if r, ok := f.(interface{ Reload() error }); ok {
			errs = append(errs, r.Reload())
		}
	}
	for _, l := range e.listeners {
		errs = append(errs, l.Reload())
	}
	for _, u := range e.pool.all {
		errs = append(errs, u.reload())
	}
	return errors.Join(errs...)
}
