package mqtt_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

func TestDeliveryMatrix_3_8_4_8_MinOfPublishAndSubscription(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, pv := range versions {
		for _, sv := range versions {
			p, r := online(t, s.addr, pv, "pub"), online(t, s.addr, sv, "sub")
			for subQoS := range uint8(3) {
				r.sub("t", subQoS)
				for pubQoS := range uint8(3) {
					payload := fmt.Sprint(pubQoS, subQoS)
					if code := p.publish(pub("t", payload, pubQoS)); code != mqtt.Success {
						t.Errorf("publish: %s", code)
					}
					m := r.message()
					if m.QoS != min(pubQoS, subQoS) || string(m.Payload) != payload || m.Dup || m.Retain {
						t.Errorf("%s to %s, published at %d, subscribed at %d: got %+v", pv, sv, pubQoS, subQoS, m)
					}
				}
			}
		}
	}
}

func TestStatement_3_3_1_1_DupOnlyOnRedelivery(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		connect := func() *raw {
			r := dial(t, s.addr, v)
			c := mqtt.Connect{ClientID: "dup" + v.String()}
			if v == mqtt.V5 {
				c.Properties = c.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, 100)
			}
			r.connect(c)
			return r
		}
		r := connect()
		r.sub("d", 2)
		p := online(t, s.addr, v, "p")
		p.publish(pub("d", "one", 1))
		p.publish(pub("d", "two", 2))
		one, two := r.next(), r.next()
		if one.Dup || two.Dup {
			t.Errorf("%s: DUP on the first delivery", v)
		}
		_ = r.nc.Close()
		r = connect()
		again1, again2 := r.next(), r.next()
		if !again1.Dup || !again2.Dup || again1.PacketID != one.PacketID || again2.PacketID != two.PacketID {
			t.Errorf("%s: redelivered %+v and %+v, want DUP and the same identifiers", v, again1, again2)
		}
		r.send(mqtt.Puback{PacketID: one.PacketID}, mqtt.Pubrec{PacketID: two.PacketID})
		expect[mqtt.Pubrel](r)
		_ = r.nc.Close()
		r = connect() // [MQTT-4.4.0-1]: PUBREL again, and nothing else
		if rel := expect[mqtt.Pubrel](r); rel.PacketID != two.PacketID {
			t.Errorf("%s: PUBREL for %d, want %d", v, rel.PacketID, two.PacketID)
		}
		r.send(mqtt.Pubcomp{PacketID: two.PacketID})
		r.silent(100 * time.Millisecond)
	}
}

func TestStatement_4_3_3_InboundQoS2SurvivesReconnect(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	r := online(t, s.addr, mqtt.V5, "sub")
	r.sub("q", 2)
	connect := func() *raw {
		p := dial(t, s.addr, mqtt.V5)
		p.connect(mqtt.Connect{
			ClientID:   "pub",
			Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 100),
		})
		return p
	}
	p := connect()
	m := pub("q", "first", 2)
	m.PacketID = 7
	p.send(m)
	expect[mqtt.Pubrec](p)
	_ = p.nc.Close()
	p = connect()
	m.Dup = true
	m.Payload = []byte("the same identifier with other content")
	p.send(m) // known: acknowledged, not delivered again
	expect[mqtt.Pubrec](p)
	p.send(mqtt.Pubrel{PacketID: 7})
	if c := expect[mqtt.Pubcomp](p); c.Code != mqtt.Success {
		t.Errorf("PUBCOMP %s", c.Code)
	}
	m.Dup, m.Payload = false, []byte("second")
	p.publish(m) // released: a new message
	if got := r.message(); string(got.Payload) != "first" {
		t.Errorf("received %q", got.Payload)
	}
	if got := r.message(); string(got.Payload) != "second" {
		t.Errorf("received %q, want the message under the released identifier", got.Payload)
	}
	r.silent(100 * time.Millisecond)
}

func TestStatement_3_3_2_2_WildcardsInTopicName(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		for _, topic := range []string{"a/+", "#", "a/#/b", "a+b"} {
			for qos := range uint8(3) {
				r := online(t, s.addr, v, "w")
				b := frame(0x30|qos<<1, str(topic), []byte{0, 1}[:2*b2i(qos > 0)], []byte{0}[:b2i(v == mqtt.V5)])
				r.bytes(b)
				r.closedWith(mqtt.TopicNameInvalid)
			}
		}
	}
}

