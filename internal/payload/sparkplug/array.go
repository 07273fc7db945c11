package sparkplug

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/iotctl/iotctl/internal/payload"
)

// array reads the elements of an array: little endian one after the other;
// strings with a zero behind each; booleans as bits, the first one on top, behind
// their number in four bytes (3.0, 6.4.17). false: b is no such array.
func (r *reader) array(t dataType, b []byte) ([]any, bool) {
	list := []any{}
	switch t {
	case stringArrayType:
		for len(b) > 0 {
			s, rest, ok := bytes.Cut(b, []byte{0})
			if !ok {
				return list, false
			}
			list, b = append(list, r.text("an element of a StringArray", entry{b: s})), rest
		}
		return list, true
	case booleanArrayType:
		if len(b) < 4 {
			return list, false
		}
		n := uint64(binary.LittleEndian.Uint32(b))
		if b = b[4:]; uint64(len(b)) != (n+7)/8 {
			return list, false
		}
		for i := range n {
			list = append(list, b[i/8]>>(7-i%8)&1 == 1)
		}
		return list, true
	}
	size := elementSize(t)
	if len(b)%size != 0 {
		return list, false
	}
	for ; len(b) > 0; b = b[size:] {
		list = append(list, element(t, b[:size]))
	}
	return list, true
}

func elementSize(t dataType) int {
	switch t {
	case floatArrayType:
		return 4
	case doubleArrayType:
		return 8
	}
	bits, _ := t.bits()
	return bits / 8
}

func element(t dataType, b []byte) any {
	var raw [8]byte
	copy(raw[:], b)
	n := binary.LittleEndian.Uint64(raw[:])
	switch t {
	case floatArrayType:
		return payload.Float(float64(math.Float32frombits(uint32(n))), 32)
	case doubleArrayType:
		return payload.Float(math.Float64frombits(n), 64)
	}
	if bits, signed := t.bits(); signed {
		return json.Number(strconv.FormatInt(int64(n<<(64-bits))>>(64-bits), 10))
	}
	return payload.Uint(n)
}

// appendArray writes the elements of list as array reads them.
func appendArray(dst []byte, t dataType, list []any) ([]byte, error) {
	if t == booleanArrayType {
		return appendBooleans(dst, list)
	}
	for i, v := range list {
		var err error
		switch t {
		case stringArrayType:
			s, ok := v.(string)
			if !ok || bytes.IndexByte([]byte(s), 0) >= 0 {
				return dst, fmt.Errorf("element %d: %s is no text that a StringArray can have", i+1, payload.Shown(v))
			}
			dst = append(append(dst, s...), 0)
		case floatArrayType, doubleArrayType:
			var f float64
			if f, err = floatOf(v, 8*elementSize(t)); err != nil {
				break
			}
			if t == floatArrayType {
				dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f)))
			} else {
				dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
			}
		default:
			var n uint64
			n, err = integerOf(t, v)
			dst = append(dst, binary.LittleEndian.AppendUint64(nil, n)[:elementSize(t)]...)
		}
		if err != nil {
			return dst, fmt.Errorf("element %d: %w", i+1, err)
		}
	}
	return dst, nil
}

func appendBooleans(dst []byte, list []any) ([]byte, error) {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(list)))
	for i, v := range list {
		on, ok := v.(bool)
		if !ok {
			return dst, fmt.Errorf("element %d: %s is neither true nor false", i+1, payload.Shown(v))
		}
		if i%8 == 0 {
			dst = append(dst, 0)
		}
		if on {
			dst[len(dst)-1] |= 0x80 >> (i % 8)
		}
	}
	return dst, nil
}
