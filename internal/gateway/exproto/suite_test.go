package exproto_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/gateway/exproto"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/transport"
)

// The protocol of the official Erlang example: JSON, and ## behind each frame.
const (
	jsonConnect = iota + 1
	jsonConnack
	jsonPublish
	jsonPuback
	jsonSubscribe
	jsonSuback
	_
	_
	jsonDisconnect
)

type jsonFrame struct {
	Type       int            `json:"type"`
	Clientinfo *pb.ClientInfo `json:"clientinfo,omitempty"`
	Password   string         `json:"password,omitempty"`
	Topic      string         `json:"topic,omitempty"`
	QoS        uint32         `json:"qos"`
	Payload    string         `json:"payload,omitempty"`
	Code       int            `json:"code"`
}

func (f jsonFrame) String() string {
	b, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return string(b) + "##"
}

// jsonHandler puts the bytes of each device together again.
type jsonHandler struct {
	loginSeconds uint32 // 0: a device may take its time

	mu      sync.Mutex
	partial map[string][]byte
}

func (j *jsonHandler) frames(e told) ([]jsonFrame, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	data := append(j.partial[e.conn], e.bytes...)
	var frames []jsonFrame
	for {
		text, rest, whole := bytes.Cut(data, []byte("##"))
		if !whole {
			break
		}
		var f jsonFrame
		if err := json.Unmarshal(text, &f); err != nil {
			return nil, err
		}
		frames, data = append(frames, f), rest
	}
	if len(data) > 100_000 {
		return nil, errors.New("too long")
	}
	j.partial[e.conn] = bytes.Clone(data)
	return frames, nil
}

func (j *jsonHandler) do(h *handler, e told) error {
	switch e.what {
	case "created":
		if j.loginSeconds > 0 {
			return h.startTimer(e.conn, j.loginSeconds)
		}
	case "bytes":
		frames, err := j.frames(e)
		for _, f := range frames {
			if err == nil {
				err = j.frame(h, e.conn, f)
			}
		}
		if err != nil { // not this protocol, or the connection is gone already
			_ = h.close(e.conn)
		}
	case "messages":
		for _, m := range e.messages {
			if err := h.send(e.conn, jsonFrame{Type: jsonPublish, Topic: m.Topic, QoS: m.Qos, Payload: string(m.Payload)}.String()); err != nil {
				return h.close(e.conn)
			}
		}
	case "timer":
		_ = h.close(e.conn)
	case "closed":
		j.mu.Lock()
		delete(j.partial, e.conn)
		j.mu.Unlock()
	}
	return nil
}

func (j *jsonHandler) frame(h *handler, conn string, f jsonFrame) error {
	ctx := context.Background()
	answer := jsonFrame{Type: f.Type + 1}
	var err error
	switch f.Type {
	case jsonConnect:
		err = done(h.adapter.Authenticate(ctx, &pb.AuthenticateRequest{Conn: conn, Clientinfo: f.Clientinfo, Password: f.Password}))
		if err == nil && j.loginSeconds > 0 {
			err = h.startTimer(conn, 100*j.loginSeconds)
		}
	case jsonPublish:
		err = done(h.adapter.Publish(ctx, &pb.PublishRequest{Conn: conn, Topic: f.Topic, Qos: f.QoS, Payload: []byte(f.Payload)}))
	case jsonSubscribe:
		err = h.subscribe(conn, f.Topic, f.QoS)
	case jsonDisconnect:
		return h.close(conn)
	default:
		return errors.New("no such type")
	}
	if err != nil {
		answer.Code = 1
	}
	if sendErr := h.send(conn, answer.String()); sendErr != nil {
		return sendErr
	}
	if f.Type == jsonConnect {
		return err
	}
	return nil
}

// jsonDevice is a device of the suite.
type jsonDevice struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
	id string
}

func (d jsonDevice) write(f jsonFrame) {
	d.t.Helper()
	if _, err := d.nc.Write([]byte(f.String())); err != nil {
		d.t.Fatal(err)
	}
}

func (d jsonDevice) read() jsonFrame {
	d.t.Helper()
	var text strings.Builder
	for !strings.HasSuffix(text.String(), "##") {
		part, err := d.r.ReadString('#')
		if err != nil {
			d.t.Fatalf("%q, %v", text.String(), err)
		}
		text.WriteString(part)
	}
	var f jsonFrame
	if err := json.Unmarshal([]byte(strings.TrimSuffix(text.String(), "##")), &f); err != nil {
		d.t.Fatal(err)
	}
	return f
}

