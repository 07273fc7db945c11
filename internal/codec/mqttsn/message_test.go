package mqttsn

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSamplesBothWays(t *testing.T) {
	for _, s := range allSamples() {
		t.Run(s.name, func(t *testing.T) {
			raw := unhex(t, s.hex)
			p, n, err := Parse(raw, s.options())
			if err != nil || n != len(raw) {
				t.Fatalf("%v after %d of %d bytes", err, n, len(raw))
			}
			if d := cmp.Diff(s.want, p); d != "" {
				t.Errorf("parsed (-want +got):\n%s", d)
			}
			want := raw
			if s.canonical != "" {
				want = unhex(t, s.canonical)
			}
			b, err := s.want.Append([]byte("before"))
			if err != nil || !bytes.Equal(b, append([]byte("before"), want...)) {
				t.Errorf("appended %x, %v", b, err)
			}
			if s.want.Size() != len(want) {
				t.Errorf("%d bytes", s.want.Size())
			}
		})
	}
}

// A datagram that has lost its end is garbled, never read as something shorter.
func TestSamplesCutAtEveryByte(t *testing.T) {
	for _, s := range allSamples() {
		raw := unhex(t, s.hex)
		for cut := range min(len(raw), 400) {
			_, _, err := Parse(raw[:cut], s.options())
			var m *Malformed
			if enclosed := s.want.Type() == TypeEncapsulated && cut >= int(raw[0])+2; enclosed {
				continue // what is in it is cut
			}
			if !errors.As(err, &m) || m.Class != Garbled {
				t.Fatalf("%s cut to %d bytes: %v", s.name, cut, err)
			}
		}
	}
}

// The long form of every length is read as the short one.
func TestSamplesInTheLongForm(t *testing.T) {
	for _, s := range allSamples() {
		raw := unhex(t, s.hex)
		if raw[0] == 1 || s.want.Type() == TypeEncapsulated {
			continue
		}
		n := len(raw) + 2
		long := append([]byte{1, byte(n >> 8), byte(n)}, raw[1:]...)
		p, k, err := Parse(long, s.options())
		if err != nil || k != n || cmp.Diff(s.want, p) != "" {
			t.Errorf("%s: %v, %d, %v", s.name, p, k, err)
		}
	}
}

