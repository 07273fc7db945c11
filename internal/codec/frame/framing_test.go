package frame

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func parse(t testing.TB, yaml string) *Codec {
	t.Helper()
	c, err := Parse("test.yaml", []byte("codec: test\n"+yaml))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// split feeds stream in pieces and returns the Data of each frame in hex, and
// the error that ended it.
func split(c *Codec, stream []byte, piece int) (frames []string, s Splitter, err error) {
	s = c.Splitter(Up)
	var buffer []byte
	for len(stream) > 0 {
		n := min(piece, len(stream))
		buffer, stream = append(buffer, stream[:n]...), stream[n:]
		for {
			f, n, err := s.Next(buffer)
			buffer = buffer[n:]
			if errors.Is(err, ErrShort) {
				break
			}
			if err != nil {
				return frames, s, err
			}
			text := fmt.Sprintf("%x", f.Data)
			if f.BadChecksum {
				text += " bad"
			}
			frames = append(frames, text)
		}
	}
	return frames, s, nil
}

func TestFraming(t *testing.T) {
	const sum = "\nchecksum: {algo: sum8, range: [0, -1], at: -1}"
	for _, tt := range []struct {
		name    string
		yaml    string
		stream  string // hex
		want    string // frames' data
		skipped int
		err     bool
	}{
		{"length behind a header", `framing: {length: {offset: 1, size: 2}}`, "aa0002 0102 bb0000 cc000103", "aa00020102 bb0000 cc000103", 0, false},
		{"adjusted", `framing: {length: {offset: 0, size: 2, adjust: -2}}`, "0004 aabb 0003 cc", "0004aabb 0003cc", 0, false},
		{"less than its header", "framing: {length: {offset: 0, size: 2, adjust: -2}}\nmax_frame: 16", "0001 0003 cc", "0003cc", 2, false},
		{"the whole frame", `framing: {length: {offset: 1, size: 1, includes: frame}}`, "aa03ff bb02", "aa03ff bb02", 0, false},
		{"little endian", `framing: {length: {offset: 0, size: 2, endian: le}}`, "0200 aabb", "0200aabb", 0, false},
		{"three bytes", `framing: {length: {offset: 0, size: 3}}`, "000001 aa", "000001aa", 0, false},
		{"mask", `framing: {length: {offset: 0, size: 2, mask: 0x3ff}}`, "f401 aa", "f401aa", 0, false},
		{"ascii", `framing: {length: {offset: 1, size: 2, type: ascii}}`, "23 3132 303132333435363738394142 23 3030", "233132303132333435363738394142 233030", 0, false},
		{"no digits", `framing: {length: {offset: 1, size: 2, type: ascii}}`, "23 3141 23 3030", "233030", 3, false},
		{"ascii hex", `framing: {length: {offset: 0, size: 2, type: ascii_hex}}`, "3041 30313233343536373839", "304130313233343536373839", 0, false},
		{"bcd", `framing: {length: {offset: 0, size: 1, type: bcd}}`, "12 0102030405060708090a0b0c 1a 00", "120102030405060708090a0b0c 00", 1, false},
		{"varint", `framing: {length: {offset: 1, type: varint}}`, "c0 02 aabb d0 00 c0 8001" + strings.Repeat("ee", 128), "c002aabb d000 c08001" + strings.Repeat("ee", 128), 0, false},
		{"least and most", `framing: {length: {offset: 0, size: 1, min: 2, max: 3}}`, "01 02aabb 04", "02aabb", 2, false},

		{"delimiter", `framing: {delimiter: "0d0a", strip: true}`, "61 0d 62 0d0a 0d0a 63 0d0a", "610d62 63", 0, false},
		{"delimiter kept", `framing: {delimiter: "00"}`, "61 00 00 62 00", "6100 6200", 0, false},
		{"a line too long is left out alone", "framing: {delimiter: \"0a\", strip: true}\nmax_frame: 4", "6162630a 616263640a 61626364656667680a 630a", "616263 63", 14, false},
		{"a line too long without resync", "framing: {delimiter: \"0a\"}\nmax_frame: 4\nresync: false", "610a 61626364", "610a", 0, true},

		{"fixed", `framing: {fixed: 3}`, "010203 040506", "010203 040506", 0, false},
		{"markers", `framing: {start: "02", end: "03"}`, "ff 02 0a 03 02 03", "020a03 0203", 1, false},
		{"shared markers", `framing: {start: "7e", end: "7e"}`, "7e01027e 7e037e", "7e01027e 7e037e", 0, false},
		{"noise between shared markers", "framing: {start: \"7e\", end: \"7e\", body: [1, 2]}\nchecksum: {algo: sum8, range: [1, -2], at: -2}", "7e 0304 7e 01 01 7e", "7e01017e", 3, false},
		{"escapes", "framing: {start: \"7e\", end: \"7e\"}\npreprocess: {unescape: {\"7d02\": \"7e\", \"7d01\": \"7d\"}, strip: [1, 1]}", "7e 01 7d02 7d01 7d05 7e", "017e7d7d05", 0, false},

		{"variants", `framing: [{start: "7878", length: {offset: 2, size: 1}}, {start: "7979", length: {offset: 2, size: 2}}]`, "787801aa 79790001bb", "787801aa 79790001bb", 0, false},
		{"any digit", `framing: {start: "68????68", fixed: 4}`, "68010268 6868030468 68", "68010268 68030468", 1, false},
		{"half a byte", `framing: {start: "1?", fixed: 2}`, "1f00 2000 1000", "1f00 1000", 2, false},
		{"one of several starts, later in the frame", `framing: {start: ["01", "02"], start_at: 1, fixed: 3}`, "aa01bb aa03 cc02dd", "aa01bb cc02dd", 2, false},
		{"the first frame differs", `framing: [{when: first, length: {offset: 0, size: 2}}, {when: later, fixed: 2}]`, "0001aa 0102 0304", "0001aa 0102 0304", 0, false},
		{"the other direction", `framing: [{dir: down, fixed: 9}, {dir: up, fixed: 2}]`, "0102 0304", "0102 0304", 0, false},
		{"the next variant where one fails", "framing: [{start: \"01\", fixed: 3}, {start: \"01\", fixed: 2}]" + sum, "0101 010204 010102", "0101 010102", 3, false},

		{"checksum", "framing: {fixed: 3}" + sum, "010203 010204 ff 010203", "010203 010203", 4, false},
		{"bad checksum accepted", "framing: {fixed: 3}\non_bad_checksum: accept" + sum, "010204 010203", "010204 bad 010203", 0, false},
		{"bad checksum ends it", "framing: {fixed: 3}\non_bad_checksum: close" + sum, "010203 010204", "010203", 0, true},
		{"a frame is dropped whole without resync", "framing: {fixed: 3}\nresync: false" + sum, "010204 010203", "010203", 3, false},
		{"a line is dropped whole", "framing: {delimiter: \"0a\", strip: true}" + sum, "0102050a 0102030a", "010203", 4, false},
		{"several checksums", "framing: {fixed: 4}\nchecksum: [{algo: xor8, range: [0, 1], at: 1}, {algo: sum8, range: [0, -1], at: -1}]", "05050c16 05050c17 06060c18", "05050c16 06060c18", 4, false},

		{"no start without resync", "framing: {start: \"aa\", fixed: 2}\nresync: false", "aa01 bb02", "aa01", 0, true},
		{"longer than max_frame", "framing: {length: {offset: 0, size: 2}}\nmax_frame: 5", "ffff 0001aa", "0001aa", 2, false},
		{"too much noise", "framing: {start: \"aa\", fixed: 1}\nmax_skipped: 3", "00000000aa", "", 0, true},
		{"a gap is waited for", `framing: {idle_gap: 50ms}`, "0102", "", 0, false},
		{"a wrong end", "framing: {length: {offset: 0, size: 1, adjust: 1}, end: \"16\"}\nmax_frame: 8", "02 aabb 17 01 cc 16", "01cc16", 4, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := parse(t, tt.yaml)
			stream := unhex(t, tt.stream)
			want := strings.Fields(strings.ReplaceAll(tt.want, " bad", "_bad"))
			for _, piece := range []int{len(stream), 1, 2, 3} {
				got, s, err := split(c, stream, piece)
				for i := range got {
					got[i] = strings.ReplaceAll(got[i], " bad", "_bad")
				}
				if !slices.Equal(got, want) {
					t.Errorf("in pieces of %d: %q, want %q", piece, got, want)
				}
				if (err != nil) != tt.err || err != nil && !errors.Is(err, ErrNotFramed) {
					t.Errorf("in pieces of %d: error %v", piece, err)
				}
				if !tt.err && s.Skipped() != tt.skipped {
					t.Errorf("in pieces of %d: skipped %d, want %d", piece, s.Skipped(), tt.skipped)
				}
			}
		})
	}
}

