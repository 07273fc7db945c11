package exproto_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/exproto"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

// want checks one answer: the code, and a part of the text.
func want(t *testing.T, what string, code pb.ResultCode, text string) func(*pb.CodeResponse, error) {
	t.Helper()
	return func(r *pb.CodeResponse, err error) {
		t.Helper()
		switch {
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case r.Code != code || !strings.Contains(r.Message, text) || (code == 0) != (r.Message == ""):
			t.Errorf("%s: %s %q, want %s %q", what, r.Code, r.Message, code, text)
		}
	}
}

func TestResultCodes(t *testing.T) {
	const (
		success = pb.ResultCode_SUCCESS
		unknown = pb.ResultCode_UNKNOWN
		gone    = pb.ResultCode_CONN_PROCESS_NOT_ALIVE
		missed  = pb.ResultCode_REQUIRED_PARAMS_MISSED
		badType = pb.ResultCode_PARAMS_TYPE_ERROR
		deny    = pb.ResultCode_PERMISSION_DENY
	)
	for _, compat := range []bool{false, true} {
		s := start(t, options{
			broker:  broker.Config{Authorizer: denies("secret")},
			gateway: exproto.Config{EMQXCompatCodes: compat},
		})
		ctx := t.Context()
		a := s.h.adapter
		d := s.device()
		conn := s.h.wait(t, "created", 1).conn
		info := func() *pb.ClientInfo {
			return &pb.ClientInfo{ProtoName: "test", Clientid: "dev", Username: "u"} // without proto_ver
		}
		unmet := deny
		if compat {
			unmet = unknown
		}
		no := base64.RawURLEncoding.EncodeToString(make([]byte, 16))
		for _, c := range []struct{ conn, text string }{{"", "The conn type error"}, {"#PID<0.1.2>", "The conn type error"}} {
			want(t, "send to nonsense", badType, c.text)(a.Send(ctx, &pb.SendBytesRequest{Conn: c.conn}))
		}
		want(t, "send to nobody", gone, "Connection process is not alive")(a.Send(ctx, &pb.SendBytesRequest{Conn: no}))
		want(t, "close nobody", gone, "")(a.Close(ctx, &pb.CloseSocketRequest{Conn: no}))
		want(t, "authenticate nobody", gone, "")(a.Authenticate(ctx, &pb.AuthenticateRequest{Conn: no, Clientinfo: info()}))
		want(t, "timer of nobody", gone, "")(a.StartTimer(ctx, &pb.TimerRequest{Conn: no, Interval: 1}))
		want(t, "publish of nobody", gone, "")(a.Publish(ctx, &pb.PublishRequest{Conn: no, Topic: "t"}))
		want(t, "subscribe of nobody", gone, "")(a.Subscribe(ctx, &pb.SubscribeRequest{Conn: no, Topic: "t"}))
		want(t, "unsubscribe of nobody", gone, "")(a.Unsubscribe(ctx, &pb.UnsubscribeRequest{Conn: no, Topic: "t"}))

		want(t, "send before", success, "")(a.Send(ctx, &pb.SendBytesRequest{Conn: conn, Bytes: []byte("x")}))
		d.expect("x")
		want(t, "publish before", unmet, "authenticated")(a.Publish(ctx, &pb.PublishRequest{Conn: conn, Topic: "t"}))
		want(t, "subscribe before", unmet, "authenticated")(a.Subscribe(ctx, &pb.SubscribeRequest{Conn: conn, Topic: "t"}))
		want(t, "unsubscribe before", unmet, "authenticated")(a.Unsubscribe(ctx, &pb.UnsubscribeRequest{Conn: conn, Topic: "t"}))
		want(t, "timer 0", badType, "")(a.StartTimer(ctx, &pb.TimerRequest{Conn: conn}))
		want(t, "timer of no type", badType, "")(a.StartTimer(ctx, &pb.TimerRequest{Conn: conn, Type: 7, Interval: 1}))
		want(t, "timer", success, "")(a.StartTimer(ctx, &pb.TimerRequest{Conn: conn, Interval: 1000}))

		for name, edit := range map[string]func(*pb.ClientInfo){
			"proto_name": func(i *pb.ClientInfo) { i.ProtoName = "" },
			"clientid":   func(i *pb.ClientInfo) { i.Clientid = "" },
		} {
			i := info()
			edit(i)
			want(t, "without "+name, missed, name)(a.Authenticate(ctx, &pb.AuthenticateRequest{Conn: conn, Clientinfo: i}))
		}
		want(t, "without clientinfo", missed, "clientinfo")(a.Authenticate(ctx, &pb.AuthenticateRequest{Conn: conn}))
		want(t, "wrong password", deny, "Not authorized")(a.Authenticate(ctx, &pb.AuthenticateRequest{Conn: conn, Clientinfo: info(), Password: "wrong"}))
		want(t, "no answer", deny, "Not authorized")(a.Authenticate(ctx, &pb.AuthenticateRequest{Conn: conn, Clientinfo: info(), Password: "broken"}))
		want(t, "to be approved", deny, "48-21")(a.Authenticate(ctx, &pb.AuthenticateRequest{Conn: conn, Clientinfo: info(), Password: "later"}))
		want(t, "authenticate", success, "")(a.Authenticate(ctx, &pb.AuthenticateRequest{Conn: conn, Clientinfo: info()}))
		want(t, "again", deny, "Duplicated authenticate command")(a.Authenticate(ctx, &pb.AuthenticateRequest{Conn: conn, Clientinfo: info()}))

		want(t, "publish qos 3", badType, "qos")(a.Publish(ctx, &pb.PublishRequest{Conn: conn, Topic: "t", Qos: 3}))
		want(t, "subscribe qos 3", badType, "qos")(a.Subscribe(ctx, &pb.SubscribeRequest{Conn: conn, Topic: "t", Qos: 3}))
		want(t, "publish nowhere", missed, "topic")(a.Publish(ctx, &pb.PublishRequest{Conn: conn}))
		want(t, "publish to many", badType, "")(a.Publish(ctx, &pb.PublishRequest{Conn: conn, Topic: "a/#"}))
		want(t, "publish to $SYS", deny, "Authorization deny")(a.Publish(ctx, &pb.PublishRequest{Conn: conn, Topic: "$SYS/x"}))
		want(t, "subscribe to nonsense", badType, "")(a.Subscribe(ctx, &pb.SubscribeRequest{Conn: conn, Topic: "a/#/b"}))
		want(t, "publish to secret", deny, "Authorization deny")(a.Publish(ctx, &pb.PublishRequest{Conn: conn, Topic: "secret"}))
		want(t, "subscribe to secret", deny, "Authorization deny")(a.Subscribe(ctx, &pb.SubscribeRequest{Conn: conn, Topic: "secret"}))
		for qos := range uint32(3) {
			want(t, "publish", success, "")(a.Publish(ctx, &pb.PublishRequest{Conn: conn, Topic: "t", Qos: qos}))
			want(t, "subscribe", success, "")(a.Subscribe(ctx, &pb.SubscribeRequest{Conn: conn, Topic: "a/+", Qos: qos}))
		}
		want(t, "unsubscribe", success, "")(a.Unsubscribe(ctx, &pb.UnsubscribeRequest{Conn: conn, Topic: "a/+"}))
		want(t, "unsubscribe again", success, "")(a.Unsubscribe(ctx, &pb.UnsubscribeRequest{Conn: conn, Topic: "a/+"}))

		want(t, "raw publish to secret, without rights", success, "")(a.RawPublish(ctx, &pb.RawPublishRequest{Topic: "secret", Qos: 9}))
		want(t, "raw publish nowhere", missed, "topic")(a.RawPublish(ctx, &pb.RawPublishRequest{}))
		want(t, "raw publish to many", badType, "")(a.RawPublish(ctx, &pb.RawPublishRequest{Topic: "+"}))
		want(t, "raw publish to $SYS", deny, "")(a.RawPublish(ctx, &pb.RawPublishRequest{Topic: "$SYS/x"}))

		if n := s.g.Counters()["denied"]; n != 4 {
			t.Errorf("%d denied", n)
		}
		want(t, "close", success, "")(a.Close(ctx, &pb.CloseSocketRequest{Conn: conn}))
		d.closed()
		s.h.wait(t, "closed", 1)
		until(t, "it is forgotten", func() bool {
			r, err := a.Send(ctx, &pb.SendBytesRequest{Conn: conn})
			return err == nil && r.Code == gone
		})
		s.stop()
	}
}