func (d jsonDevice) wants(kind, code int) {
	d.t.Helper()
	if f := d.read(); f.Type != kind || f.Code != code {
		d.t.Fatalf("received %v", f)
	}
}

func (d jsonDevice) Send(payload string) {
	d.t.Helper()
	d.write(jsonFrame{Type: jsonPublish, Topic: "up/" + d.id, QoS: 1, Payload: payload})
}

func (d jsonDevice) Receive() string {
	d.t.Helper()
	for {
		if f := d.read(); f.Type == jsonPublish {
			return f.Payload
		}
	}
}

func (d jsonDevice) Leave() { d.t.Helper(); d.write(jsonFrame{Type: jsonDisconnect}) }

func hello(t *testing.T, nc net.Conn, id string) jsonDevice {
	d := jsonDevice{t, nc, bufio.NewReader(nc), id}
	d.write(jsonFrame{Type: jsonConnect, Clientinfo: &pb.ClientInfo{ProtoName: "json", ProtoVer: "1", Clientid: id, Username: ""}})
	return d
}

func TestGateway(t *testing.T) {
	for name, service := range map[string]exproto.HandlerConfig{
		"unary":              {Service: "ConnectionUnaryHandler"},
		"a stream per event": {Service: "ConnectionHandler", StreamPerEvent: true},
	} {
		t.Run(name, func(t *testing.T) { gatewaytest.Run(t, subject(service)) })
	}
}

func TestGatewayOverDatagrams(t *testing.T) {
	s := subject(exproto.HandlerConfig{})
	s.URL, s.TLS, s.PayloadBytes = "exproto+udp://127.0.0.1:0", "exproto+dtls://127.0.0.1:0", 1000
	gatewaytest.Run(t, s)
}

func subject(service exproto.HandlerConfig) gatewaytest.Subject {
	return gatewaytest.Subject{
		URL:     "exproto://127.0.0.1:0",
		TLS:     "exprotos://127.0.0.1:0",
		Schemes: exproto.Schemes(),
		New: func(t *testing.T, e gatewaytest.Environment) (gateway.Gateway, error) {
			j := &jsonHandler{partial: map[string][]byte{}}
			cfg := exproto.Config{
				Authenticator: e.Authenticator, Adapter: exproto.AdapterConfig{Address: "http://127.0.0.1:0"},
				Handler: service, IdleTimeout: e.ConnectTimeout,
			}
			if e.ConnectTimeout > 0 { // after its first byte a device is the handler's business
				j.loginSeconds, cfg.KeepaliveMultiplier = 1, 0.1
			}
			h := &handler{do: j.do, streams: service.StreamPerEvent, forget: true}
			cfg.Handler.Address = "http://" + h.serve(t, "127.0.0.1:0")
			g, err := exproto.New(cfg, e.Broker)
			if err != nil {
				return nil, err
			}
			return &late{Gateway: g, t: t, h: h}, nil
		},
		Connect: func(t *testing.T, nc net.Conn, id string, _ *gatewaytest.Will) gatewaytest.Client {
			d := hello(t, nc, id)
			d.wants(jsonConnack, 0)
			d.write(jsonFrame{Type: jsonSubscribe, Topic: "dn/" + id})
			d.wants(jsonSuback, 0)
			return d
		},
		Refused: func(t *testing.T, nc net.Conn, id string) { hello(t, nc, id).wants(jsonConnack, 1) },
		Uplink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "up/" + id, Payload: payload}
		},
		Downlink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "dn/" + id, Payload: payload}
		},
		LoginBytes: 10,
	}
}

// late tells the handler where the adapter is while there is one.
type late struct {
	*exproto.Gateway
	t *testing.T
	h *handler
}

func (g *late) Serve(ctx context.Context, l transport.Listener) error {
	done := make(chan error)
	go func() { done <- g.Gateway.Serve(ctx, l) }()
	until(g.t, "the adapter is open", func() bool { return g.AdapterURL() != "" })
	cc, err := grpc.NewClient(hostOf(g.t, g.AdapterURL()), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	g.h.adapter = pb.NewConnectionAdapterClient(cc)
	close(g.h.ready)
	return errors.Join(<-done, cc.Close())
}
