package dissect_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// mqttSilences are rule breaks of which other decoders say nothing. Each is named
// by the rule that it breaks, and by the bytes that do.
var mqttSilences = []struct {
	name     string
	version  uint8
	from     dissect.Direction
	hex      string
	rule     string
	off, len int
}{
	{"QoS 3", 4, fromClient, "36 05 0001 61 0001", "MQTT3-3.3.1-4", 0, 1},
	{"QoS 3", 5, fromClient, "36 06 0001 61 0001 00", "MQTT-3.3.1-4", 0, 1},
	{"packet type 0", 4, fromClient, "00 02 0102", "MQTT-2.1.2", 0, 1},
	{"AUTH in 3.1.1", 4, fromServer, "f0 00", "MQTT3-2.2.1", 0, 1},
	{"flags of CONNECT", 4, fromClient, "11 0d 0004 4d515454 04 02 003c 0001 63", "MQTT3-2.2.2-2", 0, 1},
	{"flags of CONNACK", 5, fromServer, "21 03 0000 00", "MQTT-2.1.3-1", 0, 1},
	{"flags of PUBACK", 5, fromServer, "42 02 0001", "MQTT-2.1.3-1", 0, 1},
	{"flags of PUBREC", 4, fromServer, "54 02 0001", "MQTT3-2.2.2-2", 0, 1},
	{"flags of PUBREL", 4, fromClient, "60 02 0001", "MQTT3-3.6.1-1", 0, 1},
	{"flags of PUBCOMP", 5, fromServer, "78 02 0001", "MQTT-2.1.3-1", 0, 1},
	{"flags of SUBSCRIBE", 5, fromClient, "80 07 0001 00 0001 61 00", "MQTT-3.8.1-1", 0, 1},
	{"flags of SUBACK", 5, fromServer, "91 04 0001 00 00", "MQTT-2.1.3-1", 0, 1},
	{"flags of UNSUBSCRIBE", 4, fromClient, "a6 05 0001 0001 61", "MQTT3-3.10.1-1", 0, 1},
	{"flags of UNSUBACK", 5, fromServer, "b1 04 0001 00 00", "MQTT-2.1.3-1", 0, 1},
	{"flags of PINGREQ", 4, fromClient, "c1 00", "MQTT3-2.2.2-2", 0, 1},
	{"flags of PINGRESP", 5, fromServer, "d8 00", "MQTT-2.1.3-1", 0, 1},
	{"flags of DISCONNECT", 4, fromClient, "e2 00", "MQTT3-3.14.1-1", 0, 1},
	{"flags of AUTH", 5, fromServer, "f1 09 18 07 15 0004 53415352", "MQTT-3.15.1-1", 0, 1},
	{"DUP at QoS 0", 4, fromClient, "38 03 0001 61", "MQTT3-3.3.1-2", 0, 1},
	{"remaining length of 5 bytes", 4, fromClient, "30 8080808001 00", "MQTT-2.1.4", 1, 5},
	{"remaining length not minimal", 5, fromClient, "30 8400 0001 61 00", "MQTT-1.5.5-1", 1, 2},
	{"PINGREQ with a body", 4, fromClient, "c0 01 00", "MQTT3-3.12.2", 2, 1},
	{"PINGREQ with a body", 5, fromClient, "c0 01 00", "MQTT-3.12.2", 2, 1},
	{"PUBACK with extra bytes in 3.1.1", 4, fromServer, "40 04 0001 0000", "MQTT3-4.8.0-1", 4, 2},
	{"DISCONNECT with a body in 3.1.1", 4, fromClient, "e0 01 00", "MQTT3-4.8.0-1", 2, 1},
	{"bytes after the CONNECT", 4, fromClient, "10 0f 0004 4d515454 04 02 003c 0001 63 ffff", "MQTT3-3.1.2-18", 15, 2},
	{"bytes after the CONNECT", 5, fromClient, "10 14 0004 4d515454 05 c2 003c 00 0001 63 0001 75 0000 2a", "MQTT-4.13.1-1", 21, 1},
	{"reserved connect flag", 4, fromClient, "10 0d 0004 4d515454 04 03 003c 0001 63", "MQTT3-3.1.2-3", 9, 1},
	{"reserved connect flag", 5, fromClient, "10 0e 0004 4d515454 05 03 003c 00 0001 63", "MQTT-3.1.2-3", 9, 1},
	{"password without user name in 3.1.1", 4, fromClient, "10 10 0004 4d515454 04 42 003c 0001 63 0001 70", "MQTT3-3.1.2-22", 9, 1},
	{"user name announced but absent", 4, fromClient, "10 0d 0004 4d515454 04 82 003c 0001 63", "MQTT3-3.1.2-19", 15, 0},
	{"unknown protocol name", 4, fromClient, "10 0d 0004 4d515458 04 02 003c 0001 63", "MQTT3-3.1.2-1", 4, 4},
	{"unknown protocol level", 4, fromClient, "10 0d 0004 4d515454 09 02 003c 0001 63", "MQTT3-3.1.2-2", 8, 1},
	{"packet id 0", 4, fromClient, "32 05 0001 61 0000", "MQTT3-2.3.1-1", 5, 2},
	{"packet id 0", 5, fromServer, "40 02 0000", "MQTT-2.2.1-3", 2, 2},
	{"SUBSCRIBE without a filter", 4, fromClient, "82 02 0001", "MQTT3-3.8.3-3", 4, 0},
	{"SUBSCRIBE without a filter", 5, fromClient, "82 03 0001 00", "MQTT-3.8.3-2", 5, 0},
	{"reserved subscription options", 4, fromClient, "82 06 0001 0001 61 04", "MQTT3-3.8.3-4", 7, 1},
	{"reserved subscription options", 5, fromClient, "82 07 0001 00 0001 61 c0", "MQTT-3.8.3-5", 8, 1},
	{"retain handling 3", 5, fromClient, "82 07 0001 00 0001 61 30", "MQTT-3.8.3.1", 8, 1},
	{"SUBACK code 3", 4, fromServer, "90 03 0001 03", "MQTT3-3.9.3-2", 4, 1},
	{"SUBACK code 127", 5, fromServer, "90 04 0001 00 7f", "MQTT-3.9.3-2", 5, 1},
	{"CONNACK code 6", 4, fromServer, "20 02 0006", "MQTT3-3.2.2.3", 3, 1},
	{"acknowledge flags", 4, fromServer, "20 02 0200", "MQTT3-3.2.2.1", 2, 1},
	{"acknowledge flags", 5, fromServer, "20 03 8000 00", "MQTT-3.2.2-1", 2, 1},
	{"wildcard in a topic", 4, fromClient, "30 05 0003 612f23", "MQTT3-3.3.2-2", 4, 3},
	{"wildcard in a topic", 5, fromClient, "30 06 0003 2b2f61 00", "MQTT-3.3.2-2", 4, 3},
	{"topic that is not UTF-8", 4, fromClient, "30 04 0002 c328", "MQTT3-1.5.3-1", 4, 2},
	{"user name that is not UTF-8", 4, fromClient, "10 10 0004 4d515454 04 82 003c 0001 63 0001 ff", "MQTT3-1.5.3-1", 17, 1},
	{"filter that is not UTF-8", 5, fromClient, "82 07 0001 00 0001 ff 00", "MQTT-1.5.4-1", 7, 1},
	{"user property that is not UTF-8", 5, fromClient, "30 0b 0001 61 07 26 0001 6b 0001 ff", "MQTT-1.5.4-1", 6, 7},
	{"reason string that is not UTF-8", 5, fromServer, "40 08 0001 80 04 1f 0001 fe", "MQTT-1.5.4-1", 6, 4},
	{"topic with U+0000", 5, fromClient, "30 05 0002 6100 00", "MQTT-1.5.4-2", 4, 2},
	{"duplicate property", 5, fromClient, "30 08 0001 61 04 01 00 01 00", "MQTT-3.3.2.3.2", 8, 2},
	{"property of another packet", 5, fromClient, "30 07 0001 61 03 21 0014", "MQTT-2.2.2.2", 6, 3},
	{"payload format indicator 88", 5, fromClient, "30 06 0001 61 02 01 58", "MQTT-3.3.2.3.2", 6, 2},
	{"subscription identifier 0", 5, fromClient, "82 09 0001 02 0b00 0001 61 00", "MQTT-3.8.2.1.2", 5, 2},
	{"topic alias 0", 5, fromClient, "30 07 0001 61 03 23 0000", "MQTT-3.3.2-8", 6, 3},
	{"reason code of another packet", 5, fromServer, "40 03 0001 92", "MQTT-3.4.2-1", 4, 1},
	{"reason code of another packet", 5, fromServer, "20 03 008e 00", "MQTT-3.2.2-8", 3, 1},
	{"reason code of another packet", 5, fromClient, "e0 01 8e", "MQTT-3.14.2-1", 2, 1},
	{"# not at the end of a filter", 4, fromClient, "82 08 0001 0003 232f61 00", "MQTT3-4.7.1-2", 6, 3},
	{"+ beside something in a filter", 5, fromClient, "82 0a 0001 00 0004 612b2f62 00", "MQTT-4.7.1-2", 7, 4},
	{"share name with a wildcard", 5, fromClient, "a2 0f 0001 00 000a 2473686172652f2b2f61", "MQTT-4.8.2-2", 7, 10},
	{"SUBSCRIBE of a server", 4, fromServer, "82 06 0001 0001 61 00", "MQTT3-2.2.1", 0, 1},
	{"PINGRESP of a client", 5, fromClient, "d0 00", "MQTT-2.1.2", 0, 1},
}

