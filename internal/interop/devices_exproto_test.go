//go:build unix

package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

// handler is a program of the user's for devices that speak lines:
//
//	login ID PASSWORD    authenticates, and subscribes to ex/ID/down
//	pub PAYLOAD          publishes on ex/ID/up
//
// The answer is the result code of the last call. A device that is refused hears
// it and is sent away.
type handler struct {
	pb.UnimplementedConnectionUnaryHandlerServer
	address string
	ready   chan struct{} // closed when adapter is set
	adapter pb.ConnectionAdapterClient

	mu      sync.Mutex
	devices map[string]*heard // by conn
	reasons []string          // of the connections that have ended
}

// heard is what has come from a device.
type heard struct {
	id   string
	rest []byte // of a line
}

// newHandler starts it.
func newHandler(t *testing.T) *handler {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &handler{address: "http://" + l.Addr().String(), ready: make(chan struct{}), devices: make(map[string]*heard)}
	srv := grpc.NewServer()
	pb.RegisterConnectionUnaryHandlerServer(srv, h)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		srv.Stop()
		<-ended
	})
	return h
}

// config is the section of the configuration file.
func (h *handler) config(settings ...string) string {
	all := append([]string{`adapter: {address: "http://127.0.0.1:0"}`, fmt.Sprintf("handler: {address: %q}", h.address)}, settings...)
	return "exproto: {" + strings.Join(all, ", ") + "}\n"
}

var adapterPort = regexp.MustCompile(`http://(127\.0\.0\.1:[1-9]\d*)`)

// find reads in the log of the server where to call it.
func (h *handler) find(t *testing.T, g *grounds) {
	t.Helper()
	var address string
	eventually(t, "the log says where the adapter is", func() bool {
		for _, m := range adapterPort.FindAllStringSubmatch(g.log.String(), -1) {
			if !strings.HasSuffix(h.address, m[1]) {
				address = m[1]
			}
		}
		return address != ""
	})
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	h.adapter = pb.NewConnectionAdapterClient(c)
	close(h.ready)
}

func (h *handler) OnSocketCreated(_ context.Context, r *pb.SocketCreatedRequest) (*pb.EmptySuccess, error) {
	<-h.ready
	h.mu.Lock()
	defer h.mu.Unlock()
	h.devices[r.GetConn()] = new(heard)
	return &pb.EmptySuccess{}, nil
}

func (h *handler) OnSocketClosed(_ context.Context, r *pb.SocketClosedRequest) (*pb.EmptySuccess, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.devices, r.GetConn())
	h.reasons = append(h.reasons, r.GetReason())
	return &pb.EmptySuccess{}, nil
}

func (h *handler) OnReceivedBytes(ctx context.Context, r *pb.ReceivedBytesRequest) (*pb.EmptySuccess, error) {
	h.mu.Lock()
	d := h.devices[r.GetConn()]
	h.mu.Unlock()
	if d == nil {
		return nil, fmt.Errorf("bytes of a connection that was not there")
	}
	d.rest = append(d.rest, r.GetBytes()...) // events of one device come one at a time
	for {
		line, rest, ok := bytes.Cut(d.rest, []byte("\n"))
		if !ok {
			return &pb.EmptySuccess{}, nil
		}
		err := h.line(ctx, r.GetConn(), d, string(line))
		d.rest = append(d.rest[:0], rest...)
		if err != nil {
			return nil, err
		}
	}
}

func (h *handler) line(ctx context.Context, conn string, d *heard, line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	var code *pb.CodeResponse
	var err error
	switch verb {
	case "login":
		id, password, _ := strings.Cut(rest, " ")
		info := &pb.ClientInfo{ProtoName: "lines", ProtoVer: "1", Clientid: id}
		if password != "" {
			info.Username = id
		}
		code, err = h.adapter.Authenticate(ctx, &pb.AuthenticateRequest{Conn: conn, Clientinfo: info, Password: password})
		if code.GetCode() == pb.ResultCode_SUCCESS && err == nil {
			d.id = id
			code, err = h.adapter.Subscribe(ctx, &pb.SubscribeRequest{Conn: conn, Topic: "ex/" + id + "/down", Qos: 1})
		}
	case "pub":
		code, err = h.adapter.Publish(ctx, &pb.PublishRequest{Conn: conn, Topic: "ex/" + d.id + "/up", Qos: 1, Payload: []byte(rest)})
	default:
		return fmt.Errorf("no such command")
	}
	if err != nil {
		return err
	}
	answer := fmt.Appendf(nil, "%d\n", code.GetCode())
	if _, err = h.adapter.Send(ctx, &pb.SendBytesRequest{Conn: conn, Bytes: answer}); err != nil {
		return err
	}
	if verb == "login" && code.GetCode() != pb.ResultCode_SUCCESS {
		_, err = h.adapter.Close(ctx, &pb.CloseSocketRequest{Conn: conn})
	}
	return err
}

func (h *handler) OnReceivedMessages(ctx context.Context, r *pb.ReceivedMessagesRequest) (*pb.EmptySuccess, error) {
	for _, m := range r.GetMessages() {
		if _, err := h.adapter.Send(ctx, &pb.SendBytesRequest{Conn: r.GetConn(), Bytes: m.GetPayload()}); err != nil {
			return nil, err
		}
	}
	return &pb.EmptySuccess{}, nil
}

// closed waits until the handler has been told of the end of a connection for
// this reason, and of no other since the last call.
func (h *handler) closed(t *testing.T, reason string) {
	t.Helper()
	eventually(t, "the handler is told that a connection has ended", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.reasons) > 0
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.reasons) != 1 || h.reasons[0] != reason {
		t.Errorf("connections ended for %q, want %q", h.reasons, reason)
	}
	h.reasons = nil
}

// TestHandlersHearHowConnectionsEnd by a word for each reason.
func TestHandlersHearHowConnectionsEnd(t *testing.T) {
	g := openGrounds(t)
	h := g.handler
	perform(t, g, exprotoScript)
	w := perform(t, g, exprotoScript)
	h.closed(t, "taken_over")
	w.nc.Close()
	h.closed(t, "peer_closed")
	g.refuses(t, refusal{listener: "exproto-tls", say: []byte("login lamp guessed\n"), hear: []byte("5\n")})
	h.closed(t, "normal")
	w = g.dial(t, "exproto", exprotoScript.url)
	w.say([]byte("what the handler returns an error for\n"))
	w.closed(nil)
	h.closed(t, "handler_error")
	for _, s := range exprotoScripts[1:] { // whatever they come over, they have one name
		perform(t, g, s)
		if s.name != "exproto-tls" {
			h.closed(t, "taken_over")
		}
	}
	if err := g.halt(syscall.SIGTERM); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	h.closed(t, "shutdown")
}

var exprotoScript = deviceScript{
	name: "exproto", url: "exproto://127.0.0.1:0", id: "valve",
	login:     []exchange{{say: []byte("login valve\n"), hear: []byte("0\n")}},
	uplink:    exchange{say: []byte("pub open\n"), hear: []byte("0\n"), topic: "ex/valve/up", payload: "open"},
	denied:    []byte("5\n"),
	downTopic: "ex/valve/down", command: "shut", frame: []byte("shut"),
}

// exprotoScripts are the ways to the handler.
var exprotoScripts = []deviceScript{
	exprotoScript, exprotoScript.on("exproto-tls", "exprotos://127.0.0.1:0"),
	exprotoScript.on("exproto-udp", "exproto+udp://127.0.0.1:0"), exprotoScript.on("exproto-dtls", "exproto+dtls://127.0.0.1:0"),
}