// A device that has gone while its handler was busy cannot take its client
// identifier from the connection that it has made since.
func TestAuthenticateAfterTheEnd(t *testing.T) {
	release := make(chan struct{})
	s := start(t, options{handler: &handler{do: func(_ *handler, e told) error {
		if e.what == "bytes" {
			<-release
		}
		return nil
	}}})
	d := s.device()
	d.send("x")
	conn := s.h.wait(t, "bytes", 1).conn
	_ = d.nc.Close()
	until(t, "the end has been read", func() bool { return s.h.startTimer(conn, 60) != nil })
	want(t, "authenticate", pb.ResultCode_PERMISSION_DENY, "Client socket disconnected")(
		s.h.adapter.Authenticate(t.Context(), &pb.AuthenticateRequest{Conn: conn, Clientinfo: &pb.ClientInfo{ProtoName: "p", Clientid: "c"}}))
	close(release)
	s.h.wait(t, "closed", 1)
}

func TestAConnectionThatDoesNotAnswer(t *testing.T) {
	s := start(t, options{gateway: exproto.Config{
		Adapter: exproto.AdapterConfig{Timeout: 100 * time.Millisecond}, PendingBytes: 1024,
	}})
	s.device() // which does not read
	conn := s.h.wait(t, "created", 1).conn
	block := make([]byte, 1<<19)
	for i := range 200 {
		r, err := s.h.adapter.Send(t.Context(), &pb.SendBytesRequest{Conn: conn, Bytes: block})
		if err != nil {
			t.Fatal(err)
		}
		if r.Code == pb.ResultCode_UNKNOWN && r.Message == "Connection is not answered" {
			return
		}
		if i == 199 {
			t.Fatalf("100 MB wait for a device that does not read: %v", r)
		}
	}
}

