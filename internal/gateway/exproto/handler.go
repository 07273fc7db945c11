package exproto

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/iotctl/iotctl/internal/gateway"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/transport"
)

// interfaceName is the package of every service.
const interfaceName = "emqx.exproto.v1."

const methodCreated = "OnSocketCreated"

// handler is the user's program as a listener's devices see it.
type handler struct {
	cfg      HandlerConfig
	endpoint transport.Endpoint
	token    string
	turns    chan struct{} // holds one for each call in flight; nil: they are not bounded
	streams  *streams      // nil for unary ones
	lasting  context.Context
	giveUp   context.CancelFunc // ends what a handler that does not answer keeps from ending
	problem  atomic.Pointer[error]
	log      *slog.Logger
	errors   seldom

	mu   sync.Mutex
	line *line // to the handler

	replaced sync.WaitGroup // lines that are no longer used
}

func newHandler(cfg HandlerConfig, turns chan struct{}, log *slog.Logger) (*handler, error) {
	h := &handler{cfg: cfg, turns: turns, log: log}
	h.lasting, h.giveUp = context.WithCancel(context.Background())
	var err error
	if h.endpoint, err = parseAddress(cfg.Address); err != nil {
		return nil, err
	}
	if h.token, err = readToken(cfg.TokenFile); err != nil {
		return nil, err
	}
	if h.token != "" && !h.endpoint.Scheme.TLS && !isLocal(h.endpoint) {
		log.Warn("exproto: the token for the handler goes over the network in the clear", "url", h.address())
	}
	h.line, err = h.newLine()
	if err == nil && cfg.Service == streamService {
		h.streams = newStreams(h)
	}
	return h, err
}

func (h *handler) address() string { return h.endpoint.String() }

// dial connects, with TLS where the address says so. Files are read each time,
// so that new certificates need no restart.
func (h *handler) dial(ctx context.Context) (net.Conn, error) {
	nc, err := transport.DialEndpoint(ctx, h.endpoint, transport.DialConfig{
		Schemes: rpcSchemes, Timeout: h.cfg.ConnectTimeout,
		TLS: &transport.ClientTLS{
			CAFile: string(h.cfg.CAFile), CertFile: string(h.cfg.CertFile), KeyFile: string(h.cfg.KeyFile),
			ServerName: h.cfg.ServerName, ALPN: []string{"h2"},
		},
	})
	h.problem.Store(&err)
	return nc, err
}

// dialed are the credentials of connections that dial has made secure already.
type dialed struct{}

type dialedInfo struct{ credentials.CommonAuthInfo }

func (dialedInfo) AuthType() string { return "tls" }

func (dialed) ClientHandshake(_ context.Context, _ string, nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nc, dialedInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}, nil
}

func (dialed) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("this side dials")
}

func (dialed) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}
func (d dialed) Clone() credentials.TransportCredentials { return d }
func (dialed) OverrideServerName(string) error           { return nil }

// unreachable is the error of a call that could not be made.
type unreachable struct {
	address string
	err     error
}

func (u *unreachable) Error() string { return fmt.Sprintf("no handler at %s: %v", u.address, u.err) }
func (u *unreachable) Unwrap() error { return u.err }

func isUnreachable(err error) bool {
	var u *unreachable
	return errors.As(err, &u)
}

// ready waits for a connection.
func (h *handler) ready(ctx context.Context) error {
	cc := h.current().cc
	switch cc.GetState() {
	case connectivity.Ready:
		return nil
	case connectivity.TransientFailure: // it may be there again, and devices do not wait for long
		cc.ResetConnectBackoff()
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.ConnectTimeout)
	defer cancel()
	for {
		state := cc.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Idle:
			cc.Connect()
		}
		if !cc.WaitForStateChange(ctx, state) {
			err := ctx.Err()
			if p := h.problem.Load(); p != nil && *p != nil {
				err = *p
			}
			return &unreachable{h.address(), err}
		}
	}
}

// call makes one call and waits for its answer.
func (h *handler) call(ctx context.Context, method string, request proto.Message) error {
	done, err := h.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	if h.streams != nil {
		return h.explain(method, h.streams.call(ctx, method, request))
	}
	if d := *h.cfg.Timeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	l := h.take()
	defer l.calls.Done()
	began := time.Now()
	var header, trailer metadata.MD // one of them is there when the handler has answered
	err = l.cc.Invoke(h.identified(ctx), "/"+interfaceName+unaryService+"/"+method, request, &pb.EmptySuccess{},
		grpc.Header(&header), grpc.Trailer(&trailer))
	if len(header)+len(trailer) > 0 && status.Code(err) == codes.Unavailable {
		return h.answered(method, status.Convert(err))
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && l.silentSince(began) {
		h.replace(l)
	}
	return h.explain(method, err)
}

// identified adds the token.
func (h *handler) identified(ctx context.Context) context.Context {
	if h.token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+h.token)
}

// explain puts what users meet into words.
func (h *handler) explain(method string, err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	switch s.Code() {
	case codes.Unimplemented:
		other := streamService
		if h.cfg.Service == streamService {
			other = unaryService
		}
		return fmt.Errorf("the handler at %s does not serve %s of %s; perhaps it wants service: %s", h.address(), method, h.cfg.Service, other)
	case codes.DeadlineExceeded:
		return fmt.Errorf("the handler at %s has not answered %s within %v", h.address(), method, *h.cfg.Timeout)
	case codes.Unavailable:
		return &unreachable{h.address(), err}
	}
	return h.answered(method, s)
}

func (h *handler) answered(method string, s *status.Status) error {
	return fmt.Errorf("the handler at %s has answered %s with an error: %s: %s", h.address(), method, s.Code(), gateway.Clip(s.Message()))
}

// giveUpLater returns a function that lets a handler have d and a bit for what is
// left.
func (h *handler) giveUpLater(d time.Duration) func() {
	return func() {
		timer := time.AfterFunc(d+farewell, h.giveUp)
		context.AfterFunc(h.lasting, func() { timer.Stop() })
	}
}

func (h *handler) close() {
	defer h.giveUp()
	if h.streams != nil {
		h.streams.close()
	}
	h.current().close()
	h.replaced.Wait()
}