// A length that says less than the fields need is never read beyond.
func TestSamplesWithAShorterLength(t *testing.T) {
	for _, s := range allSamples() {
		raw := unhex(t, s.hex)
		if raw[0] == 1 {
			continue
		}
		for length := range raw[0] {
			b := append([]byte{length}, raw[1:]...)
			_, n, err := Parse(b, s.options())
			if err == nil && s.want.Type() != TypeEncapsulated || n > len(b) {
				t.Errorf("%s with length %d of %d: %d, %v", s.name, length, raw[0], n, err)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		o         Options
		class     Class
		code      ReturnCode
		offset    int
		clause    string
		reason    string
		want      Message // in spite of it
	}{
		{name: "B01", hex: "00", clause: "SN-5.2.1", reason: "a length of 0"},
		{name: "B02", hex: "01", clause: "SN-5.2.1", reason: "1 of 4 bytes"},
		{name: "B03", hex: "0100", clause: "SN-5.2.1", reason: "2 of 4 bytes"},
		{name: "B04", hex: "01000316", clause: "SN-5.2.1", reason: "a length of 3 in the long form"},
		{name: "B05", hex: "021600", offset: 2, clause: "SN-5.2.1", reason: "1 bytes after the message", want: Pingreq{}},
		{name: "B06", hex: "0316", clause: "SN-5.2.1", reason: "2 of 3 bytes"},
		{name: "B07", hex: "0203", class: UnknownType, offset: 1, clause: "SN-5.2.2", reason: "0x03"},
		{name: "B08", hex: "0211", class: UnknownType, offset: 1, clause: "SN-5.2.2", reason: "0x11"},
		{name: "B09", hex: "0219", class: UnknownType, offset: 1, clause: "SN-5.2.2", reason: "0x19"},
		{name: "B10", hex: "021e", class: UnknownType, offset: 1, clause: "SN-5.2.2", reason: "0x1e"},
		{name: "B11", hex: "02ff", class: UnknownType, offset: 1, clause: "SN-5.2.2", reason: "0xff"},
		{name: "B12", hex: "030404", offset: 3, clause: "SN-5.4.4", reason: "protocol identifier: 0 of 1 bytes"},
		{name: "B13", hex: "04040401", offset: 4, clause: "SN-5.4.4", reason: "keep alive: 0 of 2 bytes"},
		{name: "B14", hex: "060c00000500", offset: 5, clause: "SN-5.4.12", reason: "message identifier: 1 of 2 bytes"},
		{
			name: "B15", hex: "090c03000500006162", class: Unsupported, code: NotSupported, offset: 2, clause: "SN-5.3.4",
			reason: "type 3 is reserved", want: Publish{Kind: reservedTopic, TopicID: 5, Payload: []byte("ab")},
		},
		{
			name: "B16", hex: "0812030001616263", class: Unsupported, code: NotSupported, offset: 2, clause: "SN-5.3.4",
			reason: "type 3 is reserved", want: Subscribe{Kind: reservedTopic, MsgID: 1, Filter: "abc"},
		},
		{
			name: "B17", hex: "0512200001", class: Unsupported, code: NotSupported, offset: 5, clause: "SN-5.3.12",
			reason: "topic filter is empty", want: Subscribe{QoS: 1, MsgID: 1},
		},
		{name: "B18", hex: "061201000111", offset: 5, clause: "SN-5.4.15", reason: "topic identifier: 1 of 2 bytes"},
		{name: "B19", hex: "0812020001616263", offset: 7, clause: "SN-5.4.15", reason: "1 bytes after the last field"},
		{
			name: "B20", hex: "090c20000500006162", class: Violation, offset: 5, clause: "SN-5.3.7",
			reason: "QoS 1 with message identifier 0", want: Publish{QoS: 1, TopicID: 5, Payload: []byte("ab")},
		},
		{
			name: "B21", hex: "090c00000000006162", class: Violation, code: InvalidTopicID, offset: 3, clause: "SN-5.3.11",
			reason: "0x0000 is reserved", want: Publish{Payload: []byte("ab")},
		},
		{
			name: "B22", hex: "090c00ffff00006162", class: Violation, code: InvalidTopicID, offset: 3, clause: "SN-5.3.11",
			reason: "0xffff is reserved", want: Publish{TopicID: 0xffff, Payload: []byte("ab")},
		},
		{
			name: "B23", hex: "060a00000001", class: Unsupported, code: NotSupported, offset: 6, clause: "SN-5.3.12",
			reason: "topic is empty", want: Register{MsgID: 1},
		},
		{name: "B24", hex: "031805", offset: 2, clause: "SN-5.4.21", reason: "duration: 1 of 2 bytes"},
		{
			name: "B25", hex: "030730", class: Unsupported, code: NotSupported, offset: 3, clause: "SN-5.3.14",
			reason: "will topic is empty", want: WillTopic{QoS: 1, Retain: true},
		},
		{name: "B26", hex: "09fe00aabb", clause: "SN-5.2.1", reason: "5 of 9 bytes"},
		{name: "B27", hex: "05fe00aabb05fe00ccdd0216", offset: 5, clause: "SN-5.5", reason: "an encapsulated message in another"},
		{
			name: "B28", hex: "08040402003c7831", class: Unsupported, code: NotSupported, offset: 3, clause: "SN-5.3.8",
			reason: "protocol identifier 2", want: Connect{CleanSession: true, ProtocolID: 2, KeepAlive: 60, ClientID: "x1"},
		},
		{name: "nothing", hex: "", clause: "SN-5.2.1", reason: "0 of 2 bytes"},
		{name: "one byte", hex: "02", clause: "SN-5.2.1", reason: "1 of 2 bytes"},
		{name: "length 1 in the long form", hex: "01000116", clause: "SN-5.2.1", reason: "a length of 1"},
		{name: "envelope in the long form", hex: "010005fe000216", clause: "SN-5.5", reason: "long form"},
		{name: "envelope with nothing in it", hex: "05fe00aabb", offset: 5, clause: "SN-5.5", reason: "0 of 2 bytes"},
		{name: "envelope with a byte in it", hex: "05fe00aabb02", offset: 5, clause: "SN-5.5", reason: "1 of 2 bytes"},
		{name: "envelope without control", hex: "02fe0216", offset: 2, clause: "SN-5.5", reason: "control: 0 of 1 bytes"},
		{name: "nested in the long form", hex: "03fe00010008fe00ccdd0216", offset: 3, clause: "SN-5.5", reason: "in another"},
		{name: "stray byte in PINGRESP", hex: "031700", o: Options{FromServer: true}, offset: 2, clause: "SN-5.4.20", reason: "1 bytes after"},
		{name: "stray byte in PUBACK", hex: "080d000500100000", offset: 7, clause: "SN-5.4.13", reason: "1 bytes after"},
		{name: "DISCONNECT of five bytes", hex: "0518003c00", offset: 4, clause: "SN-5.4.21", reason: "1 bytes after"},
		{name: "CONNACK from a client", hex: "030500", class: Violation, offset: 1, clause: "SN-5.4.5", reason: "sent by a client"},
		{name: "CONNECT from a gateway", hex: "07040001000078", o: Options{FromServer: true}, class: Violation, offset: 1, clause: "SN-5.4.4", reason: "sent by a gateway"},
		{name: "QoS -1 from a gateway", hex: "080c625a5a000021", o: Options{FromServer: true}, class: Violation, offset: 2, clause: "SN-6.8", reason: "QoS -1"},
		{name: "QoS -1 with a registered topic", hex: "090c60000500006869", class: Violation, offset: 2, clause: "SN-6.8", reason: "registered"},
		{name: "a name longer than the datagram", hex: "090c60000500006869", o: Options{NamedPublish: true}, offset: 7, clause: "SN-5.4.12", reason: "topic name: 2 of 5"},
		{name: "an empty name", hex: "090c60000000006869", o: Options{NamedPublish: true}, class: Unsupported, code: NotSupported, offset: 7, reason: "topic name is empty"},
		{name: "wildcard in REGISTER", hex: "090a00000001612f23", class: Unsupported, code: NotSupported, offset: 6, clause: "SN-5.3.12", reason: "wildcard"},
		{name: "wildcard in a will", hex: "050700612b", class: Unsupported, code: NotSupported, offset: 3, clause: "SN-5.3.14", reason: "wildcard"},
		{name: "wildcard in a short topic", hex: "070c02612b0000", class: Unsupported, code: NotSupported, offset: 3, clause: "SN-6.7", reason: "wildcard"},
		{name: "short topic that is no text", hex: "070c02ff610000", class: Unsupported, code: NotSupported, offset: 3, clause: "SN-6.7", reason: "UTF-8"},
		{name: "NUL in a filter", hex: "0712200001 6100", class: Unsupported, code: NotSupported, offset: 5, clause: "SN-5.3.12", reason: "NUL"},
		{name: "client identifier that is no text", hex: "0704040100 3cff", class: Unsupported, code: NotSupported, offset: 6, clause: "SN-5.3.1", reason: "UTF-8"},
		{name: "will with QoS 3", hex: "04076061", class: Unsupported, code: NotSupported, offset: 2, clause: "SN-5.3.4", reason: "QoS 3"},
		{name: "subscription with QoS 3", hex: "0612600001 61", class: Unsupported, code: NotSupported, offset: 2, clause: "SN-5.4.15", reason: "QoS 3"},
		{name: "granted QoS 3", hex: "0813600002000900", o: Options{FromServer: true}, class: Violation, offset: 2, clause: "SN-5.4.16", reason: "QoS 3"},
		{name: "reserved predefined topic", hex: "071201000b0000", class: Violation, code: InvalidTopicID, offset: 5, clause: "SN-5.3.11", reason: "reserved"},
		{name: "REGISTER of topic 0 by a gateway", hex: "070a0000000161", o: Options{FromServer: true}, class: Violation, code: InvalidTopicID, offset: 2, clause: "SN-5.3.11", reason: "reserved"},

		{name: "2.0: CONNECT of version 3", hex: "0d0101000103003c0000646576", o: Options{Version: Version20}, class: Unsupported, offset: 5, reason: "version 3"},
		{name: "2.0: keep alive 0", hex: "0a01010001020000 0000", o: Options{Version: Version20}, class: Violation, offset: 6, reason: "keep alive is 0"},
		{name: "2.0: packets of 9 bytes", hex: "0a0101000102003c 0009", o: Options{Version: Version20}, class: Violation, offset: 8, reason: "maximum packet size 9"},
		{name: "2.0: reserved flag", hex: "0a0181000102003c 0000", o: Options{Version: Version20}, offset: 2, reason: "reserved flags 0x80"},
		{name: "2.0: DUP at QoS 1", hex: "0803a000030001ff", o: Options{Version: Version20}, class: Violation, offset: 2, reason: "DUP below QoS 2"},
		{name: "2.0: QoS 3", hex: "08036000030001ff", o: Options{Version: Version20}, class: Violation, offset: 2, reason: "QoS 3"},
		{name: "2.0: topic type 2", hex: "060302000161", o: Options{Version: Version20}, offset: 3, reason: "topic type 2"},
		{name: "2.0: name longer than the rest", hex: "080303000461 6263", o: Options{Version: Version20}, offset: 3, reason: "topic: 3 of 4 bytes"},
		{name: "2.0: session alias without a session", hex: "0512000011", o: Options{Version: Version20}, class: Violation, offset: 2, reason: "session alias"},
		{name: "2.0: alias 0", hex: "0512010000", o: Options{Version: Version20}, class: Violation, offset: 3, reason: "alias is 0"},
		{name: "2.0: retain handling 3", hex: "06080f000461", o: Options{Version: Version20}, class: Violation, offset: 2, reason: "retain handling 3"},
		{name: "2.0: sleep of 0", hex: "09130000 07 00000000", o: Options{Version: Version20}, class: Violation, offset: 5, reason: "sleep duration is 0"},
		{name: "2.0: alias from a client", hex: "08100100020005 61", o: Options{Version: Version20}, class: Violation, offset: 2, reason: "alias from a client"},
		{name: "2.0: session expiry from a server", hex: "070e02 0000003c", o: Options{Version: Version20, FromServer: true}, class: Violation, offset: 2, reason: "session expiry"},
		{name: "2.0: envelope in an envelope", hex: "0bfc02aabb06fc00040c00", o: Options{Version: Version20}, offset: 5, reason: "in another"},
		{name: "2.0: counter of 6", hex: "10ff130001020304050607080a0b0c0d", o: Options{Version: Version20}, offset: 2, reason: "length of the counter"},
		{name: "2.0: tag code 2", hex: "10ff200001020304050607080a0b0c0d", o: Options{Version: Version20}, offset: 2, reason: "length of the tag"},
		{name: "2.0: type 0", hex: "0200", o: Options{Version: Version20}, class: UnknownType, offset: 1, reason: "0x00"},
		{name: "2.0: short", hex: "0502", o: Options{Version: Version20}, reason: "2 of 5 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _, err := Parse(unhex(t, tc.hex), tc.o)
			var m *Malformed
			if !errors.As(err, &m) {
				t.Fatal(err)
			}
			if m.Class != tc.class || m.Code != tc.code || m.Offset != tc.offset || m.Clause != tc.clause || !strings.Contains(m.Error(), tc.reason) {
				t.Errorf("%+v", m)
			}
			if tc.want != nil && cmp.Diff(tc.want, got) != "" {
				t.Error(cmp.Diff(tc.want, got))
			}
		})
	}
}

func TestWhatPasses(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		o         Options
		want      Message
		notes     int // in lenient mode
	}{
		{"B29: a reserved return code", "070d0005001004", Options{}, Puback{5, 16, 4}, 1},
		{"B30: sleep of 0", "04180000", Options{}, Disconnect{HasDuration: true}, 0},
		{"flags that mean nothing", "0704f301000078", Options{}, Connect{ProtocolID: 1, ClientID: "x"}, 1},
		{"empty client identifier", "06040401003c", Options{}, Connect{CleanSession: true, ProtocolID: 1, KeepAlive: 60}, 1},
		{"long client identifier", "1e040401003c" + strings.Repeat("61", 24), Options{}, Connect{CleanSession: true, ProtocolID: 1, KeepAlive: 60, ClientID: strings.Repeat("a", 24)}, 1},
		{"message identifier at QoS 0", "080c000005000761", Options{}, Publish{TopicID: 5, MsgID: 7, Payload: []byte("a")}, 1},
		{"message identifier 0", "06120000 0061", Options{}, Subscribe{Filter: "a"}, 1},
		{"topic identifier from a client", "070a0005000161", Options{}, Register{5, 1, "a"}, 1},
		{"duration from a gateway", "0418003c", Options{FromServer: true}, Disconnect{true, 60}, 1},
		{"client identifier from a gateway", "031661", Options{FromServer: true}, Pingreq{"a"}, 1},
		{"address from a gateway", "040207c0", Options{FromServer: true}, GWInfo{7, []byte{0xc0}}, 1},
		{"reserved control bits", "03fefd0216", Options{}, Encapsulated{1, []byte{}, []byte{2, 0x16}}, 1},
		{"either side, client", "0206", Options{EitherSide: true}, WillTopicReq{}, 0},
		{"either side, server", "030100", Options{EitherSide: true}, SearchGW{}, 0},
		{"one character of two bytes as a short topic", "070c02c3a90000", Options{}, Publish{Kind: ShortTopic, TopicID: 0xc3a9, Payload: []byte{}}, 0},
		{"wildcard in a short filter", "071202000c2b23", Options{}, Subscribe{Kind: ShortTopic, MsgID: 12, Filter: "+#"}, 0},
	} {
		got, _, err := Parse(unhex(t, tc.hex), tc.o)
		if d := cmp.Diff(tc.want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", tc.name, err, d)
		}
		var notes []Malformed
		tc.o.Lenient, tc.o.Notes = true, &notes
		got, _, err = Parse(unhex(t, tc.hex), tc.o)
		if d := cmp.Diff(tc.want, got); err != nil || d != "" || len(notes) != tc.notes {
			t.Errorf("%s, lenient: %v, %v\n%s", tc.name, err, notes, d)
		}
	}
}

