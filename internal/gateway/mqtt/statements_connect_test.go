package mqtt_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

// The tests of the statements_ files are named after the statement of the
// standard that they hold the gateway to: "3.1.2-2" is MQTT 5.0's, "v3 3.1.2-2"
// that of 3.1.1.

var versions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

// frame makes a packet from a first byte and a body, however wrong.
func frame(first byte, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	b := []byte{first}
	for n := len(all); ; {
		digit := byte(n % 128)
		if n /= 128; n > 0 {
			b = append(b, digit|0x80)
			continue
		}
		return append(append(b, digit), all...)
	}
}

// str is a UTF-8 string of the wire, or bytes that are none.
func str(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

// connectFrame is a CONNECT of version v with these flags and what follows the
// keep alive; in 5.0 props comes in between.
func connectFrame(v mqtt.Version, flags byte, props []byte, payload ...[]byte) []byte {
	head := append(str(v.Name()), byte(v), flags, 0, 60)
	if v == mqtt.V5 {
		head = append(append(head, byte(len(props))), props...)
	}
	return frame(0x10, head, bytes.Join(payload, nil))
}

// connackCode is the code of the only packet that a refused client gets; 0xFF
// when there was none.
func connackCode(t *testing.T, r *raw) mqtt.ReasonCode {
	t.Helper()
	seen := r.closed()
	switch len(seen) {
	case 0:
		return 0xFF
	case 1:
		if ack, ok := seen[0].(mqtt.Connack); ok {
			return ack.Code
		}
	}
	t.Fatalf("got %+v, want one CONNACK or nothing", seen)
	return 0
}

func TestStatement_3_1_0_1_FirstPacketIsConnect(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for first := mqtt.TypeConnect + 1; first <= mqtt.TypeAuth; first++ {
		r := dial(t, s.addr, mqtt.V5)
		r.bytes(frame(byte(first)<<4|first3(first), []byte{0, 1, 0}))
		if seen := r.closed(); len(seen) > 0 {
			t.Errorf("%s first: got %+v, want the connection closed without a word", first, seen)
		}
	}
}

// first3 are the flags that the type must have.
func first3(t mqtt.Type) byte {
	switch t {
	case mqtt.TypePubrel, mqtt.TypeSubscribe, mqtt.TypeUnsubscribe:
		return 2
	}
	return 0
}

func TestStatement_4_13_1_1_ServerBoundTypesEndTheConnection(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		for _, p := range [][]byte{
			frame(0x20, []byte{0, 0, 0}[:3-b2i(v < mqtt.V5)]), // CONNACK
			frame(0x90, []byte{0, 1, 0}),                      // SUBACK
			frame(0xB0, []byte{0, 1}),                         // UNSUBACK
			frame(0xD0),                                       // PINGRESP
		} {
			r := online(t, s.addr, v, "c")
			r.bytes(p)
			r.closedWith(mqtt.ProtocolError)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestStatement_3_1_0_2_SecondConnect(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		r := online(t, s.addr, v, "twice")
		r.send(mqtt.Connect{Version: v, ClientID: "twice", CleanStart: true})
		r.closedWith(mqtt.ProtocolError)
	}
}

func TestStatement_3_1_2_11_WillBitsWithoutWill(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for name, flags := range map[string]byte{
		"will QoS 1 without will":   0x02 | 0x08,
		"will QoS 2 without will":   0x02 | 0x10,
		"will retain without will":  0x02 | 0x20,
		"will QoS 3":                0x02 | 0x04 | 0x18,
		"reserved bit of the flags": 0x02 | 0x01,
	} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			r := dial(t, s.addr, v)
			props := []byte(nil)
			r.bytes(connectFrame(v, flags, props, str("c"), []byte{}[:0], willFor(v, flags)))
			want := mqtt.ReasonCode(0xFF)
			if v == mqtt.V5 {
				want = mqtt.MalformedPacket
			}
			if got := connackCode(t, r); got != want {
				t.Errorf("%s, %s: CONNACK %#02x, want %#02x", v, name, uint8(got), uint8(want))
			}
		}
	}
}

func willFor(v mqtt.Version, flags byte) []byte {
	if flags&0x04 == 0 {
		return nil
	}
	w := append(str("w"), str("x")...)
	if v == mqtt.V5 {
		w = append([]byte{0}, w...)
	}
	return w
}

