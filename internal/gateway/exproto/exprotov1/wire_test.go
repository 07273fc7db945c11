package exprotov1_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// examples are messages and their bytes, which other implementations have made.
var examples = []struct {
	name string
	m    proto.Message
	hex  string
}{
	{"SocketCreated", &pb.SocketCreatedRequest{Conn: "c1", Conninfo: &pb.ConnInfo{
		Socktype: pb.SocketType_TCP,
		Peername: &pb.Address{Host: "127.0.0.1", Port: 50000},
		Sockname: &pb.Address{Host: "127.0.0.1", Port: 7993},
	}}, "0A 02 63 31 12 21 12 0F 0A 09 31 32 37 2E 30 2E 30 2E 31 10 D0 86 03 1A 0E 0A 09 31 32 37 2E 30 2E 30 2E 31 10 B9 3E"},
	{"Authenticate", &pb.AuthenticateRequest{Conn: "c1", Clientinfo: &pb.ClientInfo{
		ProtoName: "demo", ProtoVer: "1.0", Clientid: "dev1", Username: "u1",
	}, Password: "p1"}, "0A 02 63 31 12 15 0A 04 64 65 6D 6F 12 03 31 2E 30 1A 04 64 65 76 31 22 02 75 31 1A 02 70 31"},
	{"ReceivedBytes", &pb.ReceivedBytesRequest{Conn: "c1", Bytes: []byte{1, 2}}, "0A 02 63 31 12 02 01 02"},
	{"SendBytes", &pb.SendBytesRequest{Conn: "c1", Bytes: []byte{1, 2}}, "0A 02 63 31 12 02 01 02"},
	{"Timer, whose type 0 is left out", &pb.TimerRequest{Conn: "c1", Type: pb.TimerType_KEEPALIVE, Interval: 60}, "0A 02 63 31 18 3C"},
	{"Publish", &pb.PublishRequest{Conn: "c1", Topic: "a/b", Qos: 1, Payload: []byte("hi")}, "0A 02 63 31 12 03 61 2F 62 18 01 22 02 68 69"},
	{"Subscribe", &pb.SubscribeRequest{Conn: "c1", Topic: "a/#", Qos: 1}, "0A 02 63 31 12 03 61 2F 23 18 01"},
	{"RawPublish", &pb.RawPublishRequest{Topic: "a/b", Qos: 1, Payload: []byte("hi")}, "0A 03 61 2F 62 10 01 1A 02 68 69"},
	{"SocketClosed", &pb.SocketClosedRequest{Conn: "c1", Reason: "normal"}, "0A 02 63 31 12 06 6E 6F 72 6D 61 6C"},
	{"ReceivedMessages", &pb.ReceivedMessagesRequest{Conn: "c1", Messages: []*pb.Message{{
		Node: "n", Id: "01", Qos: 1, From: "p", Topic: "a/b", Payload: []byte("hi"), Timestamp: 1700000000000,
	}}}, "0A 02 63 31 12 1C 0A 01 6E 12 02 30 31 18 01 22 01 70 2A 03 61 2F 62 32 02 68 69 38 80 D0 95 FF BC 31"},
	{"CodeResponse success", &pb.CodeResponse{}, ""},
	{"CodeResponse denied", &pb.CodeResponse{Code: pb.ResultCode_PERMISSION_DENY, Message: "denied"}, "08 05 12 06 64 65 6E 69 65 64"},
	{"EmptySuccess", &pb.EmptySuccess{}, ""},
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExamplesBothWays(t *testing.T) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			want := unhex(t, e.hex)
			got, err := proto.MarshalOptions{Deterministic: true}.Marshal(e.m)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("encoded % X, %v, want % X", got, err, want)
			}
			back := e.m.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(want, back); err != nil || !proto.Equal(back, e.m) {
				t.Errorf("decoded %v, %v, want %v", back, err, e.m)
			}
		})
	}
}

