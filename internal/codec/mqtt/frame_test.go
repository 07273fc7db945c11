package mqtt

import (
	"errors"
	"slices"
	"testing"
)

func TestParseHeader(t *testing.T) {
	for _, tc := range []struct {
		name string
		hex  string
		want Header
		n    int
		code ReasonCode // of the error
		err  error
	}{
		{"nothing", "", Header{}, 0, 0, ErrShort},
		{"type alone", "30", Header{Type: TypePublish}, 0, 0, ErrShort},
		{"length incomplete", "30 ffffff", Header{Type: TypePublish}, 0, 0, ErrShort},
		{"smallest", "c0 00", Header{Type: TypePingreq}, 2, 0, nil},
		{"flags", "3d 7f", Header{Type: TypePublish, Flags: 13, Remaining: 127}, 2, 0, nil},
		{"two bytes", "30 8001", Header{Type: TypePublish, Remaining: 128}, 3, 0, nil},
		{"three bytes", "30 808001", Header{Type: TypePublish, Remaining: 16384}, 4, 0, nil},
		{"greatest", "30 ffffff7f", Header{Type: TypePublish, Remaining: MaxRemaining}, 5, 0, nil},
		{"overlong", "30 80808000", Header{Type: TypePublish, Overlong: true}, 5, 0, nil},
		{"five bytes", "30 8080808000", Header{Type: TypePublish}, 0, MalformedPacket, nil},
		{"five bytes, the last yet to come", "30 80808080", Header{Type: TypePublish}, 0, MalformedPacket, nil},
		{"reserved type", "00 00", Header{}, 0, MalformedPacket, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, n, err := parseHeader(unhex(t, tc.hex))
			if h != tc.want || n != tc.n {
				t.Errorf("header %+v in %d bytes, want %+v in %d", h, n, tc.want, tc.n)
			}
			checkCode(t, err, tc.err, tc.code)
		})
	}
}

func checkCode(t *testing.T, err, want error, code ReasonCode) {
	t.Helper()
	var m *Malformed
	switch {
	case code != 0:
		if !errors.As(err, &m) || m.Code != code {
			t.Errorf("error %v, want code %v", err, code)
		}
	case !errors.Is(err, want):
		t.Errorf("error %v, want %v", err, want)
	}
}

// [MQTT-3.2.2-15] [MQTT-3.1.2-24]
func TestFrameEnforcesTheLimitBeforeTheBodyArrives(t *testing.T) {
	for _, tc := range []struct {
		name  string
		hex   string
		limit int
		n     int
		code  ReasonCode
		err   error
	}{
		{"length still unknown", "30 ff", 2, 0, 0, ErrShort},
		{"over as soon as known", "30 ff01", 128, 258, PacketTooLarge, nil},
		{"exactly the limit", "c0 00", 2, 2, 0, nil},
		{"one over", "30 03", 4, 5, PacketTooLarge, nil},
		{"the greatest length", "30 ffffff7f", 1 << 20, MaxRemaining + 5, PacketTooLarge, nil},
		{"no limit, body missing", "30 ffffff7f", 0, MaxRemaining + 5, 0, ErrShort},
		{"body incomplete", "30 03 0001", 100, 5, 0, ErrShort},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, n, err := Frame(unhex(t, tc.hex), tc.limit)
			if n != tc.n {
				t.Errorf("size %d, want %d", n, tc.n)
			}
			checkCode(t, err, tc.err, tc.code)
		})
	}
}

// Every way of cutting a stream into reads yields the same packets.
func TestFrameOverReadsOfEverySize(t *testing.T) {
	var stream []byte
	var want []Type
	for _, s := range samples {
		stream = append(stream, unhex(t, s.hex)...)
		want = append(want, s.packet.Type())
	}
	for size := 1; size <= len(stream); size++ {
		var buf []byte
		var got []Type
		for rest := stream; len(rest) > 0; {
			n := min(size, len(rest))
			buf, rest = append(buf, rest[:n]...), rest[n:]
			for {
				h, body, n, err := Frame(buf, 1000)
				if errors.Is(err, ErrShort) {
					if n > 0 && n <= len(buf) {
						t.Fatalf("short of a packet of %d bytes with %d there", n, len(buf))
					}
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if h.Remaining != len(body) {
					t.Fatalf("%v: body %d of %d bytes", h.Type, len(body), h.Remaining)
				}
				got = append(got, h.Type)
				buf = buf[n:]
			}
		}
		if len(buf) > 0 || !slices.Equal(got, want) {
			t.Fatalf("reads of %d bytes: %v, %d bytes left", size, got, len(buf))
		}
	}
}

// [MQTT-1.5.5-1]
func TestOverlongRemainingLengthIsMalformedFromVersion5On(t *testing.T) {
	raw := unhex(t, "c0 8000")
	for _, tc := range []struct {
		v       Version
		lenient bool
		code    ReasonCode
		notes   int
	}{
		{V31, false, 0, 0},
		{V311, false, 0, 0},
		{V311, true, 0, 0},
		{V5, false, MalformedPacket, 0},
		{V5, true, 0, 1},
	} {
		var notes []Malformed
		p, n, err := Parse(raw, Options{Version: tc.v, Lenient: tc.lenient, Notes: &notes})
		checkCode(t, err, nil, tc.code)
		if p != (Pingreq{}) || n != 3 || len(notes) != tc.notes {
			t.Errorf("%v, lenient %v: %v in %d bytes with notes %v", tc.v, tc.lenient, p, n, notes)
		}
	}
	// CONNECT is judged by the version that it names.
	connect := unhex(t, "10 8d00 0004 4d515454 05 00 0000 00 0000")
	_, _, err := Parse(connect, Options{})
	checkCode(t, err, nil, MalformedPacket)
}
