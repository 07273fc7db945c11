package mqtt_test

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/session"
)

func TestHostile_45_QoS2IdentifiersThatAreNeverReleased(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		send := func(r *raw, from, to int) {
			var b []byte
			for id := from; id <= to; id++ {
				b, _ = mqtt.Publish{Topic: []byte("t"), QoS: 2, PacketID: uint16(id)}.Append(b, r.version)
			}
			r.bytes(b)
		}
		r := h.online(mqtt.V5, "v5")
		for range 3 { // the same ones again and again are one message each
			send(r, 1, 32)
			for range 32 {
				if rec := expect[mqtt.Pubrec](r); rec.Code.IsError() {
					t.Fatalf("PUBREC %s", rec.Code)
				}
			}
		}
		send(r, 33, 33)
		r.closedWith(mqtt.ReceiveMaximumExceeded)

		// A client before 5.0 is told no maximum; there are no more than 65,535.
		r = h.online(mqtt.V311, "v3")
		var first int
		for round := range 3 {
			for from := 1; from <= math.MaxUint16; from += 1000 {
				to := min(from+999, math.MaxUint16)
				send(r, from, to)
				for range to - from + 1 {
					expect[mqtt.Pubrec](r)
				}
			}
			r.in = nil
			switch n := h.grown(); {
			case round == 0:
				first = n
				if n > 5<<20 {
					t.Errorf("%d KB for 65,535 identifiers", n>>10)
				}
			case n > first+leeway:
				t.Errorf("%d KB the first time, %d KB in round %d", first>>10, n>>10, round)
			}
		}
	})
}

func TestHostile_46_OneIdentifierManyPayloads(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			watch := h.online(v, "watch")
			watch.sub("t", 2)
			p := h.online(v, "p")
			for i := range 10 {
				p.send(mqtt.Publish{Topic: []byte("t"), Payload: []byte{byte('0' + i)}, QoS: 2, PacketID: 9, Dup: i%2 == 1})
				expect[mqtt.Pubrec](p)
			}
			p.send(mqtt.Pubrel{PacketID: 9})
			expect[mqtt.Pubcomp](p)
			if m := watch.message(); string(m.Payload) != "0" {
				t.Errorf("%s: received %q, want the first", v, m.Payload)
			}
			watch.silent(20 * time.Millisecond)
		}
	})
}

func TestHostile_47_AcknowledgementsOutOfPlace(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			r := h.online(v, "c")
			for id := range uint16(100) {
				r.send(mqtt.Pubrel{PacketID: id + 1})
				if c := expect[mqtt.Pubcomp](r); v == mqtt.V5 && c.Code != mqtt.PacketIdentifierNotFound {
					t.Errorf("PUBCOMP for an unknown identifier: %s", c.Code)
				}
				r.send(mqtt.Pubrec{PacketID: id + 1})
				if c := expect[mqtt.Pubrel](r); v == mqtt.V5 && c.Code != mqtt.PacketIdentifierNotFound {
					t.Errorf("PUBREL for an unknown identifier: %s", c.Code)
				}
				r.send(mqtt.Puback{PacketID: id + 1}, mqtt.Pubcomp{PacketID: id + 1}) // late ones, nothing to say
			}
			r.silent(10 * time.Millisecond)

			// The wrong kind for a message under way.
			r.sub("t", 2)
			p := h.online(v, "p")
			for _, c := range []struct {
				qos uint8
				ack func(id uint16) mqtt.Packet
			}{
				{2, func(id uint16) mqtt.Packet { return mqtt.Puback{PacketID: id} }},
				{2, func(id uint16) mqtt.Packet { return mqtt.Pubcomp{PacketID: id} }},
				{1, func(id uint16) mqtt.Packet { return mqtt.Pubrec{PacketID: id} }},
				{1, func(id uint16) mqtt.Packet { return mqtt.Pubcomp{PacketID: id} }},
			} {
				w := h.online(v, "wrong")
				w.sub("t", 2)
				p.publish(pub("t", "x", c.qos))
				r.message()
				w.send(c.ack(w.next().PacketID))
				w.closedWith(mqtt.ProtocolError)
			}

			// PUBREC twice: PUBREL twice, and one PUBCOMP ends it.
			p.publish(pub("t", "x", 2))
			id := r.next().PacketID
			r.send(mqtt.Pubrec{PacketID: id}, mqtt.Pubrec{PacketID: id})
			for range 2 {
				if rel := expect[mqtt.Pubrel](r); rel.PacketID != id || rel.Code.IsError() {
					t.Errorf("PUBREL %+v", rel)
				}
			}
			r.send(mqtt.Pubcomp{PacketID: id})
			r.silent(10 * time.Millisecond)
		}
		// An error in PUBREC frees its place in the window.
		w := h.with(mqtt.V5, mqtt.Connect{
			ClientID: "window", CleanStart: true, Properties: mqtt.Properties(nil).AppendUint16(mqtt.PropReceiveMaximum, 1),
		})
		w.sub("t", 2)
		p := h.online(mqtt.V5, "p")
		for i := range 20 {
			p.publish(pub("t", strconv.Itoa(i), 2))
		}
		for i := range 20 {
			m := w.next()
			if string(m.Payload) != strconv.Itoa(i) {
				t.Fatalf("received %q, want %d", m.Payload, i)
			}
			w.send(mqtt.Pubrec{PacketID: m.PacketID, Code: mqtt.UnspecifiedError})
		}
		w.silent(10 * time.Millisecond)
		if n := h.b.Stats().Drops[session.DropRefused].Load(); n != 20 {
			t.Errorf("%d messages are counted as refused, want 20", n)
		}
	})
}