func TestStatement_3_3_2_6_ExpiryCountsDown(t *testing.T) {
	t.Parallel()
	s := start(t, broker.Config{}, gw.Config{})
	p := online(t, s.addr, mqtt.V5, "p")
	send := func(payload string, expiry uint32, retain bool) {
		m := pub("exp/"+payload, payload, 1)
		m.Retain = retain
		if expiry > 0 {
			m.Properties = m.Properties.AppendUint32(mqtt.PropMessageExpiryInterval, expiry)
		}
		p.publish(m)
	}
	sleeper := func() *raw {
		r := dial(t, s.addr, mqtt.V5)
		r.connect(mqtt.Connect{ClientID: "sleeper", Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 100)})
		return r
	}
	r := sleeper()
	r.sub("exp/queued/#", 1)
	r.send(mqtt.Disconnect{})
	r.closed()
	send("queued/long", 100, false)
	send("queued/short", 1, false)
	send("queued/none", 0, false)
	send("kept/long", 100, true)
	send("kept/short", 1, true)
	send("kept/none", 0, true)
	time.Sleep(1200 * time.Millisecond)
	check := func(r *raw, where string) {
		t.Helper()
		for range 2 {
			m := r.message()
			left, has := m.Properties.Uint32(mqtt.PropMessageExpiryInterval)
			switch string(m.Topic) {
			case "exp/" + where + "/long":
				if !has || left < 90 || left > 99 {
					t.Errorf("%s: remaining expiry %d, %v, want a little less than 100", m.Topic, left, has)
				}
			case "exp/" + where + "/none":
				if has {
					t.Errorf("%s: a message without expiry was given %d s", m.Topic, left)
				}
			default:
				t.Errorf("received %s, which has expired", m.Topic)
			}
		}
		r.silent(50 * time.Millisecond)
	}
	check(sleeper(), "queued")
	fresh := online(t, s.addr, mqtt.V5, "fresh")
	fresh.sub("exp/kept/#", 1)
	check(fresh, "kept")
}

func TestStatement_3_3_2_7_TopicAliases(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{TopicAliasMaximum: 4})
	alias := func(topic string, n uint16) mqtt.Publish {
		m := pub(topic, "x", 0)
		m.Properties = m.Properties.AppendUint16(mqtt.PropTopicAlias, n)
		return m
	}
	for _, c := range []struct {
		m    mqtt.Publish
		want mqtt.ReasonCode
	}{
		{alias("t", 5), mqtt.TopicAliasInvalid},
		{alias("", 3), mqtt.ProtocolError},
	} {
		r := online(t, s.addr, mqtt.V5, "a")
		r.send(c.m)
		r.closedWith(c.want)
	}
	r := online(t, s.addr, mqtt.V5, "a")
	r.bytes(frame(0x30, str("t"), []byte{3, 35, 0, 0})) // alias 0
	r.closedWith(mqtt.TopicAliasInvalid)
	r = online(t, s.addr, mqtt.V5, "a")
	r.bytes(frame(0x30, str(""), []byte{0})) // no topic, no alias
	r.closedWith(mqtt.ProtocolError)

	sub := online(t, s.addr, mqtt.V5, "s")
	sub.sub("#", 0)
	r = online(t, s.addr, mqtt.V5, "a")
	r.send(alias("one", 1), alias("", 1), alias("two", 1), alias("", 1))
	for _, want := range []string{"one", "one", "two", "two"} {
		m := sub.message()
		if string(m.Topic) != want || m.Properties.Has(mqtt.PropTopicAlias) {
			t.Errorf("received %q with properties % x, want %q and no alias of the publisher's", m.Topic, m.Properties, want)
		}
	}
	// Aliases end with the connection. // [MQTT-3.3.2-7]
	r.nc.Close()
	r = online(t, s.addr, mqtt.V5, "a")
	r.send(alias("", 1))
	r.closedWith(mqtt.ProtocolError)
}

