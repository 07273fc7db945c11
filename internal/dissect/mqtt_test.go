package dissect_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// mqttSample is a packet that breaks no rule of its version.
type mqttSample struct {
	name, hex string
	version   uint8
	from      dissect.Direction
}

const (
	fromClient = dissect.FromClient
	fromServer = dissect.FromServer
)

var mqttSampleList = []mqttSample{
	{"CONNECT 3.1", "10 13 0006 4d5149736470 03 02 003c 0005 6970616431", 3, fromClient},
	{"CONNECT 3.1 of a bridge", "10 0f 0006 4d5149736470 83 00 0000 0001 62", 3, fromClient},
	{"CONNECT 3.1.1", "10 1d 0004 4d515454 04 ee 000a 0001 63 0003 612f62 0002 ff00 0001 75 0002 7000", 4, fromClient},
	{"CONNECT 3.1.1 of a bridge", "10 0d 0004 4d515454 84 02 0000 0001 62", 4, fromClient},
	{"CONNECT 5.0, empty", "10 0d 0004 4d515454 05 00 0000 00 0000", 5, fromClient},
	{
		"CONNECT 5.0", `10 47 0004 4d515454 05 d6 000a 1c 11 0000003c 21 0014 27 00010000 22 0008 19 01 17 00 15 0001 6d 16 0001 00
			0001 63 0f 18 00000005 01 01 26 0001 6b 0002 7676 0001 77 0002 6869 0001 75 0001 70`, 5, fromClient,
	},
	{"CONNACK 3.1.1", "20 02 0100", 4, fromServer},
	{"CONNACK 3.1.1 that refuses", "20 02 0005", 4, fromServer},
	{"CONNACK 5.0", "20 0c 0000 09 12 0001 78 22 000a 24 01", 5, fromServer},
	{"CONNACK 5.0 that refuses", "20 09 0087 06 1f 0003 6e6f21", 5, fromServer},
	{"PUBLISH", "31 07 0003 612f62 6869", 4, fromClient},
	{"PUBLISH of nothing", "30 03 0001 61", 4, fromServer},
	{"PUBLISH of QoS 2, again", "3c 07 0001 61 000b 00ff", 4, fromServer},
	{"PUBLISH 5.0", `32 32 0007 6465762f372f74 000a 1b 03 0010 6170706c69636174696f6e2f6a736f6e 02 0000000a 23 0005
		7b2274223a32312e357d0a`, 5, fromClient},
	{"PUBLISH 5.0 with everything", "30 1d 0001 74 17 01 00 08 0001 72 09 0002 0000 26 0001 6b 0001 76 0b 8001 0b 03 ffd8", 5, fromServer},
	{"PUBACK", "40 02 0001", 4, fromServer},
	{"PUBACK 5.0", "40 03 0001 10", 5, fromServer},
	{"PUBREC", "50 02 0001", 4, fromServer},
	{"PUBREC 5.0", "50 09 0001 97 05 1f 0002 6e6f", 5, fromServer},
	{"PUBREL", "62 02 0001", 4, fromClient},
	{"PUBREL 5.0", "62 04 0001 92 00", 5, fromClient},
	{"PUBCOMP", "70 02 0001", 4, fromServer},
	{"PUBCOMP 5.0", "70 02 0001", 5, fromServer},
	{"SUBSCRIBE", "82 0e 0001 0001 61 00 0005 622f2b2f23 02", 4, fromClient},
	{"SUBSCRIBE 5.0", "82 0e 0009 03 0b c102 0005 6465762f2b 1d", 5, fromClient},
	{"SUBSCRIBE 5.0, shared", "82 10 0009 00 000a 2473686172652f672f23 21", 5, fromClient},
	{"SUBACK", "90 04 0001 0180", 4, fromServer},
	{"SUBACK 5.0", "90 06 0009 00 018702", 5, fromServer},
	{"UNSUBSCRIBE", "a2 05 0001 0001 61", 4, fromClient},
	{"UNSUBSCRIBE 5.0", "a2 0d 0002 07 26 0001 6b 0001 76 0001 61", 5, fromClient},
	{"UNSUBACK", "b0 02 0001", 4, fromServer},
	{"UNSUBACK 5.0", "b0 05 0002 00 0011", 5, fromServer},
	{"PINGREQ", "c0 00", 4, fromClient},
	{"PINGRESP", "d0 00", 5, fromServer},
	{"DISCONNECT", "e0 00", 4, fromClient},
	{"DISCONNECT 5.0", "e0 02 04 00", 5, fromClient},
	{"DISCONNECT 5.0 of a server", "e0 09 8e 07 1c 0004 683a3830", 5, fromServer},
	{"AUTH 5.0", "f0 0e 18 0c 15 0003 434841 16 0003 010203", 5, fromServer},
}

