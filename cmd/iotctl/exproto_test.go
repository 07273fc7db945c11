package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/serve"
)

// scriptHandler starts a program that knows what devices of exproto:// say, and
// puts its address and that of the adapter into FILE, for HANDLER and ADAPTER.
func scriptHandler(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: handler FILE")
	}
	adapter, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	cc, err := grpc.NewClient(adapter.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	ts.Check(err)
	srv := grpc.NewServer(grpc.WaitForHandlers(true))
	pb.RegisterConnectionUnaryHandlerServer(srv, &lineHandler{adapter: pb.NewConnectionAdapterClient(cc)})
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	ts.Defer(func() {
		srv.Stop()
		ts.Check(errors.Join(<-done, cc.Close()))
	})
	file := ts.MkAbs(args[0])
	text := strings.NewReplacer("HANDLER", l.Addr().String(), "ADAPTER", adapter.Addr().String()).Replace(ts.ReadFile(file))
	ts.Check(os.WriteFile(file, []byte(text), 0o600))
	ts.Check(adapter.Close()) // for serve to take its port
}

// lineHandler understands "login NAME PASSWORD"; other lines are published.
type lineHandler struct {
	pb.UnimplementedConnectionUnaryHandlerServer
	adapter pb.ConnectionAdapterClient
}

func (h *lineHandler) OnSocketCreated(context.Context, *pb.SocketCreatedRequest) (*pb.EmptySuccess, error) {
	return &pb.EmptySuccess{}, nil
}

func (h *lineHandler) OnReceivedBytes(ctx context.Context, r *pb.ReceivedBytesRequest) (*pb.EmptySuccess, error) {
	line := strings.TrimSpace(string(r.Bytes))
	var answer *pb.CodeResponse
	var err error
	if words := strings.Fields(line); len(words) == 3 && words[0] == "login" {
		answer, err = h.adapter.Authenticate(ctx, &pb.AuthenticateRequest{
			Conn: r.Conn, Password: words[2],
			Clientinfo: &pb.ClientInfo{ProtoName: "lines", Clientid: words[1], Username: words[1]},
		})
		if err == nil && answer.Code == pb.ResultCode_SUCCESS {
			answer, err = h.adapter.Subscribe(ctx, &pb.SubscribeRequest{Conn: r.Conn, Topic: "dn"})
		}
	} else {
		answer, err = h.adapter.Publish(ctx, &pb.PublishRequest{Conn: r.Conn, Topic: "up", Qos: 1, Payload: []byte(line)})
	}
	if err != nil {
		return nil, err
	}
	return h.send(ctx, r.Conn, fmt.Sprintf("%d %s\n", answer.Code, answer.Message))
}

func (h *lineHandler) OnReceivedMessages(ctx context.Context, r *pb.ReceivedMessagesRequest) (*pb.EmptySuccess, error) {
	for _, m := range r.Messages {
		if _, err := h.send(ctx, r.Conn, m.Topic+" "+string(m.Payload)+"\n"); err != nil {
			return nil, err
		}
	}
	return &pb.EmptySuccess{}, nil
}

func (h *lineHandler) OnSocketClosed(context.Context, *pb.SocketClosedRequest) (*pb.EmptySuccess, error) {
	return &pb.EmptySuccess{}, nil
}

func (h *lineHandler) send(ctx context.Context, conn, text string) (*pb.EmptySuccess, error) {
	_, err := h.adapter.Send(ctx, &pb.SendBytesRequest{Conn: conn, Bytes: []byte(text)})
	return &pb.EmptySuccess{}, err
}

// The configurations in the gateway's README are such that serve accepts.
func TestExProtoReadme(t *testing.T) {
	text, err := os.ReadFile("../../internal/gateway/exproto/README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("there are none")
	}
	for _, block := range blocks {
		yaml, _, _ := strings.Cut(block, "```")
		c, err := serve.Load([]byte(yaml), "README.md", builtin())
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			t.Errorf("%s\n%v", yaml, err)
		}
	}
}
