package mqtt_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store/mem"
)

// propsBytes are properties behind their length, none before 5.0.
func propsBytes(v mqtt.Version, p mqtt.Properties) []byte {
	if v < mqtt.V5 {
		return nil
	}
	n := len(p)
	switch {
	case n < 1<<7:
		return append([]byte{byte(n)}, p...)
	case n < 1<<14:
		return append([]byte{byte(n) | 0x80, byte(n >> 7)}, p...)
	}
	return append([]byte{byte(n) | 0x80, byte(n>>7) | 0x80, byte(n >> 14)}, p...)
}

// retain publishes a retained message.
func (r *raw) retain(topic, payload string, p mqtt.Properties) mqtt.ReasonCode {
	r.t.Helper()
	m := pub(topic, payload, 1)
	m.Retain, m.Properties = true, p
	return r.publish(m)
}

func aliased(topic string, alias uint16, qos uint8) mqtt.Publish {
	m := pub(topic, "x", qos)
	m.Properties = m.Properties.AppendUint16(mqtt.PropTopicAlias, alias)
	return m
}

func TestHostile_41_TopicAliases(t *testing.T) {
	hostile(t, arena{gw: gw.Config{TopicAliasMaximum: 16}}, func(h *hall) {
		for name, c := range map[string]struct {
			packet []byte
			want   mqtt.ReasonCode
		}{
			"empty topic without alias": {frame(0x30, str(""), []byte{0}), mqtt.ProtocolError},
			"alias 0":                   {frame(0x30, str("t"), []byte{3, 35, 0, 0}), mqtt.TopicAliasInvalid},
			"alias 17 of 16":            {frame(0x30, str("t"), []byte{3, 35, 0, 17}), mqtt.TopicAliasInvalid},
			"alias 65535":               {frame(0x30, str("t"), []byte{3, 35, 255, 255}), mqtt.TopicAliasInvalid},
			"alias never set":           {frame(0x30, str(""), []byte{3, 35, 0, 9}), mqtt.ProtocolError},
			"two aliases":               {frame(0x30, str("t"), []byte{6, 35, 0, 1, 35, 0, 2}), mqtt.ProtocolError},
		} {
			r := h.online(mqtt.V5, "a")
			r.bytes(c.packet)
			seen := r.closed()
			if d, ok := last(seen).(mqtt.Disconnect); !ok || d.Code != c.want {
				t.Errorf("%s: got %+v, want %s", name, seen, c.want)
			}
		}
		r := h.online(mqtt.V5, "a")
		r.publish(aliased("t", 1, 1))
		_ = r.nc.Close()
		r = h.online(mqtt.V5, "a") // aliases end with the connection
		r.send(aliased("", 1, 0))
		r.closedWith(mqtt.ProtocolError)

		// 2,000 for 65,535: what is kept is 16 topics, however often they change.
		r = h.online(mqtt.V5, "a")
		long := strings.Repeat("t", 65000)
		for i := range 2000 {
			r.send(aliased(long+strconv.Itoa(i), uint16(i%16)+1, 0))
		}
		if code := r.publish(aliased("", 1, 1)); code.IsError() {
			t.Errorf("PUBACK %s", code)
		}
		h.atMost(16*(64<<10)*3/2+1<<20, "for 2,000 aliases of 64 KB")
	})
}

