package mqtt

import (
	"errors"
	"strings"
	"testing"
)

// connectHead starts the body of a CONNECT packet of that version.
func connectHead(v Version, flags string) string {
	if v == V31 {
		return "0006 4d5149736470 03" + flags + "003c"
	}
	return "0004 4d515454 0" + string('0'+byte(v)) + flags + "003c"
}

// violations are packets that break one rule each, with the statement that
// strict mode names and the code that answers it. The type byte is followed by
// the body; the remaining length is put in between.
var violations = []struct {
	name    string
	version Version
	server  bool
	first   string
	body    string
	clause  string
	code    ReasonCode
}{
	// Fixed header.
	{"reserved flags of CONNECT", V311, false, "11", connectHead(V311, "02") + "0000", "MQTT3-2.2.2-2", MalformedPacket},
	{"reserved flags of CONNACK", V5, true, "21", "0000 00", "MQTT-2.1.3-1", MalformedPacket},
	{"reserved flags of PUBACK", V5, true, "42", "0001", "MQTT-2.1.3-1", MalformedPacket},
	{"reserved flags of PUBREC", V311, true, "54", "0001", "MQTT3-2.2.2-2", MalformedPacket},
	{"reserved flags of PUBREL", V5, true, "60", "0001", "MQTT-3.6.1-1", MalformedPacket},
	{"reserved flags of PUBREL before 5.0", V311, true, "6a", "0001", "MQTT3-3.6.1-1", MalformedPacket},
	{"reserved flags of PUBCOMP", V5, true, "78", "0001", "MQTT-2.1.3-1", MalformedPacket},
	{"reserved flags of SUBSCRIBE", V5, false, "80", "0001 00 0001 61 00", "MQTT-3.8.1-1", MalformedPacket},
	{"reserved flags of SUBSCRIBE before 5.0", V311, false, "83", "0001 0001 61 00", "MQTT3-3.8.1-1", MalformedPacket},
	{"reserved flags of SUBACK", V5, true, "91", "0001 00 00", "MQTT-2.1.3-1", MalformedPacket},
	{"reserved flags of UNSUBSCRIBE", V5, false, "a0", "0001 00 0001 61", "MQTT-3.10.1-1", MalformedPacket},
	{"reserved flags of UNSUBSCRIBE before 5.0", V311, false, "a6", "0001 0001 61", "MQTT3-3.10.1-1", MalformedPacket},
	{"reserved flags of UNSUBACK", V5, true, "b1", "0001 00 00", "MQTT-2.1.3-1", MalformedPacket},
	{"reserved flags of PINGREQ", V311, false, "c1", "", "MQTT3-2.2.2-2", MalformedPacket},
	{"reserved flags of PINGRESP", V5, true, "d8", "", "MQTT-2.1.3-1", MalformedPacket},
	{"reserved flags of DISCONNECT", V5, false, "e1", "", "MQTT-3.14.1-1", MalformedPacket},
	{"reserved flags of DISCONNECT before 5.0", V311, false, "e2", "", "MQTT3-3.14.1-1", MalformedPacket},
	{"reserved flags of AUTH", V5, true, "f1", "", "MQTT-3.15.1-1", MalformedPacket},
	{"type 15 before 5.0", V311, true, "f0", "", "MQTT3-2.2.1", MalformedPacket},

	// Direction.
	{"CONNACK from a client", V5, false, "20", "0000 00", "MQTT-2.1.2", ProtocolError},
	{"SUBACK from a client", V311, false, "90", "0001 00", "MQTT3-2.2.1", ProtocolError},
	{"UNSUBACK from a client", V5, false, "b0", "0001 00 00", "MQTT-2.1.2", ProtocolError},
	{"PINGRESP from a client", V5, false, "d0", "", "MQTT-2.1.2", ProtocolError},
	{"CONNECT from a server", V5, true, "10", connectHead(V5, "02") + "00 0000", "MQTT-2.1.2", ProtocolError},
	{"SUBSCRIBE from a server", V5, true, "82", "0001 00 0001 61 00", "MQTT-2.1.2", ProtocolError},
	{"UNSUBSCRIBE from a server", V5, true, "a2", "0001 00 0001 61", "MQTT-2.1.2", ProtocolError},
	{"PINGREQ from a server", V311, true, "c0", "", "MQTT3-2.2.1", ProtocolError},
	{"DISCONNECT from a server before 5.0", V311, true, "e0", "", "MQTT3-2.2.1", ProtocolError},

	// CONNECT.
	{"protocol name wrong", V311, false, "10", "0004 4d515458 04 02 003c 0000", "MQTT3-3.1.2-1", UnsupportedProtocolVersion},
	{"protocol name empty", V311, false, "10", "0000 04 02 003c 0000", "MQTT3-3.1.2-1", UnsupportedProtocolVersion},
	{"protocol name in lower case", V5, false, "10", "0004 6d717474 05 02 003c 00 0000", "MQTT3-3.1.2-1", UnsupportedProtocolVersion},
	{"protocol name longer than the packet", V311, false, "10", "ffff 4d51", "MQTT3-4.8.0-1", MalformedPacket},
	{"level 0", V311, false, "10", "0004 4d515454 00 02 003c 0000", "MQTT3-3.1.2-2", UnsupportedProtocolVersion},
	{"level 2", V311, false, "10", "0004 4d515454 02 02 003c 0000", "MQTT3-3.1.2-2", UnsupportedProtocolVersion},
	{"level 6", V5, false, "10", "0004 4d515454 06 02 003c 00 0000", "MQTT3-3.1.2-2", UnsupportedProtocolVersion},
	{"level 3 under the name of 3.1.1", V311, false, "10", "0004 4d515454 03 02 003c 0000", "MQTT3-3.1.2-2", UnsupportedProtocolVersion},
	{"level 4 under the name of 3.1", V311, false, "10", "0006 4d5149736470 04 02 003c 0000", "MQTT3-3.1.2-2", UnsupportedProtocolVersion},
	{"bridge bit on level 5", V5, false, "10", "0004 4d515454 85 02 003c 00 0000", "MQTT3-3.1.2-2", UnsupportedProtocolVersion},
	{"reserved connect flag", V311, false, "10", connectHead(V311, "03") + "0000", "MQTT3-3.1.2-3", MalformedPacket},
	{"reserved connect flag in 5.0", V5, false, "10", connectHead(V5, "03") + "00 0000", "MQTT-3.1.2-3", MalformedPacket},
	{"will QoS without a will", V311, false, "10", connectHead(V311, "0a") + "0000", "MQTT3-3.1.2-13", MalformedPacket},
	{"will QoS without a will in 5.0", V5, false, "10", connectHead(V5, "0a") + "00 0000", "MQTT-3.1.2-11", MalformedPacket},
	{"will QoS 3", V311, false, "10", connectHead(V311, "1e") + "0000 0001 77 0000", "MQTT3-3.1.2-14", MalformedPacket},
	{"will QoS 3 in 5.0", V5, false, "10", connectHead(V5, "1e") + "00 0000 00 0001 77 0000", "MQTT-3.1.2-12", MalformedPacket},
	{"will retain without a will", V311, false, "10", connectHead(V311, "22") + "0000", "MQTT3-3.1.2-15", MalformedPacket},
	{"will retain without a will in 5.0", V5, false, "10", connectHead(V5, "22") + "00 0000", "MQTT-3.1.2-13", MalformedPacket},
	{"password without user name before 5.0", V311, false, "10", connectHead(V311, "42") + "0000 0001 70", "MQTT3-3.1.2-22", MalformedPacket},
	{"empty client identifier without clean session", V311, false, "10", connectHead(V311, "00") + "0000", "MQTT3-3.1.3-8", ClientIdentifierNotValid},
	{"empty client identifier in 3.1", V31, false, "10", connectHead(V31, "02") + "0000", "", ClientIdentifierNotValid},
	{"client identifier is not UTF-8", V311, false, "10", connectHead(V311, "02") + "0002 61ff", "MQTT3-1.5.3-1", MalformedPacket},
	{"client identifier with a surrogate", V5, false, "10", connectHead(V5, "02") + "00 0003 eda080", "MQTT-1.5.4-1", MalformedPacket},
	{"client identifier with U+0000", V5, false, "10", connectHead(V5, "02") + "00 0002 6100", "MQTT-1.5.4-2", MalformedPacket},
	{"user name with U+0000", V311, false, "10", connectHead(V311, "82") + "0001 63 0002 7500", "MQTT3-1.5.3-2", MalformedPacket},
	{"will announced and missing", V311, false, "10", connectHead(V311, "06") + "0001 63", "MQTT3-3.1.2-9", MalformedPacket},
	{"will announced, only properties there", V5, false, "10", connectHead(V5, "06") + "00 0001 63 00", "MQTT-3.1.2-9", MalformedPacket},
	{"user name announced and missing", V311, false, "10", connectHead(V311, "82") + "0001 63", "MQTT3-3.1.2-19", MalformedPacket},
	{"user name announced and missing in 5.0", V5, false, "10", connectHead(V5, "82") + "00 0001 63", "MQTT-3.1.2-17", MalformedPacket},
	{"password announced and missing", V311, false, "10", connectHead(V311, "c2") + "0001 63 0001 75", "MQTT3-3.1.2-21", MalformedPacket},
	{"password announced and missing in 5.0", V5, false, "10", connectHead(V5, "42") + "00 0001 63", "MQTT-3.1.2-19", MalformedPacket},
	{"user name there without its flag", V311, false, "10", connectHead(V311, "02") + "0001 63 0001 75", "MQTT3-3.1.2-18", MalformedPacket},
	{"user name there without its flag in 5.0", V5, false, "10", connectHead(V5, "02") + "00 0001 63 0001 75", "MQTT-3.1.2-16", MalformedPacket},
	{"password there without its flag", V311, false, "10", connectHead(V311, "82") + "0001 63 0001 75 0001 70", "MQTT3-3.1.2-20", MalformedPacket},
	{"password there without its flag in 5.0", V5, false, "10", connectHead(V5, "82") + "00 0001 63 0001 75 0001 70", "MQTT-3.1.2-18", MalformedPacket},
	{"bytes after the last field", V311, false, "10", connectHead(V311, "c2") + "0001 63 0001 75 0001 70 00", "MQTT3-4.8.0-1", MalformedPacket},
	{"will topic with a wildcard", V311, false, "10", connectHead(V311, "06") + "0001 63 0003 612f2b 0000", "MQTT3-4.7.1-1", TopicNameInvalid},
	{"will topic with a wildcard in 5.0", V5, false, "10", connectHead(V5, "06") + "00 0001 63 00 0001 23 0000", "MQTT-4.7.0-1", TopicNameInvalid},
	{"will topic empty", V5, false, "10", connectHead(V5, "06") + "00 0001 63 00 0000 0000", "MQTT-4.7.3-1", TopicNameInvalid},
	{"will topic empty before 5.0", V311, false, "10", connectHead(V311, "06") + "0001 63 0000 0000", "MQTT3-4.7.3-1", TopicNameInvalid},
	{"will payload cut short", V311, false, "10", connectHead(V311, "06") + "0001 63 0001 77 0009 616263", "MQTT3-4.8.0-1", MalformedPacket},
	{"authentication data without method", V5, false, "10", connectHead(V5, "02") + "04 16 0001 00 0000", "MQTT-3.1.2.11.10", ProtocolError},
	{"will property in CONNECT", V5, false, "10", connectHead(V5, "02") + "05 18 00000001 0000", "MQTT-2.2.2.2", MalformedPacket},
	{"CONNECT property in the will", V5, false, "10", connectHead(V5, "06") + "00 0001 63 05 11 00000001 0001 77 0000", "MQTT-2.2.2.2", MalformedPacket},

	// CONNACK.
	{"acknowledge flags", V311, true, "20", "0200", "MQTT3-3.2.2.1", MalformedPacket},
	{"acknowledge flags in 5.0", V5, true, "20", "8100 00", "MQTT-3.2.2-1", MalformedPacket},
	{"session present in a refusal", V311, true, "20", "0105", "MQTT3-3.2.2-4", ProtocolError},
	{"session present in a refusal in 5.0", V5, true, "20", "0187 00", "MQTT-3.2.2-6", ProtocolError},
	{"unknown return code", V311, true, "20", "0006", "MQTT3-3.2.2.3", MalformedPacket},
	{"reason code of another packet in CONNACK", V5, true, "20", "008e 00", "MQTT-3.2.2-8", ProtocolError},
	{"CONNACK without property length", V5, true, "20", "0000", "MQTT-2.2.2-1", MalformedPacket},
	{"bytes after CONNACK", V311, true, "20", "000000", "MQTT3-4.8.0-1", MalformedPacket},

	// PUBLISH.
	{"QoS 3", V311, false, "36", "0001 61 0001", "MQTT3-3.3.1-4", MalformedPacket},
	{"QoS 3 in 5.0", V5, false, "36", "0001 61 0001 00", "MQTT-3.3.1-4", MalformedPacket},
	{"DUP at QoS 0", V311, false, "38", "0001 61", "MQTT3-3.3.1-2", MalformedPacket},
	{"DUP at QoS 0 in 5.0", V5, false, "38", "0001 61 00", "MQTT-3.3.1-2", MalformedPacket},
	{"topic with +", V311, false, "30", "0003 612f2b", "MQTT3-3.3.2-2", TopicNameInvalid},
	{"topic with #", V5, false, "30", "0003 612f23 00", "MQTT-3.3.2-2", TopicNameInvalid},
	{"topic with U+0000", V5, false, "30", "0002 6100 00", "MQTT-1.5.4-2", MalformedPacket},
	{"topic is not UTF-8", V311, false, "30", "0002 c328", "MQTT3-1.5.3-1", MalformedPacket},
	{"topic empty before 5.0", V311, false, "30", "0000", "MQTT3-4.7.3-1", TopicNameInvalid},
	{"topic empty without alias", V5, false, "30", "0000 00", "MQTT-3.3.2.1", ProtocolError},
	{"topic alias 0", V5, false, "30", "0001 61 03 23 0000", "MQTT-3.3.2-8", TopicAliasInvalid},
	{"topic cut short", V311, false, "30", "0005 61", "MQTT3-4.8.0-1", MalformedPacket},
	{"packet identifier 0", V311, false, "32", "0001 61 0000", "MQTT3-2.3.1-1", MalformedPacket},
	{"packet identifier 0 in 5.0", V5, false, "34", "0001 61 0000 00", "MQTT-2.2.1-3", MalformedPacket},
	{"packet identifier missing", V311, false, "32", "0001 61", "MQTT3-4.8.0-1", MalformedPacket},
	{"subscription identifier from a client", V5, false, "30", "0001 61 02 0b01", "MQTT-3.3.4-6", ProtocolError},
	{"response topic with a wildcard", V5, false, "30", "0001 61 04 08 0001 23", "MQTT-3.3.2-14", ProtocolError},
	{"properties longer than the packet", V5, false, "30", "0001 61 05 0101", "MQTT-2.2.2.1", MalformedPacket},
	{"property length cut short", V5, false, "30", "0001 61 80", "MQTT-2.2.2-1", MalformedPacket},
	{"property length overlong", V5, false, "30", "0001 61 8000", "MQTT-1.5.5-1", MalformedPacket},
	{"property length of five bytes", V5, false, "30", "0001 61 8080808000", "MQTT-2.2.2-1", MalformedPacket},

	// Acknowledgements.
	{"acknowledgement of one byte", V311, true, "40", "00", "MQTT3-4.8.0-1", MalformedPacket},
	{"acknowledgement without a body", V5, true, "70", "", "MQTT-4.13.1-1", MalformedPacket},
	{"acknowledgement of three bytes before 5.0", V311, true, "40", "000100", "MQTT3-4.8.0-1", MalformedPacket},
	{"PUBACK of identifier 0", V311, true, "40", "0000", "MQTT3-2.3.1-1", MalformedPacket},
	{"PUBREL of identifier 0", V5, true, "62", "0000", "MQTT-2.2.1-3", MalformedPacket},
	{"PUBACK with a foreign code", V5, true, "40", "000192", "MQTT-3.4.2-1", ProtocolError},
	{"PUBREC with a foreign code", V5, true, "50", "000111", "MQTT-3.5.2-1", ProtocolError},
	{"PUBREL with a foreign code", V5, true, "62", "000180", "MQTT-3.6.2-1", ProtocolError},
	{"PUBCOMP with a foreign code", V5, true, "70", "000110", "MQTT-3.7.2-1", ProtocolError},
	{"PUBACK with a foreign property", V5, true, "40", "0001 00 02 0100", "MQTT-2.2.2.2", MalformedPacket},
	{"bytes after the properties of PUBACK", V5, true, "40", "0001 00 00 ff", "MQTT-4.13.1-1", MalformedPacket},

	// SUBSCRIBE and UNSUBSCRIBE.
	{"no filter", V311, false, "82", "0001", "MQTT3-3.8.3-3", ProtocolError},
	{"no filter in 5.0", V5, false, "82", "0001 00", "MQTT-3.8.3-2", ProtocolError},
	{"filter empty", V5, false, "82", "0001 00 0000 00", "MQTT-4.7.3-1", MalformedPacket},
	{"filter empty before 5.0", V311, false, "82", "0001 0000 00", "MQTT3-4.7.3-1", MalformedPacket},
	{"options byte missing", V311, false, "82", "0001 0001 61", "MQTT3-4.8.0-1", MalformedPacket},
	{"options byte missing in 5.0", V5, false, "82", "0001 00 0001 61", "MQTT-4.13.1-1", MalformedPacket},
	{"subscribe with identifier 0", V311, false, "82", "0000 0001 61 00", "MQTT3-2.3.1-1", MalformedPacket},
	{"requested QoS 3", V311, false, "82", "0001 0001 61 03", "MQTT3-3.8.3-4", MalformedPacket},
	{"reserved bits of the requested QoS", V311, false, "82", "0001 0001 61 04", "MQTT3-3.8.3-4", MalformedPacket},
	{"maximum QoS 3", V5, false, "82", "0001 00 0001 61 03", "MQTT-3.8.3.1", ProtocolError},
	{"retain handling 3", V5, false, "82", "0001 00 0001 61 30", "MQTT-3.8.3.1", ProtocolError},
	{"reserved subscription options", V5, false, "82", "0001 00 0001 61 40", "MQTT-3.8.3-5", MalformedPacket},
	{"no local on a shared subscription", V5, false, "82", "0001 00 000a 2473686172652f672f74 04", "MQTT-3.8.3-4", ProtocolError},
	{"filter is not UTF-8", V5, false, "82", "0001 00 0001 ff 00", "MQTT-1.5.4-1", MalformedPacket},
	{"subscription identifier 0", V5, false, "82", "0001 02 0b00 0001 61 00", "MQTT-3.8.2.1.2", ProtocolError},
	{"two subscription identifiers", V5, false, "82", "0001 04 0b01 0b02 0001 61 00", "MQTT-3.8.2.1.2", ProtocolError},
	{"subscription identifier overlong", V5, false, "82", "0001 03 0b8100 0001 61 00", "MQTT-1.5.5-1", MalformedPacket},
	{"nothing to unsubscribe from", V311, false, "a2", "0001", "MQTT3-3.10.3-2", ProtocolError},
	{"nothing to unsubscribe from in 5.0", V5, false, "a2", "0001 00", "MQTT-3.10.3-2", ProtocolError},
	{"unsubscribe from an empty filter", V5, false, "a2", "0001 00 0000", "MQTT-4.7.3-1", MalformedPacket},
	{"unsubscribe with identifier 0", V5, false, "a2", "0000 00 0001 61", "MQTT-2.2.1-3", MalformedPacket},
	{"unsubscribe with U+0000", V311, false, "a2", "0001 0001 00", "MQTT3-1.5.3-2", MalformedPacket},

	// SUBACK and UNSUBACK.
	{"SUBACK without codes", V311, true, "90", "0001", "MQTT3-3.9.3-1", MalformedPacket},
	{"SUBACK without codes in 5.0", V5, true, "90", "0001 00", "MQTT-3.9.3-1", MalformedPacket},
	{"SUBACK with a reserved code", V311, true, "90", "0001 03", "MQTT3-3.9.3-2", ProtocolError},
	{"SUBACK with a foreign code", V5, true, "90", "0001 00 11", "MQTT-3.9.3-2", ProtocolError},
	{"UNSUBACK without codes", V5, true, "b0", "0001 00", "MQTT-3.11.3-1", MalformedPacket},
	{"UNSUBACK with a foreign code", V5, true, "b0", "0001 00 01", "MQTT-3.11.3-2", ProtocolError},
	{"UNSUBACK with codes before 5.0", V311, true, "b0", "0001 00", "MQTT3-4.8.0-1", MalformedPacket},

	// The rest.
	{"PINGREQ with a body", V311, false, "c0", "00", "MQTT3-3.12.2", MalformedPacket},
	{"PINGREQ with a body in 5.0", V5, false, "c0", "00", "MQTT-3.12.2", MalformedPacket},
	{"PINGRESP with a body", V5, true, "d0", "00", "MQTT-3.13.2", MalformedPacket},
	{"DISCONNECT with a body before 5.0", V311, false, "e0", "00", "MQTT3-4.8.0-1", MalformedPacket},
	{"DISCONNECT with an unknown code", V5, false, "e0", "ff", "MQTT-3.14.2-1", ProtocolError},
	{"DISCONNECT from a client with a server's code", V5, false, "e0", "8e", "MQTT-3.14.2-1", ProtocolError},
	{"DISCONNECT from a server with a client's code", V5, true, "e0", "04", "MQTT-3.14.2-1", ProtocolError},
	{"session expiry from a server", V5, true, "e0", "00 05 11 00000001", "MQTT-3.14.2-2", ProtocolError},
	{"AUTH with an unknown code", V5, true, "f0", "01 04 15 0001 6d", "MQTT-3.15.2-1", ProtocolError},
	{"AUTH without a method", V5, true, "f0", "18 00", "MQTT-3.15.2.2.2", ProtocolError},
	{"AUTH success from a client", V5, false, "f0", "", "MQTT-3.15.2-1", ProtocolError},
	{"re-authentication by a server", V5, true, "f0", "19 04 15 0001 6d", "MQTT-3.15.2-1", ProtocolError},
	{"AUTH without property length", V5, true, "f0", "18", "MQTT-2.2.2-1", MalformedPacket},
}

