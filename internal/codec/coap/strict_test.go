package coap

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	udp = "udp"
	tcp = "tcp"
	ws  = "ws"
)

// parse reads b over a transport.
func parse(transport string, b []byte, mode *Mode) (Message, error) {
	switch transport {
	case tcp:
		m, _, err := ParseTCP(b, mode)
		return m, err
	case ws:
		return ParseWebSocket(b, mode)
	}
	return Parse(b, mode)
}

// Each finding of strict mode is one of lenient mode, too, with the message as far
// as it can be read.
func TestFindings(t *testing.T) {
	for _, tc := range []struct {
		hex       string
		transport string
		class     Class
		clause    string
		reason    string
		goesOn    bool // lenient mode reads on
	}{
		{"", udp, FormatError, "RFC 7252 §3", "header: 0 of 4 bytes", false},
		{"4001", udp, FormatError, "RFC 7252 §3", "header: 2 of 4 bytes", false},
		{"80011234", udp, Unknown, "RFC 7252 §3", "version 2", false},
		{"49011234 010203040506070809", udp, FormatError, "RFC 7252 §3", "token length 9: 9 to 15 are reserved", false},
		{"4f011234", udp, FormatError, "RFC 7252 §3", "token length 15: 9 to 15 are reserved", false},
		{"44011234 0102", udp, FormatError, "RFC 7252 §3", "token: 2 of 4 bytes", false},
		{"40011234 ff", udp, FormatError, "RFC 7252 §3", "a payload marker with no payload", true},
		{"40011234 f1", udp, FormatError, "RFC 7252 §3.1", "option delta 15 is reserved", false},
		{"40011234 1f", udp, FormatError, "RFC 7252 §3.1", "option length 15 is reserved", false},
		{"40011234 b474", udp, FormatError, "RFC 7252 §3.1", "option: 2 of 5 bytes", false},
		{"40011234 d1", udp, FormatError, "RFC 7252 §3.1", "option: 1 of 2 bytes", false},
		{"40011234 e0fef2 e00001", udp, FormatError, "RFC 7252 §3.1", "option number 65805 is above 65535", false},
		{"40001234 01", udp, FormatError, "RFC 7252 §4.1", "1 bytes follow the header of an empty message", false},
		{"41001234 01", udp, FormatError, "RFC 7252 §4.1", "1 bytes follow the header of an empty message", true},
		{"40001234 ff61", udp, FormatError, "RFC 7252 §4.1", "2 bytes follow the header of an empty message", true},
		{"71001234 01", udp, FormatError, "RFC 7252 §4.1", "1 bytes follow the header of an empty message", true},
		{"70451234", udp, FormatError, "RFC 7252 §4.2", "a reset must be empty, and has code 2.05", true},
		{"50001234", udp, FormatError, "RFC 7252 §4.3", "an empty message must not be non-confirmable", true},
		{"60011234", udp, FormatError, "RFC 7252 §4.2", "an acknowledgement carries a request", true},
		{"40211234", udp, FormatError, "RFC 7252 §4.2", "code 1.01 is of a reserved class", true},
		{"40c11234", udp, FormatError, "RFC 7252 §4.2", "code 6.01 is of a reserved class", true},
		{"40e11234", udp, FormatError, "RFC 7252 §4.2", "code 7.01 is of a class that is reserved over UDP", true},
		{"60451234 c0 00 ff61", udp, Ignored, "RFC 7252 §5.4.5", "Content-Format is repeated", true},
		{"40011234 d104 28 00", udp, BadOptions, "RFC 7252 §5.4.5", "Accept is repeated", true},
		{"40011234 53 010203", udp, BadOptions, "RFC 7252 §5.4.3", "If-None-Match has 3 bytes, not 0", true},
		{"40011234 40", udp, Ignored, "RFC 7252 §5.4.3", "ETag has 0 bytes, not 1 to 8", true},
		{"40011234 b1ff", udp, BadOptions, "RFC 7252 §3.2", "Uri-Path is not UTF-8", true},
		{"40011234 b22e2e", udp, BadContent, "RFC 7252 §5.10.1", `Uri-Path must not be ".."`, true},
		{"40411234 812e", udp, BadContent, "RFC 7252 §5.10.7", `Location-Path must not be "."`, true},
		{"40011234 d10a07", udp, BadContent, "RFC 7959 §2.2", "Block2: block size exponent 7 is reserved", true},
		{"40011234 6107", udp, Ignored, "RFC 7641 §2", "Observe 7 in a request is neither 0 nor 1", true},
		{"40011234 d10300", udp, BadContent, "RFC 8768 §3", "Hop-Limit is 0", true},
		{"09 01", tcp, FormatError, "RFC 7252 §3", "token length 9: 9 to 15 are reserved", false},
		{"10 01 ff", tcp, FormatError, "RFC 7252 §3", "a payload marker with no payload", true},
		{"00 21", tcp, FormatError, "RFC 7252 §4.2", "code 1.01 is of a reserved class", true},
		{"10 01 b4", tcp, FormatError, "RFC 7252 §3.1", "option: 1 of 5 bytes", false},
		{"f0 ffffffff 01", tcp, FormatError, "RFC 8323 §3.2", "a length of 4295033100, more than a message has", false},
		{"10 01 60", ws, FormatError, "RFC 8323 §4.2", "length 1 over WebSocket, not 0", false},
		{"00", ws, FormatError, "RFC 8323 §4.2", "header: 1 of 2 bytes", false},
	} {
		b := unhex(t, tc.hex)
		want := &Malformed{Class: tc.class, Clause: tc.clause, Reason: tc.reason}
		_, err := parse(tc.transport, b, &Mode{})
		check := func(m *Malformed) bool {
			return m.Class == want.Class && m.Clause == want.Clause && m.Reason == want.Reason && m.Offset >= 0 && m.Offset+m.Len <= len(b)
		}
		bad := (*Malformed)(nil)
		if !errors.As(err, &bad) || !check(bad) {
			t.Errorf("%s %s: %+v, want %+v", tc.transport, tc.hex, err, want)
			continue
		}
		var notes []Malformed
		_, err = parse(tc.transport, b, &Mode{Lenient: true, Notes: &notes})
		if tc.goesOn && (err != nil || len(notes) == 0 || !check(&notes[0])) {
			t.Errorf("%s %s, lenient: %v, %+v", tc.transport, tc.hex, err, notes)
		}
		if !tc.goesOn && err == nil {
			t.Errorf("%s %s, lenient: no error, %+v", tc.transport, tc.hex, notes)
		}
	}
}

