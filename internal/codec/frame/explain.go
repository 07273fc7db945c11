package frame

import (
	"fmt"
)

// reasons says why data begins no frame: for each variant that its start
// allows, a word (start, length, short, end, checksum, field) and what is wrong.
func (c *Codec) reasons(data []byte, dir Direction, later bool) []string {
	var out []string
	s := c.Splitter(dir)
	for _, v := range c.framing.variants {
		if v.first && later || v.later && !later || v.dir != Any && dir != Any && v.dir != dir {
			continue
		}
		if yes, missing := v.begins(data); yes {
			out = append(out, s.reason(v, data))
		} else if missing > 0 {
			out = append(out, fmt.Sprintf("short: %s: %d bytes more are needed to know", v.label(), missing))
		}
	}
	if out == nil {
		out = append(out, fmt.Sprintf("start: no variant begins with % x", data[:min(8, len(data))]))
	}
	return out
}

func (s *Splitter) reason(v *variant, data []byte) string {
	n, out := v.measure(data, s.c.framing.maxFrame)
	switch out {
	case short:
		if v.mode != byGap {
			return fmt.Sprintf("short: %s: %d bytes or more are missing behind these %d", v.label(), n, len(data))
		}
		n = len(data)
	case differs, overlong:
		return fmt.Sprintf("length: %s: the frame has no possible length (max_frame is %d)", v.label(), s.c.framing.maxFrame)
	case empty:
		return "start: an empty frame"
	}
	raw := data[:n]
	if !v.ends(raw, false) {
		at := max(n-len(v.end), 0)
		return fmt.Sprintf("end: %s: a frame of %d bytes must end with % x, bytes %d to %d are % x", v.label(), n, v.end, at, n-1, raw[at:])
	}
	f, ok := s.frame(v, raw)
	if !ok {
		return fmt.Sprintf("length: %s: %d bytes are less than body and strip leave out", v.label(), n)
	}
	for i := range v.sums {
		sum := &v.sums[i]
		if sum.matches(f.Data) {
			continue
		}
		from, to, at, ok := sum.bounds(len(f.Data))
		if !ok {
			return fmt.Sprintf("checksum: %s: %d bytes are too few for it", sum.algo, len(f.Data))
		}
		want := sum.put(nil, sum.sum(f.Data[from:to]))
		return fmt.Sprintf("checksum: %s over bytes %d to %d is % X, bytes %d to %d are % X",
			sum.algo, from, to-1, want, at, at+len(want)-1, f.Data[at:at+len(want)])
	}
	return "field: the frame is good"
}

// Part is a stretch of a frame that is not a field: its start, length field,
// checksums and end.
type Part struct {
	Name string
	Off  int // in Frame.Data
	Len  int
	Note string // "crc16-x25 of bytes 2 to 13: correct"
}

// Parts lists what the framing of f consists of, in the order of the bytes.
func (f *Frame) Parts() []Part {
	v := f.variant
	if v == nil {
		return nil
	}
	var out []Part
	add := func(name string, off, n int, note string) {
		if off -= f.front; off >= 0 && n > 0 && off+n <= len(f.Data) {
			out = append(out, Part{name, off, n, note})
		}
	}
	add("start", 0, v.head(), "")
	if v.mode == byLength && v.length.kind != lengthVarint {
		add("length", v.length.offset, v.length.size, "")
	}
	for i := range v.sums {
		sum := &v.sums[i]
		from, to, at, ok := sum.bounds(len(f.Data))
		if !ok {
			continue
		}
		want := sum.put(nil, sum.sum(f.Data[from:to]))
		note := fmt.Sprintf("%s of bytes %d to %d: correct", sum.algo, from, to-1)
		if !sum.matches(f.Data) {
			note = fmt.Sprintf("%s of bytes %d to %d: wrong, % x is right", sum.algo, from, to-1, want)
		}
		name := sum.name
		if name == "" {
			name = "checksum"
		}
		out = append(out, Part{name, at, len(want), note})
	}
	if v.keep && len(v.end) > 0 {
		out = append(out, Part{"end", len(f.Data) - len(v.end), len(v.end), ""})
	}
	return out
}
