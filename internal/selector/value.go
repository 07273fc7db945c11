package selector

import (
	"math"
	"strconv"
	"time"
)

// Value is one value of a name. The zero value is an empty text.
type Value struct {
	kind  kind
	text  string
	bytes []byte
	whole int64   // integer, boolean, instant (ns since 1970)
	real  float64 // the same, or what is no integer; of a duration the seconds
}

type kind uint8

const (
	text kind = iota
	octets
	integer
	fraction
	boolean
	instant
)

// Text makes a value of s.
func Text(s string) Value { return Value{text: s} }

// Bytes makes a value that aliases b.
func Bytes(b []byte) Value { return Value{kind: octets, bytes: b} }

// Int makes a value of i.
func Int(i int64) Value { return Value{kind: integer, whole: i, real: float64(i)} }

// Uint makes a value of u.
func Uint(u uint64) Value {
	if u > math.MaxInt64 {
		return Float(float64(u))
	}
	return Int(int64(u))
}

// Float makes a value of f.
func Float(f float64) Value { return Value{kind: fraction, real: f} }

// Bool makes a flag.
func Bool(b bool) Value {
	if b {
		return Value{kind: boolean, whole: 1, real: 1}
	}
	return Value{kind: boolean}
}

// Duration makes a value of d, which is seconds to numbers without a unit.
func Duration(d time.Duration) Value { return Float(d.Seconds()) }

// Time makes a point in time.
func Time(t time.Time) Value { return Value{kind: instant, whole: t.UnixNano()} }

// Of makes a value of one of the types above; ok is false for others.
func Of(v any) (value Value, ok bool) {
	switch v := v.(type) {
	case string:
		return Text(v), true
	case []byte:
		return Bytes(v), true
	case bool:
		return Bool(v), true
	case int64:
		return Int(v), true
	case uint64:
		return Uint(v), true
	case float64:
		return Float(v), true
	case time.Duration:
		return Duration(v), true
	case time.Time:
		return Time(v), true
	}
	return Value{}, false
}

// String is the value as people write it: bytes as text.
func (v Value) String() string {
	switch v.kind {
	case octets:
		return string(v.bytes)
	case integer:
		return strconv.FormatInt(v.whole, 10)
	case fraction:
		return strconv.FormatFloat(v.real, 'g', -1, 64)
	case boolean:
		if v.whole != 0 {
			return "yes"
		}
		return "no"
	case instant:
		return time.Unix(0, v.whole).UTC().Format(time.RFC3339Nano)
	}
	return v.text
}
