package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/store"
)

// Errors of a Server.
var (
	ErrEnded   = errors.New("the server has ended")
	ErrDrain   = errors.New("not every client was gone in time")
	ErrAborted = errors.New("ended without waiting for the clients")
)

// Server is a broker with its gateways and open listeners.
type Server struct {
	log      *slog.Logger
	started  *plan
	broker   *broker.Broker
	store    store.Store
	gateways map[string]gateway.Gateway
	inEffect map[string]any // the settings of the gateways; guarded by mu
	gate     *gate
	control  *control // nil: there is none

	serving     context.Context // of the gateways
	stopServing context.CancelFunc
	gatewaysWG  sync.WaitGroup
	coreWG      sync.WaitGroup // the broker and the watches of certificates and store
	stopCore    context.CancelFunc

	stop  chan struct{} // closed by Stop
	abort chan struct{} // closed by Abort
	fatal chan error    // a gateway or the store has failed
	once  struct{ stop, abort sync.Once }
	done  chan struct{} // closed when everything has ended; then err is set
	err   error

	mu      sync.Mutex
	ending  bool
	cfg     *plan
	running []*running        // in the order of the configuration
	held    map[string]func() // lets go of what a Holder holds, by protocol
	keeper  auth.Doorkeeper
}

// Start checks cfg, opens all listeners and returns when clients can connect.
// The server ends when ctx does, or by Stop or Close.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	p, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	s := &Server{
		log: p.Logger, started: p, cfg: p, gate: &gate{}, gateways: map[string]gateway.Gateway{}, inEffect: map[string]any{}, held: map[string]func(){},
		stop: make(chan struct{}), abort: make(chan struct{}), done: make(chan struct{}),
		fatal: make(chan error, 1),
	}
	if err := s.wire(ctx, p); err != nil {
		return nil, err
	}
	// Neither context ends with ctx: the end has an order, see end.
	s.serving, s.stopServing = context.WithCancel(context.WithoutCancel(ctx))
	core, stopCore := context.WithCancel(context.WithoutCancel(ctx))
	s.stopCore = stopCore
	undo, err := s.hold(ctx, p)
	var opened []*running
	if err == nil {
		opened, err = openAll(ctx, p.listeners, inheritance(p.Inherited))
	}
	if err != nil {
		undo()
		stopCore()
		s.stopServing()
		return nil, errors.Join(err, s.store.Close())
	}
	s.admit(p, opened)
	seen := fingerprints{}
	s.checkCertificates(seen)
	s.coreWG.Go(func() { s.report(s.broker.Run(core)) })
	s.coreWG.Go(func() { s.watchCertificates(core, seen) })
	s.coreWG.Go(func() { s.watchStore(core) })
	s.coreWG.Go(func() { s.watchDoor(core) })
	for _, r := range opened {
		s.launch(r)
	}
	if p.Control != "" {
		if s.control, err = s.openControl(ctx, p.Control); err != nil {
			s.log.Warn("no control socket: commands that ask a running broker do not reach this one", "err", err)
		}
	}
	go s.supervise(ctx)
	return s, nil
}

// wire makes everything that has no socket.
func (s *Server) wire(ctx context.Context, p *plan) error {
	var err error
	if s.store, err = p.store.open(p.Logger, p.settings); err != nil {
		return fmt.Errorf("open the %s store: %w", p.store.Name, err)
	}
	bc := p.Broker
	bc.Store, bc.Logger, bc.Authorizer = s.store, p.Logger, p.auth.authorizer()
	bc.MoreSys = s.sysValues
	if s.broker, err = broker.New(ctx, bc); err != nil {
		return errors.Join(err, s.store.Close())
	}
	env := Environment{Broker: s.broker, Authenticator: s.gate, Enhanced: p.auth.enhanced, Logger: p.Logger}
	for _, g := range p.Builtin.Gateways {
		if s.gateways[g.Protocol], err = g.build(env, p.gateways[g.Protocol]); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", g.Protocol, err), s.store.Close())
		}
		s.inEffect[g.Protocol] = p.gateways[g.Protocol]
	}
	return nil
}

// launch lets the gateway serve a listener.
func (s *Server) launch(r *running) {
	g, name := s.gateways[r.Scheme().Protocol], r.name()
	s.gatewaysWG.Go(func() {
		if err := g.Serve(s.serving, r.Listener); err != nil {
			s.report(fmt.Errorf("listener %s: %w", name, err))
		}
	})
}

// report ends the server because of err.
func (s *Server) report(err error) {
	if err == nil {
		return
	}
	select {
	case s.fatal <- err:
	default:
	}
}

// supervise waits for a reason to end, and ends.
func (s *Server) supervise(ctx context.Context) {
	defer close(s.done)
	var err error
	select {
	case <-ctx.Done():
	case <-s.stop:
	case err = <-s.fatal:
		s.log.Error("the server ends", "err", err)
	}
	ended := s.end()
	var broken *StoreError
	if errors.As(err, &broken) {
		ended = nil // that a broken store does not close well is no news
	}
	s.err = errors.Join(err, ended)
}

// end stops everything in order.
func (s *Server) end() error {
	s.mu.Lock()
	s.ending = true
	timeout, listeners := s.cfg.DrainTimeout, s.running
	s.mu.Unlock()
	s.control.close()
	s.broker.Shutdown(broker.ReasonShutdown)
	s.stopServing()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.gatewaysWG.Wait()
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var err error
	select {
	case <-gone:
	case <-timer.C:
		err = ErrDrain
	case <-s.abort:
		err = ErrAborted
	}
	for _, release := range s.held {
		release()
	}
	s.account(listeners)
	s.stopCore()
	s.coreWG.Wait()
	return errors.Join(err, s.store.Close())
}

// Stop begins the end: clients are told and let go. It does not wait.
func (s *Server) Stop() { s.once.stop.Do(func() { close(s.stop) }) }

// Abort is Stop without patience: what clients have been promised is stored,
// but connections that are still there are abandoned.
func (s *Server) Abort() {
	s.Stop()
	s.once.abort.Do(func() { close(s.abort) })
}

// Wait returns when the server has ended. The error is nil after an orderly
// end, ErrDrain or ErrAborted when connections had to be abandoned, or what
// has ended it.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Close is Stop and Wait.
func (s *Server) Close() error {
	s.Stop()
	return s.Wait()
}

// Store gives access to the store, for commands.
func (s *Server) Store() store.Store { return s.store }

// Broker gives access to the core, for counters and tests.
func (s *Server) Broker() *broker.Broker { return s.broker }
