package lwm2m

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Record is one of a SenML pack as it is written. RFC 8428 §4
type Record struct {
	Off, Len int
	Pairs    []Pair
}

// Pair is a label and its value.
type Pair struct {
	Label    string // "bn", "v": in CBOR, too
	Off, Len int    // of both
	ValueOff int    // where the value begins; it goes to the end
	// Value is nil, a bool, int64, float64, string or, in CBOR, []byte.
	Value any
}

// Measurement is a record with what the base fields before it say.
type Measurement struct {
	Record int // which one it is of
	Name   string
	Unit   string
	// Time in seconds: since 1970, or from now if it is below 1<<28. RFC 8428 §4.5.3
	Time float64
	// Value is nil, a bool, int64, float64, string, []byte or Link.
	Value any
	Sum   any // nil, int64 or float64
}

// MinTime is the first time that is none from now. RFC 8428 §4.5.3
const MinTime = 1 << 28

// resolver has what base fields say.
type resolver struct {
	name, unit string
	time       float64
	value, sum any
	notes      []Malformed
}

// ResolveSenML applies the base fields of records (RFC 8428 §4.6). A record with
// base fields alone is no measurement. notes are rules that are broken; what
// breaks them is left out.
func ResolveSenML(records []Record) (all []Measurement, notes []Malformed) {
	r := resolver{}
	for i := range records {
		if m, ok := r.record(&records[i]); ok {
			m.Record = i
			all = append(all, m)
		}
	}
	return all, r.notes
}

// maxNotes is how many broken rules are collected.
const maxNotes = 1024

func (r *resolver) flag(p *Pair, clause, format string, args ...any) {
	if len(r.notes) >= maxNotes {
		return
	}
	r.notes = append(r.notes, Malformed{Offset: p.Off, Clause: clause, Reason: fmt.Sprintf(format, args...)})
}

// record applies what rec says, base fields first: they may stand behind.
func (r *resolver) record(rec *Record) (m Measurement, ok bool) {
	for i := range rec.Pairs {
		p := &rec.Pairs[i]
		for _, q := range rec.Pairs[:min(i, maxLabels)] {
			if q.Label == p.Label {
				r.flag(p, "RFC 8428 §4", "%s is repeated", label(p))
				break
			}
		}
		r.base(p)
	}
	m = Measurement{Name: r.name, Unit: r.unit, Time: r.time, Sum: nil}
	values := 0
	for i := range rec.Pairs {
		p := &rec.Pairs[i]
		if !strings.HasPrefix(p.Label, "b") {
			ok = true
		}
		if r.field(&m, p) {
			if values++; values > 1 {
				r.flag(p, "RFC 8428 §4.2", "a record with more than one value")
			}
		}
	}
	if values == 0 && ok && r.value != nil {
		m.Value = r.value
	}
	return m, ok
}

// maxLabels is how many labels of a record are compared with each other: more than
// there are.
const maxLabels = 32

func label(p *Pair) string { return strconv.Quote(p.Label) }

// base takes a base field. RFC 8428 §4.1
func (r *resolver) base(p *Pair) {
	ok := true
	switch p.Label {
	case "bn":
		r.name, ok = p.Value.(string)
	case "bu":
		r.unit, ok = p.Value.(string)
	case "bt":
		r.time, ok = number(p.Value)
	case "bv":
		_, ok = number(p.Value)
		r.value = p.Value
	case "bs":
		_, ok = number(p.Value)
		r.sum = p.Value
	case "bver":
		v, isNumber := number(p.Value)
		if ok = isNumber; ok && v > 10 {
			r.flag(p, "RFC 8428 §4.4", "version %v is not known", p.Value)
		}
	default:
		if strings.HasSuffix(p.Label, "_") {
			r.flag(p, "RFC 8428 §4.4", "%s must be understood, and is not known", label(p))
		}
	}
	if !ok {
		r.value, r.sum = onlyNumbers(r.value), onlyNumbers(r.sum)
		r.flag(p, "RFC 8428 §4.3", "%s is a %s", label(p), kindOf(p.Value))
	}
}

// field takes another field; value reports that it is the value. RFC 8428 §4.2
func (r *resolver) field(m *Measurement, p *Pair) (value bool) {
	ok := true
	switch p.Label {
	case "n":
		var s string
		s, ok = p.Value.(string)
		m.Name = r.name + s
	case "u":
		m.Unit, ok = p.Value.(string)
	case "t":
		var t float64
		t, ok = number(p.Value)
		m.Time = r.time + t
	case "ut":
		_, ok = number(p.Value)
	case "s":
		if _, ok = number(p.Value); ok {
			m.Sum = add(p.Value, r.sum)
		}
	case "v":
		value = true
		if _, ok = number(p.Value); ok {
			m.Value = add(p.Value, r.value)
		}
	case "vs":
		value = true
		if _, ok = p.Value.(string); ok {
			m.Value = p.Value
		}
	case "vb":
		value = true
		if _, ok = p.Value.(bool); ok {
			m.Value = p.Value
		}
	case "vd":
		value = true
		m.Value, ok = data(p.Value)
	case "vlo":
		value = true
		m.Value, ok = link(p.Value)
	}
	if !ok {
		r.flag(p, "RFC 8428 §4.3", "%s is a %s", label(p), kindOf(p.Value))
	}
	return value
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func onlyNumbers(v any) any {
	if _, ok := number(v); ok {
		return v
	}
	return nil
}

// add is v and a base, if there is one.
func add(v, base any) any {
	if base == nil {
		return v
	}
	x, xInt := v.(int64)
	y, yInt := base.(int64)
	if sum := x + y; xInt && yInt && (sum > x) == (y > 0) {
		return sum
	}
	a, _ := number(v)
	b, _ := number(base)
	return a + b
}

// data reads a value of bytes, which JSON has in Base64. RFC 8428 §5
func data(v any) (any, bool) {
	switch v := v.(type) {
	case []byte:
		return v, true
	case string:
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(v, "="))
		if err == nil {
			return b, true
		}
	}
	return nil, false
}

// link reads an object link, "66:0". LwM2M 1.1 §7.4.4
func link(v any) (any, bool) {
	s, _ := v.(string)
	object, instance, ok := strings.Cut(s, ":")
	a, err := strconv.ParseUint(object, 10, 16)
	b, other := strconv.ParseUint(instance, 10, 16)
	if !ok || err != nil || other != nil {
		return nil, false
	}
	return Link{uint16(a), uint16(b)}, true
}

// kindOf says what v is, for people.
func kindOf(v any) string {
	switch v.(type) {
	case bool:
		return "boolean"
	case int64, float64:
		return "number"
	case string:
		return "string that does not fit"
	case []byte:
		return "byte string"
	}
	return "value that does not fit"
}