func TestHostile_48_LengthOfAcknowledgements(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			for _, first := range []byte{0x40, 0x50, 0x62, 0x70} {
				bodies := map[string][]byte{"empty": {}, "1 byte": {0}, "trailing bytes": {0, 1, 0, 0, 0}}
				if v < mqtt.V5 {
					bodies["3 bytes"] = []byte{0, 1, 0}
				} else {
					bodies["properties beyond the end"] = []byte{0, 1, 0, 9}
					bodies["trailing bytes"] = []byte{0, 1, 0, 0, 0}
				}
				for name, body := range bodies {
					r := h.online(v, "c")
					r.bytes(frame(first, body))
					seen := r.closed()
					if v < mqtt.V5 && len(seen) == 0 {
						continue
					}
					if d, ok := last(seen).(mqtt.Disconnect); !ok || d.Code != mqtt.MalformedPacket {
						t.Errorf("%s: %#x with %s: got %+v", v, first, name, seen)
					}
				}
				if v == mqtt.V5 { // 3 bytes are the form without properties
					r := h.online(v, "c")
					r.bytes(frame(first, []byte{0, 1, 0}))
					r.send(mqtt.Pingreq{})
					for {
						p, err := r.read(patience)
						if err != nil {
							t.Fatalf("%#x of 3 bytes: %v", first, err)
						}
						if p.Type() == mqtt.TypePingresp {
							break
						}
					}
				}
			}
		}
	})
}

func TestHostile_49_ClientIgnoresOurReceiveMaximum(t *testing.T) {
	const limit = 10
	hostile(t, arena{gw: gw.Config{ReceiveMaximum: limit}}, func(h *hall) {
		for qos := uint8(1); qos <= 2; qos++ {
			r := h.online(mqtt.V5, "flood")
			var b []byte
			for id := range uint16(5000) { // in one go, without waiting for anything
				b, _ = mqtt.Publish{Topic: []byte("t"), QoS: qos, PacketID: id + 1}.Append(b, mqtt.V5)
			}
			r.bytes(b)
			r.closedWith(mqtt.ReceiveMaximumExceeded)
		}
	})
}

func TestHostile_58_PacketsOfAServer(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			for _, b := range [][]byte{
				frame(0x20, []byte{0, 0, 0}[:3-b2i(v < mqtt.V5)]),
				frame(0x20),
				frame(0x90, []byte{0, 1, 0}), frame(0x90, []byte{0, 1, 0, 0}), frame(0x90),
				frame(0xB0, []byte{0, 1}), frame(0xB0, []byte{0, 1, 0, 0}),
				frame(0xD0), frame(0xD0, []byte{0}),
			} {
				r := h.online(v, "c")
				r.bytes(b)
				r.closedWith(mqtt.ProtocolError)
			}
		}
	})
}

func TestHostile_59_PingAndDisconnect(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		watch := h.online(mqtt.V5, "watch")
		watch.sub("will", 0)
		for _, v := range versions {
			for name, c := range map[string]struct {
				packet []byte
				want   mqtt.ReasonCode
				since  mqtt.Version
			}{
				"PINGREQ with a body":               {frame(0xC0, []byte{0}), mqtt.MalformedPacket, mqtt.V31},
				"DISCONNECT with a body":            {frame(0xE0, []byte{0, 0, 0}), mqtt.MalformedPacket, mqtt.V31},
				"DISCONNECT with reason 0xFF":       {frame(0xE0, []byte{0xFF}), mqtt.ProtocolError, mqtt.V5},
				"DISCONNECT with a server's reason": {frame(0xE0, []byte{0x8E}), mqtt.ProtocolError, mqtt.V5},
				"DISCONNECT raises the expiry":      {frame(0xE0, []byte{0, 5, 17, 0, 0, 0, 1}), mqtt.ProtocolError, mqtt.V5},
				"DISCONNECT cut short":              {frame(0xE0, []byte{0, 5, 17, 0}), mqtt.MalformedPacket, mqtt.V5},
			} {
				if v < c.since {
					continue
				}
				r := h.with(v, mqtt.Connect{ClientID: "c", CleanStart: true, Will: &mqtt.Will{Topic: "will", Payload: []byte(name)}})
				r.bytes(c.packet)
				r.closedWith(c.want)
				if m := watch.message(); string(m.Payload) != name { // such a goodbye is none
					t.Errorf("%s: will %q, want that of %q", v, m.Payload, name)
				}
			}
		}
	})
}