func violation(t *testing.T, first, body string) []byte {
	t.Helper()
	b := unhex(t, body)
	return append(appendVarint(unhex(t, first), len(b)), b...)
}

func TestStrictNamesTheStatementAndTheAnswer(t *testing.T) {
	for _, tc := range violations {
		t.Run(tc.name, func(t *testing.T) {
			raw := violation(t, tc.first, tc.body)
			_, n, err := Parse(raw, Options{Version: tc.version, FromServer: tc.server})
			var m *Malformed
			if !errors.As(err, &m) {
				t.Fatalf("error %v, want *Malformed", err)
			}
			if m.Clause != tc.clause || m.Code != tc.code {
				t.Errorf("%v answered by %v, want %s answered by %v", m, m.Code, tc.clause, tc.code)
			}
			if n != len(raw) {
				t.Errorf("used %d of %d bytes", n, len(raw))
			}
			if m.Offset < 0 || m.Offset > len(raw) {
				t.Errorf("offset %d of %d bytes", m.Offset, len(raw))
			}
			if m.Packet != Type(raw[0]>>4) || !strings.HasPrefix(m.Error(), "parse "+m.Packet.String()+": ") {
				t.Errorf("message %q", m.Error())
			}
		})
	}
}

// Lenient mode finds the same first violation and goes on unless the rest
// cannot be read.
func TestLenientNotesWhatStrictRefuses(t *testing.T) {
	for _, tc := range violations {
		t.Run(tc.name, func(t *testing.T) {
			raw := violation(t, tc.first, tc.body)
			var notes []Malformed
			o := Options{Version: tc.version, FromServer: tc.server, Lenient: true, Notes: &notes}
			p, n, err := Parse(raw, o)
			if n != len(raw) || p == nil {
				t.Errorf("packet %v, used %d of %d bytes", p, n, len(raw))
			}
			var m *Malformed
			if errors.As(err, &m) {
				notes = append(notes, *m)
			}
			if len(notes) == 0 || notes[0].Clause != tc.clause || notes[0].Code != tc.code {
				t.Errorf("findings %v, want %s first", notes, tc.clause)
			}
			o.Notes = nil
			if _, _, again := Parse(raw, o); (again == nil) != (err == nil) {
				t.Errorf("without notes the error is %v", again)
			}
		})
	}
}