func TestMQTTFindsWhatOthersAreSilentOn(t *testing.T) {
	for _, s := range mqttSilences {
		t.Run(s.name, func(t *testing.T) {
			b := unhex(t, s.hex)
			p, n, err := dissecttest.Dissect(t, dissect.MQTT{}, b, joined(s.version, s.from))
			all := verdict(p, err)
			i := slices.IndexFunc(all, func(q dissect.Problem) bool { return q.Rule == s.rule })
			if i < 0 {
				t.Fatalf("no problem with %s: %+v\n%s", s.rule, all, dissecttest.Text(p))
			}
			if q := all[i]; q.Off != s.off || q.Len != s.len || q.Advice == "" || q.Warning {
				t.Errorf("%+v, want it at %d with %d bytes", q, s.off, s.len)
			}
			if n != len(b) && s.rule != "MQTT-2.1.4" {
				t.Errorf("%d of %d bytes, %v", n, len(b), err)
			}
		})
	}
}

// The rows of the table of what another decoder misreads.
func TestMQTTReadsWhatOthersMisread(t *testing.T) {
	field := func(t *testing.T, p dissect.Packet, name string) dissect.Field {
		t.Helper()
		var found *dissect.Field
		var look func(fields []dissect.Field)
		look = func(fields []dissect.Field) {
			for i := range fields {
				if fields[i].Name == name && (found == nil || found.Mask != 0) { // a flag may have the name, too
					found = &fields[i]
				}
				look(fields[i].Kids)
			}
		}
		if look(p.Fields); found == nil {
			t.Fatalf("no %q:\n%s", name, dissecttest.Text(p))
		}
		return *found
	}
	read := func(t *testing.T, version uint8, from dissect.Direction, hex string) (dissect.Packet, error) {
		t.Helper()
		p, _, err := dissecttest.Dissect(t, dissect.MQTT{}, unhex(t, hex), joined(version, from))
		return p, err
	}
	t.Run("row 2: codes of 3.1.1 have their names", func(t *testing.T) {
		p, _ := read(t, 4, fromServer, "20 02 0005")
		if f := field(t, p, "return code"); f.Note != "Not authorized" {
			t.Errorf("%+v", f)
		}
		p, _ = read(t, 4, fromServer, "90 03 0001 80")
		if f := field(t, p, "return code"); f.Note != "Failure" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("row 4: a property ends with its block", func(t *testing.T) {
		p, err := read(t, 5, fromClient, "30 0c 0001 61 03 03 0005 68656c6c6f")
		bad := (*dissect.Malformed)(nil)
		if !errors.As(err, &bad) || bad.Off != 7 || bad.Text != "content type needs 5 bytes, the properties have none left" {
			t.Fatalf("%v", err)
		}
		if rest := field(t, p, "rest"); rest.Off != 9 || rest.Len != 5 || rest.Note != "outside of the properties, which end at 9" {
			t.Errorf("%+v", rest)
		}
		if strings.Contains(dissecttest.Text(p), "payload") {
			t.Errorf("the same bytes are a payload, too:\n%s", dissecttest.Text(p))
		}
		if !strings.Contains(bad.Advice, "0x81") {
			t.Errorf("advice %q", bad.Advice)
		}
	})
	t.Run("row 5: a property length of two bytes", func(t *testing.T) {
		user := "26 0001 6b 00a4" + strings.Repeat("78", 0xa4)
		p, err := read(t, 5, fromClient, "30 b001 0001 61 aa01"+user+"79")
		if f := field(t, p, "property length"); err != nil || len(p.Problems) > 0 || f.Value != uint64(170) || f.Of != (dissect.Span{Off: 8, Len: 170}) {
			t.Errorf("%+v, %v, %v", f, p.Problems, err)
		}
	})
	t.Run("row 5a: a property length that is too long", func(t *testing.T) {
		p, err := read(t, 5, fromClient, "30 06 0001 61 8000 78")
		f := field(t, p, "property length")
		if err != nil || f.Value != uint64(0) || len(p.Problems) != 1 || p.Problems[0].Rule != "MQTT-1.5.5-1" || p.Problems[0].Off != 5 || p.Problems[0].Len != 2 {
			t.Errorf("%+v, %+v, %v", f, p.Problems, err)
		}
	})
	t.Run("row 11: bytes with a zero", func(t *testing.T) {
		p, err := read(t, 5, fromClient, "30 0a 0001 61 06 09 0003 610062")
		if f := field(t, p, "correlation data"); err != nil || len(p.Problems) > 0 || string(f.Value.([]byte)) != "a\x00b" {
			t.Errorf("%+v, %v, %v", f, p.Problems, err)
		}
		p, err = read(t, 4, fromClient, "10 14 0004 4d515454 04 c2 003c 0001 63 0001 75 0002 7000")
		if f := field(t, p, "password"); err != nil || len(p.Problems) > 0 || string(f.Value.([]byte)) != "p\x00" || !f.Secret {
			t.Errorf("%+v, %v, %v", f, p.Problems, err)
		}
		p, err = read(t, 5, fromServer, "f0 0c 18 0a 15 0001 6d 16 0003 610062")
		if f := field(t, p, "authentication data"); err != nil || len(p.Problems) > 0 || string(f.Value.([]byte)) != "a\x00b" || !f.Secret {
			t.Errorf("%+v, %v, %v", f, p.Problems, err)
		}
	})
	t.Run("row 12: levels of bridges", func(t *testing.T) {
		for hex, version := range map[string]string{
			"10 0f 0006 4d5149736470 83 02 003c 0001 62": "3.1",
			"10 0d 0004 4d515454 84 02 003c 0001 62":     "3.1.1",
		} {
			st := &dissect.Stream{Direction: fromClient}
			p, _, err := dissecttest.Dissect(t, dissect.MQTT{}, unhex(t, hex), st)
			if f := field(t, p, "bridge"); err != nil || p.Version != version || len(p.Problems) > 0 || f.Value != true {
				t.Errorf("%+v, %v, %v", f, p.Problems, err)
			}
			st.Direction = fromServer
			if p, _, err = dissecttest.Dissect(t, dissect.MQTT{}, unhex(t, "20 02 0000"), st); err != nil || p.Version != version || len(p.Problems) > 0 {
				t.Errorf("version %s, %v, %v", p.Version, p.Problems, err)
			}
		}
	})
	t.Run("row 13: an unknown property", func(t *testing.T) {
		p, err := read(t, 5, fromClient, "30 0c 0001 61 05 01 01 7f ffff 6869 21")
		if f := field(t, p, "property identifier"); err != nil || f.Off != 8 || f.Value != uint64(127) || f.Note != "no property has identifier 127" {
			t.Errorf("%+v, %v", f, err)
		}
		if f := field(t, p, "rest"); f.Off != 9 || f.Len != 2 {
			t.Errorf("%+v", f)
		}
		if f := field(t, p, "payload"); f.Value != "hi!" {
			t.Errorf("%+v", f)
		}
		if len(p.Problems) != 1 || p.Problems[0].Off != 8 || p.Problems[0].Rule != "MQTT-2.2.2.2" {
			t.Errorf("%+v", p.Problems)
		}
	})
	t.Run("row 22: two CONNECTs of different versions", func(t *testing.T) {
		st := &dissect.Stream{}
		for _, step := range []struct {
			from         dissect.Direction
			hex, version string
			rule         string
		}{
			{fromClient, "10 0d 0004 4d515454 04 02 003c 0001 63", "3.1.1", ""},
			{fromServer, "20 02 0000", "3.1.1", ""},
			{fromClient, "30 04 0001 61 78", "3.1.1", ""},
			{fromClient, "10 0e 0004 4d515454 05 02 003c 00 0001 63", "5.0", "MQTT-3.1.0-2"},
			{fromServer, "20 03 0000 00", "5.0", ""},
			{fromClient, "30 05 0001 61 00 78", "5.0", ""},
		} {
			st.Direction = step.from
			p, _, err := dissecttest.Dissect(t, dissect.MQTT{}, unhex(t, step.hex), st)
			if err != nil || p.Version != step.version || rules(p) != step.rule {
				t.Errorf("%s: version %s, %v, %v", step.hex, p.Version, p.Problems, err)
			}
			if p.Type == "PUBLISH" && !strings.HasSuffix(p.Summary, "q0 a 1 B x") {
				t.Errorf("%s", p.Summary)
			}
		}
	})
}

// rules are those that p breaks.
func rules(p dissect.Packet) string {
	var all []string
	for _, q := range p.Problems {
		all = append(all, q.Rule)
	}
	return strings.Join(all, " ")
}
