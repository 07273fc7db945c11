package avro

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/spelling"
)

type encoder struct{ depth, steps int }

// maxSteps bounds what is tried: unions in each other multiply.
const maxSteps = 4 * payload.MaxValues

func (e *encoder) value(b []byte, where string, s *schema, v any) ([]byte, error) {
	defer func() { e.depth-- }()
	if e.depth++; e.depth > 2*payload.MaxDepth {
		return nil, payload.Wrong(where, "more than %d levels", payload.MaxDepth)
	}
	if e.steps++; e.steps > maxSteps {
		return nil, payload.Wrong(where, `it takes more than %d steps to find the branches of unions; name them, as in {"double":1.5}`, maxSteps)
	}
	wrong := func(what string) ([]byte, error) {
		return nil, payload.Wrong(where, "%s is no %s", payload.Shown(v), what)
	}
	switch s.kind {
	case nullKind:
		if v != nil {
			return wrong("null")
		}
		return b, nil
	case booleanKind:
		on, ok := v.(bool)
		if !ok {
			return wrong("boolean")
		}
		if on {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case intKind, longKind:
		n, err := s.number(v)
		if err != nil {
			return nil, payload.Wrong(where, "%v", err)
		}
		return binary.AppendVarint(b, n), nil
	case floatKind:
		f, err := floating(v, 32)
		if err != nil {
			return nil, payload.Wrong(where, "%v", err)
		}
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f))), nil
	case doubleKind:
		f, err := floating(v, 64)
		if err != nil {
			return nil, payload.Wrong(where, "%v", err)
		}
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(f)), nil
	case bytesKind, fixedKind:
		raw, err := s.raw(v)
		if err != nil {
			return nil, payload.Wrong(where, "%v", err)
		}
		if s.kind == bytesKind {
			b = binary.AppendVarint(b, int64(len(raw)))
		}
		return append(b, raw...), nil
	case stringKind:
		text, ok := v.(string)
		if !ok {
			return wrong("text")
		}
		return appendText(b, text), nil
	case enumKind:
		symbol, _ := v.(string)
		i := slices.Index(s.symbols, symbol)
		if i < 0 {
			return nil, payload.Wrong(where, "%s is none of %s", payload.Shown(v), strings.Join(s.symbols, ", "))
		}
		return binary.AppendVarint(b, int64(i)), nil
	case unionKind:
		return e.union(b, where, s, v)
	case arrayKind:
		list, ok := v.([]any)
		if !ok {
			return wrong("array")
		}
		return e.items(b, where, s, list)
	}
	o, ok := v.(payload.Object)
	if !ok {
		return wrong("object, as " + s.branch() + " is")
	}
	if s.kind == mapKind {
		return e.pairs(b, where, s, o)
	}
	return e.record(b, where, s, o)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

func (e *encoder) items(b []byte, where string, s *schema, list []any) (_ []byte, err error) {
	if len(list) > 0 {
		b = binary.AppendVarint(b, int64(len(list)))
	}
	for i, v := range list {
		if b, err = e.value(b, fmt.Sprintf("%s[%d]", where, i), s.items, v); err != nil {
			return nil, err
		}
	}
	return append(b, 0), nil
}

func (e *encoder) pairs(b []byte, where string, s *schema, o payload.Object) (_ []byte, err error) {
	if len(o) > 0 {
		b = binary.AppendVarint(b, int64(len(o)))
	}
	for _, m := range o {
		if b, err = e.value(appendText(b, m.Name), payload.Inside(where, m.Name), s.items, m.Value); err != nil {
			return nil, err
		}
	}
	return append(b, 0), nil
}

