package frame

import (
	"fmt"
	"slices"
)

// Sample is a frame of a device out of the definition's own vectors, of which
// those of any number of devices can be made: traffic for load tests.
type Sample struct {
	Message    string
	Login      bool // one of session.require
	Identifies bool // it names the device
	Later      bool // it does not come first on a connection

	variant *variant
	plain   []byte // the frame without escapes
	front   int    // where Frame.Data begins in that, and ends before its end
	back    int
	inner   []innerSum
	idAt    [2]int // where the name stands in plain; zero: nowhere
}

// innerSum is a checksum among the fields, and where in Frame.Data it stands.
type innerSum struct {
	sum *checksum
	at  int
}

// Samples returns the frames of the vectors that devices send and that decode,
// in their order.
func (c *Codec) Samples() []Sample {
	var all []Sample
	for i := range c.vectors {
		v := &c.vectors[i]
		if v.encode != nil || v.err != "" || v.dir != Up {
			continue
		}
		s := c.Splitter(Up)
		s.later = v.later
		f, _, err := s.Next(v.input)
		var inner []innerSum
		r := &Record{inner: &inner}
		if err != nil || f.BadChecksum || c.Decode(f, Up, r) != nil {
			continue
		}
		sample := c.sample(f, r, v.later)
		sample.inner = inner
		all = append(all, sample)
	}
	return all
}

func (c *Codec) sample(f Frame, r *Record, later bool) Sample {
	s := Sample{Message: r.Message, Login: slices.Contains(c.session.Require, r.Message), Later: later, variant: f.variant, front: f.front}
	v := f.variant
	head, tail := v.head(), len(f.Raw)-len(v.end)
	s.plain = append(s.plain, f.Raw[:head]...)
	if v.escapes != nil {
		s.plain, _ = v.escapes.undo(s.plain, f.Raw[head:tail], nil)
	} else {
		s.plain = append(s.plain, f.Raw[head:tail]...)
	}
	s.plain = append(s.plain, f.Raw[tail:]...)
	s.back = len(s.plain) - s.front - len(f.Data)
	if id := r.at(r.device); id != nil && id.Len > 0 {
		s.Identifies = true
		s.idAt = [2]int{s.front + id.Off, s.front + id.Off + id.Len}
	}
	return s
}

// Append appends the frame as another device sends it: the digits of its name
// are those of n. A sample that does not name the device is appended as it is.
// The error says that the name has not as many digits.
func (s *Sample) Append(dst []byte, n uint64) ([]byte, error) {
	plain := slices.Clone(s.plain)
	if !rename(plain[s.idAt[0]:s.idAt[1]], n) && s.Identifies {
		return dst, fmt.Errorf("%s: the name of a device has no room for the number %d", s.Message, n)
	}
	v := s.variant
	data := plain[s.front : len(plain)-s.back]
	for _, in := range s.inner {
		copy(data[in.at:], in.sum.put(nil, in.sum.sum(data[in.sum.from:in.at])))
	}
	for i := range v.sums {
		c := &v.sums[i]
		if from, to, at, ok := c.bounds(len(data)); ok {
			copy(data[at:], c.put(nil, c.sum(data[from:to])))
		}
	}
	if v.escapes == nil {
		return append(dst, plain...), nil
	}
	head, tail := v.head(), len(plain)-len(v.end)
	dst = v.escapes.do(append(dst, plain[:head]...), plain[head:tail])
	return append(dst, plain[tail:]...), nil
}

// rename writes the digits of n into a name: of text, where it has digits, and
// over its letters where these are too few; of BCD, everywhere; of anything else
// as a number. Not ok if there is no room.
func rename(name []byte, n uint64) (ok bool) {
	text, bcd := true, true
	for _, b := range name {
		text = text && b > ' ' && b <= '~'
		bcd = bcd && b>>4 <= 9 && b&15 <= 9
	}
	switch {
	case text:
		return write(name, n, func(b byte) bool { return b >= '0' && b <= '9' }) ||
			write(name, n, func(b byte) bool { return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' })
	case bcd:
		for i := len(name) - 1; i >= 0; i-- {
			name[i], n = byte(n/10%10)<<4|byte(n%10), n/100
		}
	default:
		for i := len(name) - 1; i >= 0; i-- {
			name[i], n = byte(n), n>>8
		}
	}
	return n == 0
}

// write puts the digits of n where they may stand, from the right.
func write(name []byte, n uint64, here func(byte) bool) (ok bool) {
	for i := len(name) - 1; i >= 0; i-- {
		if here(name[i]) {
			name[i], n = '0'+byte(n%10), n/10
		}
	}
	return n == 0
}
