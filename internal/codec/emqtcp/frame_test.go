package emqtcp

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestFrameSaysHowMuchIsMissing(t *testing.T) {
	for _, tc := range []struct {
		hex   string
		limit int
		n     int
		short bool
		bad   bool
	}{
		{"", 0, 1, true, false},
		{"30", 0, 3, true, false},
		{"30 00", 0, 3, true, false},
		{"30 0004", 0, 7, true, false},
		{"30 0004 616263", 0, 7, true, false},
		{"30 0004 61626364 40", 0, 7, false, false},
		{"40", 0, 1, false, false},
		{"40 30", 0, 1, false, false},
		{"30 0400", 1024, 1027, true, false},
		{"30 0401", 1024, 1028, false, true},
		{"30 ffff", 1024, 65538, false, true}, // before the payload arrives
		{"30 ff", 1024, 3, true, false},
		{"30 ffff", 65535, 65538, true, false},
		{"70", 0, 0, false, true},
		{"00 0000", 0, 0, false, true},
	} {
		h, body, n, err := Frame(unhex(t, tc.hex), tc.limit)
		var m *Malformed
		if n != tc.n || errors.Is(err, ErrShort) != tc.short || errors.As(err, &m) != tc.bad {
			t.Errorf("%q, limit %d: %+v, size %d, %v", tc.hex, tc.limit, h, n, err)
		}
		if err == nil && len(body) != h.Length {
			t.Errorf("%q: %d bytes, length %d", tc.hex, len(body), h.Length)
		}
	}
}

// Every way of cutting a stream into reads yields the same frames.
func TestFrameOverReadsOfEverySize(t *testing.T) {
	var stream []byte
	var want []Type
	for _, s := range samples {
		if s.packet.Size() > 1000 {
			continue
		}
		stream = append(stream, unhex(t, s.hex)...)
		want = append(want, s.packet.Type())
	}
	for size := 1; size <= len(stream); size++ {
		var buf []byte
		var got []Type
		for rest := stream; len(rest) > 0; {
			k := min(size, len(rest))
			buf, rest = append(buf, rest[:k]...), rest[k:]
			for {
				h, _, n, err := Frame(buf, 1000)
				if errors.Is(err, ErrShort) {
					if n <= len(buf) {
						t.Fatalf("short of %d bytes with %d there", n, len(buf))
					}
					break
				}
				if err != nil {
					t.Fatal(err)
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

func TestAThousandFramesInOneBuffer(t *testing.T) {
	b := []byte(strings.Repeat("0\x00\x02hi@", 500))
	count := map[Type]int{}
	for len(b) > 0 {
		p, n, err := Parse(b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		count[p.Type()]++
		b = b[n:]
	}
	if count[TypeDatatrans] != 500 || count[TypePing] != 500 {
		t.Error(count)
	}
}

func TestCheckFirst(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"\x11\x00\x07", ""},
		{"\x12", ""}, // its version is judged later
		{"node 7 online", "first frame must be CONNECT; got 0x6E ('n'); if you typed hex as text, send raw bytes"},
		{"11 00 07 3C", "got 0x31 ('1'); this is hex as text, send raw bytes"},
		{"0x110007", "this is hex as text"},
		{"1100073c000461626364\r\n", "this is hex as text"},
		{"1", "got 0x31 ('1'); if you typed hex as text, send raw bytes"},
		{"4", "got 0x34 ('4')"},
		{"\x30\x00\x01a", "got 0x30 ('0')"},
		{"\x00", "got 0x00"},
		{"\xff", "got 0xFF"},
	} {
		err := CheckFirst([]byte(tc.in))
		var m *Malformed
		if (tc.want == "") != (err == nil) || err != nil && (!errors.As(err, &m) || !strings.Contains(m.Reason, tc.want)) {
			t.Errorf("%q: %v", tc.in, err)
		}
	}
	if err := CheckFirst([]byte{0xff}); strings.Contains(err.Error(), "typed") {
		t.Error(err)
	}
}

func TestHexText(t *testing.T) {
	for _, tc := range []struct {
		in, want string
		ok       bool
	}{
		{"11 00 07 3C 00 04 61 62 63 64", "\x11\x00\x07\x3c\x00\x04abcd", true},
		{"0x11,0x00,0x07", "\x11\x00\x07", true},
		{"0X1100\n", "\x11\x00", true},
		{"11 0", "\x11", true}, // more is to come
		{"1", "", false},
		{"", "", false},
		{" \n", "", false},
		{"11 zz", "", false},
		{"11 0 0", "", false},
		{"hello", "", false},
	} {
		raw, ok := HexText([]byte(tc.in))
		if string(raw) != tc.want || ok != tc.ok {
			t.Errorf("%q: %x, %v", tc.in, raw, ok)
		}
	}
}