// What a silence or the end of a datagram makes of the bytes.
func TestGap(t *testing.T) {
	for _, tt := range []struct{ name, yaml, data, want string }{
		{"whole", `framing: whole`, "010203", "010203"},
		{"gap", `framing: {idle_gap: 50ms}`, "010203", "010203"},
		{"a line without its end", `framing: {delimiter: "0a", strip: true}`, "61 0a 62", "61 62"},
		{"a frame that is cut short", `framing: {fixed: 2}`, "0102 03", "0102"},
		{"a gap with a checksum finds the frame behind noise", "framing: {idle_gap: 50ms}\nchecksum: {algo: sum8, range: [0, -1], at: -1}", "ff 010203", "010203"},
		{"a gap behind variants", `framing: [{start: "01", fixed: 2}, {idle_gap: 50ms}]`, "01aa 02bbcc", "01aa 02bbcc"},
		{"a variant that waits loses to the gap", `framing: [{start: "02", fixed: 9}, {idle_gap: 50ms}]`, "02bbcc", "02bbcc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := parse(t, tt.yaml)
			s, data := c.Splitter(Up), unhex(t, tt.data)
			var got []string
			for {
				f, n, err := s.Gap(data)
				data = data[n:]
				if err != nil {
					break
				}
				got = append(got, fmt.Sprintf("%x", f.Data))
			}
			if want := strings.Fields(tt.want); !slices.Equal(got, want) || len(data) > 0 {
				t.Errorf("%q and %d bytes left, want %q", got, len(data), want)
			}
		})
	}
}