func TestLenientCollects(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		notes     int
		want      Message
	}{
		{"two messages", "021602160217", 1, Pingreq{}},
		{"stray byte", "0317ff", 1, Pingresp{}},
		{"everything about a PUBLISH", "070c2300000000", 2, Publish{QoS: 1, Kind: reservedTopic, Payload: []byte{}}},
		{"flags of a will alone", "03076f", 3, WillTopic{QoS: -1}},
		{"another version", "08040402003c7831", 1, Connect{CleanSession: true, ProtocolID: 2, KeepAlive: 60, ClientID: "x1"}},
	} {
		var notes []Malformed
		got, n, err := Parse(unhex(t, tc.hex), Options{Lenient: true, Notes: &notes})
		if d := cmp.Diff(tc.want, got); len(notes) != tc.notes || err != nil || n == 0 || d != "" {
			t.Errorf("%s: %d, %v, notes %v\n%s", tc.name, n, err, notes, d)
		}
	}
	if _, _, err := Parse(unhex(t, "060c00000500"), Options{Lenient: true}); err == nil {
		t.Error("a PUBLISH that is cut short passes")
	}
}

func TestAppendRefusesWhatCannotBeExpressed(t *testing.T) {
	long := strings.Repeat("x", 65536)
	for _, tc := range []struct {
		m    Message
		want error
	}{
		{Publish{Payload: []byte(long)}, ErrTooLong},
		{Publish{Payload: []byte(long)[:65527]}, ErrTooLong},
		{Publish{QoS: -1, Name: []byte(long)}, ErrTooLong},
		{Publish{QoS: 3}, ErrUnencodable},
		{Publish{QoS: -2}, ErrUnencodable},
		{Publish{Kind: 3}, ErrUnencodable},
		{Publish{Name: []byte("a")}, ErrUnencodable},
		{Connect{ClientID: long}, ErrTooLong},
		{Register{Topic: long}, ErrTooLong},
		{Subscribe{Filter: long}, ErrTooLong},
		{Subscribe{QoS: -1, Filter: "a"}, ErrUnencodable},
		{Subscribe{Kind: ShortTopic, Filter: "abc"}, ErrUnencodable},
		{Unsubscribe{Kind: 4}, ErrUnencodable},
		{Suback{QoS: 3}, ErrUnencodable},
		{WillTopic{QoS: -1, Topic: "a"}, ErrUnencodable},
		{WillMsg{[]byte(long)}, ErrTooLong},
		{Pingreq{long}, ErrTooLong},
		{GWInfo{0, []byte(long)}, ErrTooLong},
		{Encapsulated{Radius: 4}, ErrUnencodable},
		{Encapsulated{NodeID: make([]byte, 253)}, ErrTooLong},
		{ConnectV2{Will: &WillV2{QoS: 3}}, ErrUnencodable},
		{ConnectV2{Will: &WillV2{Payload: []byte(long)}}, ErrTooLong},
		{ConnectV2{Auth: &AuthDataV2{Method: long[:256]}}, ErrTooLong},
		{ConnackV2{Auth: &AuthDataV2{Data: []byte(long)}}, ErrTooLong},
		{AuthV2{Method: long[:256]}, ErrTooLong},
		{PublishV2{QoS: 3}, ErrUnencodable},
		{PublishV2{Topic: TopicV2{Kind: 2}}, ErrUnencodable},
		{PubwosV2{Topic: TopicV2{Kind: 3, Name: []byte(long)}}, ErrTooLong},
		{SubscribeV2{RetainHandling: 3}, ErrUnencodable},
		{UnsubscribeV2{Topic: TopicV2{Kind: 4}}, ErrUnencodable},
		{SubackV2{Kind: 2}, ErrUnencodable},
		{ForwardedV2{Address: []byte(long)[:256]}, ErrTooLong},
		{RoamingV2{ClientID: long}, ErrTooLong},
		{ProtectedV2{Counter: []byte{1}}, ErrUnencodable},
		{ProtectedV2{Material: []byte{1}}, ErrUnencodable},
		{ProtectedV2{TagCode: 16}, ErrUnencodable},
	} {
		b, err := tc.m.Append([]byte("x"))
		if !errors.Is(err, tc.want) || string(b) != "x" {
			t.Errorf("%v: %d bytes, %v", tc.m.Type(), len(b), err)
		}
	}
}

