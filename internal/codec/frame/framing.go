package frame

import (
	"bytes"
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

// Bounds of max_frame and max_skipped, and what they are if not given.
const (
	defaultMaxFrame   = 4096
	largestMaxFrame   = 1 << 20
	defaultMaxSkipped = 64 << 10
	leastMaxAtFirst   = 4096 // of a modem that talks before its device does
)

// framing says how a stream falls into frames.
type framing struct {
	variants   []*variant
	maxFrame   int
	maxSkipped int
	maxAtFirst int // the same, before the first frame of a connection
	resync     bool
	onBad      onBad
	idleGap    time.Duration
	anchor     anchor
}

// anchor is the byte of frames that tells most about where one can begin.
type anchor struct {
	at  int       // from the beginning of the frame
	may [256]bool // what it can be
}

// anchorOf finds it. Without a start that all frames have, anything can be one.
func anchorOf(variants []*variant) anchor {
	shortest := 1
	for i, v := range variants {
		for j, p := range v.starts {
			if i == 0 && j == 0 || len(p.want) < shortest {
				shortest = len(p.want)
			}
		}
	}
	var best anchor
	fewest := 257
	for at := range max(shortest, 1) {
		a, n := anchor{at: at}, 0
		for b := range a.may {
			a.may[b] = slices.ContainsFunc(variants, func(v *variant) bool {
				return len(v.starts) == 0 || slices.ContainsFunc(v.starts, func(p pattern) bool { return byte(b)&p.mask[at] == p.want[at] })
			})
			if a.may[b] {
				n++
			}
		}
		if n < fewest {
			best, fewest = a, n
		}
	}
	return best
}

// onBad is what follows from a wrong checksum.
type onBad uint8

const (
	dropBad onBad = iota
	closeBad
	acceptBad
)

// mode is what ends a frame of a variant.
type mode uint8

const (
	byLength mode = iota + 1
	byFixed
	byDelimiter
	byMarker // start … end
	byGap    // silence, or the end of a datagram
)

// variant is one shape of frames. The first whose start matches, and which
// then holds what it promises, is the shape of a frame.
type variant struct {
	name   string
	line   int
	index  int
	starts []pattern // any of them; none: whatever it begins with
	first  bool      // only the first frame of a connection
	later  bool      // only those after it
	dir    Direction
	mode   mode
	length lengthRule
	fixed  int
	end    []byte
	keep   bool // the delimiter is part of Data

	front, tail int // bytes of Data that are not body
	strip       [2]int
	escapes     *escapes
	sums        []checksum
	plan        *message
}

// outcome is what a variant makes of the bytes at one place.
type outcome uint8

const (
	fits    outcome = iota
	short           // it might fit with more bytes
	differs         // it does not
	empty           // a marker that opens nothing
	overlong
	broken // its checksum is wrong, and on_bad_checksum: close
)

// measure finds the end of the frame at the start of data: fits with its
// length, short with the bytes needed, empty with those to leave out.
func (v *variant) measure(data []byte, maxFrame int) (int, outcome) {
	switch v.mode {
	case byLength:
		n, out := v.length.total(data)
		if out != fits {
			return n, out
		}
		if n > maxFrame || n < v.head()+len(v.end) {
			return 0, differs
		}
		return enough(n, data)
	case byFixed:
		return enough(v.fixed, data)
	case byDelimiter:
		window := data[:min(len(data), maxFrame)]
		i := bytes.Index(window, v.end)
		switch {
		case i == 0:
			return len(v.end), empty
		case i > 0:
			return i + len(v.end), fits
		case len(data) >= maxFrame:
			return 0, overlong
		}
		return 1, short
	case byMarker:
		window, from := data[:min(len(data), maxFrame)], v.head()
		i := bytes.Index(window[min(from, len(window)):], v.end)
		switch {
		case i == 0 && bytes.Equal(v.starts[0].want, v.end):
			return from, empty
		case i >= 0:
			return from + i + len(v.end), fits
		case len(data) >= maxFrame:
			return 0, differs
		}
		return 1, short
	}
	if len(data) > maxFrame {
		return 0, differs
	}
	return 1, short
}

// head is the length of the longest start.
func (v *variant) head() (n int) {
	for _, p := range v.starts {
		n = max(n, len(p.want))
	}
	return n
}

// begins reports whether data may begin a frame of v; short if it ends too
// early to say, with the bytes that are missing.
func (v *variant) begins(data []byte) (yes bool, missing int) {
	if len(v.starts) == 0 {
		return true, 0
	}
	for _, p := range v.starts {
		matches, short := p.match(data)
		if matches {
			return true, 0
		}
		if short {
			missing = max(missing, len(p.want)-len(data))
		}
	}
	return false, missing
}

func enough(n int, data []byte) (int, outcome) {
	if n > len(data) {
		return n - len(data), short
	}
	return n, fits
}

// lengthRule is a length field in Netty's terms: the frame has
// offset + size + value + adjust bytes, or value + adjust with includes: frame.
type lengthRule struct {
	offset, size, adjust int
	kind                 lengthKind
	le                   bool
	mask                 uint64 // bits of a uint that are the length
	frame                bool   // the value counts the whole frame
	min, max             int    // of the value
}

type lengthKind uint8

const (
	lengthUint lengthKind = iota
	lengthASCII
	lengthASCIIHex
	lengthBCD
	lengthVarint // 7 bits per byte, the lowest first; size is the most bytes
)

// total is the length of the frame at the start of data.
func (r *lengthRule) total(data []byte) (int, outcome) {
	if r.kind == lengthVarint {
		return r.varint(data)
	}
	head := r.offset + r.size
	if len(data) < head {
		return head - len(data), short
	}
	field, value := data[r.offset:head], uint64(0)
	base := uint64(10)
	switch r.kind {
	case lengthUint:
		return r.sum(number(field, r.le)&r.mask, head)
	case lengthBCD:
		for _, c := range field {
			if c>>4 > 9 || c&15 > 9 {
				return 0, differs
			}
			value = value*100 + uint64(c>>4)*10 + uint64(c&15)
		}
		return r.sum(value, head)
	case lengthASCIIHex:
		base = 16
	}
	for _, c := range field {
		d := hexDigit(c)
		if d < 0 || d >= int(base) {
			return 0, differs
		}
		value = value*base + uint64(d)
	}
	return r.sum(value, head)
}

func (r *lengthRule) varint(data []byte) (int, outcome) {
	value := uint64(0)
	for i := range r.size {
		at := r.offset + i
		if at >= len(data) {
			return at + 1 - len(data), short
		}
		value |= uint64(data[at]&0x7f) << (7 * i)
		if data[at] < 0x80 {
			return r.sum(value, at+1)
		}
	}
	return 0, differs
}

// sum turns the value of a field that ends at head into the frame's length.
func (r *lengthRule) sum(value uint64, head int) (int, outcome) {
	if value < uint64(r.min) || value > uint64(r.max) {
		return 0, differs
	}
	n := int(value) + r.adjust
	if !r.frame {
		n += head
	}
	if n < head {
		return 0, differs
	}
	return n, fits
}

// value is the inverse of sum for a frame of n bytes.
func (r *lengthRule) value(n int) int {
	n -= r.adjust
	if !r.frame {
		n -= r.offset + r.size
	}
	return n
}

// number reads an unsigned integer of 1 to 8 bytes.
func number(b []byte, le bool) (n uint64) {
	if le {
		for i, c := range b {
			n |= uint64(c) << (8 * i)
		}
		return n
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// escape is a byte that takes two in the frame.
type escape struct {
	from [2]byte // in Raw
	to   byte    // in Data
}

type escapes struct {
	list []escape
	lead [256]bool // first bytes of from
}

// undo appends src without its escapes, and the offset in dst of each byte
// that was one.
func (e *escapes) undo(dst, src []byte, at []int32) ([]byte, []int32) {
	for i := 0; i < len(src); i++ {
		c := src[i]
		if e.lead[c] && i+1 < len(src) {
			for _, x := range e.list {
				if x.from[0] == c && x.from[1] == src[i+1] {
					at = append(at, int32(len(dst)))
					c = x.to
					i++
					break
				}
			}
		}
		dst = append(dst, c)
	}
	return dst, at
}

// do appends src with its escapes.
func (e *escapes) do(dst, src []byte) []byte {
next:
	for _, c := range src {
		for _, x := range e.list {
			if x.to == c {
				dst = append(dst, x.from[0], x.from[1])
				continue next
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// cover reports whether all bytes of end are escaped.
func (e *escapes) cover(end []byte) bool {
	for _, c := range end {
		if !slices.ContainsFunc(e.list, func(x escape) bool { return x.to == c }) {
			return false
		}
	}
	return true
}

// has reports whether src holds anything to undo.
func (e *escapes) has(src []byte) bool {
	for _, c := range src {
		if e.lead[c] {
			return true
		}
	}
	return false
}

// preprocess reads strip and unescape.
func (l *loader) preprocess(n *yaml.Node, v *variant) {
	m := l.mapping(n, "preprocess")
	v.strip[0], v.strip[1] = m.pair("strip", 0, 0)
	if v.strip[0] < 0 || v.strip[1] < 0 {
		l.errorf(n, "preprocess: strip: want two counts of bytes, from the front and from the back: [1, 1]")
		v.strip = [2]int{}
	}
	if u := m.get("unescape"); u != nil {
		e := &escapes{}
		um := l.mapping(u, "unescape")
		for i, key := range um.keys {
			um.get(key)
			from, err := parseBytes(key)
			to, err2 := l.hex(um.values[i])
			if err != nil || err2 != nil || len(from) != 2 || len(to) != 1 {
				l.errorf(um.key[i], `unescape: want two bytes that stand for one, in quotes: {"7d02": "7e", "7d01": "7d"}`)
				continue
			}
			e.list = append(e.list, escape{from: [2]byte(from), to: to[0]})
			e.lead[from[0]] = true
		}
		if len(e.list) > 0 {
			v.escapes = e
		}
	}
	m.done()
}
