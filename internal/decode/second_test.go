package decode

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// TestAgreesWithAnotherParser compares each packet of MQTT in the recordings with what
// mqtt-packet has made of the same stream: where it stands, what it is, what it says.
func TestAgreesWithAnotherParser(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(dissecttest.Captures(t), "*.streams.json"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		var file struct {
			Capture string
			Streams []struct {
				Version        int     `json:"version_from_connect"`
				ClientToServer *parsed `json:"client_to_server"`
				ServerToClient *parsed `json:"server_to_client"`
			}
		}
		readJSON(t, path, &file)
		t.Run(file.Capture, func(t *testing.T) {
			c := decodeFile(t, openCapture(t, file.Capture), Options{})
			var streams []*Stream
			for _, p := range c.of("mqtt") {
				if !slices.Contains(streams, p.Stream) {
					streams = append(streams, p.Stream)
				}
			}
			slices.SortFunc(streams, func(a, b *Stream) int { return cmp.Compare(a.Number, b.Number) })
			if len(streams) != len(file.Streams) {
				t.Fatalf("%d streams, they have %d", len(streams), len(file.Streams))
			}
			for i, s := range file.Streams {
				if want := versionNames[uint8(s.Version)]; s.Version != 0 && streams[i].Version != want {
					t.Errorf("stream %d: version %s, they have %s", i, streams[i].Version, want)
				}
				s.ClientToServer.compare(t, c, streams[i], dissect.FromClient)
				s.ServerToClient.compare(t, c, streams[i], dissect.FromServer)
			}
		})
	}
}

// parsed is one direction by mqtt-packet.
type parsed struct {
	Bytes  int
	SHA256 string
	PDUs   []struct {
		Off, Size  int
		Cmd, Error string
		Packet     struct {
			Topic, ClientID, Username *string
			MessageID                 *int
			Keepalive                 *int
			QoS                       int
			Payload                   json.RawMessage
			ReasonCode                *int
			Subscriptions             []struct{ Topic string }
		}
	}
}

