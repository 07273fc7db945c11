package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"
	"time"
)

// FuzzParse: no definition, however odd, makes Parse, its vectors or a stream
// panic, and what it makes of a stream does not depend on how that was cut.
func FuzzParse(f *testing.F) {
	for _, name := range Builtin() {
		src, err := Source(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src, []byte{0x78, 0x78, 0x01, 0x7e, 0x7e})
	}
	for file, c := range samples(f) {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src, c.vectors[0].input)
	}
	f.Add([]byte("codec: a\nframing: {length: {offset: 0, size: 1, type: varint}}\nfields: &f\n- {name: x, type: group, fields: *f}\n"), []byte{1})
	for _, framing := range []string{
		"{delimiter: \"0a\"}\nmax_frame: 4", "[{start: \"01\", fixed: 2}, {idle_gap: 1s}]", "{start: \"7e\", end: \"7e\"}",
		"[{when: first, fixed: 1}, {when: later, length: {offset: 1, size: 2, includes: frame}}]", "{start: [\"1?\", \"22\"], start_at: 1, fixed: 3}\nresync: false",
	} {
		f.Add([]byte("codec: a\nframing: "+framing+"\nfields: [{name: a, type: array, count: eos, item: {type: u1}}]\n"), []byte("\x01\x7e\x7e\x02\n123456789\n\x7e"))
	}
	f.Fuzz(func(t *testing.T, src, stream []byte) {
		c, err := Parse("fuzz.yaml", src)
		if (c == nil) == (err == nil) {
			t.Fatalf("codec %v, error %v", c, err)
		}
		if c != nil {
			c.Check()
			cutAnyhow(t, c, stream)
		}
	})
}

// everyCodec is the shipped definitions and the samples, always in one order.
func everyCodec(t testing.TB) (codecs []*Codec) {
	for _, name := range Builtin() {
		codecs = append(codecs, open(t, name))
	}
	all := samples(t)
	for _, file := range slices.Sorted(maps.Keys(all)) {
		codecs = append(codecs, all[file])
	}
	return codecs
}

// result is what came out of a stream: frames, and how it ended.
type result struct {
	frames  [][]byte
	skipped int
	dropped int
	refused bool
}

// feed gives the splitter a stream in pieces of the given size and checks what
// every call must keep.
func feed(t *testing.T, c *Codec, stream []byte, piece int) (res result) {
	t.Helper()
	s := c.Splitter(Up)
	var buffer []byte
	for len(stream) > 0 {
		n := min(piece, len(stream))
		buffer, stream = append(buffer, stream[:n]...), stream[n:]
		for {
			f, n, err := s.Next(buffer)
			if n < 0 || n > len(buffer) {
				t.Fatalf("consumed %d of %d bytes", n, len(buffer))
			}
			if err == nil {
				if n == 0 || len(f.Raw) > n {
					t.Fatalf("a frame of %d bytes out of %d", len(f.Raw), n)
				}
				if len(f.Raw) > c.MaxFrame() {
					t.Fatalf("a frame of %d bytes, max_frame is %d", len(f.Raw), c.MaxFrame())
				}
				if !bytes.Equal(f.Raw, buffer[n-len(f.Raw):n]) {
					t.Fatalf("the frame is not the end of what was consumed")
				}
				res.frames = append(res.frames, bytes.Clone(f.Raw))
			}
			buffer = buffer[n:]
			if errors.Is(err, ErrNotFramed) {
				res.refused = true
				res.skipped, res.dropped = s.Skipped(), s.Dropped()
				return res
			}
			if err != nil {
				if need := s.Need(); need < 1 || need > c.MaxFrame() {
					t.Fatalf("needs %d bytes", need)
				}
				if len(buffer) > c.MaxFrame() {
					t.Fatalf("holds back %d bytes, max_frame is %d", len(buffer), c.MaxFrame())
				}
				break
			}
		}
	}
	res.skipped, res.dropped = s.Skipped(), s.Dropped()
	return res
}