func TestStatement_3_3_2_12_ServerUsesNoMoreAliasesThanAllowed(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	r := dial(t, s.addr, mqtt.V5)
	r.connect(mqtt.Connect{ClientID: "s", Properties: mqtt.Properties(nil).AppendUint16(mqtt.PropTopicAliasMaximum, 2)})
	r.sub("#", 0)
	p := online(t, s.addr, mqtt.V5, "p")
	known := map[uint16]string{}
	for range 2 {
		for _, topic := range []string{"one", "two", "three"} {
			p.send(pub(topic, topic, 0))
			m := r.message()
			n, has := m.Properties.Uint16(mqtt.PropTopicAlias)
			switch {
			case has && (n == 0 || n > 2):
				t.Errorf("alias %d, the client allows 2", n)
			case len(m.Topic) > 0 && has:
				known[n] = string(m.Topic)
			case len(m.Topic) == 0:
				m.Topic = []byte(known[n])
			}
			if string(m.Topic) != string(m.Payload) {
				t.Errorf("message of %q arrived as one of %q", m.Payload, m.Topic)
			}
		}
	}
	if len(known) != 2 {
		t.Errorf("%d aliases were defined, want 2", len(known))
	}
}

func TestStatement_3_3_2_3_PropertiesOfPublish(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for name, c := range map[string]struct {
		props []byte
		want  mqtt.ReasonCode
	}{
		"payload format 2":              {[]byte{1, 2}, mqtt.ProtocolError},
		"payload format twice":          {[]byte{1, 1, 1, 1}, mqtt.ProtocolError},
		"response topic with wildcard":  {append([]byte{8}, str("a/#")...), mqtt.ProtocolError},
		"empty response topic":          {append([]byte{8}, str("")...), mqtt.ProtocolError},
		"response topic twice":          {append(append([]byte{8}, str("a")...), append([]byte{8}, str("a")...)...), mqtt.ProtocolError},
		"correlation data twice":        {[]byte{9, 0, 1, 'a', 9, 0, 1, 'a'}, mqtt.ProtocolError},
		"content type not UTF-8":        {[]byte{3, 0, 1, 0xff}, mqtt.MalformedPacket},
		"subscription identifier":       {[]byte{11, 1}, mqtt.ProtocolError}, // [MQTT-3.3.4-6]
		"subscription identifier 0":     {[]byte{11, 0}, mqtt.ProtocolError},
		"property of CONNECT":           {[]byte{17, 0, 0, 0, 1}, mqtt.MalformedPacket},
		"payload that is not the UTF-8": {[]byte{1, 1}, mqtt.PayloadFormatInvalid},
	} {
		r := online(t, s.addr, mqtt.V5, "p")
		r.bytes(frame(0x30, str("t"), []byte{byte(len(c.props))}, c.props, []byte{0xff, 0xfe}))
		seen := r.closed()
		if len(seen) != 1 {
			t.Errorf("%s: got %+v", name, seen)
			continue
		}
		d, ok := seen[0].(mqtt.Disconnect)
		okCode := d.Code == c.want || name == "response topic with wildcard" && d.Code == mqtt.TopicNameInvalid ||
			name == "empty response topic" && d.Code == mqtt.TopicNameInvalid
		if !ok || !okCode {
			t.Errorf("%s: got %+v, want DISCONNECT with %s", name, seen[0], c.want)
		}
	}
}

func TestStatement_3_3_2_17_PropertiesAreForwardedUnchanged(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	r, old := online(t, s.addr, mqtt.V5, "s"), online(t, s.addr, mqtt.V311, "old")
	r.sub("t", 0)
	old.sub("t", 0)
	props := mqtt.Properties(nil).
		AppendUserProperty("b", "1").
		AppendByte(mqtt.PropPayloadFormat, 1).
		AppendUserProperty("a", "2").
		AppendString(mqtt.PropContentType, "text/plain").
		AppendString(mqtt.PropResponseTopic, "r").
		AppendBytes(mqtt.PropCorrelationData, []byte{0, 1, 2}).
		AppendUserProperty("b", "3")
	m := pub("t", "x", 0)
	m.Properties = props
	online(t, s.addr, mqtt.V5, "p").send(m)
	if got := r.message(); string(got.Properties) != string(props) {
		t.Errorf("properties changed from % x to % x", []byte(props), []byte(got.Properties))
	}
	if got := old.message(); string(got.Payload) != "x" {
		t.Errorf("an MQTT 3.1.1 subscriber received %q", got.Payload)
	}
}
