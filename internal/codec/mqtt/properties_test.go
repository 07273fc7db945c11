package mqtt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The rows of table 2-4 of the standard: identifier, name, wire type, places.
var standardProperties = []struct {
	id    PropertyID
	name  string
	wire  WireType
	where string
}{
	{1, "payload-format-indicator", WireByte, "PUBLISH will"},
	{2, "message-expiry-interval", WireUint32, "PUBLISH will"},
	{3, "content-type", WireString, "PUBLISH will"},
	{8, "response-topic", WireString, "PUBLISH will"},
	{9, "correlation-data", WireBytes, "PUBLISH will"},
	{11, "subscription-identifier", WireVarint, "PUBLISH SUBSCRIBE"},
	{17, "session-expiry-interval", WireUint32, "CONNECT CONNACK DISCONNECT"},
	{18, "assigned-client-identifier", WireString, "CONNACK"},
	{19, "server-keep-alive", WireUint16, "CONNACK"},
	{21, "authentication-method", WireString, "CONNECT CONNACK AUTH"},
	{22, "authentication-data", WireBytes, "CONNECT CONNACK AUTH"},
	{23, "request-problem-information", WireByte, "CONNECT"},
	{24, "will-delay-interval", WireUint32, "will"},
	{25, "request-response-information", WireByte, "CONNECT"},
	{26, "response-information", WireString, "CONNACK"},
	{28, "server-reference", WireString, "CONNACK DISCONNECT"},
	{31, "reason-string", WireString, "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH"},
	{33, "receive-maximum", WireUint16, "CONNECT CONNACK"},
	{34, "topic-alias-maximum", WireUint16, "CONNECT CONNACK"},
	{35, "topic-alias", WireUint16, "PUBLISH"},
	{36, "maximum-qos", WireByte, "CONNACK"},
	{37, "retain-available", WireByte, "CONNACK"},
	{38, "user-property", WirePair, "CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH will"},
	{39, "maximum-packet-size", WireUint32, "CONNECT CONNACK"},
	{40, "wildcard-subscription-available", WireByte, "CONNACK"},
	{41, "subscription-identifier-available", WireByte, "CONNACK"},
	{42, "shared-subscription-available", WireByte, "CONNACK"},
}

func allPlaces() []Where {
	places := []Where{InWill}
	for t := TypeConnect; t <= TypeAuth; t++ {
		places = append(places, In(t))
	}
	return places
}

// value is a property of that id with a value that every rule allows.
func value(id PropertyID) Property {
	return Property{ID: id, Num: 1, Bytes: []byte("ab"), Value: []byte("c")}
}

func TestEveryPropertyIsWhatTheStandardSays(t *testing.T) {
	if len(standardProperties) != 27 {
		t.Fatalf("%d properties", len(standardProperties))
	}
	for _, want := range standardProperties {
		t.Run(want.name, func(t *testing.T) {
			if got := want.id.String(); got != want.name {
				t.Errorf("name %q", got)
			}
			if id, ok := PropertyByName(want.name); !ok || id != want.id {
				t.Errorf("found by name: %d, %v", id, ok)
			}
			if got := want.id.Wire(); got != want.wire {
				t.Errorf("wire type %d", got)
			}
			for _, w := range allPlaces() {
				allowed := slices.Contains(strings.Fields(want.where), w.String())
				if got := want.id.AllowedIn(w); got != allowed {
					t.Errorf("allowed in %v: %v", w, got)
				}
				once := props().Append(value(want.id))
				o := &Options{EitherSide: true}
				if err := once.Validate(w, o); (err == nil) != allowed {
					t.Errorf("once in %v: %v", w, err)
				}
				if !allowed {
					continue
				}
				repeats := want.wire == WirePair || want.id == PropSubscriptionIdentifier && w == In(TypePublish)
				if want.id.RepeatsIn(w) != repeats {
					t.Errorf("repeats in %v: %v", w, !repeats)
				}
				err := once.Append(value(want.id)).Validate(w, o)
				if repeats {
					checkCode(t, err, nil, 0)
				} else {
					checkCode(t, err, nil, ProtocolError)
				}
			}
			for cut := 1; cut < len(props().Append(value(want.id))); cut++ {
				err := props().Append(value(want.id))[:cut].Validate(In(TypePublish), &Options{EitherSide: true})
				checkCode(t, err, nil, MalformedPacket)
			}
		})
	}
	for id := range 256 {
		known := slices.ContainsFunc(standardProperties, func(p struct {
			id    PropertyID
			name  string
			wire  WireType
			where string
		},
		) bool {
			return p.id == PropertyID(id)
		})
		if got := PropertyID(id).Wire() != WireNone; got != known {
			t.Errorf("property %d exists: %v", id, got)
		}
	}
	if _, ok := PropertyByName(""); ok {
		t.Error("a property without a name")
	}
}