func TestADeviceThatDoesNotReadIsClosed(t *testing.T) {
	s := start(t, options{gateway: exproto.Config{SendTimeout: 200 * time.Millisecond}})
	s.device()
	conn := s.h.wait(t, "created", 1).conn
	block := make([]byte, 1<<19)
	for {
		r, err := s.h.adapter.Send(t.Context(), &pb.SendBytesRequest{Conn: conn, Bytes: block})
		if err != nil {
			t.Fatal(err)
		}
		if r.Code == pb.ResultCode_CONN_PROCESS_NOT_ALIVE {
			break
		}
	}
	if e := s.h.wait(t, "closed", 1); e.reason != "send_timeout" {
		t.Errorf("%v", e)
	}
}

func TestTheAdapterBoundsCalls(t *testing.T) {
	s := start(t, options{gateway: exproto.Config{Adapter: exproto.AdapterConfig{MaxMessageBytes: 2048}}})
	_, err := s.h.adapter.RawPublish(t.Context(), &pb.RawPublishRequest{Topic: "t", Payload: make([]byte, 4096)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
}

func TestTheAdapterWantsItsToken(t *testing.T) {
	file := t.TempDir() + "/token"
	write(t, file, "s3cret-token\n")
	s := start(t, options{gateway: exproto.Config{Adapter: exproto.AdapterConfig{TokenFile: exproto.File(file)}}})
	raw := &pb.RawPublishRequest{Topic: "t"}
	if _, err := s.h.adapter.RawPublish(t.Context(), raw); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without: %v", err)
	}
	for token, code := range map[string]codes.Code{"s3cret-token": codes.OK, "s3cret-toke": codes.Unauthenticated} {
		a := dialAdapter(t, s.g.AdapterURL(), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithUnaryInterceptor(bearer(token)))
		if _, err := a.RawPublish(t.Context(), raw); status.Code(err) != code {
			t.Errorf("%s: %v", token, err)
		}
	}
	if s.log.count("s3cret") > 0 {
		t.Error("the token is in the log")
	}
}

func TestPasswordsAreNeverLogged(t *testing.T) {
	s := start(t, options{})
	d := s.device()
	conn := s.h.wait(t, "created", 1).conn
	for _, password := range []string{"wrong", "broken", "later", "hunter2"} {
		_, err := s.h.adapter.Authenticate(context.Background(), &pb.AuthenticateRequest{
			Conn: conn, Password: password, Clientinfo: &pb.ClientInfo{ProtoName: "p", Clientid: "c", Username: "u"},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = d.nc.Close()
	s.stop()
	for _, word := range []string{"hunter2", "password=", conn} {
		if n := s.log.count(word); n > 0 {
			t.Errorf("%q is in the log:\n%s", word, s.log.String())
		}
	}
}
