package emqtcp

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSamplesBothWays(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			raw := unhex(t, s.hex)
			o := Options{FromServer: s.server, StrictFlags: true}
			p, n, err := Parse(append(raw[:len(raw):len(raw)], 0x40), o)
			if err != nil || n != len(raw) {
				t.Fatalf("%v after %d of %d bytes", err, n, len(raw))
			}
			if d := cmp.Diff(s.packet, p); d != "" {
				t.Errorf("parsed (-want +got):\n%s", d)
			}
			b, err := s.packet.Append([]byte("before"))
			if err != nil || !bytes.Equal(b, append([]byte("before"), raw...)) {
				t.Errorf("appended %x, %v", b, err)
			}
			if s.packet.Size() != len(raw) || s.packet.Type() != Type(raw[0]>>4) {
				t.Errorf("%v of %d bytes", s.packet.Type(), s.packet.Size())
			}
		})
	}
}

func TestSamplesCutAtEveryByte(t *testing.T) {
	for _, s := range samples {
		raw := unhex(t, s.hex)
		for cut := range min(len(raw), 300) {
			p, n, err := Parse(raw[:cut], Options{FromServer: s.server})
			if p != nil || n != 0 || !errors.Is(err, ErrShort) {
				t.Fatalf("%s cut to %d bytes: %v, %d, %v", s.name, cut, p, n, err)
			}
		}
	}
}

// A frame whose length says less than its fields is never read beyond its end.
func TestConnectCutInside(t *testing.T) {
	raw := unhex(t, "11 0013 3c 0004 61626364 0004 61626364 0004 61626364")
	for length := range 0x13 {
		b := bytes.Clone(raw)
		b[2] = byte(length)
		_, n, err := Parse(b, Options{})
		whole := length == 7 || length == 13 // the optional fields are left out
		if whole != (err == nil) || n != 3+length {
			t.Errorf("length %d: %d, %v", length, n, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		o         Options
		offset    int
		code      AckCode
		reason    string
	}{
		{"stray byte", "11 0008 3c 0004 61626364 00", Options{}, 10, 0, "user name length: 1 of 2 bytes"},
		{"length past the payload", "11 0007 3c 0005 61626364", Options{}, 4, 0, "client identifier: 4 of 5 bytes"},
		{"nothing in it", "11 0000", Options{}, 3, 0, "keep alive: 0 of 1 bytes"},
		{"no client identifier", "11 0001 3c", Options{}, 4, 0, "client identifier length: 0 of 2 bytes"},
		{"behind the password", "11 0009 00 0001 78 0000 0000 00", Options{}, 11, 0, "1 bytes after the password"},
		{"not UTF-8", "11 0005 00 0002 ff61", Options{}, 4, 0, "client identifier is not UTF-8"},
		{"NUL", "11 0005 00 0002 6100", Options{}, 4, 0, "client identifier contains NUL"},
		{"user not UTF-8", "11 0007 00 0001 61 0001 ff", Options{}, 7, 0, "user name is not UTF-8"},
		{"version 2", "12 0007 3c 0004 61626364", Options{}, 0, IllegalVersion, "protocol version 2 is not supported"},
		{"version 2, whatever follows", "12 0000", Options{}, 0, IllegalVersion, "protocol version 2 is not supported"},
		{"version 0", "10 0007 3c 0004 61626364", Options{}, 0, IllegalVersion, "accept_version_0"},
		{"version 2 in spite of the switch", "12 0007 3c 0004 61626364", Options{AcceptVersion0: true}, 0, IllegalVersion, "version 2"},
		{"flags of DATATRANS", "34 0000", Options{StrictFlags: true}, 0, 0, "reserved flags 0x4 are set"},
		{"flags of PING", "41", Options{StrictFlags: true}, 0, 0, "reserved flags 0x1 are set"},
		{"flags of DISCONNECT", "68", Options{StrictFlags: true}, 0, 0, "reserved flags 0x8 are set"},
		{"flags of PONG", "5f", Options{StrictFlags: true, FromServer: true}, 0, 0, "reserved flags 0xf are set"},
		{"CONNACK from a client", "20 0000", Options{}, 0, 0, "sent by a client"},
		{"PONG from a client", "50", Options{}, 0, 0, "sent by a client"},
		{"CONNECT from a server", "11 0004 00 0001 78", Options{FromServer: true}, 0, 0, "sent by a server"},
		{"PING from a server", "40", Options{FromServer: true}, 0, 0, "sent by a server"},
		{"DISCONNECT from a server", "60", Options{FromServer: true}, 0, 0, "sent by a server"},
		{"type 0", "00", Options{}, 0, 0, "the first byte is 0x00"},
		{"type 7", "7e", Options{}, 0, 0, "the first byte is 0x7e"},
		{"type 15", "ff", Options{}, 0, 0, "the first byte is 0xff"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := Parse(unhex(t, tc.hex), tc.o)
			var m *Malformed
			if !errors.As(err, &m) || m.Offset != tc.offset || m.Code != tc.code || !strings.Contains(m.Error(), tc.reason) {
				t.Errorf("%#v", err)
			}
		})
	}
}

func TestWhatPasses(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		o         Options
		want      Packet
	}{
		{"version 0 by switch", "10 0007 3c 0004 61626364", Options{AcceptVersion0: true}, Connect{KeepAlive: 60, ClientID: "abcd"}},
		{"reserved flags", "3f 0001 61", Options{}, Datatrans{[]byte("a")}},
		{"reserved flags of PING", "43", Options{}, Ping{}},
		{"reserved code", "23 0000", Options{FromServer: true}, Connack{Code: 3}},
		{"either side, client", "40", Options{EitherSide: true}, Ping{}},
		{"either side, server", "50", Options{EitherSide: true}, Pong{}},
	} {
		p, _, err := Parse(unhex(t, tc.hex), tc.o)
		if d := cmp.Diff(tc.want, p); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", tc.name, err, d)
		}
	}
}