func TestHostile_42_TopicNames(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for topic, want := range map[string]mqtt.ReasonCode{
			"+": mqtt.TopicNameInvalid, "#": mqtt.TopicNameInvalid, "a/+/b": mqtt.TopicNameInvalid, "a#": mqtt.TopicNameInvalid, "a/b+": mqtt.TopicNameInvalid,
			"a\x00b": mqtt.MalformedPacket, "\xFF": mqtt.MalformedPacket, "\xED\xA0\x80": mqtt.MalformedPacket, "\xC0\x80": mqtt.MalformedPacket,
			"a/\xF4\x90\x80\x80": mqtt.MalformedPacket,
			"\uFFFE":             mqtt.TopicNameInvalid, "a/\uFFFF": mqtt.TopicNameInvalid, "\uFDD0": mqtt.TopicNameInvalid, "\uFDEF/x": mqtt.TopicNameInvalid,
			"\U0001FFFE": mqtt.TopicNameInvalid, "x\U0010FFFF": mqtt.TopicNameInvalid,
		} {
			for _, v := range versions {
				for qos := range uint8(3) {
					r := h.online(v, "c")
					r.bytes(frame(0x30|qos<<1, str(topic), []byte{0, 1}[:2*b2i(qos > 0)], []byte{0}[:b2i(v == mqtt.V5)]))
					r.closedWith(want)
				}
			}
		}
		for _, topic := range []string{"\uFFFD", "\uFDCF", "\uFDF0", "\U0001FFFD", "\uFEFF", "日本/é", "\U0001F600", "\uEFBF"} {
			r := h.online(mqtt.V5, "c")
			if code := r.publish(pub(topic, "", 1)); code.IsError() {
				t.Errorf("%q: PUBACK %s", topic, code)
			}
		}
	})
}

func TestHostile_43_DeepTopics(t *testing.T) {
	const quota = 500
	hostile(t, arena{broker: broker.Config{MaxRetained: quota}}, func(h *hall) {
		for _, v := range versions {
			for _, topic := range []string{strings.Repeat("/", 65535), strings.Repeat("/", 128), strings.Repeat("a/", 200) + "a"} {
				r := h.online(v, "deep")
				r.bytes(frame(0x30, str(topic), propsBytes(v, nil)))
				r.closedWith(mqtt.TopicNameInvalid)
			}
			r := h.online(v, "deep")
			if code := r.publish(pub(strings.Repeat("/", 127), "", 1)); code.IsError() {
				t.Errorf("%s: 128 levels: PUBACK %s", v, code)
			}
		}
		// 1,000 for a million topics of 60 levels, of which no two share one.
		r := h.online(mqtt.V5, "deep")
		topic := func(i int) string {
			levels := make([]string, 60)
			for j := range levels {
				levels[j] = fmt.Sprint(i, "-", j)
			}
			return strings.Join(levels, "/")
		}
		size := 0
		for i := range 2 * quota {
			want := mqtt.Success
			if i >= quota {
				want = mqtt.QuotaExceeded
			}
			if code := r.retain(topic(i), "x", nil); code != want && code != mqtt.NoMatchingSubscribers {
				t.Fatalf("message %d: PUBACK %s, want %s", i, code, want)
			}
			if i < quota {
				size += len(topic(i))
			}
		}
		if n, _ := h.b.Retained(); n != quota {
			t.Errorf("%d messages are retained, the quota is %d", n, quota)
		}
		h.atMost(2*size+quota<<10, "for topics of 60 levels") // the depth costs nothing by itself
		for i := range quota {
			r.retain(topic(i), "", nil)
		}
	})
}

func TestHostile_44_PublishFlagsAndIdentifiers(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			for name, packet := range map[string][]byte{
				"QoS 3":                        frame(0x36, str("t"), []byte{0, 1}, propsBytes(v, nil)),
				"QoS 3 with DUP and RETAIN":    frame(0x3F, str("t"), []byte{0, 1}, propsBytes(v, nil)),
				"DUP at QoS 0":                 frame(0x38, str("t"), propsBytes(v, nil)),
				"packet identifier 0 at QoS 1": frame(0x32, str("t"), []byte{0, 0}, propsBytes(v, nil)),
				"packet identifier 0 at QoS 2": frame(0x34, str("t"), []byte{0, 0}, propsBytes(v, nil)),
				"no packet identifier":         frame(0x32, str("t")),
				"half a packet identifier":     frame(0x32, str("t"), []byte{1}),
				"topic longer than the packet": frame(0x30, []byte{0, 9, 't'}),
				"no topic":                     frame(0x30, []byte{0}),
				"nothing":                      frame(0x30),
			} {
				r := h.online(v, "c")
				r.bytes(packet)
				seen := r.closed()
				if v < mqtt.V5 && len(seen) == 0 {
					continue
				}
				if d, ok := last(seen).(mqtt.Disconnect); !ok || d.Code != mqtt.MalformedPacket {
					t.Errorf("%s: %s: got %+v", v, name, seen)
				}
			}
		}
	})
}

