package exproto

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/transport"
)

// adapter is the port that handlers call. It is open while somebody uses it.
type adapter struct {
	g        *Gateway
	cfg      AdapterConfig
	endpoint transport.Endpoint
	token    string
	strange  seldom

	mu    sync.Mutex
	users int
	l     transport.Listener // nil while it is closed
	srv   *grpc.Server
	ended sync.WaitGroup
	stop  context.CancelFunc
}

func newAdapter(g *Gateway) (*adapter, error) {
	a := &adapter{g: g, cfg: g.cfg.Adapter}
	var err error
	if a.endpoint, err = parseAddress(a.cfg.Address); err != nil {
		return nil, err
	}
	a.token, err = readToken(a.cfg.TokenFile)
	return a, err
}

func (c AdapterConfig) listenConfig(e transport.Endpoint) transport.ListenConfig {
	lc := transport.ListenConfig{Name: "exproto adapter", Schemes: rpcSchemes, Access: c.Access, MaxConnections: 1000, MaxPerSource: c.MaxPerSource, Acceptors: 1}
	if e.Scheme.TLS {
		lc.TLS = &transport.ServerTLS{CertFile: string(c.CertFile), KeyFile: string(c.KeyFile), ClientCAFile: string(c.ClientCAFile), ALPN: []string{"h2"}}
		if c.ClientCAFile != "" {
			lc.TLS.ClientAuth = transport.ClientCertRequire
		}
	}
	return lc
}

// reloadEvery is how often certificates are read again.
const reloadEvery = time.Minute

// acquire opens the adapter for the first who asks.
func (a *adapter) acquire(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users > 0 {
		a.users++
		return nil
	}
	lc := a.cfg.listenConfig(a.endpoint)
	lc.Logger = a.g.log
	l, err := transport.Listen(ctx, a.endpoint.String(), lc)
	if err != nil {
		return fmt.Errorf("adapter.address: %w", err)
	}
	a.users, a.l = 1, l
	a.srv = grpc.NewServer(
		grpc.MaxRecvMsgSize(a.cfg.MaxMessageBytes),
		grpc.MaxConcurrentStreams(uint32(a.cfg.MaxCalls)),
		grpc.ConnectionTimeout(l.Config().HandshakeTimeout),
		grpc.InTapHandle(a.admit),
		grpc.UnaryInterceptor(a.guard),
		grpc.WaitForHandlers(true),
		// Handlers in some languages ping more often than the library likes.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute}),
	)
	pb.RegisterConnectionAdapterServer(a.srv, &service{g: a.g})
	srv := a.srv
	a.ended.Go(func() {
		if err := srv.Serve(door{l, a}); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			a.g.log.Error("exproto: the adapter has ended", "err", err)
		}
	})
	lasting, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.ended.Go(func() { a.reload(lasting, l) })
	return nil
}

// reload keeps an eye on the certificates.
func (a *adapter) reload(ctx context.Context, l transport.Listener) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := l.Reload(); err != nil {
				a.g.log.Error("exproto: certificates of the adapter not loaded", "err", err)
			}
		}
	}
}

// release closes the adapter after the last who has asked for it.
func (a *adapter) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users--; a.users > 0 {
		return
	}
	timer := time.AfterFunc(farewell, a.srv.Stop) // for calls that do not end
	a.srv.GracefulStop()
	timer.Stop()
	a.stop()
	a.ended.Wait()
	a.l, a.srv = nil, nil
}

func (a *adapter) url() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.l == nil {
		return ""
	}
	return a.l.URL()
}

// guard is around every call.
func (a *adapter) guard(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			a.g.log.Error("panic while serving a handler", "method", info.FullMethod, "panic", p, "stack", string(debug.Stack()))
			answer, err = a.g.answer(errInternal), nil
		}
	}()
	return next(ctx, request)
}

func (a *adapter) warn(problem, peer, details string) {
	if yes, kept := a.strange.now(); yes {
		a.g.log.Warn("exproto: the adapter refuses a connection", "remote", peer, "problem", problem, "details", details, "more_before", kept)
	}
}
