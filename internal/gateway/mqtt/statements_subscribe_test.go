package mqtt_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

func TestStatement_3_8_3_4_OptionsOfSubscribe(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for name, c := range map[string]struct {
		body []byte // behind the identifier and, in 5.0, the properties
		v5   mqtt.ReasonCode
		both bool // malformed before 5.0 as well
	}{
		"options byte missing":   {str("t"), mqtt.MalformedPacket, true},
		"second filter cut off":  {append(append(str("t"), 0), 0, 5, 'a'), mqtt.MalformedPacket, true},
		"no filter":              {nil, mqtt.ProtocolError, true}, // [MQTT-3.8.3-2]
		"empty filter":           {append(str(""), 0), mqtt.TopicFilterInvalid, false},
		"QoS 3":                  {append(str("t"), 3), mqtt.ProtocolError, true},
		"retain handling 3":      {append(str("t"), 0x30), mqtt.ProtocolError, true},
		"reserved bits":          {append(str("t"), 0x40), mqtt.MalformedPacket, true},
		"no local when shared":   {append(str("$share/g/t"), 4), mqtt.ProtocolError, false},
		"filter with U+0000":     {append(str("a\x00"), 0), mqtt.MalformedPacket, true},
		"filter that is no UTF8": {append(str("a\xff"), 0), mqtt.MalformedPacket, true},
	} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			if v < mqtt.V5 && !c.both {
				continue
			}
			r := online(t, s.addr, v, "o")
			r.bytes(frame(0x82, []byte{0, 1}, []byte{0}[:b2i(v == mqtt.V5)], c.body))
			if name == "empty filter" {
				if ack := expectOneOf(r); ack != mqtt.TopicFilterInvalid && ack != mqtt.MalformedPacket && ack != mqtt.ProtocolError {
					t.Errorf("%s: %s", name, ack)
				}
				continue
			}
			seen := r.closed()
			if v < mqtt.V5 {
				if len(seen) > 0 {
					t.Errorf("%s %s: got %+v", v, name, seen)
				}
				continue
			}
			d, ok := seen[len(seen)-1].(mqtt.Disconnect)
			if !ok || d.Code != c.v5 && d.Code != mqtt.MalformedPacket {
				t.Errorf("%s: got %+v, want DISCONNECT with %s", name, seen, c.v5)
			}
		}
	}
}

// expectOneOf returns the code of the SUBACK or DISCONNECT that comes next.
func expectOneOf(r *raw) mqtt.ReasonCode {
	r.t.Helper()
	p, err := r.read(patience)
	switch p := p.(type) {
	case mqtt.Suback:
		return p.Codes[0]
	case mqtt.Disconnect:
		return p.Code
	}
	r.t.Fatalf("got %+v, %v", p, err)
	return 0
}

func TestStatement_4_8_2_1_ShareNames(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, filter := range []string{"$share/", "$share//t", "$share/g", "$share/g+/t", "$share/g#/t", "$share/g/", "$share/+/t", "$share/$share/g/t", "$share/g/a#"} {
		for _, v := range versions {
			r := online(t, s.addr, v, "g")
			want := mqtt.TopicFilterInvalid
			if v < mqtt.V5 {
				want = 0x80
			}
			if codes := r.subscribe(nil, mqtt.Subscription{Filter: filter}); codes[0] != want {
				t.Errorf("%s %q: SUBACK %#02x, want %#02x", v, filter, uint8(codes[0]), uint8(want))
			}
		}
	}
}

func TestStatement_4_7_1_WildcardsOfFilters(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	r := online(t, s.addr, mqtt.V5, "f")
	for _, filter := range []string{"a#", "#/a", "a+", "+a/", "//#a", "/+/#/"} {
		if codes := r.subscribe(nil, mqtt.Subscription{Filter: filter}); codes[0] != mqtt.TopicFilterInvalid {
			t.Errorf("%q: SUBACK %s", filter, codes[0])
		}
	}
	for _, filter := range []string{"#", "+", "/", "//#", "+/+", "/+/#", "a b/ü"} {
		if codes := r.subscribe(nil, mqtt.Subscription{Filter: filter}); codes[0] != mqtt.GrantedQoS0 {
			t.Errorf("%q: SUBACK %s", filter, codes[0])
		}
	}
}