// FuzzStream: whatever arrives, nothing panics, and how the bytes were cut
// into reads makes no difference.
func FuzzStream(f *testing.F) {
	codecs := everyCodec(f)
	for i, c := range codecs {
		for _, v := range c.vectors {
			f.Add(byte(i), v.input)
			f.Add(byte(i), append(append([]byte{0x68, 0x7e, 0, 1}, v.input...), v.input...))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, stream []byte) {
		cutAnyhow(t, codecs[int(which)%len(codecs)], stream)
	})
}

// cutAnyhow feeds a stream whole and in pieces, compares, and decodes it.
func cutAnyhow(t *testing.T, c *Codec, stream []byte) {
	t.Helper()
	whole := feed(t, c, stream, len(stream)+1)
	for _, piece := range []int{1, 7} {
		cut := feed(t, c, stream, piece)
		if len(cut.frames) != len(whole.frames) || cut.refused != whole.refused ||
			!cut.refused && (cut.skipped != whole.skipped || cut.dropped != whole.dropped) {
			t.Fatalf("%s: in pieces of %d: %d frames, %d skipped, %d dropped, refused %v; at once: %d, %d, %d, %v", c.Name(), piece,
				len(cut.frames), cut.skipped, cut.dropped, cut.refused, len(whole.frames), whole.skipped, whole.dropped, whole.refused)
		}
		for i := range cut.frames {
			if !bytes.Equal(cut.frames[i], whole.frames[i]) {
				t.Fatalf("%s: frame %d is % x in pieces of %d, % x at once", c.Name(), i, cut.frames[i], piece, whole.frames[i])
			}
		}
	}
	decodeAll(t, c, stream)
}

// decodeAll decodes every frame in both directions and writes all that can be
// written of it.
func decodeAll(t *testing.T, c *Codec, stream []byte) {
	for _, dir := range []Direction{Up, Down, Any} {
		s, r := c.Splitter(dir), &Record{}
		for {
			fr, n, err := s.Gap(stream)
			if n > len(stream) || err == nil && n == 0 {
				t.Fatalf("consumed %d of %d bytes", n, len(stream))
			}
			stream = stream[n:]
			if err != nil {
				break
			}
			if err := c.Decode(fr, dir, r); err != nil {
				if de := (*DecodeError)(nil); !errors.As(err, &de) {
					t.Fatal(err)
				}
			}
			for i := range r.Values {
				if v := &r.Values[i]; v.Off < 0 || v.Len < 0 || v.Off+v.Len > len(fr.Data) || v.End <= i || v.End > len(r.Values) {
					t.Fatalf("%s: %s stands at %d, %d bytes, in a frame of %d; its end is %d", c.Name(), v.Name, v.Off, v.Len, len(fr.Data), v.End)
				}
			}
			if text := r.AppendJSON(nil); !json.Valid(text) {
				t.Fatalf("%s: no valid JSON: %s", c.Name(), text)
			}
			c.AppendPayload(nil, r)
			if topic, err := c.AppendTopic(nil, r, "d"); err == nil && bytes.ContainsAny(topic, "+#\x00") {
				t.Fatalf("%s: topic %q", c.Name(), topic)
			}
			env := Env{Now: time.Unix(1, 0), DeviceID: "1"}
			_, _, _ = c.Reply(nil, r, env)
			_, _, _ = c.Refuse(nil, r, env)
			fr.Parts()
		}
	}
}

// FuzzEncode: no payload makes a frame that its own framing would not take.
func FuzzEncode(f *testing.F) {
	codecs := everyCodec(f)
	for i, c := range codecs {
		for _, v := range c.vectors {
			if v.encode != nil {
				f.Add(byte(i), v.encode)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which byte, payload []byte) {
		c := codecs[int(which)%len(codecs)]
		out, err := c.Encode([]byte("before"), payload, Env{Now: time.Unix(1, 0), DeviceID: "123456"})
		if !bytes.HasPrefix(out, []byte("before")) || err != nil && len(out) != len("before") {
			t.Fatalf("%s: % x, %v", c.Name(), out, err)
		}
	})
}