func TestLenientGoesOnBehindViolations(t *testing.T) {
	for _, tc := range []struct {
		name  string
		o     Options
		hex   string
		want  Packet
		notes []string
	}{
		{
			"subscription with three faults",
			Options{Version: V5},
			"82 0f 0000 02 0b00 0001 61 ff 0003 622f63 01",
			Subscribe{Properties: props().AppendVarint(PropSubscriptionIdentifier, 0), Filters: []Subscription{
				{Filter: "a", QoS: 3, NoLocal: true, RetainAsPublished: true, RetainHandling: 3}, {Filter: "b/c", QoS: 1},
			}},
			[]string{"MQTT-2.2.1-3", "MQTT-3.8.2.1.2", "MQTT-3.8.3.1", "MQTT-3.8.3.1", "MQTT-3.8.3-5"},
		},
		{
			"unknown property ends the properties but not the packet",
			Options{Version: V5},
			"30 0b 0001 74 05 0101 7f ffff 7879",
			Publish{Topic: []byte("t"), Properties: props().AppendByte(PropPayloadFormat, 1), Payload: []byte("xy")},
			[]string{"MQTT-2.2.2.2"},
		},
		{
			"text that is none",
			Options{Version: V5},
			"30 07 0001 74 02 0101 ff",
			Publish{Topic: []byte("t"), Properties: props().AppendByte(PropPayloadFormat, 1), Payload: []byte{0xff}},
			[]string{"MQTT-3.3.2.3.2"},
		},
		{
			"identifier too long for 3.1",
			Options{},
			"10 26 0006 4d5149736470 03 02 003c 0018 303132333435363738393031323334353637383930313233",
			Connect{ProtocolName: "MQIsdp", Version: V31, CleanStart: true, KeepAlive: 60, ClientID: "012345678901234567890123"},
			[]string{""},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var notes []Malformed
			tc.o.Lenient, tc.o.Notes = true, &notes
			p, _, err := Parse(unhex(t, tc.hex), tc.o)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmpDiff(tc.want, p); d != "" {
				t.Errorf("parsed (-want +got):\n%s", d)
			}
			var got []string
			for _, n := range notes {
				got = append(got, n.Clause)
			}
			if d := cmpDiff(tc.notes, got); d != "" {
				t.Errorf("notes (-want +got):\n%s", d)
			}
		})
	}
}

