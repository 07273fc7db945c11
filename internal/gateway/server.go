package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/transport"
)

// ServerConfig is what a gateway has to say about its connections.
type ServerConfig struct {
	Broker *broker.Broker
	Logger *slog.Logger // nil: discarded
	// Open makes the gateway's part of a new connection, with nothing in its
	// Conn; that is ready when Opened or Data is called.
	Open func() Client
	// ConnectTimeout is how long a client may take until Conn.Accept. 0: 15 s.
	ConnectTimeout time.Duration
	// PendingBytes is how much may wait to be written to one client. 0: 1 MiB.
	PendingBytes int
	// SendTimeout ends a connection that takes nothing for so long. 0: 30 s.
	SendTimeout time.Duration
}

// Server serves the connections of any number of listeners. It is a Gateway.
type Server struct {
	cfg   ServerConfig                 // Broker and Logger
	terms atomic.Pointer[ServerConfig] // of connections to come
	bufs  sync.Pool                    // *[readBytes]byte
	read  func() []byte                // borrows one
	large sync.Pool                    // *[datagramBytes]byte
	whole func() []byte                // borrows one
	mu    sync.Mutex
	conns map[*Conn]struct{}

	sweepEvery time.Duration
	strangers  *transport.Bucket // lines about clients that have never got in
}

// strangerLines is how much those who never get in may fill the log: whoever can
// connect could.
var strangerLines = transport.Rate{Count: 100, Per: 10 * time.Second}

// Sizes of borrowed read buffers; any datagram fits the second.
const (
	readBytes     = 32 << 10
	datagramBytes = 64 << 10
)

// NewServer returns a server for clients that cfg.Open makes.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, conns: map[*Conn]struct{}{}, sweepEvery: sweepEvery}
	s.strangers = transport.NewBucket(strangerLines, time.Now())
	s.bufs.New = func() any { return new([readBytes]byte) }
	s.read = func() []byte { return s.bufs.Get().(*[readBytes]byte)[:] }
	s.large.New = func() any { return new([datagramBytes]byte) }
	s.whole = func() []byte { return s.large.Get().(*[datagramBytes]byte)[:] }
	s.SetTerms(cfg)
	return s
}

// SetTerms replaces what holds for connections to come: everything in cfg but
// Broker and Logger. A gateway that takes new settings makes another value of its
// own for them, whose clients Open returns; those who are there keep theirs.
func (s *Server) SetTerms(cfg ServerConfig) {
	Default(&cfg.ConnectTimeout, 15*time.Second)
	Default(&cfg.PendingBytes, 1<<20)
	Default(&cfg.SendTimeout, 30*time.Second)
	s.terms.Store(&cfg)
}

// Broker is the one that clients are attached to.
func (s *Server) Broker() *broker.Broker { return s.cfg.Broker }

// Serve implements Gateway.
func (s *Server) Serve(ctx context.Context, l transport.Listener) error {
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var accepting sync.WaitGroup
	errs := make([]error, l.Config().Acceptors)
	for i := range errs {
		accepting.Go(func() { errs[i] = s.accept(ctx, l, &wg) })
	}
	resting := make(chan struct{})
	var sweeping sync.WaitGroup
	sweeping.Go(func() { s.sweep(l, resting) })
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
		s.shutdown(l)
		<-gone
	}
	return errors.Join(errs...)
}

func (s *Server) accept(ctx context.Context, l transport.Listener, wg *sync.WaitGroup) error {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		s.cfg.Broker.Stats().Connections.Add(1)
		terms := s.terms.Load()
		client := terms.Open()
		c := client.conn()
		c.init(s, terms, client, l, nc)
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		wg.Go(func() { s.run(ctx, wg, c) })
	}
}

// run serves a connection to its end, the next part on another goroutine.
func (s *Server) run(ctx context.Context, wg *sync.WaitGroup, c *Conn) {
	if c.serve(ctx) {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		return
	}
	wg.Go(func() {
		c.nc.Wait()
		s.run(ctx, wg, c)
	})
}

// of returns the connections of l.
func (s *Server) of(l transport.Listener, dst []*Conn) []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.listener == l {
			dst = append(dst, c)
		}
	}
	return dst
}

// shutdown says goodbye to the clients of l.
func (s *Server) shutdown(l transport.Listener) {
	for _, c := range s.of(l, nil) {
		c.Close(broker.ReasonShutdown)
	}
}
