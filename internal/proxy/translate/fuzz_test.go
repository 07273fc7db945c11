package translate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/transport"
)

// powerless is a connection that nothing can be done to.
type powerless struct{ proxy.Powers }

func (powerless) Inject(proxy.Stage, proxy.Frame) error { return nil }

func (powerless) Dial(context.Context, string) (transport.Conn, error) {
	return nil, errors.New("no broker")
}

// FuzzTranslate feeds packets of both sides, of which the first byte says the
// direction: nothing panics, what comes out can be read by those who get it, and what
// is remembered stays bounded.
func FuzzTranslate(f *testing.F) {
	add := func(from, to mqtt.Version, packets ...any) {
		var b []byte
		d := byte(0)
		for _, p := range packets {
			switch p := p.(type) {
			case proxy.Direction:
				d = byte(p)
			case mqtt.Packet:
				v := from
				if proxy.Direction(d) == proxy.ToClient {
					v = to
				}
				b = append(b, d)
				b, _ = p.Append(b, v)
			}
		}
		f.Add(b, byte(from-3), byte(to-3))
	}
	props := mqtt.Properties{}.AppendVarint(mqtt.PropSubscriptionIdentifier, 5)
	add(mqtt.V5, mqtt.V311, mqtt.Connect{ClientID: "c", CleanStart: true, Properties: mqtt.Properties{}.AppendUint16(mqtt.PropReceiveMaximum, 1)},
		proxy.ToClient, mqtt.Connack{},
		proxy.ToServer, mqtt.Subscribe{PacketID: 1, Properties: props, Filters: []mqtt.Subscription{{Filter: "a/#", QoS: 2, RetainHandling: 2}}},
		mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 2, Properties: mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, 1)},
		proxy.ToClient, mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{2}}, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1},
		mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 2}, mqtt.Pubrel{PacketID: 2}, mqtt.Pubrec{PacketID: 2},
		proxy.ToServer, mqtt.Puback{PacketID: 1}, mqtt.Pubrec{PacketID: 2, Code: mqtt.QuotaExceeded}, mqtt.Unsubscribe{PacketID: 3, Filters: []string{"a/#"}},
		proxy.ToClient, mqtt.Unsuback{PacketID: 3})
	add(mqtt.V311, mqtt.V5, mqtt.Connect{ClientID: "c"},
		proxy.ToClient, mqtt.Connack{Properties: mqtt.Properties{}.AppendUint16(mqtt.PropReceiveMaximum, 1).AppendByte(mqtt.PropMaximumQoS, 1)},
		proxy.ToServer, mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 2}, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 3}, mqtt.Pingreq{},
		proxy.ToClient, mqtt.Puback{PacketID: 2}, mqtt.Pingresp{}, mqtt.Publish{Topic: []byte("a"), Properties: props},
		proxy.ToServer, mqtt.Pubrel{PacketID: 2}, mqtt.Disconnect{})
	f.Fuzz(func(t *testing.T, b []byte, from, to byte) {
		v, w := versionOf(from), versionOf(to)
		factory := &Factory{c: Config{}.withDefaults(), to: w}
		conn := &proxy.Conn{Version: v, Metrics: &proxy.Metrics{}, Log: slog.New(slog.DiscardHandler), Powers: powerless{}}
		s, err := factory.Open(conn)
		if s == nil || err != nil {
			t.Skip()
		}
		if e, ok := s.(proxy.Ender); ok {
			defer e.Ended(&proxy.End{})
		}
		emit := func(f proxy.Frame) error {
			is := w
			if f.Direction == proxy.ToClient {
				is = v
			}
			if f.Header.Type == mqtt.TypePublish && v != mqtt.V5 && w != mqtt.V5 {
				return nil // as it came
			}
			o := proxy.Options(f.Direction, is)
			if _, n, err := mqtt.Parse(bytes.Clone(f.Bytes), o); err != nil || n != len(f.Bytes) {
				t.Fatalf("%s %x for %v: %v", f.Direction, f.Bytes, is, err)
			}
			return nil
		}
		joined := [2]bool{}
		for len(b) > 1 {
			d := proxy.Direction(b[0] & 1)
			h, _, n, err := mqtt.Frame(b[1:], 1<<16)
			if err != nil {
				return
			}
			frame := proxy.Frame{Direction: d, Header: h, Bytes: b[1 : 1+n]}
			b = b[1+n:]
			switch h.Type { // the order that the engine sees to
			case mqtt.TypeConnect, mqtt.TypeConnack:
				if joined[d] || (h.Type == mqtt.TypeConnect) != (d == proxy.ToServer) || d == proxy.ToClient && !joined[proxy.ToServer] {
					return
				}
				joined[d] = true
			default:
				if !joined[proxy.ToClient] {
					return
				}
			}
			in := v
			if d == proxy.ToClient {
				in = w
			}
			p, _, err := mqtt.Parse(frame.Bytes, proxy.Options(d, in))
			if ack, ok := p.(mqtt.Connack); err != nil || ok && ack.Code != mqtt.Success {
				return // nobody reads what a peer with such packets gets
			}
			if s.Handle(t.Context(), frame, emit) != nil {
				return
			}
		}
	})
}

func versionOf(b byte) mqtt.Version {
	return []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}[b%3]
}