func TestHostile_50_PayloadAtTheLimit(t *testing.T) {
	const limit = 100_000
	hostile(t, arena{gw: gw.Config{MaxPacketBytes: limit}}, func(h *hall) {
		for _, v := range versions {
			watch := h.online(v, "watch")
			watch.sub("t", 1)
			r := h.online(v, "c")
			m := mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1}
			m.Payload = make([]byte, limit)
			m.Payload = m.Payload[:limit-(m.Size(v)-limit)]
			if m.Size(v) != limit {
				t.Fatalf("the packet has %d bytes", m.Size(v))
			}
			if code := r.publish(m); code.IsError() {
				t.Errorf("%s: PUBACK %s at the limit", v, code)
			}
			if got := watch.message(); len(got.Payload) != len(m.Payload) {
				t.Errorf("%s: %d bytes arrived", v, len(got.Payload))
			}
			m.Payload = append(m.Payload, 0)
			r.send(m)
			r.closedWith(mqtt.PacketTooLarge)
		}
	})
}

func TestHostile_51_TopicsThatMeanSomething(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		watch := h.online(mqtt.V5, "watch")
		for _, filter := range []string{"#", "$SYS/#", "$CONTROL/#", "$delayed/#", "$queue/#", "$exclusive/#"} {
			watch.sub(filter, 1)
		}
		for _, topic := range []string{
			"$SYS/broker/uptime", "$SYS", "$SYS/", "$CONTROL/dynamic-security/v1", "$share/g/t", "$share", "$queue/t", "$exclusive/t",
			"$delayed/5/t", "$delayed/-1/t", "$delayed/0x10/t", "$delayed/99999999999999999999/t", "$delayed/t", "$delayed//",
		} {
			for _, retain := range []bool{false, true} {
				for qos := range uint8(3) {
					r := h.online(mqtt.V5, "c")
					m := pub(topic, "forged", qos)
					m.Retain = retain
					if code := r.publish(m); qos > 0 && code != mqtt.NotAuthorized {
						t.Errorf("%q at QoS %d: %s", topic, qos, code)
					}
					r.send(mqtt.Pingreq{})
					expect[mqtt.Pingresp](r) // a refusal is no reason to hang up
				}
			}
		}
		watch.silent(20 * time.Millisecond)
		if n, _ := h.b.Retained(); n != 0 {
			t.Errorf("%d messages are retained", n)
		}
	})
}

func TestHostile_52_RetainedMessages(t *testing.T) {
	const quota, quotaBytes = 1000, 200_000
	a := arena{broker: broker.Config{MaxRetained: quota, MaxRetainedBytes: quotaBytes, Authorizer: deny{0, "denied"}}}
	hostile(t, a, func(h *hall) {
		r := h.online(mqtt.V5, "c")
		expiring := func(seconds uint32) mqtt.Properties {
			return mqtt.Properties(nil).AppendUint32(mqtt.PropMessageExpiryInterval, seconds)
		}
		kept := func() int { n, _ := h.b.Retained(); return n }
		r.retain("zero", "x", expiring(0))
		r.retain("one", "x", expiring(1))
		r.retain("ages", "x", expiring(math.MaxUint32))
		r.retain("empty", "", nil)
		if code := r.retain("denied", "x", nil); code != mqtt.NotAuthorized {
			t.Errorf("denied topic: PUBACK %s", code)
		}
		h.eventually("what expires at once is gone", func() bool { return kept() == 2 })
		watch := h.online(mqtt.V5, "watch")
		watch.sub("#", 1)
		for range 2 {
			m := watch.message()
			left, ok := m.Properties.Uint32(mqtt.PropMessageExpiryInterval)
			if topic := string(m.Topic); topic == "one" && left != 1 || topic == "ages" && left < math.MaxUint32-3 || !ok {
				t.Errorf("%s: remaining expiry %d", topic, left)
			}
		}
		watch.silent(10 * time.Millisecond)
		h.eventually("what expires in a second is gone", func() bool { return kept() == 1 })
		r.retain("ages", "", nil)
		_ = watch.nc.Close()

		// Quota by number, then by size; the broker goes on for all else.
		fill := func(payload string, n int) (refused int) {
			for i := range n {
				switch code := r.retain(fmt.Sprint("k/", i), payload, nil); code {
				case mqtt.Success, mqtt.NoMatchingSubscribers:
				case mqtt.QuotaExceeded:
					refused++
				default:
					t.Fatalf("PUBACK %s", code)
				}
			}
			return refused
		}
		if refused := fill("x", 2*quota); refused != quota {
			t.Errorf("%d of %d refused, the quota is %d", refused, 2*quota, quota)
		}
		// Replacing what is there is no growth; larger ones are.
		if refused := fill("y", quota); refused != 0 {
			t.Errorf("%d replacements refused", refused)
		}
		if refused := fill(strings.Repeat("z", 500), quota); refused < quota/2 {
			t.Errorf("%d of %d larger ones refused", refused, quota)
		}
		if n, bytes := h.b.Retained(); n != quota || bytes > quotaBytes {
			t.Errorf("%d messages of %d bytes are retained", n, bytes)
		}
		h.serves()
		if refused := fill("", quota); refused != 0 || kept() != 0 {
			t.Errorf("%d are left, %d removals refused", kept(), refused)
		}
	})
}

