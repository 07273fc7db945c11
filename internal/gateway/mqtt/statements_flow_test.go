package mqtt_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

func TestStatement_3_3_4_7_ReceiveMaximumOfTheClient(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	connect := func() *raw {
		r := dial(t, s.addr, mqtt.V5)
		r.connect(mqtt.Connect{ClientID: "narrow", Properties: mqtt.Properties(nil).
			AppendUint16(mqtt.PropReceiveMaximum, 2).AppendUint32(mqtt.PropSessionExpiryInterval, 100)})
		return r
	}
	r := connect()
	r.sub("t", 2)
	p := online(t, s.addr, mqtt.V5, "p")
	for i := range 5 {
		p.publish(pub("t", fmt.Sprint(i), uint8(1+i%2)))
	}
	first, second := r.next(), r.next()
	r.silent(100 * time.Millisecond)
	r.send(mqtt.Puback{PacketID: first.PacketID})
	third := r.next()
	r.silent(50 * time.Millisecond)
	// A PUBREC with an error gives the place back, one without does not.
	r.send(mqtt.Pubrec{PacketID: second.PacketID, Code: mqtt.UnspecifiedError})
	fourth := r.next()
	r.send(mqtt.Pubrec{PacketID: fourth.PacketID})
	expect[mqtt.Pubrel](r)
	r.silent(50 * time.Millisecond)
	// A new connection begins with the whole quota.
	_ = r.nc.Close()
	r = connect()
	if again := r.next(); again.PacketID != third.PacketID || !again.Dup {
		t.Errorf("got %+v, want the third message again", again)
	}
	if rel := expect[mqtt.Pubrel](r); rel.PacketID != fourth.PacketID {
		t.Errorf("PUBREL for %d, want %d", rel.PacketID, fourth.PacketID)
	}
	if fifth := r.next(); string(fifth.Payload) != "4" {
		t.Errorf("got %q, want the fifth message", fifth.Payload)
	}
}

func TestStatement_3_3_4_9_ReceiveMaximumOfTheServer(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{ReceiveMaximum: 3})
	for qos := uint8(1); qos <= 2; qos++ {
		r := online(t, s.addr, mqtt.V5, "flood")
		var all []byte
		for id := uint16(1); id <= 10; id++ {
			m := pub("t", "x", qos)
			m.PacketID = id
			all, _ = m.Append(all, mqtt.V5)
		}
		r.bytes(all)
		r.closedWith(mqtt.ReceiveMaximumExceeded)
	}
}

func TestStatement_3_1_2_24_MaximumPacketSizeOfTheClient(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	r := dial(t, s.addr, mqtt.V5)
	r.connect(mqtt.Connect{ClientID: "small", Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropMaximumPacketSize, 60)})
	p := online(t, s.addr, mqtt.V5, "p")
	for qos := range uint8(3) {
		r.sub("t", qos)
		p.publish(pub("t", fmt.Sprintf("%0100d", 0), qos)) // [MQTT-3.1.2-25]: dropped, as if delivered
		p.publish(pub("t", "fits", qos))
		if m := r.message(); string(m.Payload) != "fits" {
			t.Errorf("QoS %d: received %d bytes", qos, len(m.Payload))
		}
	}
	if n := s.b.Stats().Dropped(); n != 3 {
		t.Errorf("%d messages counted as dropped, want 3", n)
	}
}

func TestStatement_3_5_AcknowledgementOfTheWrongKind(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		for name, c := range map[string]struct {
			qos uint8
			ack func(id uint16) mqtt.Packet
		}{
			"PUBREC for QoS 1":             {1, func(id uint16) mqtt.Packet { return mqtt.Pubrec{PacketID: id} }},
			"PUBCOMP for QoS 1":            {1, func(id uint16) mqtt.Packet { return mqtt.Pubcomp{PacketID: id} }},
			"PUBACK for QoS 2":             {2, func(id uint16) mqtt.Packet { return mqtt.Puback{PacketID: id} }},
			"PUBCOMP for QoS 2, no PUBREC": {2, func(id uint16) mqtt.Packet { return mqtt.Pubcomp{PacketID: id} }},
		} {
			t.Run(v.String()+"/"+name, func(t *testing.T) {
				r := online(t, s.addr, v, "s")
				r.sub("t", 2)
				online(t, s.addr, v, "p").publish(pub("t", "x", c.qos))
				r.send(c.ack(r.next().PacketID))
				r.closedWith(mqtt.ProtocolError)
			})
		}
	}
}

