package exproto_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

// http2 is how a connection begins: the preface, and empty SETTINGS.
const http2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

func TestWhoCallsNothingIsSentAway(t *testing.T) {
	file := t.TempDir() + "/token"
	write(t, file, "t0ken")
	s := start(t, options{gateway: exproto.Config{Adapter: exproto.AdapterConfig{
		TokenFile: exproto.File(file), Timeout: time.Second,
	}}})
	known := dialAdapter(t, s.g.AdapterURL(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(bearer("t0ken")))
	raw := &pb.RawPublishRequest{Topic: "t"}
	if _, err := known.RawPublish(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", hostOf(t, s.g.AdapterURL()))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, http2); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(nc); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it is still connected")
	}
	if _, err := known.RawPublish(t.Context(), raw); err != nil {
		t.Errorf("who has called before: %v", err)
	}
}

func TestOneSourceCannotFillTheAdapter(t *testing.T) {
	s := start(t, options{nobody: true, gateway: exproto.Config{Adapter: exproto.AdapterConfig{MaxPerSource: 2}}})
	for i := range 3 {
		nc, err := net.Dial("tcp", hostOf(t, s.g.AdapterURL()))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := io.WriteString(nc, http2); err != nil {
			t.Fatal(err)
		}
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		if _, err = nc.Read(make([]byte, 1)); (err == nil) != (i < 2) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}

// The token is asked for before the message is read: one that never comes does not
// have to be waited for.
func TestTheTokenIsCheckedBeforeTheMessage(t *testing.T) {
	file := t.TempDir() + "/token"
	write(t, file, "t0ken")
	s := start(t, options{gateway: exproto.Config{Adapter: exproto.AdapterConfig{TokenFile: exproto.File(file)}}})
	cc, err := grpc.NewClient(hostOf(t, s.g.AdapterURL()), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	st, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, pb.ConnectionAdapter_RawPublish_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.RecvMsg(&pb.CodeResponse{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v", err)
	}
}

func TestTheSchemeOfTheTokenHasNoCase(t *testing.T) {
	file := t.TempDir() + "/token"
	write(t, file, "t0ken")
	s := start(t, options{gateway: exproto.Config{Adapter: exproto.AdapterConfig{TokenFile: exproto.File(file)}}})
	for value, code := range map[string]codes.Code{"bearer t0ken": codes.OK, "BEARER t0ken": codes.OK, "Bearer T0KEN": codes.Unauthenticated, "Basic t0ken": codes.Unauthenticated, "t0ken": codes.Unauthenticated} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", value)
		if _, err := s.h.adapter.RawPublish(ctx, &pb.RawPublishRequest{Topic: "t"}); status.Code(err) != code {
			t.Errorf("%s: %v", value, err)
		}
	}
}