func TestStatement_3_1_2_16_CredentialsAndTheirFlagsAgree(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for name, c := range map[string]struct {
		flags   byte
		payload []byte
	}{
		"user name without its flag":      {0x02, str("u")},
		"password without its flag":       {0x82, append(str("u"), str("p")...)},
		"user name flag, field missing":   {0x82, nil},
		"password flag, field missing":    {0xC2, str("u")},
		"user name cut short":             {0x82, []byte{0, 5, 'a'}},
		"trailing bytes after everything": {0xC2, append(append(str("u"), str("p")...), 0)},
	} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			r := dial(t, s.addr, v)
			r.bytes(connectFrame(v, c.flags, nil, str("c"), c.payload))
			want := mqtt.ReasonCode(0xFF)
			if v == mqtt.V5 {
				want = mqtt.MalformedPacket
			}
			if got := connackCode(t, r); got != want {
				t.Errorf("%s, %s: CONNACK %#02x, want %#02x", v, name, uint8(got), uint8(want))
			}
		}
	}
}

func TestStatement_v3_3_1_3_8_EmptyClientIDNeedsACleanSession(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	r := dial(t, s.addr, mqtt.V311)
	r.bytes(connectFrame(mqtt.V311, 0x00, nil, str("")))
	if got := connackCode(t, r); got != mqtt.V3IdentifierRejected {
		t.Errorf("CONNACK %d, want 2, and the connection closed", got)
	}
	r = dial(t, s.addr, mqtt.V311)
	if ack := r.connect(mqtt.Connect{CleanStart: true}); ack.Code != 0 {
		t.Errorf("with a clean session: CONNACK %d, want 0", ack.Code)
	}
	r = dial(t, s.addr, mqtt.V31)
	r.bytes(connectFrame(mqtt.V31, 0x02, nil, str("")))
	if got := connackCode(t, r); got != mqtt.V3IdentifierRejected {
		t.Errorf("MQTT 3.1: CONNACK %d, want 2", got)
	}
}

func TestStatement_3_1_3_7_AssignedClientID(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	seen := map[string]bool{}
	for range 3 {
		r := dial(t, s.addr, mqtt.V5)
		ack := r.connect(mqtt.Connect{CleanStart: true})
		id, ok := ack.Properties.String(mqtt.PropAssignedClientIdentifier)
		if !ok || id == "" || seen[id] {
			t.Errorf("assigned client identifier %q, %v: want a new one each time", id, ok)
		}
		seen[id] = true
	}
}

func TestStatement_1_5_4_InvalidUTF8InUserName(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for name, bad := range map[string]string{
		"U+0000":          "a\x00b",
		"surrogate":       "a\xed\xa0\x80",
		"invalid":         "a\xff",
		"overlong":        "a\xc0\x80",
		"truncated":       "a\xe2\x82",
		"beyond U+10FFFF": "a\xf4\x90\x80\x80",
	} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			r := dial(t, s.addr, v)
			r.bytes(connectFrame(v, 0x82, nil, str("c"), str(bad)))
			want := mqtt.ReasonCode(0xFF)
			if v == mqtt.V5 {
				want = mqtt.MalformedPacket
			}
			if got := connackCode(t, r); got != want {
				t.Errorf("%s, %s: CONNACK %#02x, want %#02x", v, name, uint8(got), uint8(want))
			}
			r = online(t, s.addr, v, "c2")
			r.bytes(frame(0x30, str(bad), []byte{0}[:b2i(v == mqtt.V5)]))
			r.closedWith(mqtt.MalformedPacket)
		}
	}
}