func TestValuesThatTheStandardForbids(t *testing.T) {
	for _, tc := range []struct {
		id   PropertyID
		num  []uint32
		code ReasonCode
		in   Where
	}{
		{PropPayloadFormat, []uint32{2, 255}, ProtocolError, In(TypePublish)},
		{PropRequestProblemInformation, []uint32{2, 7}, ProtocolError, In(TypeConnect)},
		{PropRequestResponseInformation, []uint32{2, 7}, ProtocolError, In(TypeConnect)},
		{PropMaximumQoS, []uint32{2, 3}, ProtocolError, In(TypeConnack)},
		{PropRetainAvailable, []uint32{2}, ProtocolError, In(TypeConnack)},
		{PropWildcardSubscriptionAvailable, []uint32{2}, ProtocolError, In(TypeConnack)},
		{PropSubscriptionIDAvailable, []uint32{2}, ProtocolError, In(TypeConnack)},
		{PropSharedSubscriptionAvailable, []uint32{2}, ProtocolError, In(TypeConnack)},
		{PropReceiveMaximum, []uint32{0}, ProtocolError, In(TypeConnect)},
		{PropMaximumPacketSize, []uint32{0}, ProtocolError, In(TypeConnect)},
		{PropTopicAlias, []uint32{0}, TopicAliasInvalid, In(TypePublish)},
		{PropSubscriptionIdentifier, []uint32{0}, ProtocolError, In(TypeSubscribe)},
	} {
		for _, n := range tc.num {
			p := props().Append(Property{ID: tc.id, Num: n})
			t.Run(fmt.Sprintf("%v=%d", tc.id, n), func(t *testing.T) {
				checkCode(t, p.Validate(tc.in, &Options{EitherSide: true}), nil, tc.code)
			})
		}
	}
	for name, p := range map[string]Properties{
		"empty response topic":    props().AppendString(PropResponseTopic, ""),
		"wildcard response topic": props().AppendString(PropResponseTopic, "a/+/b"),
	} {
		t.Run(name, func(t *testing.T) {
			checkCode(t, p.Validate(InWill, &Options{}), nil, ProtocolError)
		})
	}
	// [MQTT-1.5.7-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19]
	for name, p := range map[string]Properties{
		"content type":        props().AppendString(PropContentType, "\xff"),
		"response topic":      props().AppendString(PropResponseTopic, "\xed\xa0\x80"),
		"user property name":  props().AppendUserProperty("a\x00", ""),
		"user property value": props().AppendUserProperty("a", "\xc0\x80"),
		"identifier 0":        {0},
		"identifier 128":      {0x80, 0x01},
	} {
		t.Run(name, func(t *testing.T) {
			checkCode(t, p.Validate(In(TypePublish), &Options{}), nil, MalformedPacket)
		})
	}
}

