package exproto_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

// handler is a user's program, made from nothing but the interface. It keeps
// what it has been told; do, when set, is called for each event, from within.
type handler struct {
	pb.UnimplementedConnectionUnaryHandlerServer
	do      func(h *handler, e told) error
	streams bool // it is a ConnectionHandler
	old     bool // of the kind that e4.2 had: ConnectionHandler, but unary
	forget  bool // what it has been told is not kept
	options []grpc.ServerOption

	adapter pb.ConnectionAdapterClient
	ready   chan struct{} // closed when adapter is set

	mu     sync.Mutex
	events []told
	srv    *grpc.Server
}

// told is an event.
type told struct {
	what     string // "created", "bytes", "messages", "timer", "closed"
	conn     string
	info     *pb.ConnInfo
	bytes    string
	messages []*pb.Message
	reason   string
}

func (e told) String() string {
	switch e.what {
	case "bytes":
		return fmt.Sprintf("bytes %q", e.bytes)
	case "messages":
		return fmt.Sprintf("messages %d", len(e.messages))
	case "closed":
		return "closed " + e.reason
	}
	return e.what
}

func (h *handler) serve(t testing.TB, address string) string {
	t.Helper()
	if h.ready == nil {
		h.ready = make(chan struct{})
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	h.srv = grpc.NewServer(append(h.options, grpc.WaitForHandlers(true))...)
	switch {
	case h.streams:
		pb.RegisterConnectionHandlerServer(h.srv, streamHandler{h: h})
	case h.old:
		d := pb.ConnectionUnaryHandler_ServiceDesc
		d.ServiceName = pb.ConnectionHandler_ServiceDesc.ServiceName
		h.srv.RegisterService(&d, h)
	default:
		pb.RegisterConnectionUnaryHandlerServer(h.srv, h)
	}
	done := make(chan struct{})
	srv := h.srv
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Stop(); <-done })
	return l.Addr().String()
}

func (h *handler) connect(t testing.TB, adapterURL string) {
	t.Helper()
	if h.adapter == nil && strings.HasPrefix(adapterURL, "http://") {
		h.adapter = dialAdapter(t, adapterURL)
	}
	close(h.ready)
}