func TestStatement_3_1_2_11_PropertiesOfConnect(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for name, c := range map[string]struct {
		props []byte
		want  mqtt.ReasonCode
	}{
		"session expiry twice":       {[]byte{17, 0, 0, 0, 1, 17, 0, 0, 0, 1}, mqtt.ProtocolError},
		"receive maximum twice":      {[]byte{33, 0, 1, 33, 0, 1}, mqtt.ProtocolError},
		"receive maximum 0":          {[]byte{33, 0, 0}, mqtt.ProtocolError},
		"maximum packet size twice":  {[]byte{39, 0, 0, 1, 0, 39, 0, 0, 1, 0}, mqtt.ProtocolError},
		"maximum packet size 0":      {[]byte{39, 0, 0, 0, 0}, mqtt.ProtocolError},
		"alias maximum twice":        {[]byte{34, 0, 1, 34, 0, 1}, mqtt.ProtocolError},
		"alias maximum cut short":    {[]byte{34, 0}, mqtt.MalformedPacket},
		"response information 2":     {[]byte{25, 2}, mqtt.ProtocolError},
		"response information twice": {[]byte{25, 1, 25, 1}, mqtt.ProtocolError},
		"problem information 2":      {[]byte{23, 2}, mqtt.ProtocolError},
		"problem information twice":  {[]byte{23, 1, 23, 1}, mqtt.ProtocolError},
		"authentication data alone":  {[]byte{22, 0, 1, 'x'}, mqtt.ProtocolError},
		"method that nobody speaks":  {append([]byte{21}, str("NOPE")...), mqtt.BadAuthenticationMethod},
		"method twice":               {append(append([]byte{21}, str("a")...), append([]byte{21}, str("a")...)...), mqtt.ProtocolError},
		"property of PUBLISH":        {[]byte{35, 0, 1}, mqtt.ProtocolError},
		"unknown property":           {[]byte{99, 0}, mqtt.MalformedPacket},
		"user property cut short":    {[]byte{38, 0, 1, 'a', 0, 2, 'b'}, mqtt.MalformedPacket},
	} {
		r := dial(t, s.addr, mqtt.V5)
		r.bytes(connectFrame(mqtt.V5, 0x02, c.props, str("c")))
		got := connackCode(t, r)
		if got != c.want && !(c.want == mqtt.ProtocolError && got == mqtt.MalformedPacket && name == "property of PUBLISH") {
			t.Errorf("%s: CONNACK %#02x, want %#02x", name, uint8(got), uint8(c.want))
		}
	}
}

func TestStatement_3_1_2_2_WrongProtocolLevel(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, c := range []struct {
		name     string
		protocol string
		level    byte
		want     mqtt.ReasonCode
	}{
		{"level 0", "MQTT", 0, mqtt.V3UnacceptableProtocolVersion},
		{"level 2", "MQTT", 2, mqtt.V3UnacceptableProtocolVersion},
		{"MQTT 3.1's name with level 4", "MQIsdp", 4, mqtt.V3UnacceptableProtocolVersion},
		{"level 6", "MQTT", 6, mqtt.UnsupportedProtocolVersion},
	} {
		r := dial(t, s.addr, mqtt.V5)
		r.bytes(frame(0x10, str(c.protocol), []byte{c.level, 2, 0, 60, 0}, str("c")))
		_ = r.nc.SetReadDeadline(time.Now().Add(patience))
		var buf [64]byte
		n, err := r.nc.Read(buf[:])
		if err != nil || n < 4 || buf[0] != 0x20 {
			t.Errorf("%s: got % x, %v, want a CONNACK", c.name, buf[:n], err)
			continue
		}
		if got := mqtt.ReasonCode(buf[3]); got != c.want && !(c.level == 6 && got == mqtt.V3UnacceptableProtocolVersion) {
			t.Errorf("%s: CONNACK %#02x, want %#02x", c.name, uint8(got), uint8(c.want))
		}
	}
	// A name that is not MQTT's gets no answer. // [MQTT-3.1.2-1]
	for _, name := range []string{"HTTP", "", "mqtt", "MQTTMQTT"} {
		r := dial(t, s.addr, mqtt.V311)
		r.bytes(frame(0x10, str(name), []byte{4, 2, 0, 60}, str("c")))
		if got := connackCode(t, r); got != 0xFF && got != mqtt.V3UnacceptableProtocolVersion {
			t.Errorf("protocol name %q: CONNACK %#02x", name, uint8(got))
		}
	}
}

func TestStatement_v3_3_1_MQIsdp(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	r := online(t, s.addr, mqtt.V31, "exactly-23-characters-i")
	r.sub("t", 1)
	r.publish(pub("t", "hello", 1))
	if m := r.message(); string(m.Payload) != "hello" {
		t.Errorf("received %q", m.Payload)
	}
}