func TestHostile_53_PropertiesOfPublish(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		text := mqtt.Properties(nil).AppendByte(mqtt.PropPayloadFormat, 1)
		for name, c := range map[string]struct {
			props   mqtt.Properties
			payload string
			want    mqtt.ReasonCode
		}{
			"response topic with wildcard":       {mqtt.Properties(nil).AppendString(mqtt.PropResponseTopic, "a/+"), "", mqtt.ProtocolError},
			"empty response topic":               {mqtt.Properties(nil).AppendString(mqtt.PropResponseTopic, ""), "", mqtt.ProtocolError},
			"content type that is not UTF-8":     {mqtt.Properties(nil).AppendString(mqtt.PropContentType, "\xFF"), "", mqtt.MalformedPacket},
			"content type with NUL":              {mqtt.Properties(nil).AppendString(mqtt.PropContentType, "a\x00"), "", mqtt.MalformedPacket},
			"text that is none":                  {text, "\xFF\xFE", mqtt.PayloadFormatInvalid},
			"half a character":                   {text, "\xE2\x82", mqtt.PayloadFormatInvalid},
			"payload format 2":                   {props(1, 2), "", mqtt.ProtocolError},
			"subscription identifier":            {props(11, 1), "", mqtt.ProtocolError},
			"correlation data twice":             {props(9, 0, 0, 9, 0, 0), "", mqtt.ProtocolError},
			"correlation data beyond the end":    {props(9, 0xFF, 0xFF), "", mqtt.MalformedPacket},
			"session expiry, which is CONNECT's": {props(17, 0, 0, 0, 0), "", mqtt.MalformedPacket},
		} {
			for qos := range uint8(3) {
				r := h.online(mqtt.V5, "c")
				m := pub("t", c.payload, qos)
				m.PacketID, m.Properties = uint16(qos), c.props
				r.send(m)
				seen := r.closed()
				if d, ok := last(seen).(mqtt.Disconnect); !ok || d.Code != c.want {
					t.Errorf("%s at QoS %d: got %+v, want %s", name, qos, seen, c.want)
				}
			}
		}
		r := h.online(mqtt.V5, "c")
		r.sub("t", 1)
		m := pub("t", "x", 1)
		m.Properties = m.Properties.AppendBytes(mqtt.PropCorrelationData, make([]byte, 65535))
		r.publish(m)
		if got, _ := r.message().Properties.Bytes(mqtt.PropCorrelationData); len(got) != 65535 {
			t.Errorf("%d bytes of correlation data arrived", len(got))
		}
	})
}

