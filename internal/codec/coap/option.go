package coap

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// marker stands between options and payload. RFC 7252 §3
const marker = 0xff

// Option is one option as it stands in a message.
type Option struct {
	Number      Number
	HeaderBytes int    // before the value: 1 to 5
	Value       []byte // aliases the input
}

// ParseOption reads the option at the start of b, which is no payload marker and
// comes behind one of number prev, 0 at first. n is its size. ErrShort, and in n
// how many bytes are needed, if b ends before; a *Malformed if its header is one
// that must not be. RFC 7252 §3.1
func ParseOption(b []byte, prev Number) (o Option, n int, err error) {
	if len(b) == 0 {
		return o, 1, ErrShort
	}
	at := 1
	delta, err := extended(b, int(b[0]>>4), &at, "delta")
	if err != nil {
		return o, at, err
	}
	size, err := extended(b, int(b[0]&15), &at, "length")
	if err != nil {
		return o, at, err
	}
	if int(prev)+delta > 0xffff {
		return o, at, &Malformed{Class: FormatError, Len: at, Clause: "RFC 7252 §3.1", Reason: fmt.Sprintf("option number %d is above 65535", int(prev)+delta)}
	}
	o.Number, o.HeaderBytes = prev+Number(delta), at
	if len(b)-at < size {
		return o, at + size, ErrShort
	}
	o.Value = b[at : at+size : at+size]
	return o, at + size, nil
}

// extended reads what follows the nibble v at b[*at].
func extended(b []byte, v int, at *int, what string) (int, error) {
	size := 0
	switch v {
	case 13:
		size = 1
	case 14:
		size = 2
	case 15:
		return 0, &Malformed{Class: FormatError, Len: 1, Clause: "RFC 7252 §3.1", Reason: "option " + what + " 15 is reserved"}
	}
	if len(b) < *at+size {
		*at += size
		return 0, ErrShort
	}
	switch size {
	case 1:
		v = 13 + int(b[*at])
	case 2:
		v = 269 + int(binary.BigEndian.Uint16(b[*at:]))
	}
	*at += size
	return v, nil
}

// AppendOption appends option n behind one of number prev, which is not above n.
// Its value has at most 65,804 bytes.
func AppendOption(dst []byte, prev, n Number, value []byte) []byte {
	delta, size := int(n)-int(prev), len(value)
	dst = append(dst, nibble(delta)<<4|nibble(size))
	dst = appendExtended(dst, delta)
	dst = appendExtended(dst, size)
	return append(dst, value...)
}

func nibble(v int) byte {
	switch {
	case v < 13:
		return byte(v)
	case v < 269:
		return 13
	}
	return 14
}

func appendExtended(dst []byte, v int) []byte {
	switch nibble(v) {
	case 13:
		return append(dst, byte(v-13))
	case 14:
		return binary.BigEndian.AppendUint16(dst, uint16(v-269))
	}
	return dst
}

// Options are those of a message as they are on the wire: sorted by number, each
// with the difference to the one before. The zero value has none.
type Options []byte

// All walks over the options, as far as they can be read.
func (o Options) All() iter.Seq2[Number, []byte] {
	return func(yield func(Number, []byte) bool) {
		prev := Number(0)
		for b := []byte(o); len(b) > 0 && b[0] != marker; {
			opt, n, err := ParseOption(b, prev)
			if err != nil || !yield(opt.Number, opt.Value) {
				return
			}
			b, prev = b[n:], opt.Number
		}
	}
}

// Get returns the value of the first option n.
func (o Options) Get(n Number) (value []byte, ok bool) {
	for number, value := range o.All() {
		if number == n {
			return value, true
		}
		if number > n {
			break
		}
	}
	return nil, false
}

// Uint returns the value of the first option n as a number; not ok if there is
// none or it has more than 8 bytes.
func (o Options) Uint(n Number) (v uint64, ok bool) {
	value, ok := o.Get(n)
	if !ok {
		return 0, false
	}
	return Uint(value)
}

// Add returns o with an option behind those whose numbers are not above n. Where
// that is not the end it allocates; what o aliases stays as it is. The value has
// at most 65,804 bytes.
func (o Options) Add(n Number, value []byte) Options {
	at, prev := 0, Number(0)
	for at < len(o) {
		opt, size, err := ParseOption(o[at:], prev)
		if err != nil || opt.Number > n {
			break
		}
		at, prev = at+size, opt.Number
	}
	if at == len(o) {
		return AppendOption(o, prev, n, value)
	}
	next, size, err := ParseOption(o[at:], prev)
	if err != nil {
		return o
	}
	all := AppendOption(o[:at:at], prev, n, value)
	return append(AppendOption(all, n, next.Number, next.Value), o[at+size:]...)
}

// AddUint is Add of a number in its shortest form.
func (o Options) AddUint(n Number, v uint64) Options {
	var value [8]byte
	return o.Add(n, AppendUint(value[:0], v))
}

// AddString is Add of text.
func (o Options) AddString(n Number, s string) Options { return o.Add(n, []byte(s)) }

// AppendPath appends the path of a request, "/3/0", or of a location. Octets that
// would be read as something else are percent-encoded.
func (o Options) AppendPath(dst []byte, n Number) []byte {
	const digits = "0123456789ABCDEF"
	for number, value := range o.All() {
		if number != n {
			continue
		}
		dst = append(dst, '/')
		for _, c := range value {
			if c <= ' ' || c == '/' || c == '%' || c >= 0x7f {
				dst = append(dst, '%', digits[c>>4], digits[c&15])
				continue
			}
			dst = append(dst, c)
		}
	}
	return dst
}

// readable reports whether All walks to the end of o.
func (o Options) readable() bool {
	prev := Number(0)
	for b := []byte(o); len(b) > 0; {
		opt, n, err := ParseOption(b, prev)
		if err != nil {
			return false
		}
		b, prev = b[n:], opt.Number
	}
	return true
}

// Uint reads a number of at most 8 bytes. RFC 7252 §3.2
func Uint(b []byte) (v uint64, ok bool) {
	if len(b) > 8 {
		return 0, false
	}
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, true
}

// AppendUint appends v in as few bytes as it takes, 0 in none.
func AppendUint(dst []byte, v uint64) []byte {
	size := 0
	for rest := v; rest > 0; rest >>= 8 {
		size++
	}
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

// Block is the value of a block option. RFC 7959 §2.2
type Block struct {
	Number   uint32 // below 1<<20
	More     bool
	Exponent uint8 // 0 to 6; 7 is BERT over TCP
}

// BERT is the exponent of blocks of several kilobytes over TCP. RFC 8323 §6
const BERT = 7

// ParseBlock reads a value of at most 3 bytes.
func ParseBlock(value []byte) (b Block, ok bool) {
	v, ok := Uint(value)
	if !ok || len(value) > 3 {
		return b, false
	}
	return Block{Number: uint32(v >> 4), More: v&8 != 0, Exponent: uint8(v & 7)}, true
}

// Uint is the value of the option.
func (b Block) Uint() uint64 {
	v := uint64(b.Number)<<4 | uint64(b.Exponent&7)
	if b.More {
		v |= 8
	}
	return v
}

// Size of the block in bytes.
func (b Block) Size() int {
	if b.Exponent >= BERT {
		return 1024
	}
	return 16 << b.Exponent
}
