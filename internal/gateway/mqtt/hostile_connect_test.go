package mqtt_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// none is what knock returns when the connection ends without a CONNACK.
const none mqtt.ReasonCode = 0xFF

// knock sends a CONNECT and returns the code of the CONNACK. A client that is
// refused has to find its connection closed.
func (h *hall) knock(v mqtt.Version, b []byte) mqtt.ReasonCode {
	h.t.Helper()
	r := h.dial(v)
	r.bytes(b)
	p, err := r.read(patience)
	if err != nil {
		_ = r.nc.Close()
		return none
	}
	ack, ok := p.(mqtt.Connack)
	if !ok {
		h.t.Fatalf("got %+v, want CONNACK", p)
	}
	if ack.Code == mqtt.Success {
		r.send(mqtt.Disconnect{})
	}
	r.closed()
	return ack.Code
}

// ask is knock with a CONNECT of version v.
func (h *hall) ask(v mqtt.Version, c mqtt.Connect) mqtt.ReasonCode {
	h.t.Helper()
	c.Version = v
	b, err := c.Append(nil, v)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.knock(v, b)
}

// props makes properties of bytes, however wrong.
func props(b ...byte) mqtt.Properties { return b }

func TestHostile_20_ProtocolNameAndLevel(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		connect := func(name string, level byte) []byte {
			b := append(str(name), level, 2, 0, 60)
			if level == 5 {
				b = append(b, 0)
			}
			return frame(0x10, b, str("id"))
		}
		for _, name := range []string{"", "mqtt", "MQTTX", "MQT", "HTTP", "MQIsdp\x00", strings.Repeat("M", 65535)} {
			for _, level := range []byte{3, 4, 5} { // who knows what the level of another protocol means
				if code := h.knock(mqtt.V311, connect(name, level)); code != mqtt.V3UnacceptableProtocolVersion {
					t.Errorf("name %.10q, level %d: CONNACK %#x, want 1", name, level, uint8(code))
				}
			}
		}
		for _, level := range []byte{0, 1, 2, 6, 7, 0x80, 0x85, 0xFF} {
			if code := h.knock(mqtt.V311, connect("MQTT", level)); code != mqtt.V3UnacceptableProtocolVersion {
				t.Errorf("level %#x: CONNACK %#x, want 1", level, uint8(code))
			}
		}
		for name, level := range map[string]byte{"MQTT": 3, "MQIsdp": 4} {
			if code := h.knock(mqtt.V311, connect(name, level)); code != mqtt.V3UnacceptableProtocolVersion {
				t.Errorf("%s, level %d: CONNACK %#x, want 1", name, level, uint8(code))
			}
		}
		for name, level := range map[string]byte{"MQIsdp": 0x83, "MQTT": 0x84} { // mosquitto's bridges
			if code := h.knock(mqtt.V311, connect(name, level)); code != mqtt.V3Accepted {
				t.Errorf("bridge: level %#x: CONNACK %#x, want 0", level, uint8(code))
			}
		}
	})
}

func TestHostile_21_ConnectFlags(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			for name, flags := range map[string]byte{
				"reserved bit":               0x03,
				"will QoS 3":                 0x1E,
				"will retain without a will": 0x22,
				"will QoS without a will":    0x0A,
				"password without user name": 0x42,
			} {
				want := mqtt.MalformedPacket
				switch {
				case v < mqtt.V5:
					want = none
				case flags == 0x42:
					want = mqtt.Success // allowed since 5.0
				}
				b := connectFrame(v, flags, nil, str("id"), willFor(v, flags), str("p")[:3*b2i(flags == 0x42)])
				if code := h.knock(v, b); code != want {
					t.Errorf("%s: %s: CONNACK %#x, want %#x", v, name, uint8(code), uint8(want))
				}
			}
		}
	})
}

func TestHostile_22_EmptyClientIDWithoutCleanSession(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for v, want := range map[mqtt.Version]mqtt.ReasonCode{
			mqtt.V31: mqtt.V3IdentifierRejected, mqtt.V311: mqtt.V3IdentifierRejected,
			mqtt.V5: mqtt.Success, // which assigns one
		} {
			if code := h.knock(v, connectFrame(v, 0, nil, str(""))); code != want {
				t.Errorf("%s: CONNACK %#x, want %#x", v, uint8(code), uint8(want))
			}
		}
	})
}