func TestEveryTypeHasAName(t *testing.T) {
	seen := map[Type]bool{}
	for _, s := range allSamples() {
		seen[s.want.Type()] = true
	}
	for i := range types {
		typ := Type(i)
		if typ.Known() != seen[typ] {
			t.Errorf("%v: known %v, sample %v", typ, typ.Known(), seen[typ])
		}
	}
	if s := Type(math.MaxUint16).String(); s != "reserved message type 0xff" {
		t.Error(s)
	}
}

func TestShortNames(t *testing.T) {
	if id, ok := ShortID("TT"); id != 0x5454 || !ok || ShortName(id) != "TT" {
		t.Error(id, ok)
	}
	for _, s := range []string{"", "a", "abc"} {
		if _, ok := ShortID(s); ok {
			t.Errorf("%q is a short name", s)
		}
	}
}

// The specification gives an address over IP no form.
func TestGatewayAddressForms(t *testing.T) {
	for _, tc := range []struct{ hex, want string }{
		{"c000020a", "192.0.2.10:0"},
		{"c000020a075c", "192.0.2.10:1884"},
		{"06c000020a075c", "192.0.2.10:1884"},
		{"04c000020a", "192.0.2.10:0"},
		{"20010db8000000000000000000000001", "[2001:db8::1]:0"},
		{"20010db8000000000000000000000001075b", "[2001:db8::1]:1883"},
		{"1220010db8000000000000000000000001075b", "[2001:db8::1]:1883"},
		{"", ""},
		{"c00002", ""},
		{"00", ""},
	} {
		got := GWInfo{Address: unhex(t, tc.hex)}.AddrPort()
		if want, _ := netip.ParseAddrPort(tc.want); got != want {
			t.Errorf("%s is %v", tc.hex, got)
		}
	}
	for _, s := range []string{"192.0.2.10:1884", "[2001:db8::1]:1883"} {
		a := netip.MustParseAddrPort(s)
		if got := (GWInfo{Address: GatewayAddress(a)}).AddrPort(); got != a {
			t.Errorf("%v is %v", a, got)
		}
	}
}

func TestDetectVersion(t *testing.T) {
	for _, tc := range []struct {
		hex string
		v   Version
		ok  bool
	}{
		{"0b040401003c6465762d31", Version12, true},
		{"08040402003c7831", Version12, false},
		{"030100", Version12, true},
		{"0d0101000102003c0000646576", Version20, true},
		{"18012a07000202003c010000000e10000177000178646576", Version20, true},
		{"080c625a5a000021", Version12, true},
		{"040c0006", Version20, true},
		{"07120100116869", Version20, true},
		{"05fe01aabb08040401000a7331", Version12, true},
		{"0bfe0003646576040c0006", Version20, true},
		{"09fc02aabb040c0006", Version20, true},
		{"0217", Version12, false},
		{"0218", Version12, false},
		{"02", Version12, false},
		{"", Version12, false},
	} {
		v, ok := DetectVersion(unhex(t, tc.hex))
		if ok != tc.ok || ok && v != tc.v {
			t.Errorf("%s: %v, %v", tc.hex, v, ok)
		}
	}
}
