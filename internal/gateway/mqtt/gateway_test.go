package mqtt_test

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a broker with the gateway, on a free port.
type site struct {
	addr string
	b    *broker.Broker
	l    transport.Listener
}

// start serves until the test ends.
func start(t *testing.T, bc broker.Config, gc gw.Config) site {
	t.Helper()
	return startListener(t, bc, gc, transport.ListenConfig{})
}

func startListener(t *testing.T, bc broker.Config, gc gw.Config, lc transport.ListenConfig) site {
	t.Helper()
	return startURL(t, "mqtt://127.0.0.1:0", bc, gc, lc)
}

func startURL(t *testing.T, url string, bc broker.Config, gc gw.Config, lc transport.ListenConfig) site {
	t.Helper()
	if gc.Authenticator == nil {
		gc.Authenticator = gatewaytest.Everybody{}
	}
	l, err := transport.Listen(t.Context(), url, lc)
	if err != nil {
		t.Fatal(err)
	}
	b, _, _ := gatewaytest.Serve(t, l, bc, func(b *broker.Broker) (*gw.Gateway, error) { return gw.New(gc, b) })
	return site{l.Addr().String(), b, l}
}

func TestGateway(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) { gatewaytest.Run(t, subject(v)) })
	}
}

func subject(v mqtt.Version) gatewaytest.Subject {
	return gatewaytest.Subject{
		URL: "mqtt://127.0.0.1:0",
		TLS: "mqtts://127.0.0.1:0",
		New: func(_ *testing.T, e gatewaytest.Environment) (gateway.Gateway, error) {
			return gw.New(gw.Config{Authenticator: e.Authenticator, ConnectTimeout: e.ConnectTimeout}, e.Broker)
		},
		Connect: func(t *testing.T, nc net.Conn, id string, w *gatewaytest.Will) gatewaytest.Client {
			r := &raw{t: t, nc: nc, version: v}
			c := mqtt.Connect{ClientID: id, CleanStart: true}
			if w != nil {
				c.Will = &mqtt.Will{Topic: w.Topic, Payload: []byte(w.Payload)}
			}
			if ack := r.connect(c); ack.Code != mqtt.Success {
				t.Fatalf("CONNACK %s", ack.Code)
			}
			r.sub("dn/"+id, 0)
			return suiteClient{r, id}
		},
		Refused: func(t *testing.T, nc net.Conn, id string) {
			r := &raw{t: t, nc: nc, version: v}
			if ack := r.connect(mqtt.Connect{ClientID: id, CleanStart: true}); !ack.Code.IsError() && ack.Code != mqtt.V3NotAuthorized {
				t.Fatalf("CONNACK %s", ack.Code)
			}
		},
		Uplink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "up/" + id, Payload: payload}
		},
		Downlink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "dn/" + id, Payload: payload}
		},
		Will:    true,
		Endless: []byte("\x30\xff\xff\xff\x7f\x00\x01t"), // PUBLISH, as long as can be
	}
}

type suiteClient struct {
	r  *raw
	id string
}

func (c suiteClient) Send(payload string) {
	c.r.t.Helper()
	c.r.publish(pub("up/"+c.id, payload, 0))
}

func (c suiteClient) Receive() string {
	c.r.t.Helper()
	return string(c.r.message().Payload)
}

func (c suiteClient) Leave() {
	c.r.t.Helper()
	c.r.send(mqtt.Disconnect{})
	c.r.closed()
}

// At QoS 0 nothing would be claimed: the message is dropped, as everything is
// there that may not be published.
func TestRetainedQuotaBeforeMQTT5(t *testing.T) {
	s := start(t, broker.Config{MaxRetained: 1}, gw.Config{Authenticator: gatewaytest.Everybody{}})
	r := dial(t, s.addr, mqtt.V311)
	r.connect(mqtt.Connect{ClientID: "c", CleanStart: true})
	for _, topic := range []string{"kept", "too many"} {
		r.send(mqtt.Publish{Topic: []byte(topic), Payload: []byte("x"), Retain: true})
	}
	r.send(mqtt.Pingreq{})
	expect[mqtt.Pingresp](r)
	r.send(mqtt.Publish{Topic: []byte("too many"), Payload: []byte("x"), Retain: true, QoS: 1, PacketID: 1})
	if seen := r.closed(); len(seen) > 0 {
		t.Errorf("received %+v", seen)
	}
}

// TestFailedHandshakesAreLogged with the listener, since there is no client to
// name.
func TestFailedHandshakesAreLogged(t *testing.T) {
	log := &logbook{}
	s := startURL(t, "ws://127.0.0.1:0", broker.Config{}, gw.Config{Logger: slog.New(slog.NewTextHandler(log, nil))}, transport.ListenConfig{})
	r := dial(t, s.addr, mqtt.V311)
	r.bytes([]byte("GET / HTTP/1.0\r\n\r\n"))
	gatewaytest.Eventually(t, "the log says so", func() bool { return len(log.about("connection refused")) > 0 })
	if l := log.about("connection refused"); !strings.Contains(l[0], "listener="+s.l.URL()) || !strings.Contains(l[0], "level=INFO") || !strings.Contains(l[0], "err=") {
		t.Errorf("%q", l)
	}
	if l := log.about("connection ended"); len(l) > 0 {
		t.Errorf("%q", l)
	}
}

func TestAllThatIsSentIsCounted(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{Authenticator: gatewaytest.Everybody{}})
	r := dial(t, s.addr, mqtt.V311)
	r.send(mqtt.Connect{ClientID: "c", CleanStart: true}, mqtt.Pingreq{})
	got := make([]byte, 4+2)
	if _, err := io.ReadFull(r.nc, got); err != nil {
		t.Fatal(err)
	}
	st := s.b.Stats()
	if n := st.BytesSent.Load(); n != uint64(len(got)) {
		t.Errorf("%d bytes counted, %d sent", n, len(got))
	}
	for _, kind := range []mqtt.Type{mqtt.TypeConnack, mqtt.TypePingresp} {
		if n := st.PacketsSent[kind].Load(); n != 1 {
			t.Errorf("%d packets %s counted", n, kind)
		}
	}
}