func TestHostile_54_ExpiryAcrossQueueAndRestart(t *testing.T) {
	// Bridges count it down when there are any.
	kept := mem.New()
	var began time.Time
	hostile(t, arena{broker: broker.Config{Store: kept}}, func(h *hall) {
		t.Run("first life", func(t *testing.T) {
			s := start(t, broker.Config{Store: kept}, gw.Config{})
			r := dial(t, s.addr, mqtt.V5)
			r.connect(mqtt.Connect{ClientID: "sleeper", Properties: lasting()})
			r.sub("q/#", 1)
			r.send(mqtt.Disconnect{})
			r.closed()
			p := online(t, s.addr, mqtt.V5, "p")
			began = time.Now()
			for _, seconds := range []uint32{0, 1, 60, 100, math.MaxUint32} {
				m := pub(fmt.Sprint("q/", seconds), "x", 1)
				m.Properties = m.Properties.AppendUint32(mqtt.PropMessageExpiryInterval, seconds)
				p.publish(m)
			}
		})
		time.Sleep(1100 * time.Millisecond)
		t.Run("second life", func(t *testing.T) {
			s := start(t, broker.Config{Store: kept}, gw.Config{})
			r := dial(t, s.addr, mqtt.V5)
			if ack := r.connect(mqtt.Connect{ClientID: "sleeper", Properties: lasting()}); !ack.SessionPresent {
				t.Fatal("the session is gone")
			}
			for range 3 {
				m := r.message()
				left, ok := m.Properties.Uint32(mqtt.PropMessageExpiryInterval)
				was, _ := strconv.ParseUint(strings.TrimPrefix(string(m.Topic), "q/"), 10, 32)
				took := time.Since(began)
				if !ok || was < 2 || left == 0 || uint64(left) >= was || uint64(left)+uint64(took.Seconds())+2 < was {
					t.Errorf("%s: remaining expiry %d after %v", m.Topic, left, took)
				}
			}
			r.silent(20 * time.Millisecond)
			r.send(mqtt.Disconnect{Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 0)})
			r.closed()
		})
	})
}

func TestHostile_57_ClientsMaximumPacketSize(t *testing.T) {
	hostile(t, arena{gw: gw.Config{Enhanced: []auth.EnhancedAuthenticator{endless{}}}}, func(h *hall) {
		const limit = 100
		for qos := range uint8(3) {
			r := h.with(mqtt.V5, mqtt.Connect{
				ClientID: "small", CleanStart: true, Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropMaximumPacketSize, limit),
			})
			r.sub("t", 2)
			before := h.b.Stats().Drops[session.DropTooLarge].Load()
			p := h.online(mqtt.V5, "p")
			for n := range 2 * limit {
				p.publish(pub("t", strings.Repeat("x", n), qos))
			}
			p.publish(pub("t", "end", qos))
			got := 0
			for {
				m := r.message()
				if n := m.Size(mqtt.V5); n > limit {
					t.Fatalf("QoS %d: a packet of %d bytes, the limit is %d", qos, n, limit)
				}
				if string(m.Payload) == "end" {
					break
				}
				got++
			}
			if dropped := int(h.b.Stats().Drops[session.DropTooLarge].Load() - before); got+dropped != 2*limit || got < limit/2 {
				t.Errorf("QoS %d: %d delivered, %d dropped as too large", qos, got, dropped)
			}
			// DISCONNECT with its reason does not fit either; less is said.
			r.bytes(frame(0x82, []byte{0, 1, 0}, str(strings.Repeat("x", 200)), []byte{0xC0}))
			r.closedWith(mqtt.MalformedPacket)
		}
		// A challenge does not fit.
		r := h.dial(mqtt.V5)
		r.send(mqtt.Connect{
			Version: mqtt.V5, ClientID: "c", CleanStart: true,
			Properties: authProps("ENDLESS", strings.Repeat("x", 200)).AppendUint32(mqtt.PropMaximumPacketSize, limit),
		})
		if seen := r.closed(); len(seen) > 0 {
			t.Errorf("got %+v", seen)
		}
		// Not even CONNACK fits.
		r = h.dial(mqtt.V5)
		r.send(mqtt.Connect{Version: mqtt.V5, ClientID: "tiny", CleanStart: true, Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropMaximumPacketSize, 4)})
		for _, p := range r.closed() {
			if p.Size(mqtt.V5) > 4 {
				t.Errorf("got %+v", p)
			}
		}
	})
}