func TestStatement_4_7_2_1_DollarTopics(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	wild, exact := online(t, s.addr, mqtt.V5, "w"), online(t, s.addr, mqtt.V5, "e")
	wild.sub("#", 0)
	wild.sub("+/x", 0)
	exact.sub("$own/#", 0)
	exact.sub("$own/+", 0)
	p := online(t, s.addr, mqtt.V5, "p")
	p.publish(pub("$own/x", "hidden", 1))
	kept := pub("$own/x", "kept", 1)
	kept.Retain = true
	p.publish(kept)
	for _, want := range []string{"hidden", "kept"} {
		if m := exact.message(); string(m.Payload) != want {
			t.Errorf("received %q, want %q", m.Payload, want)
		}
	}
	mortal := dial(t, s.addr, mqtt.V5)
	mortal.connect(mqtt.Connect{ClientID: "mortal", Will: &mqtt.Will{Topic: "$own/x", Payload: []byte("will")}})
	_ = mortal.nc.Close()
	if m := exact.message(); string(m.Payload) != "will" {
		t.Errorf("received %q, want the will", m.Payload)
	}
	wild.silent(100 * time.Millisecond)
	// Retained ones neither, and those of the server.
	late := online(t, s.addr, mqtt.V5, "late")
	late.sub("#", 0)
	late.sub("+/#", 0)
	late.silent(100 * time.Millisecond)
}

func TestStatement_3_10_4_5_UnsubackForEveryFilter(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		r := online(t, s.addr, v, "u")
		r.sub("known", 1)
		r.send(mqtt.Unsubscribe{PacketID: 9, Filters: []string{"unknown", "known", "known"}})
		ack := expect[mqtt.Unsuback](r)
		if ack.PacketID != 9 {
			t.Errorf("UNSUBACK for %d", ack.PacketID)
		}
		want := []mqtt.ReasonCode{mqtt.NoSubscriptionExisted, mqtt.Success, mqtt.NoSubscriptionExisted}
		if v == mqtt.V5 && !slices.Equal(ack.Codes, want) {
			t.Errorf("UNSUBACK %v, want %v", ack.Codes, want)
		}
		r.publish(pub("known", "x", 1))
		r.silent(50 * time.Millisecond)
	}
}

func TestStatement_3_8_4_3_ResubscribingReplaces(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		r := online(t, s.addr, v, "r")
		kept := pub("keep/"+v.String(), "kept", 0)
		kept.Retain = true
		r.publish(kept)
		for _, qos := range []uint8{2, 0} {
			r.sub("keep/"+v.String(), qos)
			if m := r.message(); !m.Retain || string(m.Payload) != "kept" { // sent again
				t.Errorf("%s: received %+v, want the retained message", v, m)
			}
		}
		r.publish(pub("keep/"+v.String(), "live", 2))
		if m := r.message(); m.QoS != 0 || m.Retain {
			t.Errorf("%s: received %+v, want one copy at the QoS of the second subscription", v, m)
		}
		r.silent(50 * time.Millisecond)
	}
}

func TestStatement_3_3_4_2_OverlappingSubscriptionsMakeOneCopy(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	r := online(t, s.addr, mqtt.V5, "r")
	for i, filter := range []string{"a/b", "a/+", "a/#", "#"} {
		r.subscribe(mqtt.Properties(nil).AppendVarint(mqtt.PropSubscriptionIdentifier, uint32(i+1)),
			mqtt.Subscription{Filter: filter, QoS: uint8(i % 3)})
	}
	online(t, s.addr, mqtt.V5, "p").publish(pub("a/b", "x", 2))
	m := r.message()
	var ids []uint32
	for p := range m.Properties.All() {
		if p.ID == mqtt.PropSubscriptionIdentifier {
			ids = append(ids, p.Num)
		}
	}
	slices.Sort(ids)
	if m.QoS != 2 || !slices.Equal(ids, []uint32{1, 2, 3, 4}) {
		t.Errorf("QoS %d with identifiers %v, want QoS 2 with all four", m.QoS, ids)
	}
	r.silent(50 * time.Millisecond)
}

func TestStatement_3_8_3_1_2_NoLocal(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	a, b := online(t, s.addr, mqtt.V5, "a"), online(t, s.addr, mqtt.V5, "b")
	for _, r := range []*raw{a, b} {
		r.subscribe(nil, mqtt.Subscription{Filter: "t", QoS: 1, NoLocal: true})
	}
	a.publish(pub("t", "from a", 1))
	if m := b.message(); string(m.Payload) != "from a" {
		t.Errorf("received %q", m.Payload)
	}
	a.silent(50 * time.Millisecond)
}

