package lwm2m

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// clauseTypes is where the data types are laid down.
const clauseTypes = "LwM2M 1.1, appendix C"

// Type is the data type of a resource.
type Type uint8

// Types. LwM2M 1.1, Core, appendix C
const (
	Untyped Type = iota // not known
	String
	Integer
	UnsignedInteger
	Float
	Boolean
	Opaque
	Time
	ObjectLink
	CoreLink
	Execute // no value
)

func (t Type) String() string {
	return [...]string{"value", "string", "integer", "unsigned integer", "float", "boolean", "opaque", "time", "object link", "core link", "execute"}[t]
}

// Link is a value of an object link: object and instance, both 65535 for none.
type Link struct{ Object, Instance uint16 }

func (l Link) String() string { return fmt.Sprintf("%d:%d", l.Object, l.Instance) }

// ParseValue reads a value of type t in TLV. It is a string, int64, uint64,
// float64, bool, []byte (which aliases b), time.Time or Link. No bytes are a value
// that is empty: nil, but for strings and opaque ones.
func ParseValue(t Type, b []byte) (v any, err error) {
	switch t {
	case String, CoreLink:
		if !utf8.Valid(b) {
			return b, valueError("%v is not UTF-8", t)
		}
		return string(b), nil
	case Opaque, Untyped, Execute:
		return b, nil
	}
	if len(b) == 0 {
		return nil, nil
	}
	switch t {
	case Integer, Time:
		n, ok := signed(b)
		if !ok {
			return b, valueError("%v of %d bytes, not 1, 2, 4 or 8", t, len(b))
		}
		if t == Time {
			return time.Unix(n, 0).UTC(), nil
		}
		return n, nil
	case UnsignedInteger:
		n, ok := unsigned(b)
		if !ok {
			return b, valueError("%v of %d bytes, not 1, 2, 4 or 8", t, len(b))
		}
		return n, nil
	case Float:
		switch len(b) {
		case 4:
			return float64(math.Float32frombits(binary.BigEndian.Uint32(b))), nil
		case 8:
			return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
		}
		return b, valueError("float of %d bytes, not 4 or 8", len(b))
	case Boolean:
		if len(b) != 1 || b[0] > 1 {
			return b, valueError("boolean is not one byte of 0 or 1")
		}
		return b[0] == 1, nil
	default: // ObjectLink
		if len(b) != 4 {
			return b, valueError("object link of %d bytes, not 4", len(b))
		}
		return Link{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])}, nil
	}
}

func valueError(format string, args ...any) error {
	return &Malformed{Clause: clauseTypes, Reason: fmt.Sprintf(format, args...)}
}

func unsigned(b []byte) (n uint64, ok bool) {
	switch len(b) {
	case 1, 2, 4, 8:
	default:
		return 0, false
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, true
}

func signed(b []byte) (int64, bool) {
	n, ok := unsigned(b)
	shift := 64 - 8*len(b)
	return int64(n<<max(shift, 0)) >> max(shift, 0), ok
}

// AppendValue appends v for a TLV of type t, numbers in as few bytes as they take.
// v is of a type that ParseValue returns.
func AppendValue(dst []byte, t Type, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return dst, nil
	case string:
		if t == String || t == CoreLink {
			return append(dst, v...), nil
		}
	case []byte:
		if t == Opaque || t == Untyped {
			return append(dst, v...), nil
		}
	case int64:
		if t == Integer {
			return appendSigned(dst, v), nil
		}
	case time.Time:
		if t == Time {
			return appendSigned(dst, v.Unix()), nil
		}
	case uint64:
		if t == UnsignedInteger {
			return appendUnsigned(dst, v), nil
		}
	case float64:
		if t == Float {
			if single := float32(v); float64(single) == v || math.IsNaN(v) {
				return binary.BigEndian.AppendUint32(dst, math.Float32bits(single)), nil
			}
			return binary.BigEndian.AppendUint64(dst, math.Float64bits(v)), nil
		}
	case bool:
		if t == Boolean {
			if v {
				return append(dst, 1), nil
			}
			return append(dst, 0), nil
		}
	case Link:
		if t == ObjectLink {
			return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(dst, v.Object), v.Instance), nil
		}
	}
	return dst, fmt.Errorf("append %v: a %T is none", t, v)
}

func appendSigned(dst []byte, n int64) []byte {
	switch {
	case n == int64(int8(n)):
		return append(dst, byte(n))
	case n == int64(int16(n)):
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	case n == int64(int32(n)):
		return binary.BigEndian.AppendUint32(dst, uint32(n))
	}
	return binary.BigEndian.AppendUint64(dst, uint64(n))
}

func appendUnsigned(dst []byte, n uint64) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(dst, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(dst, uint32(n))
	}
	return binary.BigEndian.AppendUint64(dst, n)
}