func TestPropertyAccess(t *testing.T) {
	p := props().AppendByte(PropPayloadFormat, 1).AppendUserProperty("a", "1").AppendUint16(PropTopicAlias, 7).
		AppendUint32(PropMessageExpiryInterval, 1<<31).AppendVarint(PropSubscriptionIdentifier, 300).
		AppendUserProperty("a", "2").AppendBytes(PropCorrelationData, []byte{1, 2}).AppendString(PropContentType, "x/y").
		AppendVarint(PropSubscriptionIdentifier, 5)
	if v, ok := p.Byte(PropPayloadFormat); v != 1 || !ok {
		t.Error("byte", v, ok)
	}
	if v, ok := p.Uint16(PropTopicAlias); v != 7 || !ok {
		t.Error("uint16", v, ok)
	}
	if v, ok := p.Uint32(PropMessageExpiryInterval); v != 1<<31 || !ok {
		t.Error("uint32", v, ok)
	}
	if v, ok := p.Varint(PropSubscriptionIdentifier); v != 300 || !ok {
		t.Error("varint", v, ok)
	}
	if v, ok := p.Bytes(PropCorrelationData); string(v) != "\x01\x02" || !ok {
		t.Error("bytes", v, ok)
	}
	if v, ok := p.String(PropContentType); v != "x/y" || !ok {
		t.Error("string", v, ok)
	}
	if v, ok := p.Uint32(PropReceiveMaximum); v != 0 || ok || p.Has(PropReceiveMaximum) {
		t.Error("absent", v, ok)
	}
	var user []string
	for q := range p.All() {
		if q.ID == PropUserProperty {
			user = append(user, string(q.Bytes)+"="+string(q.Value))
		}
	}
	if !slices.Equal(user, []string{"a=1", "a=2"}) {
		t.Error("user properties", user)
	}
	for range p.All() {
		break
	}
}

func TestWithout(t *testing.T) {
	p := props().AppendByte(PropPayloadFormat, 1).AppendUint16(PropTopicAlias, 7).AppendUserProperty("a", "1").AppendUint32(PropMessageExpiryInterval, 9)
	same := p.Without(PropContentType)
	if &same[0] != &p[0] || len(same) != len(p) {
		t.Error("copied although there was nothing to drop")
	}
	got := p.Without(PropTopicAlias, PropMessageExpiryInterval)
	want := props().AppendByte(PropPayloadFormat, 1).AppendUserProperty("a", "1")
	if string(got) != string(want) {
		t.Errorf("%x, want %x", got, want)
	}
	if got := p[:2].Without(PropPayloadFormat); got != nil {
		t.Errorf("%x, want nil", got)
	}
	if got := props().Without(PropPayloadFormat); got != nil {
		t.Errorf("%x, want nil", got)
	}
	if string(p.Without(PropPayloadFormat)[:3]) != string(p[2:5]) {
		t.Error("the first one")
	}
}

func TestOverlongFieldsPanic(t *testing.T) {
	long := strings.Repeat("x", MaxFieldBytes+1)
	for name, f := range map[string]func(){
		"string":              func() { props().AppendString(PropContentType, long) },
		"bytes":               func() { props().AppendBytes(PropCorrelationData, []byte(long)) },
		"user property name":  func() { props().AppendUserProperty(long, "") },
		"user property value": func() { props().AppendUserProperty("", long) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// Ten thousand user properties, then one that is cut short: a single pass.
func TestManyPropertiesAreReadOnce(t *testing.T) {
	var p Properties
	for range 10_000 {
		p = p.AppendUserProperty("k", "v")
	}
	if err := p.Validate(In(TypePublish), &Options{}); err != nil {
		t.Fatal(err)
	}
	p = append(p, byte(PropUserProperty), 0xff)
	var m *Malformed
	if err := p.Validate(In(TypePublish), &Options{}); !errors.As(err, &m) || m.Offset != len(p)-2 {
		t.Errorf("%v", err)
	}
	if n := testing.AllocsPerRun(5, func() { _ = p.Has(PropTopicAlias) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