func TestHostile_23_ClientIDs(t *testing.T) {
	hostile(t, arena{broker: broker.Config{SysInterval: 20 * time.Millisecond}}, func(h *hall) {
		sys := h.online(mqtt.V5, "sys")
		sys.sub("$SYS/#", 0)
		malformed := map[string]bool{"a\x00b": true, "\xED\xA0\x80": true, "a\xFF": true, "\xC0\x80": true, "\xF8\x88\x80\x80\x80": true}
		for _, id := range []string{
			strings.Repeat("x", 65535), strings.Repeat("é", 32767), "a\x00b", "\uFFFE", "\xED\xA0\x80", "a\xFF", "\xC0\x80", "\xF8\x88\x80\x80\x80",
			"/", "a/b", "+", "#", "$SYS/x", "$share/g/x", "../../etc/passwd", "a\nlevel=ERROR msg=forged", "a\r\n", "\x1b[2J\x1b]0;x\x07", "\x7f\u0085",
			"<script>alert(1)</script>", "\u202Egpj.exe", "\u2066x\u2069", "%s%n%c", "${jndi:x}", `"quoted" \`, "\uFEFFbom", "control-a\u200B",
		} {
			for _, v := range versions {
				want := mqtt.Success
				if malformed[id] {
					if want = none; v == mqtt.V5 {
						want = mqtt.MalformedPacket
					}
				}
				// With every answer that may repeat the identifier.
				c := mqtt.Connect{ClientID: id, CleanStart: true, Will: &mqtt.Will{Topic: "w"}}
				if v == mqtt.V5 {
					c.Properties = c.Properties.AppendByte(mqtt.PropRequestResponseInformation, 1)
				}
				if code := h.ask(v, c); code != want {
					t.Errorf("%s: client id %.20q: CONNACK %#x, want %#x", v, id, uint8(code), uint8(want))
				}
			}
		}
		for seen := map[string]bool{}; ; {
			m := sys.next()
			if topic := string(m.Topic); seen[topic] {
				break
			} else if seen[topic] = true; len(topic) > 100 || strings.ContainsFunc(topic+string(m.Payload), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("$SYS: %q is %q", topic, m.Payload)
			}
		}
	})
}

func TestHostile_28_Properties(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		expiry := mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 0)
		for _, c := range []struct {
			name  string
			props mqtt.Properties
			want  mqtt.ReasonCode
		}{
			{"unknown property", props(0x7F, 0), mqtt.MalformedPacket},
			{"property 0", props(0, 0), mqtt.MalformedPacket},
			{"property id of two bytes", props(0x91, 0, 0, 0, 0, 0), mqtt.MalformedPacket},
			{"property id beyond the end", props(0xFF, 0xFF, 0xFF, 0xFF, 0xFF), mqtt.MalformedPacket},
			{"cut short", expiry[:3], mqtt.MalformedPacket},
			{"user property cut in its value", props(38, 0, 1, 'k', 0, 9, 'v'), mqtt.MalformedPacket},
			{"twice", append(append(mqtt.Properties(nil), expiry...), expiry...), mqtt.ProtocolError},
			{"of PUBLISH", mqtt.Properties(nil).AppendUint16(mqtt.PropTopicAlias, 1), mqtt.MalformedPacket},
			{"of CONNACK", mqtt.Properties(nil).AppendUint16(mqtt.PropServerKeepAlive, 1), mqtt.MalformedPacket},
			{"of the will", mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, 1), mqtt.MalformedPacket},
			{"NUL in a user property", mqtt.Properties(nil).AppendUserProperty("a\x00", "v"), mqtt.MalformedPacket},
			{"invalid UTF-8 in a user property", mqtt.Properties(nil).AppendUserProperty("a", "\xFF"), mqtt.MalformedPacket},
			{"user property with 64 KB key", mqtt.Properties(nil).AppendUserProperty(strings.Repeat("k", 65535), "v"), mqtt.Success},
		} {
			if code := h.ask(mqtt.V5, mqtt.Connect{ClientID: "p", CleanStart: true, Properties: c.props}); code != c.want {
				t.Errorf("%s: CONNACK %s, want %s", c.name, code, c.want)
			}
		}
		for name, length := range map[string][]byte{
			"length beyond the packet": {0xFF, 0xFF, 0xFF, 0x7F}, "length of five bytes": {0x80, 0x80, 0x80, 0x80, 0}, "overlong length": {0x80, 0},
		} {
			b := frame(0x10, str("MQTT"), []byte{5, 2, 0, 60}, length, str("id"))
			if code := h.knock(mqtt.V5, b); code != mqtt.MalformedPacket {
				t.Errorf("%s: CONNACK %s", name, code)
			}
		}
		// As many as a packet takes, in time that grows with their number alone:
		// comparing each with each would be 4·10^10 steps.
		var many mqtt.Properties
		for len(many) < 1<<20-200 {
			many = append(many, byte(mqtt.PropUserProperty), 0, 0, 0, 0)
		}
		began := cpuTime()
		r := h.with(mqtt.V5, mqtt.Connect{ClientID: "many", CleanStart: true, Properties: many, Will: &mqtt.Will{Topic: "w"}})
		m := pub("many", "", 1)
		m.Properties = many
		r.sub("many", 1)
		if code := r.publish(m); code != mqtt.Success {
			t.Errorf("PUBACK %s", code)
		}
		if got := r.message(); len(got.Properties) < len(many) {
			t.Errorf("%d bytes of properties arrived, %d were sent", len(got.Properties), len(many))
		}
		if took := cpuTime() - began; took > 2*time.Second {
			t.Errorf("%d user properties take %v of CPU", len(many)/5, took)
		}
	})
}

func TestHostile_29_PropertyValues(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for name, c := range map[string]struct {
			props mqtt.Properties
			want  mqtt.ReasonCode
		}{
			"receive maximum 0":            {props(0x21, 0, 0), mqtt.ProtocolError},
			"maximum packet size 0":        {props(0x27, 0, 0, 0, 0), mqtt.ProtocolError},
			"topic alias maximum, 1 byte":  {props(0x22, 1), mqtt.MalformedPacket},
			"topic alias maximum, 4 bytes": {props(0x22, 0, 1, 0, 0), mqtt.MalformedPacket},
			// 0 is no property, so the rest cannot be read.
		} {
			if code := h.ask(mqtt.V5, mqtt.Connect{ClientID: "p", CleanStart: true, Properties: c.props}); code != c.want {
				t.Errorf("%s: CONNACK %s, want %s", name, code, c.want)
			}
		}
	})
}

func TestHostile_35_SessionsForEverOfRandomClients(t *testing.T) {
	// 200 for 100,000: the cap is what counts.
	const limit, n = 50, 200
	a := arena{broker: broker.Config{MaxSessionsPerOwner: limit, MaxExpiry: time.Second}}
	a.login = func(c *mqtt.Connect) { c.HasUsername, c.Username = true, "control" }
	hostile(t, a, func(h *hall) {
		refused := 0
		for i := range n {
			code := h.ask(mqtt.V5, mqtt.Connect{
				ClientID: fmt.Sprint("random", i), CleanStart: true,
				Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 0xFFFFFFFF),
			})
			switch code {
			case mqtt.Success:
			case mqtt.QuotaExceeded:
				refused++
			default:
				t.Fatalf("CONNACK %s", code)
			}
		}
		if kept := h.b.Sessions(); kept > limit || refused != n-limit {
			t.Errorf("%d sessions are kept and %d were refused, the limit is %d", kept, refused, limit)
		}
		if code := h.ask(mqtt.V5, mqtt.Connect{ClientID: "brief", CleanStart: true}); code != mqtt.Success {
			t.Errorf("a session that ends with its connection: CONNACK %s", code)
		}
		h.serves() // another identity
		h.eventually("the sessions expire", func() bool { return h.b.Sessions() == 0 })
	})
}

func TestHostile_39_RequestInformationFlags(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for id, name := range map[byte]string{0x17: "request problem information", 0x19: "request response information"} {
			for _, value := range []byte{2, 7, 255} {
				if code := h.ask(mqtt.V5, mqtt.Connect{ClientID: "p", CleanStart: true, Properties: props(id, value)}); code != mqtt.ProtocolError {
					t.Errorf("%s %d: CONNACK %s", name, value, code)
				}
			}
		}
	})
}