func TestStatement_3_1_2_4_SessionExpiry(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	connect := func(clean bool, expiry uint32) (*raw, mqtt.Connack) {
		r := dial(t, s.addr, mqtt.V5)
		return r, r.connect(mqtt.Connect{
			ClientID: "keeper", CleanStart: clean,
			Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, expiry),
		})
	}
	leave := func(r *raw, props mqtt.Properties) {
		r.send(mqtt.Disconnect{Properties: props})
		r.closed()
	}
	r, ack := connect(true, 100)
	if ack.SessionPresent {
		t.Error("clean start found a session")
	}
	leave(r, nil)
	r, ack = connect(false, 1)
	if !ack.SessionPresent {
		t.Error("the session is not there within its expiry interval")
	}
	leave(r, nil)
	time.Sleep(1500 * time.Millisecond)
	r, ack = connect(false, 100)
	if ack.SessionPresent {
		t.Error("the session is there after its expiry interval of 1 s")
	}
	leave(r, mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 0))
	r, ack = connect(false, 0)
	if ack.SessionPresent {
		t.Error("DISCONNECT with expiry interval 0 has not ended the session")
	}
	// [MQTT-3.14.2-2]
	r.send(mqtt.Disconnect{Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 10)})
	r.closedWith(mqtt.ProtocolError)
}

func TestStatement_3_1_4_3_TakenOverClientIsTold(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		first := online(t, s.addr, v, "same")
		online(t, s.addr, v, "same")
		first.closedWith(mqtt.SessionTakenOver)
	}
}

func TestStatement_3_1_4_3_WillsAtTakeover(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for i, c := range []struct {
		delay    uint32
		clean    bool
		wantWill bool
	}{
		{0, false, true},   // resumed: a will without delay is due at once
		{0, true, true},    // the session ends, its will with it
		{60, false, false}, // resumed before the delay: never published
		{60, true, true},   // the session ends before the delay
	} {
		watch := online(t, s.addr, mqtt.V5, "watch")
		watch.sub("will", 0)
		id := fmt.Sprint("mortal", i)
		connect := func(clean bool) *raw {
			r := dial(t, s.addr, mqtt.V5)
			r.connect(mqtt.Connect{
				ClientID: id, CleanStart: clean,
				Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 100),
				Will: &mqtt.Will{
					Topic: "will", Payload: []byte(id),
					Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, c.delay),
				},
			})
			return r
		}
		first := connect(true)
		second := connect(c.clean)
		first.closed()
		if c.wantWill {
			if m := watch.message(); string(m.Payload) != id {
				t.Errorf("%+v: will %q", c, m.Payload)
			}
		} else {
			watch.silent(200 * time.Millisecond)
		}
		second.send(mqtt.Disconnect{})
		second.closed()
	}
}

func TestStatement_3_1_3_9_WillAtTheEarlierOfDelayAndSessionEnd(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	watch := online(t, s.addr, mqtt.V5, "watch")
	watch.sub("will/#", 0)
	connect := func(id string, expiry, delay uint32) *raw {
		r := dial(t, s.addr, mqtt.V5)
		r.connect(mqtt.Connect{
			ClientID:   id,
			Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, expiry),
			Will: &mqtt.Will{
				Topic:      "will/" + id,
				Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, delay),
			},
		})
		return r
	}
	began := time.Now()
	_ = connect("session-first", 1, 60).nc.Close()
	if m := watch.message(); string(m.Topic) != "will/session-first" || time.Since(began) < 900*time.Millisecond {
		t.Errorf("%s after %v, want the will at the end of the session", m.Topic, time.Since(began))
	}
	began = time.Now()
	_ = connect("delay-first", 60, 1).nc.Close()
	if m := watch.message(); string(m.Topic) != "will/delay-first" || time.Since(began) < 900*time.Millisecond {
		t.Errorf("%s after %v, want the will after its delay", m.Topic, time.Since(began))
	}
	_ = connect("returns", 60, 1).nc.Close()
	time.Sleep(100 * time.Millisecond)
	connect("returns", 60, 1)
	watch.silent(1500 * time.Millisecond)
}

