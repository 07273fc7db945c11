package rewrite

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// powerless is a connection that nothing can be done to.
type powerless struct{ proxy.Powers }

func (powerless) Inject(proxy.Stage, proxy.Frame) error { return nil }

// FuzzRewrite feeds packets of both sides, each behind a byte with its direction:
// nothing panics, and what comes out can be read.
func FuzzRewrite(f *testing.F) {
	one := uint8(1)
	plans := []Config{
		{Topics: Topics{Prefix: "p/%c/", Map: []Mapping{{From: "a/(.*)", To: "b/$1"}}}, ClientID: "x-%c"},
		{Publish: Message{MinQoS: 1}, Deliver: Message{MaxQoS: &one}, UserProperties: []UserProperty{{Name: "n", Value: "%u"}}},
		{Topics: Topics{Strip: "a/"}, Publish: Message{MaxQoS: &one, Retain: "force"}, Deliver: Message{MinQoS: 2}},
	}
	for i := range plans {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			var b []byte
			for _, p := range []struct {
				d proxy.Direction
				p mqtt.Packet
			}{
				{proxy.ToServer, mqtt.Connect{ClientID: "c", CleanStart: true, Will: &mqtt.Will{Topic: "a/w", QoS: 2}}},
				{proxy.ToClient, mqtt.Connack{}},
				{proxy.ToServer, mqtt.Publish{Topic: []byte("a/b"), QoS: 2, PacketID: 1}},
				{proxy.ToServer, mqtt.Publish{Topic: []byte("a/b")}},
				{proxy.ToClient, mqtt.Puback{PacketID: 1}},
				{proxy.ToClient, mqtt.Pubrec{PacketID: 1}},
				{proxy.ToServer, mqtt.Pubrel{PacketID: 1}},
				{proxy.ToClient, mqtt.Pubcomp{PacketID: 1}},
				{proxy.ToServer, mqtt.Subscribe{PacketID: 2, Filters: []mqtt.Subscription{{Filter: "a/+", QoS: 1}, {Filter: "#"}}}},
				{proxy.ToClient, mqtt.Suback{PacketID: 2, Codes: []mqtt.ReasonCode{1}}},
				{proxy.ToClient, mqtt.Publish{Topic: []byte("p/c/b/x"), QoS: 1, PacketID: 1}},
				{proxy.ToServer, mqtt.Unsubscribe{PacketID: 3, Filters: []string{"a/b"}}},
				{proxy.ToClient, mqtt.Unsuback{PacketID: 3, Codes: []mqtt.ReasonCode{0}}},
			} {
				b = append(b, byte(p.d))
				b, _ = p.p.Append(b, v)
			}
			f.Add(b, byte(v), byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, version, plan byte) {
		v := []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}[version%3]
		factory, err := New(plans[int(plan)%len(plans)])
		if err != nil {
			t.Fatal(err)
		}
		conn := &proxy.Conn{Version: v, Metrics: &proxy.Metrics{}, Log: slog.New(slog.DiscardHandler), Powers: powerless{}}
		s, err := factory.Open(conn)
		if err != nil {
			t.Fatal(err)
		}
		emit := func(f proxy.Frame) error {
			if _, n, err := mqtt.Parse(bytes.Clone(f.Bytes), proxy.Options(f.Direction, v)); err != nil || n != len(f.Bytes) {
				t.Fatalf("%s %x: %v", f.Direction, f.Bytes, err)
			}
			return nil
		}
		for joined := false; len(b) > 1; {
			d := proxy.Direction(b[0] & 1)
			h, _, n, err := mqtt.Frame(b[1:], 1<<16)
			if err != nil || h.Type == mqtt.TypeConnect && joined || h.Type != mqtt.TypeConnect && !joined {
				return
			}
			frame := proxy.Frame{Direction: d, Header: h, Bytes: b[1 : 1+n]}
			b = b[1+n:]
			p, _, err := mqtt.Parse(frame.Bytes, proxy.Options(d, v))
			if c, ok := p.(mqtt.Connect); err != nil || ok && (c.Version != v || d != proxy.ToServer) {
				return
			}
			joined = true
			if s.Handle(t.Context(), frame, emit) != nil {
				return
			}
		}
	})
}