func TestLenientCollects(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		notes     int
		fatal     bool
	}{
		{"flags", "35 0001 61", 1, false},
		{"stray bytes", "11 000a 00 0001 78 0000 0000 0102", 1, false},
		{"bad text and stray bytes", "11 000a 00 0002 ff00 0000 0000 01", 3, false},
		{"cut", "11 0007 3c 0005 61626364", 0, true},
		{"code", "2f 0000", 2, false}, // and the direction
	} {
		var notes []Malformed
		p, n, err := Parse(unhex(t, tc.hex), Options{Lenient: true, Notes: &notes})
		if len(notes) != tc.notes || (err != nil) != tc.fatal || p == nil || n == 0 {
			t.Errorf("%s: %v, %d, %v, notes %v", tc.name, p, n, err, notes)
		}
	}
}

func TestAppendRefusesWhatCannotBeExpressed(t *testing.T) {
	long := strings.Repeat("x", 65536)
	for _, tc := range []struct {
		p    Packet
		want error
	}{
		{Datatrans{[]byte(long)}, ErrTooLong},
		{Connack{Message: long}, ErrTooLong},
		{Connect{ClientID: long}, ErrTooLong},
		{Connect{ClientID: long[:65533]}, ErrTooLong}, // the sum counts
		{Connect{Version: 16}, ErrUnencodable},
		{Connack{Code: 16}, ErrUnencodable},
	} {
		b, err := tc.p.Append([]byte("x"))
		if !errors.Is(err, tc.want) || string(b) != "x" {
			t.Errorf("%v: %d bytes, %v", tc.p.Type(), len(b), err)
		}
	}
}

func TestAPasswordAloneGetsAnEmptyUserName(t *testing.T) {
	b, err := Connect{Version: 1, ClientID: "x", HasPassword: true}.Append(nil)
	if err != nil || !bytes.Equal(b, unhex(t, "11 0008 00 0001 78 0000 0000")) {
		t.Errorf("%x, %v", b, err)
	}
}