func TestPartOfAPacketTravelsWithTheError(t *testing.T) {
	// A CONNECT cut inside the password: everything before it is there.
	p, n, err := Parse(unhex(t, "10 14 0004 4d515454 04 c2 003c 0001 63 0001 75 0009 7071"), Options{})
	var m *Malformed
	if !errors.As(err, &m) || n != 22 {
		t.Fatalf("%v after %d bytes", err, n)
	}
	c := p.(Connect)
	if c.ClientID != "c" || c.Username != "u" || c.HasPassword {
		t.Errorf("parsed %+v", c)
	}
	if m.Offset != 18 || m.Error() != "parse CONNECT: password: 2 of 9 bytes [MQTT3-4.8.0-1]" {
		t.Errorf("%v at offset %d", m, m.Offset)
	}
	// A level that nobody knows: the version tells how to answer.
	p, _, _ = Parse(unhex(t, "10 0c 0004 4d515454 02 02 003c 0000"), Options{})
	if v := p.(Connect).Version; v != 2 {
		t.Errorf("version %v", v)
	}
}

// What older brokers accept and 3.1 allows passes in strict mode.
func TestStrictAcceptsWhatVersion31Allows(t *testing.T) {
	for name, hex := range map[string]string{
		"client identifier of 24 characters": "10 26 0006 4d5149736470 03 02 003c 0018 303132333435363738393031323334353637383930313233",
		"password announced but absent":      "10 12 0006 4d5149736470 03 c2 003c 0001 63 0001 75",
		"reserved connect flag":              "10 0f 0006 4d5149736470 03 03 003c 0001 63",
		"repeated SUBSCRIBE":                 "8a 06 0001 0001 61 00",
		"repeated UNSUBSCRIBE":               "aa 05 0001 0001 61",
		"repeated PUBREL":                    "6a 02 0001",
	} {
		if _, _, err := Parse(unhex(t, hex), Options{Version: V31}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// [MQTT-1.5.4-3] [MQTT3-1.5.3-3]
func TestByteOrderMarkStays(t *testing.T) {
	p, _, err := Parse(unhex(t, "30 07 0005 efbbbf 612f"), Options{})
	if err != nil || string(p.(Publish).Topic) != "\ufeffa/" {
		t.Errorf("topic %q, error %v", p.(Publish).Topic, err)
	}
}

func TestDeclaredTextIsJudgedOnRequest(t *testing.T) {
	publish := unhex(t, "30 07 0001 74 02 0101 ff")
	will := unhex(t, "10 17 0004 4d515454 05 06 003c 00 0001 63 02 0101 0001 77 0001 ff")
	for _, raw := range [][]byte{publish, will} {
		if _, _, err := Parse(raw, Options{Version: V5}); err != nil {
			t.Errorf("unasked: %v", err)
		}
		_, _, err := Parse(raw, Options{Version: V5, CheckPayload: true})
		checkCode(t, err, nil, PayloadFormatInvalid)
	}
}

func TestDirectionIsNotJudgedWhenUnknown(t *testing.T) {
	for _, tc := range violations {
		if tc.clause != "MQTT-2.1.2" && tc.clause != "MQTT3-2.2.1" && tc.clause != "MQTT-3.3.4-6" && tc.clause != "MQTT-3.14.2-2" || tc.first == "f0" {
			continue
		}
		if _, _, err := Parse(violation(t, tc.first, tc.body), Options{Version: tc.version, EitherSide: true}); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// What is wrong with the first byte is said to be there.
func TestHeaderFindingsPointToTheFirstByte(t *testing.T) {
	for name, hex := range map[string]string{
		"QoS 3":             "36 05 0001 61 0001",
		"DUP at QoS 0":      "38 03 0001 61",
		"reserved flags":    "42 02 0001",
		"AUTH before 5.0":   "f0 00",
		"sent by no client": "d0 00",
	} {
		var m *Malformed
		if _, _, err := Parse(unhex(t, hex), Options{}); !errors.As(err, &m) || m.Offset != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
