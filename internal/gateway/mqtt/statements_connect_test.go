package mqtt_test

import (
	"bytes"
	"testing"
	"time"

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
