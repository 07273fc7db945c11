package lwm2m

import (
	"errors"
	"fmt"
)

// clauseTLV is where TLV is laid down: LwM2M 1.1 and 1.2, Core, 7.4.3.
const clauseTLV = "LwM2M 1.1 §7.4.3"

// Kind is what a TLV stands for.
type Kind uint8

// Kinds.
const (
	ObjectInstance   Kind = iota // of TLVs of resources
	ResourceInstance             // a value of a multiple resource
	MultipleResource             // of TLVs of resource instances
	SingleResource               // a value
)

func (k Kind) String() string {
	return [...]string{"object instance", "resource instance", "multiple resource", "resource"}[k&3]
}

// Container reports whether the value is TLVs.
func (k Kind) Container() bool { return k == ObjectInstance || k == MultipleResource }

// TLV is one element. Value aliases the input.
type TLV struct {
	Kind        Kind
	ID          uint16
	IDBytes     int // 1 or 2, behind the first byte
	LengthBytes int // 0 to 3, behind the identifier
	Value       []byte
}

// HeaderBytes is the size of what stands before the value.
func (t TLV) HeaderBytes() int { return 1 + t.IDBytes + t.LengthBytes }

// MaxValue is the size of the largest value.
const MaxValue = 1<<24 - 1

// ErrTooLong says that a value to append has more bytes than MaxValue.
var ErrTooLong = errors.New("value longer than 16777215 bytes")

// ParseTLV reads the element at the start of b and returns its size. With an error
// it has what could be read: the kind, and the rest of b as its value.
func ParseTLV(b []byte) (t TLV, n int, err error) {
	if len(b) == 0 {
		return t, 0, &Malformed{Clause: clauseTLV, Reason: "an element is missing"}
	}
	first := b[0]
	t.Kind, t.IDBytes, t.LengthBytes = Kind(first>>6), 1+int(first>>5&1), int(first>>3&3)
	if len(b) < t.HeaderBytes() {
		return t, 0, &Malformed{Clause: clauseTLV, Reason: fmt.Sprintf("%v: header: %d of %d bytes", t.Kind, len(b), t.HeaderBytes())}
	}
	for _, c := range b[1 : 1+t.IDBytes] {
		t.ID = t.ID<<8 | uint16(c)
	}
	size := int(first & 7)
	if t.LengthBytes > 0 {
		size = 0
		for _, c := range b[1+t.IDBytes : t.HeaderBytes()] {
			size = size<<8 | int(c)
		}
	}
	rest := b[t.HeaderBytes():]
	if len(rest) < size {
		t.Value = rest
		return t, 0, &Malformed{Offset: t.HeaderBytes(), Clause: clauseTLV, Reason: fmt.Sprintf("%v %d: %d of %d bytes", t.Kind, t.ID, len(rest), size)}
	}
	t.Value = rest[:size:size]
	return t, t.HeaderBytes() + size, nil
}

// Holds says what is wrong with an element of kind inner in one of kind k, "" if
// nothing.
func (k Kind) Holds(inner Kind) string {
	switch {
	case k == ObjectInstance && (inner == SingleResource || inner == MultipleResource):
	case k == MultipleResource && inner == ResourceInstance:
	default:
		return fmt.Sprintf("%v within %v", inner, k)
	}
	return ""
}

// Append appends t with its identifier and length in as few bytes as they take.
func (t TLV) Append(dst []byte) ([]byte, error) {
	n := len(t.Value)
	if n > MaxValue {
		return dst, fmt.Errorf("append %v %d: %w", t.Kind, t.ID, ErrTooLong)
	}
	first := byte(t.Kind) << 6
	if t.ID > 0xff {
		first |= 0x20
	}
	size := 0
	switch {
	case n < 8:
		first |= byte(n)
	case n <= 0xff:
		size = 1
	case n <= 0xffff:
		size = 2
	default:
		size = 3
	}
	dst = append(dst, first|byte(size)<<3)
	if t.ID > 0xff {
		dst = append(dst, byte(t.ID>>8))
	}
	dst = append(dst, byte(t.ID))
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, byte(n>>(8*i)))
	}
	return append(dst, t.Value...), nil
}