func TestStatement_3_3_1_8_RetainFlag(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	p := online(t, s.addr, mqtt.V5, "p")
	retain := func(payload string) {
		m := pub("r", payload, 1)
		m.Retain = true
		p.publish(m)
	}
	plain, asPublished := online(t, s.addr, mqtt.V5, "plain"), online(t, s.addr, mqtt.V5, "rap")
	plain.sub("r", 1)
	asPublished.subscribe(nil, mqtt.Subscription{Filter: "r", QoS: 1, RetainAsPublished: true})
	retain("one")
	if m := plain.message(); m.Retain { // [MQTT-3.3.1-12]
		t.Error("the flag reached a subscription that does not keep it")
	}
	if m := asPublished.message(); !m.Retain { // [MQTT-3.3.1-13]
		t.Error("retain as published lost the flag")
	}
	p.publish(pub("r", "not retained", 1))
	if m := asPublished.message(); m.Retain {
		t.Error("retain as published set the flag")
	}
	plain.message()
	for _, c := range []struct {
		handling  uint8
		isNew     bool
		wantFirst bool
	}{
		{0, true, true},
		{0, false, true}, // [MQTT-3.3.1-9]
		{1, true, true},
		{1, false, false}, // [MQTT-3.3.1-10]
		{2, true, false},  // [MQTT-3.3.1-11]
	} {
		r := online(t, s.addr, mqtt.V5, "h")
		if !c.isNew {
			r.subscribe(nil, mqtt.Subscription{Filter: "r", RetainHandling: 2})
		}
		r.subscribe(nil, mqtt.Subscription{Filter: "r", RetainHandling: c.handling})
		if c.wantFirst {
			if m := r.message(); !m.Retain || string(m.Payload) != "one" {
				t.Errorf("%+v: received %+v", c, m)
			}
		}
		r.silent(50 * time.Millisecond)
		_ = r.nc.Close()
	}
	retain("") // [MQTT-3.3.1-6]
	if m := plain.message(); len(m.Payload) != 0 {
		t.Errorf("received %q, want the empty message that clears", m.Payload)
	}
	r := online(t, s.addr, mqtt.V5, "after")
	r.sub("#", 0)
	r.silent(50 * time.Millisecond)
}

func TestStatement_3_3_1_8_RetainedMeetWildcards(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	p := online(t, s.addr, mqtt.V311, "p")
	topics := []string{"a", "a/b", "a/b/c", "/a", "a/", "//", "$x/a", "a//b"}
	for _, topic := range topics {
		m := pub(topic, topic, 1)
		m.Retain = true
		p.publish(m)
	}
	for filter, want := range map[string][]string{
		"#":     {"a", "a/b", "a/b/c", "/a", "a/", "//", "a//b"},
		"+":     {"a"},
		"a/#":   {"a", "a/b", "a/b/c", "a/", "a//b"},
		"a/+":   {"a/b", "a/"},
		"+/+":   {"a/b", "/a", "a/"},
		"/+":    {"/a"},
		"+/+/+": {"a/b/c", "//", "a//b"},
		"$x/+":  {"$x/a"},
		"$x/#":  {"$x/a"},
		"a//+":  {"a//b"},
	} {
		r := online(t, s.addr, mqtt.V311, "r")
		r.sub(filter, 0)
		var got []string
		for range want {
			got = append(got, string(r.message().Payload))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: retained %q, want %q", filter, got, want)
		}
		r.silent(20 * time.Millisecond)
	}
}