// joined is a stream of which the beginning was not seen.
func joined(version uint8, from dissect.Direction) *dissect.Stream {
	return &dissect.Stream{Version: version, Direction: from, Joined: true}
}

// streamer is MQTT whose streams begin with what the test wants, so that one
// packet by itself breaks no rule.
type streamer struct {
	dissect.MQTT
	version uint8
}

func (s streamer) prepare(st *dissect.Stream) *dissect.Stream {
	if st != nil {
		st.Version, st.Joined = s.version, true
	}
	return st
}

func (s streamer) Dissect(b []byte, st *dissect.Stream) (dissect.Packet, int, error) {
	return s.MQTT.Dissect(b, s.prepare(st))
}

func (s streamer) Line(dst, b []byte, st *dissect.Stream) ([]byte, dissect.Line, bool) {
	return s.MQTT.Line(dst, b, s.prepare(st))
}

func TestMQTT(t *testing.T) {
	for _, s := range mqttSampleList {
		sample := dissecttest.Sample{Name: s.name, Bytes: unhex(t, s.hex), Direction: s.from}
		dissecttest.Run(t, streamer{version: s.version}, []dissecttest.Sample{sample})
		if p, _, err := (dissect.MQTT{}).Dissect(sample.Bytes, joined(s.version, s.from)); err != nil || len(p.Problems) > 0 {
			t.Errorf("%s: %v, %v", s.name, p.Problems, err)
		}
	}
}

// verdict is all that is wrong with a packet, by rule.
func verdict(p dissect.Packet, err error) []dissect.Problem {
	all := p.Problems
	if bad := (*dissect.Malformed)(nil); errors.As(err, &bad) {
		all = append(all, bad.Problem)
	}
	return all
}

// A packet of which each byte is a field, or a fault, takes no more memory than
// another one.
func TestMQTTListsAreBounded(t *testing.T) {
	const size = 1 << 16
	for _, c := range []struct{ name, first, head, part string }{
		{"reason codes", "90", "0001 00", "7f"},
		{"properties", "30", "0001 61 808008", "0101"},
		{"filters", "82", "0001 00", "0000 ff"},
		{"filters to leave", "a2", "0001 00", "0000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := append(unhex(t, c.head), bytes.Repeat(unhex(t, c.part), size)...)
			b := append(binary.AppendUvarint(unhex(t, c.first), uint64(len(body))), body...)
			p, n, _ := dissecttest.Dissect(t, dissect.MQTT{}, b, joined(5, dissect.Unknown))
			fields := 0
			var count func(all []dissect.Field)
			count = func(all []dissect.Field) {
				fields += len(all)
				for _, f := range all {
					count(f.Kids)
				}
			}
			count(p.Fields)
			if n != len(b) || fields > 20000 || len(p.Problems) > 3000 || len(p.Summary) > 500 {
				t.Errorf("%d of %d bytes, %d fields, %d problems: %s", n, len(b), fields, len(p.Problems), p.Summary)
			}
		})
	}
}

// Wherever a CONNECT ends, and whatever its flags say, what may be the password is
// secret.
func TestMQTTHidesPasswords(t *testing.T) {
	whole := unhex(t, "10 21 0004 4d515454 04 c2 003c 0003 646576 0003 757372 000c 53454352455453454352")
	whole = append(whole, "ET"...)
	whole[1] = byte(len(whole) - 2)
	check := func(b []byte) {
		p, _, err := dissecttest.Dissect(t, dissect.MQTT{}, b, &dissect.Stream{Direction: fromClient})
		said := p.Summary
		for _, q := range verdict(p, err) {
			said += q.Text
		}
		var look func(fields []dissect.Field)
		look = func(fields []dissect.Field) {
			for _, f := range fields {
				if bytes.Contains(b[f.Off:f.End()], []byte("SEC")) && !f.Secret && f.Value != nil {
					t.Errorf("% x: %q shows it", b, f.Name)
				}
				look(f.Kids)
			}
		}
		if look(p.Fields); strings.Contains(said, "SEC") {
			t.Errorf("% x: %s", b, said)
		}
	}
	for n := 1; n <= len(whole); n++ {
		check(whole[:n])
		cut := bytes.Clone(whole[:n])
		if n > 1 {
			cut[1] = byte(n - 2)
			check(cut)
		}
	}
	for flags := range 256 {
		b := bytes.Clone(whole)
		b[9] = byte(flags)
		if flags&connectWill == 0 { // else it is a will, for all that anybody knows
			check(b)
		}
	}
	for _, level := range []byte{3, 4, 5, 6, 0x84} {
		b := bytes.Clone(whole)
		b[8] = level
		check(b)
	}
}

const connectWill = 4