func TestStatement_3_4_PropertiesThatAcknowledgementsMayNotHave(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for first, name := range map[byte]string{0x40: "PUBACK", 0x50: "PUBREC", 0x62: "PUBREL", 0x70: "PUBCOMP"} {
		for id := mqtt.PropPayloadFormat; id <= mqtt.PropSharedSubscriptionAvailable; id++ {
			if id.Wire() == mqtt.WireNone || id == mqtt.PropReasonString || id == mqtt.PropUserProperty {
				continue
			}
			var p mqtt.Properties
			p = p.Append(mqtt.Property{ID: id, Num: 1, Bytes: []byte("a"), Value: []byte("b")})
			r := online(t, s.addr, mqtt.V5, "a")
			r.bytes(frame(first, []byte{0, 1, 0, byte(len(p))}, p))
			seen := r.closed()
			if len(seen) != 1 {
				t.Errorf("%s with %s: got %+v", name, id, seen)
				continue
			}
			if d, ok := seen[0].(mqtt.Disconnect); !ok || d.Code != mqtt.MalformedPacket && d.Code != mqtt.ProtocolError {
				t.Errorf("%s with %s: got %+v, want DISCONNECT with an error", name, id, seen[0])
			}
		}
	}
}

func TestStatement_3_6_1_1_FixedHeaderFlags(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for first, body := range map[byte][]byte{
		0x60: {0, 1}, // PUBREL must have 2
		0x80: append([]byte{0, 1}, append(str("t"), 0)...),
		0xA0: append([]byte{0, 1}, str("t")...),
		0xC1: {},
		0xE1: {},
		0x41: {0, 1},
		0x36: append(str("t"), 0, 1), // QoS 3
	} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			b := body
			if v == mqtt.V5 && (first == 0x80 || first == 0xA0) {
				b = append([]byte{0, 1, 0}, body[2:]...)
			}
			r := online(t, s.addr, v, "f")
			r.bytes(frame(first, b))
			r.closedWith(mqtt.MalformedPacket)
		}
	}
}

func TestStatement_2_2_1_3_PacketIdentifierZero(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		props := []byte{0}[:b2i(v == mqtt.V5)]
		for name, b := range map[string][]byte{
			"PUBLISH":     frame(0x32, str("t"), []byte{0, 0}, props),
			"SUBSCRIBE":   frame(0x82, []byte{0, 0}, props, str("t"), []byte{0}),
			"UNSUBSCRIBE": frame(0xA2, []byte{0, 0}, props, str("t")),
			"PUBACK":      frame(0x40, []byte{0, 0}),
			"PUBREC":      frame(0x50, []byte{0, 0}),
			"PUBREL":      frame(0x62, []byte{0, 0}),
			"PUBCOMP":     frame(0x70, []byte{0, 0}),
		} {
			r := online(t, s.addr, v, "z")
			r.bytes(b)
			seen := r.closed()
			if v < mqtt.V5 {
				if len(seen) > 0 {
					t.Errorf("%s %s: got %+v", v, name, seen)
				}
				continue
			}
			if d, ok := seen[len(seen)-1].(mqtt.Disconnect); !ok || d.Code != mqtt.MalformedPacket && d.Code != mqtt.ProtocolError {
				t.Errorf("%s %s: got %+v", v, name, seen)
			}
		}
	}
}

func TestStatement_3_4_2_LengthsOfAcknowledgements(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for first, name := range map[byte]string{0x40: "PUBACK", 0x50: "PUBREC", 0x62: "PUBREL", 0x70: "PUBCOMP"} {
		for _, v := range versions {
			for _, body := range [][]byte{{}, {0}, {0, 1, 0}, {0, 1, 0, 0}, {0, 1, 0, 0, 0}, {0, 1, 0, 1}} {
				if v == mqtt.V5 && (len(body) == 3 || len(body) == 4 && body[3] == 0) {
					continue // legal there: a reason code, no properties
				}
				r := online(t, s.addr, v, "l")
				r.bytes(frame(first, body))
				seen := r.closed()
				if v < mqtt.V5 {
					if len(seen) > 0 {
						t.Errorf("%s %s of %d bytes: got %+v", v, name, len(body), seen)
					}
					continue
				}
				if d, ok := seen[len(seen)-1].(mqtt.Disconnect); !ok || d.Code != mqtt.MalformedPacket {
					t.Errorf("%s of %d bytes: got %+v", name, len(body), seen)
				}
			}
		}
	}
}