// What both modes accept has notes.
func TestAdvice(t *testing.T) {
	for _, tc := range []struct{ hex, transport, reason string }{
		{"40011234 620000", udp, "Observe has leading zeros"},
		{"40081234", udp, "method 0.08 is not known here"},
		{"60541234", udp, "response code 2.20 is not known here, and means 2.00"},
		{"60611234", udp, "code 3.01 is of a class that is not assigned"},
		{"40011234 e1fcdc07", udp, "critical option 65001 is not known here"},
		{"00 e9", tcp, "signal 7.09 is not known here"},
	} {
		b := unhex(t, tc.hex)
		if _, err := parse(tc.transport, b, &Mode{}); err != nil {
			t.Errorf("%s: %v", tc.hex, err)
		}
		var notes []Malformed
		if _, err := parse(tc.transport, b, &Mode{Lenient: true, Notes: &notes}); err != nil || len(notes) != 1 || notes[0].Class != Advice || notes[0].Reason != tc.reason {
			t.Errorf("%s: %v, %+v", tc.hex, err, notes)
		}
	}
}

// Blocks of several kilobytes are legal over TCP alone.
func TestBERT(t *testing.T) {
	m := Message{Code: GET, Options: Options(nil).AddUint(Block2, BERT)}
	b, err := m.AppendTCP(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ParseTCP(b, &Mode{}); err != nil {
		t.Error(err)
	}
}

func TestSignals(t *testing.T) {
	for _, s := range []struct {
		name, hex string
		code      Code
		options   []Number
	}{
		{"CSM", "40 e1 22 0480 20", CSM, []Number{2, 4}},
		{"Ping with Custody", "12 e2 0102 20", Ping, []Number{2}},
		{"Pong", "02 e3 0102", Pong, nil},
		{"Release", "70 e4 2461626364 21 05", Release, []Number{2, 4}},
		{"Abort", "00 e5", Abort, nil},
	} {
		m, n, err := ParseTCP(unhex(t, s.hex), &Mode{})
		if err != nil || m.Code != s.code || n != len(unhex(t, s.hex)) {
			t.Errorf("%s: %+v, %d, %v", s.name, m, n, err)
		}
		var numbers []Number
		for n := range m.Options.All() {
			numbers = append(numbers, n)
			if _, ok := Define(m.Code, n); !ok {
				t.Errorf("%s: option %d is not defined", s.name, n)
			}
		}
		if diff := cmp.Diff(s.options, numbers); diff != "" {
			t.Errorf("%s: %s", s.name, diff)
		}
	}
}

// The four sizes of a length over TCP: RFC 8323 §3.2.
func TestLengthsOverTCP(t *testing.T) {
	for _, n := range []int{0, 1, 11, 12, 13, 267, 268, 269, 65803, 65804, 65805, 70000} {
		m := Message{Code: Content, Token: []byte{1}, Payload: make([]byte, n)}
		b, err := m.AppendTCP(nil)
		if err != nil || len(b) != m.SizeTCP() {
			t.Fatalf("%d: %d bytes, %v", n, len(b), err)
		}
		got, size, err := ParseTCP(b, &Mode{})
		if err != nil || size != len(b) || len(got.Payload) != n {
			t.Errorf("%d: %d of %d bytes, %v", n, size, len(b), err)
		}
		if _, _, err := ParseTCP(b, &Mode{MaxBytes: len(b) - 1}); !errors.As(err, new(*Malformed)) {
			t.Errorf("%d bytes pass a limit: %v", n, err)
		}
	}
}

// Tokens of more than 8 bytes: RFC 8974.
func TestExtendedTokens(t *testing.T) {
	for _, n := range []int{13, 20, 268, 269, 1000} {
		m := Message{Type: NonConfirmable, Code: GET, MessageID: 1, Token: bytes.Repeat([]byte{7}, n), Options: Options(nil).AddString(URIPath, "x")}
		b, err := m.Append(nil)
		if err != nil || len(b) != m.Size() {
			t.Fatal(n, err)
		}
		got, err := Parse(b, &Mode{ExtendedTokens: true})
		if err != nil || cmp.Diff(m, got) != "" {
			t.Errorf("%d: %v", n, err)
		}
		if _, err := Parse(b, &Mode{}); err == nil {
			t.Errorf("%d bytes pass unasked", n)
		}
		if b, err = m.AppendTCP(nil); err != nil {
			t.Fatal(err)
		}
		if got, size, err := ParseTCP(b, &Mode{ExtendedTokens: true}); err != nil || size != len(b) || !bytes.Equal(got.Token, m.Token) {
			t.Errorf("%d over TCP: %v", n, err)
		}
	}
}