func TestStatement_3_1_2_22_KeepAlive(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		r := dial(t, s.addr, v)
		began := time.Now()
		r.connect(mqtt.Connect{ClientID: "mute", CleanStart: true, KeepAlive: 1})
		r.closedWith(mqtt.KeepAliveTimeout)
		if took := time.Since(began); took < 1500*time.Millisecond || took > 3*time.Second {
			t.Errorf("%s: closed after %v, want one and a half times the keep alive of 1 s", v, took)
		}
	}
}

func TestStatement_3_2_2_21_ServerKeepAlive(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{MaxKeepAlive: 30 * time.Second})
	for asked, want := range map[uint16]uint16{0: 30, 20: 0, 31: 30} {
		r := dial(t, s.addr, mqtt.V5)
		ack := r.connect(mqtt.Connect{ClientID: "k", KeepAlive: asked})
		if got, _ := ack.Properties.Uint16(mqtt.PropServerKeepAlive); got != want {
			t.Errorf("keep alive %d: server keep alive %d, want %d", asked, got, want)
		}
	}
}

func TestStatement_3_2_2_ResponseInformation(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for asked, want := range map[uint8]string{0: "", 1: "response/dev/"} {
		r := dial(t, s.addr, mqtt.V5)
		ack := r.connect(mqtt.Connect{
			ClientID:   "dev",
			Properties: mqtt.Properties(nil).AppendByte(mqtt.PropRequestResponseInformation, asked),
		})
		if got, _ := ack.Properties.String(mqtt.PropResponseInformation); got != want {
			t.Errorf("asked %d: response information %q, want %q", asked, got, want)
		}
	}
}

func TestSessionsBelongToAnIdentity(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	connect := func(v mqtt.Version, user string, clean bool) (*raw, mqtt.Connack) {
		r := dial(t, s.addr, v)
		c := mqtt.Connect{ClientID: "victim", CleanStart: clean, HasUsername: true, Username: user}
		if v == mqtt.V5 {
			c.Properties = c.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, 1000)
		}
		return r, r.connect(c)
	}
	owner, _ := connect(mqtt.V5, "ana", true)
	owner.sub("t", 1)
	for _, clean := range []bool{true, false} {
		thief, ack := connect(mqtt.V5, "eve", clean)
		if ack.Code != mqtt.NotAuthorized {
			t.Errorf("clean start %v: CONNACK %s for another identity", clean, ack.Code)
		}
		thief.closed()
		thief, ack = connect(mqtt.V311, "eve", clean)
		if ack.Code != mqtt.V3NotAuthorized {
			t.Errorf("clean session %v: CONNACK %d for another identity", clean, ack.Code)
		}
		thief.closed()
	}
	owner.publish(pub("t", "untouched", 1))
	if m := owner.message(); string(m.Payload) != "untouched" {
		t.Errorf("received %q", m.Payload)
	}
	owner.send(mqtt.Disconnect{})
	owner.closed()
	if _, ack := connect(mqtt.V5, "ana", false); !ack.SessionPresent {
		t.Error("the owner's session is gone")
	}
}

// deny refuses one action on one topic.
type deny struct {
	act   auth.Action
	topic string
}

func (d deny) Authorize(_ context.Context, _ *auth.Identity, act auth.Action, topic string) auth.Verdict {
	if act == d.act && topic == d.topic {
		return auth.Deny
	}
	return auth.Allow
}

func TestWillTopicNeedsTheRight(t *testing.T) {
	s := start(t, broker.Config{Authorizer: deny{auth.Publish, "forbidden"}}, gw.Config{})
	for topic, want := range map[string]mqtt.ReasonCode{
		"forbidden":  mqtt.NotAuthorized,
		"$SYS/x":     mqtt.NotAuthorized,
		"$CONTROL/x": mqtt.NotAuthorized,
		"$share/g/t": mqtt.NotAuthorized,
		"allowed":    mqtt.Success,
	} {
		r := dial(t, s.addr, mqtt.V5)
		ack := r.connect(mqtt.Connect{ClientID: "w", CleanStart: true, Will: &mqtt.Will{Topic: topic}})
		if ack.Code != want {
			t.Errorf("will on %q: CONNACK %s, want %s", topic, ack.Code, want)
		}
	}
}