// An offset in unescaped data leads back to the byte on the wire.
func TestRawOffset(t *testing.T) {
	c := parse(t, "framing: {start: \"7e\", end: \"7e\"}\npreprocess: {unescape: {\"7d02\": \"7e\", \"7d01\": \"7d\"}, strip: [1, 1]}")
	s := c.Splitter(Up)
	f, _, err := s.Next(unhex(t, "7e 01 7d02 7d01 05 7e"))
	if err != nil {
		t.Fatal(err)
	}
	for off, want := range []int{1, 2, 4, 6} {
		if got := f.RawOffset(off); got != want {
			t.Errorf("offset %d in % x is %d in % x, want %d", off, f.Data, got, f.Raw, want)
		}
	}
}

// Bytes that look like a long frame at every place are given up before each
// of them has been summed up.
func TestChecksumWorkIsBounded(t *testing.T) {
	c := parse(t, "framing: {start: \"23\", length: {offset: 1, size: 2}}\nmax_frame: 65536\nmax_skipped: 60000\nchecksum: {algo: sum8, range: [0, -1], at: -1}")
	s := c.Splitter(Up)
	_, n, err := s.Next(bytes.Repeat([]byte{'#'}, 60000))
	if !errors.Is(err, ErrNotFramed) || n > 1000 {
		t.Errorf("%d bytes consumed, %v", n, err)
	}
}

// A thousand frames in one read, and a flood of noise in front of them.
func TestManyFrames(t *testing.T) {
	c := open(t, "gt06")
	frame := unhex(t, gt06Location)
	stream := append(bytes.Repeat([]byte{0x78, 0x00}, 2000), bytes.Repeat(frame, 1000)...)
	s := c.Splitter(Up)
	frames := 0
	for at := 0; at < len(stream); frames++ {
		_, n, err := s.Next(stream[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
	if frames != 1000 || s.Skipped() != 4000 {
		t.Errorf("%d frames, %d bytes skipped", frames, s.Skipped())
	}
}