func (d *parsed) compare(t *testing.T, c *collector, s *Stream, dir dissect.Direction) {
	t.Helper()
	if d == nil {
		return
	}
	var ours []collected
	sum := sha256.New()
	for _, p := range c.of("mqtt") {
		if p.Stream == s && p.Direction == dir {
			ours = append(ours, p)
			_, _ = sum.Write(p.Bytes)
		}
	}
	if len(ours) != len(d.PDUs) {
		t.Fatalf("stream %d: %d packets, they have %d", s.Number, len(ours), len(d.PDUs))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.SHA256 {
		t.Errorf("stream %d: the bytes differ", s.Number)
	}
	for i, theirs := range d.PDUs {
		p := &ours[i]
		if int(p.Offset) != theirs.Off || len(p.Bytes) != theirs.Size {
			t.Errorf("packet %d, %s: at %d, %d bytes; they have %d, %d", p.Number, p.Line, p.Offset, len(p.Bytes), theirs.Off, theirs.Size)
		}
		if theirs.Error != "" { // QoS 3: both refuse it [MQTT-3.3.1-4]
			if p.Err == nil && len(p.Problems) == 0 {
				t.Errorf("packet %d, %s: they say %s", p.Number, p.Line, theirs.Error)
			}
			continue
		}
		if !strings.EqualFold(p.Type, theirs.Cmd) {
			t.Errorf("packet %d, %s: they have %s", p.Number, p.Line, theirs.Cmd)
		}
		if p.Err != nil {
			t.Errorf("packet %d, %s: %v", p.Number, p.Line, p.Err)
		}
		q := &theirs.Packet
		equal(t, p, "topic", q.Topic)
		equal(t, p, "client id", q.ClientID)
		equal(t, p, "keep alive", q.Keepalive)
		equal(t, p, "packet id", q.MessageID)
		if payload := wantedBytes(q.Payload); payload != nil {
			text := string(payload)
			equal(t, p, "payload", &text)
		}
		for k, sub := range q.Subscriptions {
			if got := valuesOf(p.Fields, []string{"topic filter"}, true); k >= len(got) || got[k] != sub.Topic {
				t.Errorf("packet %d: filters %q, they have %q", p.Number, got, sub.Topic)
			}
		}
	}
}

// wantedBytes is what {"$hex": …} stands for; nil if the file does not have it.
func wantedBytes(raw json.RawMessage) []byte {
	var v struct {
		Hex *string `json:"$hex"`
	}
	if json.Unmarshal(raw, &v) != nil || v.Hex == nil {
		return nil
	}
	b, _ := hex.DecodeString(*v.Hex)
	return b
}

// equal compares the field of that name, if they have it.
func equal[T any](t *testing.T, p *collected, name string, want *T) {
	t.Helper()
	if want == nil {
		return
	}
	_, text := any(*want).(string)
	got := valuesOf(p.Fields, []string{name}, text)
	if w := fmt.Sprint(*want); len(got) == 0 && w != "" && w != "0" || len(got) > 0 && got[0] != w {
		t.Errorf("packet %d, %s: %s is %q, they have %q", p.Number, p.Line, name, got, w)
	}
}

// valuesOf are the values of all fields of those names, as text; texts tells strings
// and bytes from numbers and flags.
func valuesOf(fields []dissect.Field, names []string, texts bool) (all []string) {
	for i := range fields {
		f := &fields[i]
		if slices.Contains(names, f.Name) {
			switch v := f.Value.(type) {
			case string:
				if texts {
					all = append(all, v)
				}
			case []byte:
				if texts {
					all = append(all, string(v))
				}
			case bool:
				if !texts {
					all = append(all, map[bool]string{false: "0", true: "1"}[v])
				}
			case nil:
			default:
				if !texts {
					all = append(all, fmt.Sprint(v))
				}
			}
		}
		all = append(all, valuesOf(f.Kids, names, texts)...)
	}
	return all
}

// alike are fields of ours and of tshark that are to have the same values in the same
// order.
var alike = []struct {
	protocol string
	theirs   []string
	ours     []string
	texts    bool
}{
	{"mqtt", []string{"mqtt.msgtype"}, []string{"type"}, false},
	{"mqtt", []string{"mqtt.len"}, []string{"remaining length"}, false},
	{"mqtt", []string{"mqtt.msgid"}, []string{"packet id"}, false},
	{"mqtt", []string{"mqtt.dupflag"}, []string{"dup"}, false},
	{"mqtt", []string{"mqtt.retain"}, []string{"retain"}, false},
	{"mqtt", []string{"mqtt.qos", "mqtt.sub.qos", "mqtt.subscription_options_qos"}, []string{"QoS"}, false},
	{"mqtt", []string{"mqtt.topic"}, []string{"topic", "topic filter"}, true},
	{"mqtt", []string{"mqtt.msg"}, []string{"payload"}, true},
	{"mqtt", []string{"mqtt.protoname"}, []string{"protocol name"}, true},
	{"mqtt", []string{"mqtt.ver"}, []string{"protocol level"}, false},
	{"mqtt", []string{"mqtt.conflags"}, []string{"connect flags"}, false},
	{"mqtt", []string{"mqtt.kalive"}, []string{"keep alive"}, false},
	{"mqtt", []string{"mqtt.clientid"}, []string{"client id"}, true},
	{"mqtt", []string{"mqtt.willtopic"}, []string{"will topic"}, true},
	{"mqtt", []string{"mqtt.willmsg"}, []string{"will payload"}, true},
	{"mqtt", []string{"mqtt.username"}, []string{"user name"}, true},
	{"mqtt", []string{"mqtt.passwd"}, []string{"password"}, true},
	{"mqtt", []string{"mqtt.property_len"}, []string{"property length", "will property length"}, false},
	{"mqtt", []string{"mqtt.property_id"}, []string{"identifier"}, false},
	{"mqtt", []string{"mqtt.prop_number", "mqtt.property.topic_alias"}, []string{"value"}, false},
	{"mqtt", []string{"mqtt.prop_key"}, []string{"name"}, true},
	{"mqtt", []string{"mqtt.prop_value", "mqtt.prop_string", "mqtt.property.content_type"}, []string{"value"}, true},
	{"mqtt", []string{"mqtt.conack.flags"}, []string{"acknowledge flags"}, false},
	{"mqtt", []string{
		"mqtt.conack.val", "mqtt.connack.reason_code", "mqtt.suback.reason_code", "mqtt.suback.qos", "mqtt.unsuback.reason_code",
		"mqtt.puback.reason_code", "mqtt.pubrec.reason_code", "mqtt.pubrel.reason_code", "mqtt.pubcomp.reason_code", "mqtt.disconnect.reason_code",
	}, []string{"reason code", "return code"}, false},
	{"mqttsn", []string{"mqttsn.msg.type"}, []string{"message type"}, false},
	{"mqttsn", []string{"mqttsn.msg.len"}, []string{"length"}, false},
	{"mqttsn", []string{"mqttsn.msg.id"}, []string{"message identifier"}, false},
	{"mqttsn", []string{"mqttsn.topic.id"}, []string{"topic identifier"}, false},
	{"mqttsn", []string{"mqttsn.return.code"}, []string{"return code"}, false},
	{"mqttsn", []string{"mqttsn.pub.msg"}, []string{"payload"}, true},
	{"mqttsn", []string{"mqttsn.client.id"}, []string{"client identifier"}, true},
	{"mqttsn", []string{"mqttsn.keep.alive"}, []string{"keep alive"}, false},
	{"mqttsn", []string{"mqttsn.will.topic"}, []string{"will topic"}, true},
	{"mqttsn", []string{"mqttsn.topic"}, []string{"topic name", "topic filter", "topic"}, true},
	{"coap", []string{"coap.version"}, []string{"version"}, false},
	{"coap", []string{"coap.mid"}, []string{"message id"}, false},
	{"coap", []string{"coap.token_len"}, []string{"token length"}, false},
	{"coap", []string{"coap.code"}, []string{"code"}, false},
	{"coap", []string{"coap.token"}, []string{"token"}, true},
}

// byTshark is what tshark has made of a capture.
type byTshark struct {
	Capture string
	Packets []struct {
		Frame    int
		Src, Dst string
		PDUs     []struct {
			Proto  string
			Size   int
			Fields [][2]json.RawMessage
		}
	}
}

// TestAgreesWithTshark compares each packet in the recordings with what tshark has
// made of it. What differs, and why, stands in deviations.
func TestAgreesWithTshark(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(dissecttest.Captures(t), "*.tshark.json"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	read := map[string]bool{}
	for _, d := range dissecttest.All(t) {
		read[d.Name()] = true
	}
	for _, path := range files {
		var file byTshark
		readJSON(t, path, &file)
		t.Run(file.Capture, func(t *testing.T) {
			file.compare(t, decodeFile(t, openCapture(t, file.Capture), Options{}), read)
		})
	}
}

// compare goes through the packets of each sender in order.
func (f *byTshark) compare(t *testing.T, c *collector, read map[string]bool) {
	t.Helper()
	next := map[string]int{}
	compared := 0
	for _, frame := range f.Packets {
		for _, pdu := range frame.PDUs {
			if !read[pdu.Proto] {
				continue
			}
			who := pdu.Proto + " " + frame.Src + " " + frame.Dst
			p := c.from(pdu.Proto, frame.Src, frame.Dst, next[who])
			next[who]++
			if p == nil {
				t.Fatalf("frame %d, %s: there is no such packet\n%s", frame.Frame, who, c)
			}
			compared++
			if got := p.Frames[len(p.Frames)-1]; got != frame.Frame && deviation(f.Capture, p.Type, "frame") == "" {
				t.Errorf("packet %d, %s: in frames %v, they have %d", p.Number, p.Line, p.Frames, frame.Frame)
			}
			if len(p.Bytes) != pdu.Size {
				t.Errorf("packet %d, %s: %d bytes, they have %d", p.Number, p.Line, len(p.Bytes), pdu.Size)
			}
			for _, a := range alike {
				if a.protocol != pdu.Proto {
					continue
				}
				theirs, ours := tsharkValues(pdu.Fields, a.theirs, a.texts), valuesOf(p.Fields, a.ours, a.texts)
				if !same(theirs, ours) && deviation(f.Capture, p.Type, a.theirs[0]) == "" {
					t.Errorf("packet %d, %s: %s is %q, they have %q", p.Number, p.Line, a.ours[0], ours, theirs)
				}
			}
		}
	}
	for who, n := range next {
		w := strings.Fields(who)
		if p := c.from(w[0], w[1], w[2], n); p != nil {
			t.Errorf("packet %d, %s: they do not have it", p.Number, p.Line)
		}
	}
	t.Logf("%d packets", compared)
}

// from returns the nth packet of a protocol that one end has sent to another.
func (c *collector) from(protocol, src, dst string, n int) *collected {
	for i := range c.packets {
		p := &c.packets[i]
		from, to := p.Stream.Client, p.Stream.Server
		if p.Direction == dissect.FromServer {
			from, to = to, from
		}
		if p.Protocol != protocol || plain(from.String()) != src || plain(to.String()) != dst {
			continue
		}
		if n--; n < 0 {
			return p
		}
	}
	return nil
}

// plain writes an address of IPv6 as the recordings do, without brackets.
func plain(s string) string { return strings.NewReplacer("[", "", "]", "").Replace(s) }

// untold stands for a value that is too long for the file.
const untold = "\x00…"

// same compares values; none is an empty one.
func same(theirs, ours []string) bool {
	if len(theirs) == 0 || len(ours) == 0 && len(theirs) == 1 && theirs[0] == "" {
		return true
	}
	return slices.EqualFunc(theirs, ours, func(a, b string) bool { return a == b || a == untold })
}

// tsharkValues are the values of all fields of those names.
func tsharkValues(fields [][2]json.RawMessage, names []string, texts bool) (all []string) {
	for _, f := range fields {
		var name, value string
		_ = json.Unmarshal(f[0], &name)
		if !slices.Contains(names, name) {
			continue
		}
		if json.Unmarshal(f[1], &value) != nil {
			var raw struct{ Hex string }
			_ = json.Unmarshal(f[1], &raw)
			b, _ := hex.DecodeString(raw.Hex)
			if value = string(b); raw.Hex == "" {
				value = untold
			}
		}
		switch {
		case !texts:
			n, err := strconv.ParseUint(value, 0, 64)
			if err == nil {
				value = strconv.FormatUint(n, 10)
			}
		case name == "mqtt.msg", name == "mqtt.willmsg", name == "coap.token":
			b, err := hex.DecodeString(strings.ReplaceAll(value, ":", ""))
			if value = string(b); err != nil {
				value = untold
			}
		}
		all = append(all, value)
	}
	return all
}

// deviations are where tshark 4.0.17 is not right, or shows something else. Nothing
// else differs.
var deviations = []struct {
	captures []string // what their names begin with
	packet   string
	field    string
	why      string
}{
	{[]string{"rec-tcp-v5-rich", "var-bigendian-v5", "var-gzip-v5", "var-null-v5"}, "PUBLISH", "mqtt.prop_value", "it cuts correlation data off at a zero byte; it is binary data [MQTT-3.3.2.3.6]"},
	{[]string{"rec-tcp-v5-rich", "var-bigendian-v5", "var-gzip-v5", "var-null-v5"}, "PUBLISH", "mqtt.topic", "it puts the topic of an alias in the place of the empty one in the packet; ours says both, the first in the field [MQTT-3.3.2.3.4]"},
	{[]string{"sv-mqtt31-sub-userpass", "zeek-mqtt"}, "SUBSCRIBE", "mqtt.qos", "it shows the QoS of the header of MQTT 3.1 in one row with those asked for; ours shows it with the flags (MQTT 3.1, 3.8)"},
	{[]string{"sv-mqtt31-sub-userpass", "zeek-mqtt"}, "SUBSCRIBE", "mqtt.dupflag", "ours shows it with the flags (MQTT 3.1, 3.8)"},
	{[]string{"rec-sn-bisquitt"}, "PUBLISH", "mqttsn.topic.id", "it shows a short topic as a number (MQTT-SN 1.2, 5.3.11)"},
}

// deviation is why a field may differ, "" if it may not.
func deviation(capture, packet, field string) string {
	for _, d := range deviations {
		if d.packet != packet || d.field != field {
			continue
		}
		for _, name := range d.captures {
			if strings.HasPrefix(capture, name) {
				return d.why
			}
		}
	}
	return ""
}