// The numbers, names and types of every field, as old handlers know them.
func TestFieldsOfEveryMessage(t *testing.T) {
	const want = `
EmptySuccess:
CodeResponse: 1 ResultCode code, 2 string message
SendBytesRequest: 1 string conn, 2 bytes bytes
CloseSocketRequest: 1 string conn
AuthenticateRequest: 1 string conn, 2 ClientInfo clientinfo, 3 string password
TimerRequest: 1 string conn, 2 TimerType type, 3 uint32 interval
PublishRequest: 1 string conn, 2 string topic, 3 uint32 qos, 4 bytes payload
RawPublishRequest: 1 string topic, 2 uint32 qos, 3 bytes payload
SubscribeRequest: 1 string conn, 2 string topic, 3 uint32 qos
UnsubscribeRequest: 1 string conn, 2 string topic
SocketCreatedRequest: 1 string conn, 2 ConnInfo conninfo
ReceivedBytesRequest: 1 string conn, 2 bytes bytes
TimerTimeoutRequest: 1 string conn, 2 TimerType type
SocketClosedRequest: 1 string conn, 2 string reason
ReceivedMessagesRequest: 1 string conn, 2 repeated Message messages
ConnInfo: 1 SocketType socktype, 2 Address peername, 3 Address sockname, 4 CertificateInfo peercert
Address: 1 string host, 2 uint32 port
CertificateInfo: 1 string cn, 2 string dn
ClientInfo: 1 string proto_name, 2 string proto_ver, 3 string clientid, 4 string username, 5 string mountpoint
Message: 1 string node, 2 string id, 3 uint32 qos, 4 string from, 5 string topic, 6 bytes payload, 7 uint64 timestamp
ResultCode: 0 SUCCESS, 1 UNKNOWN, 2 CONN_PROCESS_NOT_ALIVE, 3 REQUIRED_PARAMS_MISSED, 4 PARAMS_TYPE_ERROR, 5 PERMISSION_DENY
TimerType: 0 KEEPALIVE
SocketType: 0 TCP, 1 SSL, 2 UDP, 3 DTLS
`
	file := pb.File_exproto_proto
	var got []string
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		var fields []string
		for j := range m.Fields().Len() {
			fields = append(fields, field(m.Fields().Get(j)))
		}
		got = append(got, strings.TrimSpace(string(m.Name())+": "+strings.Join(fields, ", ")))
	}
	for i := range file.Enums().Len() {
		e := file.Enums().Get(i)
		var values []string
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			values = append(values, number(int(v.Number()))+" "+string(v.Name()))
		}
		got = append(got, string(e.Name())+": "+strings.Join(values, ", "))
	}
	lines := strings.Split(strings.TrimSpace(want), "\n")
	slices.Sort(lines)
	slices.Sort(got)
	if !slices.Equal(got, lines) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func number(n int) string { return string(rune('0' + n)) }

func field(f protoreflect.FieldDescriptor) string {
	kind := f.Kind().String()
	switch {
	case f.Message() != nil:
		kind = string(f.Message().Name())
	case f.Enum() != nil:
		kind = string(f.Enum().Name())
	}
	if f.IsList() {
		kind = "repeated " + kind
	}
	return number(int(f.Number())) + " " + kind + " " + string(f.Name())
}

// Full paths, and which of them are streams.
func TestMethodsOfEveryService(t *testing.T) {
	handler := []string{"OnReceivedBytes", "OnReceivedMessages", "OnSocketClosed", "OnSocketCreated", "OnTimerTimeout"}
	want := map[string][]string{
		"emqx.exproto.v1.ConnectionAdapter":      {"Authenticate", "Close", "Publish", "RawPublish", "Send", "StartTimer", "Subscribe", "Unsubscribe"},
		"emqx.exproto.v1.ConnectionUnaryHandler": handler,
		"emqx.exproto.v1.ConnectionHandler":      handler,
	}
	services := pb.File_exproto_proto.Services()
	if services.Len() != len(want) {
		t.Errorf("%d services", services.Len())
	}
	for i := range services.Len() {
		s := services.Get(i)
		var names []string
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			names = append(names, string(m.Name()))
			if stream := s.Name() == "ConnectionHandler"; m.IsStreamingClient() != stream || m.IsStreamingServer() {
				t.Errorf("%s: streams %v, %v", m.FullName(), m.IsStreamingClient(), m.IsStreamingServer())
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, want[string(s.FullName())]) {
			t.Errorf("%s has %v", s.FullName(), names)
		}
	}
}

// A call in bytes: path, five bytes of framing, the message, and back. The
// server here knows HTTP/2 and nothing of gRPC.
func TestFramingOfACall(t *testing.T) {
	for _, e := range examples[:2] {
		t.Run(e.name, func(t *testing.T) {
			var path, contentType string
			var body []byte
			answer := unhex(t, "00 00 00 00 0A 08 05 12 06 64 65 6E 69 65 64")
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path, contentType = r.URL.Path, r.Header.Get("Content-Type")
				body, _ = io.ReadAll(r.Body)
				w.Header().Set("Content-Type", "application/grpc")
				w.Header().Set("Trailer", "Grpc-Status")
				_, _ = w.Write(answer)
				w.Header().Set("Grpc-Status", "0")
			})}
			srv.Protocols.SetUnencryptedHTTP2(true)
			done := make(chan struct{})
			go func() { defer close(done); _ = srv.Serve(l) }()
			defer func() { _ = srv.Close(); <-done }()
			cc, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			const method = "/emqx.exproto.v1.ConnectionAdapter/Authenticate"
			var got pb.CodeResponse
			if err := cc.Invoke(t.Context(), method, e.m, &got); err != nil {
				t.Fatal(err)
			}
			if path != method || contentType != "application/grpc" {
				t.Errorf("path %q, content type %q", path, contentType)
			}
			message := unhex(t, e.hex)
			if want := append([]byte{0, 0, 0, 0, byte(len(message))}, message...); !bytes.Equal(body, want) {
				t.Errorf("sent % X, want % X", body, want)
			}
			if got.Code != pb.ResultCode_PERMISSION_DENY || got.Message != "denied" {
				t.Errorf("read %v", &got)
			}
		})
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, e := range examples {
		b, err := proto.Marshal(e.m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range examples {
			m := e.m.ProtoReflect().New().Interface()
			if proto.Unmarshal(b, m) != nil {
				continue
			}
			again, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			back := m.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(again, back); err != nil || !proto.Equal(m, back) {
				t.Fatalf("%x became %x, %v", b, again, err)
			}
		}
	})
}