// record writes fields in the order of the schema, defaults for those that are
// missing.
func (e *encoder) record(b []byte, where string, s *schema, o payload.Object) (_ []byte, err error) {
	for _, m := range o {
		if !slices.ContainsFunc(s.fields, func(f field) bool { return f.name == m.Name }) {
			return nil, payload.Wrong(payload.Inside(where, m.Name), "%s", s.unknown(m.Name))
		}
	}
	for _, f := range s.fields {
		v, ok := o.Get(f.name)
		switch {
		case ok:
		case f.optional:
			v = f.schema.converted(f.fallback)
		default:
			return nil, payload.Wrong(payload.Inside(where, f.name), "%s has to have this field", s.name)
		}
		if b, err = e.value(b, payload.Inside(where, f.name), f.schema, v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (s *schema) unknown(name string) string {
	near, ok := spelling.Nearest(name, func(yield func(string) bool) {
		for _, f := range s.fields {
			if !yield(f.name) {
				return
			}
		}
	})
	if ok {
		return fmt.Sprintf("%s has no such field: did you mean %s?", s.name, near)
	}
	return s.name + " has no such field"
}

// union takes the branch that is named in an object of one member, or else the
// first one that takes v.
func (e *encoder) union(b []byte, where string, s *schema, v any) ([]byte, error) {
	branch := func(b []byte, i int, v any) ([]byte, error) {
		return e.value(binary.AppendVarint(b, int64(i)), where, s.branches[i], v)
	}
	o, _ := v.(payload.Object)
	named := -1
	if len(o) == 1 {
		named = slices.IndexFunc(s.branches, func(b *schema) bool { return b.branch() == o[0].Name })
	}
	if named >= 0 && s.only() == nil {
		return branch(b, named, o[0].Value)
	}
	var first error
	for i, of := range s.branches {
		out, err := branch(slices.Clip(b), i, v)
		if err == nil {
			return out, nil
		}
		if first == nil && of.kind != nullKind {
			first = err
		}
	}
	if named >= 0 {
		return branch(b, named, o[0].Value)
	}
	if s.only() != nil {
		return nil, first
	}
	var names []string
	for _, of := range s.branches {
		names = append(names, of.branch())
	}
	return nil, payload.Wrong(where, "%s is none of %s", payload.Shown(v), strings.Join(names, ", "))
}

// number is v as an int or a long, or the text of a logical type.
func (s *schema) number(v any) (int64, error) {
	var n int64
	switch v := v.(type) {
	case string:
		if s.logical == plain {
			return 0, fmt.Errorf("%s is no %s", payload.Shown(v), s.kind)
		}
		var err error
		if n, err = s.moment(v); err != nil {
			return 0, err
		}
	case json.Number:
		r, ok := payload.Rat(v)
		if !ok || !r.IsInt() {
			return 0, fmt.Errorf("%s is no %s", payload.Shown(v), s.kind)
		}
		if n = r.Num().Int64(); !r.Num().IsInt64() {
			return 0, fmt.Errorf("%s does not fit %s", payload.Shown(v), s.kind)
		}
	default:
		return 0, fmt.Errorf("%s is no %s", payload.Shown(v), s.kind)
	}
	if s.kind == intKind && n != int64(int32(n)) {
		return 0, fmt.Errorf("%s does not fit %s", payload.Shown(v), s.kind)
	}
	return n, nil
}

func floating(v any, bits int) (float64, error) {
	s, ok := v.(string)
	ok = ok && (s == "NaN" || s == "Infinity" || s == "-Infinity")
	if n, isNumber := v.(json.Number); isNumber {
		s, ok = string(n), true
	}
	f, err := strconv.ParseFloat(s, bits)
	if !ok || err != nil {
		return 0, fmt.Errorf("%s is no number of %d bits", payload.Shown(v), bits)
	}
	return f, nil
}

// raw is the bytes of v: base64, or as the logical type has it.
func (s *schema) raw(v any) (b []byte, err error) {
	size := -1
	if s.kind == fixedKind {
		size = s.size
	}
	text, isText := v.(string)
	n, isNumber := v.(json.Number)
	o, isObject := v.(payload.Object)
	raw, isBin := v.(payload.Bin)
	switch {
	case isBin:
		b = raw
	case isNumber && s.logical == decimalType:
		return s.unscaled(n, size)
	case isObject && s.logical == durationType:
		return duration(o)
	case isText && s.logical == uuidType && len(text) == 36:
		b, err = hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	case isText:
		b, err = base64.StdEncoding.DecodeString(text)
	default:
		err = errors.ErrUnsupported
	}
	switch {
	case err != nil && s.logical == decimalType:
		return nil, fmt.Errorf("%s is no number, nor base64", payload.Shown(v))
	case err != nil && s.logical == uuidType:
		return nil, fmt.Errorf("%s is no UUID", payload.Shown(v))
	case err != nil:
		return nil, fmt.Errorf("%s is no base64", payload.Shown(v))
	case size >= 0 && len(b) != size:
		return nil, fmt.Errorf("%s has %d bytes, and these are %d", s.name, size, len(b))
	}
	return b, nil
}

func duration(o payload.Object) ([]byte, error) {
	var b []byte
	for _, name := range durationParts {
		v, _ := o.Get(name)
		n, _ := v.(json.Number)
		i, err := strconv.ParseUint(string(n), 10, 32)
		if err != nil || len(o) != len(durationParts) {
			return nil, errors.New(`a duration has numbers of 32 bits, as in {"months":1,"days":2,"millis":3}`)
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
	}
	return b, nil
}

// converted is a default of a schema as payloads have it: there bytes are text of
// the characters 0 to 255, and unions are of their first branch, or of one that
// takes it.
func (s *schema) converted(v any) any {
	switch s.kind {
	case bytesKind, fixedKind:
		if text, ok := v.(string); ok {
			b := payload.Bin{}
			for _, r := range text {
				b = append(b, byte(r))
			}
			return b
		}
	case unionKind:
		if only := s.only(); only != nil && v != nil {
			return only.converted(v)
		}
		if first := s.branches[0]; v != nil && first.kind != nullKind {
			return payload.Object{{Name: first.branch(), Value: first.converted(v)}}
		}
	case arrayKind:
		if list, ok := v.([]any); ok {
			out := make([]any, len(list))
			for i := range list {
				out[i] = s.items.converted(list[i])
			}
			return out
		}
	case mapKind, recordKind:
		if o, ok := v.(payload.Object); ok {
			return s.convertedObject(o)
		}
	}
	return v
}

func (s *schema) convertedObject(o payload.Object) payload.Object {
	out := make(payload.Object, len(o))
	for i, m := range o {
		of := s.items
		for _, f := range s.fields {
			if f.name == m.Name {
				of = f.schema
			}
		}
		if out[i] = m; of != nil {
			out[i].Value = of.converted(m.Value)
		}
	}
	return out
}
