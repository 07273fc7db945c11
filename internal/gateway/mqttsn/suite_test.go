package mqttsn_test

import (
	"net"
	"testing"
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/gateway/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestGateway(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.Subject{
		URL:     "mqttsn://127.0.0.1:0",
		TLS:     "mqttsns://127.0.0.1:0",
		Schemes: transport.MQTTSNSchemes(),
		New: func(_ *testing.T, e gatewaytest.Environment) (gateway.Gateway, error) {
			return mqttsn.New(mqttsn.Config{Authenticator: e.Authenticator}, e.Broker)
		},
		Connect: func(t *testing.T, nc net.Conn, id string, w *gatewaytest.Will) gatewaytest.Client {
			t.Helper()
			d := &device{t: t, nc: nc, topic: "dn/" + id}
			if w == nil {
				d.say(wire.Connect{ProtocolID: 1, CleanSession: true, KeepAlive: 60, ClientID: id})
			} else {
				d.say(wire.Connect{ProtocolID: 1, CleanSession: true, Will: true, KeepAlive: 1, ClientID: id})
				d.hear(wire.TypeWillTopicReq)
				d.say(wire.WillTopic{Topic: w.Topic})
				d.hear(wire.TypeWillMsgReq)
				d.say(wire.WillMsg{Payload: []byte(w.Payload)})
			}
			if m := d.hear(wire.TypeConnack); m != (wire.Connack{}) {
				t.Fatalf("%+v", m)
			}
			d.say(wire.Subscribe{QoS: 1, MsgID: 1, Filter: d.topic})
			d.hear(wire.TypeSuback)
			d.say(wire.Register{MsgID: 2, Topic: "up/" + id})
			d.up = d.hear(wire.TypeRegack).(wire.Regack).TopicID
			return d
		},
		Refused: func(t *testing.T, nc net.Conn, id string) {
			t.Helper()
			d := &device{t: t, nc: nc}
			d.say(wire.Connect{ProtocolID: 1, CleanSession: true, KeepAlive: 60, ClientID: id})
			if m := d.hear(wire.TypeConnack); m != (wire.Connack{Code: wire.NotSupported}) {
				t.Fatalf("%+v", m)
			}
		},
		Uplink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "up/" + id, Payload: payload}
		},
		Downlink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "dn/" + id, Payload: payload}
		},
		Will:         true,
		PayloadBytes: 1000,
		LoginBytes:   6,
	})
}

// device is one of the suite.
type device struct {
	t     *testing.T
	nc    net.Conn
	topic string // that it is subscribed to
	up    uint16 // the identifier of the topic that it publishes to
}

func (d *device) say(m wire.Message) {
	d.t.Helper()
	b, err := m.Append(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = d.nc.SetWriteDeadline(time.Now().Add(gatewaytest.Patience))
	if _, err := d.nc.Write(b); err != nil {
		d.t.Fatal(err)
	}
}

// hear reads up to a message of the type.
func (d *device) hear(want wire.Type) wire.Message {
	d.t.Helper()
	buf := make([]byte, 1<<16)
	for {
		_ = d.nc.SetReadDeadline(time.Now().Add(gatewaytest.Patience))
		n, err := d.nc.Read(buf)
		if err != nil {
			d.t.Fatalf("no %s: %v", want, err)
		}
		m, _, err := wire.Parse(buf[:n], wire.Options{FromServer: true})
		if err != nil {
			d.t.Fatalf("%x: %v", buf[:n], err)
		}
		if r, ok := m.(wire.Register); ok {
			d.say(wire.Regack{TopicID: r.TopicID, MsgID: r.MsgID})
		}
		if m.Type() == want {
			return m
		}
	}
}

// Send implements gatewaytest.Client.
func (d *device) Send(payload string) {
	d.t.Helper()
	d.say(wire.Publish{TopicID: d.up, Payload: []byte(payload)})
}

// Receive implements gatewaytest.Client.
func (d *device) Receive() string {
	d.t.Helper()
	m := d.hear(wire.TypePublish).(wire.Publish)
	if m.QoS == 1 {
		d.say(wire.Puback{TopicID: m.TopicID, MsgID: m.MsgID})
	}
	return string(m.Payload)
}

// Leave implements gatewaytest.Client.
func (d *device) Leave() {
	d.t.Helper()
	d.say(wire.Disconnect{})
	d.hear(wire.TypeDisconnect)
}