func (h *handler) hear(ctx context.Context, e told) (*pb.EmptySuccess, error) {
	select {
	case <-h.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !h.forget {
		h.mu.Lock()
		h.events = append(h.events, e)
		h.mu.Unlock()
	}
	if h.do != nil {
		if err := h.do(h, e); err != nil {
			return nil, err
		}
	}
	return &pb.EmptySuccess{}, nil
}

func (h *handler) OnSocketCreated(ctx context.Context, r *pb.SocketCreatedRequest) (*pb.EmptySuccess, error) {
	return h.hear(ctx, told{what: "created", conn: r.Conn, info: r.Conninfo})
}

func (h *handler) OnReceivedBytes(ctx context.Context, r *pb.ReceivedBytesRequest) (*pb.EmptySuccess, error) {
	return h.hear(ctx, told{what: "bytes", conn: r.Conn, bytes: string(r.Bytes)})
}

func (h *handler) OnReceivedMessages(ctx context.Context, r *pb.ReceivedMessagesRequest) (*pb.EmptySuccess, error) {
	return h.hear(ctx, told{what: "messages", conn: r.Conn, messages: r.Messages})
}

func (h *handler) OnTimerTimeout(ctx context.Context, r *pb.TimerTimeoutRequest) (*pb.EmptySuccess, error) {
	return h.hear(ctx, told{what: "timer", conn: r.Conn})
}

func (h *handler) OnSocketClosed(ctx context.Context, r *pb.SocketClosedRequest) (*pb.EmptySuccess, error) {
	return h.hear(ctx, told{what: "closed", conn: r.Conn, reason: r.Reason})
}

// all returns the events of a device, or of all with "".
func (h *handler) all(conn string) []told {
	h.mu.Lock()
	defer h.mu.Unlock()
	if conn == "" {
		return slices.Clone(h.events)
	}
	var mine []told
	for _, e := range h.events {
		if e.conn == conn {
			mine = append(mine, e)
		}
	}
	return mine
}

// wait waits for the n-th event of that kind, counted from 1.
func (h *handler) wait(t *testing.T, what string, n int) told {
	t.Helper()
	var found told
	until(t, fmt.Sprintf("event %s %d", what, n), func() bool {
		seen := 0
		for _, e := range h.all("") {
			if e.what == what {
				if seen++; seen == n {
					found = e
					return true
				}
			}
		}
		return false
	})
	return found
}

// done makes sure of an answer's code, inside of an event.
func done(r *pb.CodeResponse, err error) error {
	if err == nil && r.Code != pb.ResultCode_SUCCESS {
		err = fmt.Errorf("%s: %s", r.Code, r.Message)
	}
	return err
}

// login authenticates the device.
func (h *handler) login(conn, clientID string) error {
	return done(h.adapter.Authenticate(context.Background(), &pb.AuthenticateRequest{
		Conn: conn, Password: "password",
		Clientinfo: &pb.ClientInfo{ProtoName: "test", ProtoVer: "1.0", Clientid: clientID, Username: clientID},
	}))
}

func (h *handler) subscribe(conn, topic string, qos uint32) error {
	return done(h.adapter.Subscribe(context.Background(), &pb.SubscribeRequest{Conn: conn, Topic: topic, Qos: qos}))
}

func (h *handler) publish(conn, topic, payload string) error {
	return done(h.adapter.Publish(context.Background(), &pb.PublishRequest{Conn: conn, Topic: topic, Qos: 1, Payload: []byte(payload)}))
}

func (h *handler) send(conn, text string) error {
	return done(h.adapter.Send(context.Background(), &pb.SendBytesRequest{Conn: conn, Bytes: []byte(text)}))
}

func (h *handler) close(conn string) error {
	return done(h.adapter.Close(context.Background(), &pb.CloseSocketRequest{Conn: conn}))
}

func (h *handler) startTimer(conn string, seconds uint32) error {
	return done(h.adapter.StartTimer(context.Background(), &pb.TimerRequest{Conn: conn, Type: pb.TimerType_KEEPALIVE, Interval: seconds}))
}

// streamHandler is the older shape of a handler.
type streamHandler struct {
	pb.UnimplementedConnectionHandlerServer
	h *handler
}

func listen[R any](s grpc.ClientStreamingServer[R, pb.EmptySuccess], one func(context.Context, *R) (*pb.EmptySuccess, error)) error {
	for {
		r, err := s.Recv()
		if err != nil { // the end
			return s.SendAndClose(&pb.EmptySuccess{})
		}
		if _, err := one(s.Context(), r); err != nil {
			return err
		}
	}
}

func (s streamHandler) OnSocketCreated(st grpc.ClientStreamingServer[pb.SocketCreatedRequest, pb.EmptySuccess]) error {
	return listen(st, s.h.OnSocketCreated)
}

func (s streamHandler) OnReceivedBytes(st grpc.ClientStreamingServer[pb.ReceivedBytesRequest, pb.EmptySuccess]) error {
	return listen(st, s.h.OnReceivedBytes)
}

func (s streamHandler) OnReceivedMessages(st grpc.ClientStreamingServer[pb.ReceivedMessagesRequest, pb.EmptySuccess]) error {
	return listen(st, s.h.OnReceivedMessages)
}

func (s streamHandler) OnTimerTimeout(st grpc.ClientStreamingServer[pb.TimerTimeoutRequest, pb.EmptySuccess]) error {
	return listen(st, s.h.OnTimerTimeout)
}

func (s streamHandler) OnSocketClosed(st grpc.ClientStreamingServer[pb.SocketClosedRequest, pb.EmptySuccess]) error {
	return listen(st, s.h.OnSocketClosed)
}

// echo is the official example: what a device sends comes back by the broker.
func echo(h *handler, e told) error {
	switch e.what {
	case "created":
		if err := h.login(e.conn, "test"); err != nil {
			return err
		}
		if err := h.subscribe(e.conn, "test/echo", 1); err != nil {
			return err
		}
		return h.startTimer(e.conn, 60)
	case "bytes":
		return h.publish(e.conn, "test/echo", e.bytes)
	case "messages":
		for _, m := range e.messages {
			if err := h.send(e.conn, string(m.Payload)); err != nil {
				return err
			}
		}
	case "timer":
		return h.close(e.conn)
	}
	return nil
}