func TestStatement_4_8_2_SharedSubscription(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	p := online(t, s.addr, mqtt.V5, "p")
	a, b, all := online(t, s.addr, mqtt.V5, "a"), online(t, s.addr, mqtt.V5, "b"), online(t, s.addr, mqtt.V311, "all")
	kept := pub("job/0", "retained", 1)
	kept.Retain = true
	p.publish(kept)
	a.sub("$share/g/job/#", 1)
	b.sub("$share/g/job/#", 1)
	all.sub("job/#", 1)
	if m := all.message(); string(m.Payload) != "retained" { // and nothing for a and b // [MQTT-4.8.2]
		t.Errorf("received %q", m.Payload)
	}
	const n = 20
	for i := range n {
		p.publish(pub("job/1", fmt.Sprint(i), 1))
		if m := all.message(); string(m.Payload) != fmt.Sprint(i) {
			t.Errorf("received %q, want %d", m.Payload, i)
		}
	}
	for _, r := range []*raw{a, b} {
		for range n / 2 {
			r.message()
		}
		r.silent(50 * time.Millisecond)
	}
	// A member that leaves without acknowledging: another one gets the message.
	p.publish(pub("job/2", "unfinished", 1))
	p.publish(pub("job/2", "unfinished too", 1))
	first := a.next()
	b.message()
	_ = a.nc.Close()
	if again := b.message(); string(again.Payload) != string(first.Payload) {
		t.Errorf("received %q, want %q of the member that left", again.Payload, first.Payload)
	}
}

func TestStatement_3_12_4_PingreqWithBody(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		r := online(t, s.addr, v, "p")
		r.send(mqtt.Pingreq{})
		expect[mqtt.Pingresp](r)
		r.bytes(frame(0xC0, []byte{1}))
		r.closedWith(mqtt.MalformedPacket)
	}
}

func TestStatement_3_14_4_3_DisconnectAndTheWill(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	watch := online(t, s.addr, mqtt.V5, "watch")
	watch.sub("will", 0)
	for _, c := range []struct {
		v    mqtt.Version
		code mqtt.ReasonCode
		will bool
	}{
		{mqtt.V31, 0, false},
		{mqtt.V311, 0, false},
		{mqtt.V5, mqtt.NormalDisconnection, false},
		{mqtt.V5, mqtt.DisconnectWithWill, true},
		{mqtt.V5, mqtt.UnspecifiedError, true},
	} {
		r := dial(t, s.addr, c.v)
		r.connect(mqtt.Connect{ClientID: "d", CleanStart: true, Will: &mqtt.Will{Topic: "will", Payload: []byte("w")}})
		r.send(mqtt.Disconnect{Code: c.code})
		r.closed()
		if c.will {
			watch.message()
		} else {
			watch.silent(50 * time.Millisecond)
		}
	}
}

// TestStatement_4_13_TheReasonArrives: the packet that says why must not be
// destroyed by a reset, even when the client is in the middle of sending more.
func TestStatement_4_13_TheReasonArrives(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for range 20 {
		r := online(t, s.addr, mqtt.V5, "busy")
		var all []byte
		for i := range 200 {
			m := pub("t", fmt.Sprintf("%01000d", i), 0)
			all, _ = m.Append(all, mqtt.V5)
			if i == 20 {
				all = append(all, 0xF0, 0, 0x00) // AUTH where none belongs, and bytes that are nothing
			}
		}
		r.bytes(all)
		seen := r.closed()
		if len(seen) != 1 {
			t.Fatalf("got %+v, want one DISCONNECT", seen)
		}
		if d, ok := seen[0].(mqtt.Disconnect); !ok || d.Code != mqtt.ProtocolError && d.Code != mqtt.MalformedPacket {
			t.Fatalf("got %+v", seen[0])
		}
	}
}

func TestPacketTooLarge(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{MaxPacketBytes: 1000})
	r := online(t, s.addr, mqtt.V5, "l")
	exact := pub("t", "", 0)
	exact.Payload = make([]byte, 1000-exact.Size(mqtt.V5)-1) // one more byte of length from 128 on
	r.publish(exact)
	r.send(mqtt.Pingreq{})
	expect[mqtt.Pingresp](r)
	r.bytes([]byte{0x30, 0xE9, 0x07}) // 1001 bytes to follow: judged before they come
	r.closedWith(mqtt.PacketTooLarge)
}

func TestOrderPerTopicAndPublisher(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for qos := range uint8(3) {
		sub := online(t, s.addr, mqtt.V5, "s")
		sub.sub("o", qos)
		p := online(t, s.addr, mqtt.V311, "p")
		const n = 300
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range n {
				p.publish(pub("o", fmt.Sprint(i), qos))
			}
		}()
		for i := range n {
			if m := sub.message(); string(m.Payload) != fmt.Sprint(i) {
				t.Fatalf("QoS %d: message %d is %q", qos, i, m.Payload)
			}
		}
		<-done
	}
}
