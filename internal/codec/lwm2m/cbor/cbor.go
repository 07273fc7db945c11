// Package cbor walks over CBOR (RFC 8949) and writes it in diagnostic notation.
//
// It promises to allocate nothing while it walks, to trust no length, and to end at
// limits of depth and of items. It leaves out encoding from Go values.
package cbor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Major is the major type of an item. RFC 8949 §3.1
type Major uint8

// Major types.
const (
	Unsigned Major = iota
	Negative
	Bytes
	Text
	Array
	Map
	Tag
	Simple // and floats, and the break of what has no length
)

func (m Major) String() string {
	return [...]string{"unsigned", "negative", "bytes", "text", "array", "map", "tag", "simple"}[m&7]
}

// MaxDepth is how deep items may lie in each other.
const MaxDepth = 32

// Simple values. RFC 8949 §3.3
const (
	False     = 20
	True      = 21
	Null      = 22
	Undefined = 23
)

// Malformed says where input is no CBOR, and why.
type Malformed struct {
	Offset  int
	Missing int // bytes that are missing at least, 0 if more would not help
	Reason  string
}

func (m *Malformed) Error() string { return fmt.Sprintf("CBOR: byte %d: %s", m.Offset, m.Reason) }

// Head is the beginning of an item.
type Head struct {
	Major      Major
	Info       uint8  // the 5 bits: what the argument looks like
	Arg        uint64 // value, length, count or tag
	Bytes      int    // of the head: 1, 2, 3, 5 or 9
	Indefinite bool   // ends with a break
}

// Break reports whether it is the end of an item without a length.
func (h Head) Break() bool { return h.Major == Simple && h.Info == 31 }

// Float returns the value of a float of 2, 4 or 8 bytes.
func (h Head) Float() (v float64, ok bool) {
	if h.Major != Simple {
		return 0, false
	}
	switch h.Info {
	case 25:
		return Half(uint16(h.Arg)), true
	case 26:
		return float64(math.Float32frombits(uint32(h.Arg))), true
	case 27:
		return math.Float64frombits(h.Arg), true
	}
	return 0, false
}

// Half is a float of 16 bits: IEEE 754, and RFC 8949, appendix D.
func Half(h uint16) float64 {
	exp, mant := int(h>>10&31), float64(h&0x3ff)
	var v float64
	switch exp {
	case 0:
		v = math.Ldexp(mant, -24)
	case 31:
		v = math.Inf(1)
		if mant != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(mant+1024, exp-25)
	}
	if h>>15 != 0 {
		return -v
	}
	return v
}

// ParseHead reads the head at b[off].
func ParseHead(b []byte, off int) (h Head, err error) {
	if off >= len(b) {
		return h, &Malformed{Offset: len(b), Missing: 1, Reason: "an item is missing"}
	}
	h.Major, h.Info, h.Bytes = Major(b[off]>>5), b[off]&31, 1
	switch {
	case h.Info < 24:
		h.Arg = uint64(h.Info)
		return h, nil
	case h.Info < 28:
		size := 1 << (h.Info - 24)
		if left := len(b) - off - 1; left < size {
			return h, &Malformed{Offset: off, Missing: size - left, Reason: fmt.Sprintf("argument: %d of %d bytes", left, size)}
		}
		h.Bytes += size
		h.Arg = argument(b[off+1 : off+1+size])
		if h.Major == Simple && size == 1 && h.Arg < 32 {
			return h, &Malformed{Offset: off, Reason: fmt.Sprintf("simple value %d in two bytes", h.Arg)}
		}
		return h, nil
	case h.Info < 31:
		return h, &Malformed{Offset: off, Reason: fmt.Sprintf("additional information %d is reserved", h.Info)}
	}
	h.Indefinite = h.Major >= Bytes && h.Major <= Map
	if !h.Indefinite && h.Major != Simple {
		return h, &Malformed{Offset: off, Reason: fmt.Sprintf("%v without a length", h.Major)}
	}
	return h, nil
}

func argument(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}

// Skip returns where the item at b[off] ends. It checks all of it.
func Skip(b []byte, off int) (end int, err error) { return skip(b, off, 0) }

var errDepth = errors.New("too deep")

func skip(b []byte, off, depth int) (int, error) {
	h, err := ParseHead(b, off)
	if err != nil {
		return off, err
	}
	if h.Break() {
		return off, &Malformed{Offset: off, Reason: "a break where nothing is to be ended"}
	}
	if depth >= MaxDepth {
		return off, &Malformed{Offset: off, Reason: fmt.Sprintf("%v: more than %d levels", errDepth, MaxDepth)}
	}
	at := off + h.Bytes
	switch h.Major {
	case Bytes, Text:
		return skipString(b, off, h)
	case Tag:
		return skip(b, at, depth+1)
	case Array, Map:
		n, err := count(b, off, h)
		if err != nil {
			return off, err
		}
		for i := uint64(0); h.Indefinite || i < n; i++ {
			if h.Indefinite && at < len(b) && b[at] == 0xff {
				if h.Major == Map && i%2 != 0 {
					return at, &Malformed{Offset: at, Reason: "a key of a map has no value"}
				}
				return at + 1, nil
			}
			if at, err = skip(b, at, depth+1); err != nil {
				return at, err
			}
		}
	}
	return at, nil
}

// count is how many items an array or a map with head h at b[off] has. Each takes
// a byte at least.
func count(b []byte, off int, h Head) (uint64, error) {
	n := h.Arg
	if h.Indefinite {
		return 0, nil
	}
	if h.Major == Map {
		if n > math.MaxInt64 {
			return 0, &Malformed{Offset: off, Reason: fmt.Sprintf("a map of %d pairs", n)}
		}
		n *= 2
	}
	if left := uint64(len(b) - off - h.Bytes); n > left {
		return 0, &Malformed{Offset: off, Missing: missing(n - left), Reason: fmt.Sprintf("%v of %d items in %d bytes", h.Major, n, left)}
	}
	return n, nil
}

// missing is n, or what fits an int.
func missing(n uint64) int { return int(min(n, math.MaxInt32)) }

func skipString(b []byte, off int, h Head) (int, error) {
	at := off + h.Bytes
	if !h.Indefinite {
		if left := uint64(len(b) - at); h.Arg > left {
			return off, &Malformed{Offset: off, Missing: missing(h.Arg - left), Reason: fmt.Sprintf("%v: %d of %d bytes", h.Major, left, h.Arg)}
		}
		end := at + int(h.Arg)
		if h.Major == Text && !utf8.Valid(b[at:end]) {
			return off, &Malformed{Offset: off, Reason: "text that is not UTF-8"}
		}
		return end, nil
	}
	for {
		chunk, err := ParseHead(b, at)
		switch {
		case err != nil:
			return at, err
		case chunk.Break():
			return at + 1, nil
		case chunk.Major != h.Major || chunk.Indefinite:
			return at, &Malformed{Offset: at, Reason: fmt.Sprintf("%v within %v in parts", chunk.Major, h.Major)}
		}
		if at, err = skipString(b, at, chunk); err != nil {
			return at, err
		}
	}
}
