package frame

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// Noise that is left out at once is the same as noise that is left out byte by
// byte.
func TestNoiseIsSkippedAlike(t *testing.T) {
	for _, name := range Builtin() {
		t.Run(name, func(t *testing.T) {
			c, err := Open(name)
			if err != nil {
				t.Fatal(err)
			}
			slow := *c
			for i := range slow.framing.anchor.may {
				slow.framing.anchor.may[i] = true
			}
			r := rand.New(rand.NewPCG(1, 2))
			var data []byte
			for _, v := range c.framing.variants {
				for _, p := range v.starts {
					for range 20 { // what looks like frames, between what does not
						data = append(data, p.want...)
						for range r.IntN(300) {
							data = append(data, byte(r.Uint32()))
						}
					}
				}
			}
			want, wantSkipped, wantErr := cut(&slow, data)
			got, skipped, err := cut(c, data)
			if !bytes.Equal(got, want) || skipped != wantSkipped || errors.Is(err, ErrNotFramed) != errors.Is(wantErr, ErrNotFramed) {
				t.Errorf("%d bytes of frames, %d skipped, %v; byte by byte %d, %d, %v", len(got), skipped, err, len(want), wantSkipped, wantErr)
			}
		})
	}
}

// cut returns the frames of data one after the other.
func cut(c *Codec, data []byte) (frames []byte, skipped int, err error) {
	s := c.Splitter(Up)
	for {
		f, n, err := s.Next(data)
		if err != nil {
			return frames, s.Skipped(), err
		}
		frames = append(append(frames, f.Raw...), '|')
		data = data[n:]
	}
}

// Who has not sent a frame yet may send much less of what is none.
func TestStrangersMaySkipLess(t *testing.T) {
	for _, tt := range []struct {
		definition string
		first      int // the most before the first frame
		later      int
	}{
		{"framing: {start: \"aa\", fixed: 1}\nmax_frame: 9000", 9000, 64 << 10},
		{"framing: {start: \"aa\", fixed: 1}\nmax_frame: 16", 4096, 64 << 10},
		{"framing: {start: \"aa\", fixed: 1}\nmax_frame: 1048576", 64 << 10, 64 << 10},
		{"framing: {start: \"aa\", fixed: 1}\nmax_skipped: 5000", 5000, 5000},
		{"framing: {start: \"aa\", fixed: 1}\nmax_skipped: 3", 3, 3},
	} {
		c := parse(t, tt.definition)
		for _, more := range []int{0, 1} {
			s := c.Splitter(Up)
			_, _, err := s.Next(make([]byte, tt.first+more))
			if errors.Is(err, ErrNotFramed) != (more > 0) {
				t.Errorf("%q: %d bytes at first: %v", tt.definition, tt.first+more, err)
			}
			s = c.Splitter(Up)
			if _, _, err = s.Next([]byte{0xaa}); err == nil {
				_, _, err = s.Next(make([]byte, tt.later+more))
			}
			if errors.Is(err, ErrNotFramed) != (more > 0) {
				t.Errorf("%q: %d bytes after a frame: %v", tt.definition, tt.later+more, err)
			}
		}
	}
}

// A frame with a wrong checksum is found again, behind noise and between others.
func TestWrong(t *testing.T) {
	const framing = "framing: {start: \"aa\", fixed: 4}\nchecksum: {algo: sum8, range: [0, -1], at: -1}\n"
	const why = "sum8 over bytes 0 to 2 is AD, bytes 3 to 3 are 00"
	c := parse(t, framing)
	s := c.Splitter(Up)
	data := unhex(t, "00 aa010200 aa010100 aa0102ad")
	f, n, err := s.Next(data)
	if err != nil || n != len(data) || len(f.Raw) != 4 {
		t.Fatalf("% x, %d, %v", f.Raw, n, err)
	}
	if raw, why := s.Wrong(data); !bytes.Equal(raw, data[5:9]) || why != "sum8 over bytes 0 to 2 is AC, bytes 3 to 3 are 00" {
		t.Errorf("% x: %s", raw, why)
	}
	data = unhex(t, "aa0102ad")
	if _, _, err = s.Next(data); err != nil {
		t.Fatal(err)
	}
	if raw, why := s.Wrong(data); raw != nil || why != "" {
		t.Errorf("of a good frame: % x: %s", raw, why)
	}
	c = parse(t, framing+"on_bad_checksum: close")
	s = c.Splitter(Up)
	if _, _, err = s.Next(unhex(t, "aa010200")); !errors.Is(err, ErrNotFramed) || err.Error() != "not this protocol: wrong checksum: "+why {
		t.Error(err)
	}
}
