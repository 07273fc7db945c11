package protobuf

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/spelling"
)

// encoder encodes one payload. Fields stand in the order of members.
type encoder struct {
	schema *schema // nil = none
	depth  int
}

func (e *encoder) message(where string, m *message, v any) ([]byte, error) {
	defer func() { e.depth-- }()
	if e.depth++; e.depth > payload.MaxDepth {
		return nil, payload.Wrong(where, "more than %d levels", payload.MaxDepth)
	}
	if b, done, err := e.mapped(where, m, v); done || err != nil {
		return b, err
	}
	o, ok := v.(payload.Object)
	if !ok {
		return nil, payload.Wrong(where, "%s is no object, as %s is", payload.Shown(v), m.name)
	}
	var b []byte
	oneofs := map[string]*field{}
	for _, member := range o {
		at := payload.Inside(where, member.Name)
		f := m.byName[member.Name]
		if f == nil {
			var err error
			if b, err = e.raw(b, at, m, member); err != nil {
				return nil, err
			}
			continue
		}
		if member.Value == nil && !f.nullable() {
			continue
		}
		if was := oneofs[f.oneof]; f.oneof != "" && was != nil && was != f {
			return nil, payload.Wrong(at, "%s is there, too, and only one of them can be", was.name)
		}
		oneofs[f.oneof] = f
		var err error
		if b, err = e.field(b, at, f, member.Value); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// nullable reports whether null is a value of f, and does not mean that f is away.
func (f *field) nullable() bool {
	return !f.repeated && (f.message != nil && f.message.name == google+"Value" || f.enum != nil && f.enum.name == google+"NullValue")
}

// raw writes a member that is no field: "17:varint".
func (e *encoder) raw(b []byte, where string, m *message, member payload.Member) ([]byte, error) {
	if number, kind, ok := rawName(member.Name); ok {
		return e.untypedField(b, where, number, kind, member.Value)
	}
	if near, ok := spelling.Nearest(member.Name, maps.Keys(m.byName)); ok {
		return nil, payload.Wrong(where, "%s has no such field: did you mean %s?", m.name, m.byName[near].name)
	}
	return nil, payload.Wrong(where, "%s has no such field", m.name)
}

func (e *encoder) field(b []byte, where string, f *field, v any) ([]byte, error) {
	num := protowire.Number(f.number)
	switch {
	case f.message != nil && f.message.mapEntry:
		return e.pairs(b, where, f, v)
	case !f.repeated:
		return e.element(b, where, f, v)
	}
	list, ok := v.([]any)
	if !ok {
		return nil, payload.Wrong(where, "%s is no array", payload.Shown(v))
	}
	if f.packed && wireType(f.kind) != protowire.BytesType && wireType(f.kind) != protowire.StartGroupType {
		var packed []byte
		for i, v := range list {
			var err error
			if packed, err = e.scalar(packed, fmt.Sprintf("%s[%d]", where, i), f, v); err != nil {
				return nil, err
			}
		}
		if len(list) == 0 {
			return b, nil
		}
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), packed), nil
	}
	for i, v := range list {
		var err error
		if b, err = e.element(b, fmt.Sprintf("%s[%d]", where, i), f, v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// element writes one value with its tag.
func (e *encoder) element(b []byte, where string, f *field, v any) ([]byte, error) {
	num := protowire.Number(f.number)
	b = protowire.AppendTag(b, num, wireType(f.kind))
	if f.message == nil {
		return e.scalar(b, where, f, v)
	}
	inner, err := e.message(where, f.message, v)
	if err != nil {
		return nil, err
	}
	if f.kind == protoreflect.GroupKind {
		return protowire.AppendTag(append(b, inner...), num, protowire.EndGroupType), nil
	}
	return protowire.AppendBytes(b, inner), nil
}

func (e *encoder) pairs(b []byte, where string, f *field, v any) ([]byte, error) {
	o, ok := v.(payload.Object)
	if !ok {
		return nil, payload.Wrong(where, "%s is no object, as maps are", payload.Shown(v))
	}
	key, value := f.message.byNumber[1], f.message.byNumber[2]
	if key == nil || value == nil {
		return nil, payload.Wrong(where, "a map without key or value")
	}
	for _, member := range o {
		at := payload.Inside(where, member.Name)
		var k any = member.Name
		if key.kind == protoreflect.BoolKind {
			k = member.Name == "true"
			if member.Name != "true" && member.Name != "false" {
				return nil, payload.Wrong(at, "the key is neither true nor false")
			}
		}
		pair, err := e.element(nil, at, key, k)
		if err != nil {
			return nil, err
		}
		if pair, err = e.element(pair, at, value, member.Value); err != nil {
			return nil, err
		}
		b = protowire.AppendBytes(protowire.AppendTag(b, protowire.Number(f.number), protowire.BytesType), pair)
	}
	return b, nil
}

// scalar writes a value without its tag.
func (e *encoder) scalar(b []byte, where string, f *field, v any) ([]byte, error) {
	wrong := func(err error) ([]byte, error) { return nil, payload.Wrong(where, "%v", err) }
	switch f.kind {
	case protoreflect.BoolKind:
		on, ok := v.(bool)
		if !ok {
			return nil, payload.Wrong(where, "%s is neither true nor false", payload.Shown(v))
		}
		return protowire.AppendVarint(b, protowire.EncodeBool(on)), nil
	case protoreflect.StringKind:
		s, ok := v.(string)
		if !ok {
			return nil, payload.Wrong(where, "%s is no text", payload.Shown(v))
		}
		return protowire.AppendString(b, s), nil
	case protoreflect.BytesKind:
		raw, err := binary(v)
		if err != nil {
			return wrong(err)
		}
		return protowire.AppendBytes(b, raw), nil
	case protoreflect.FloatKind:
		x, err := floating(v, 32)
		if err != nil {
			return wrong(err)
		}
		return protowire.AppendFixed32(b, math.Float32bits(float32(x))), nil
	case protoreflect.DoubleKind:
		x, err := floating(v, 64)
		if err != nil {
			return wrong(err)
		}
		return protowire.AppendFixed64(b, math.Float64bits(x)), nil
	case protoreflect.EnumKind:
		n, err := f.enum.number(v)
		if err != nil {
			return wrong(err)
		}
		return protowire.AppendVarint(b, uint64(int64(n))), nil
	}
	n, err := integer(f.kind, v)
	if err != nil {
		return wrong(err)
	}
	switch wireType(f.kind) {
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(b, uint32(n)), nil
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(b, n), nil
	}
	if f.kind == protoreflect.Sint32Kind || f.kind == protoreflect.Sint64Kind {
		n = protowire.EncodeZigZag(int64(n))
	}
	return protowire.AppendVarint(b, n), nil
}

// number is the value that a name or a number stands for.
func (e *enum) number(v any) (int32, error) {
	s, ok := v.(string)
	if v == nil {
		return 0, nil // NullValue
	}
	if n, named := e.byName[s]; ok && named {
		return n, nil
	}
	n, err := integer(protoreflect.Int32Kind, v)
	if err == nil {
		return int32(uint32(n)), nil
	}
	if near, ok := spelling.Nearest(s, maps.Keys(e.byName)); ok {
		return 0, fmt.Errorf("%s is no value of %s: did you mean %s?", payload.Shown(v), e.name, near)
	}
	return 0, fmt.Errorf("%s is no value of %s: there is %s", payload.Shown(v), e.name, some(slices.Sorted(maps.Values(e.byNumber))))
}

// integer is v, which may be text, in two's complement of 64 bits.
func integer(k protoreflect.Kind, v any) (uint64, error) {
	s, ok := v.(string)
	if num, isNumber := v.(json.Number); isNumber {
		s, ok = string(num), true
	}
	r, isNumber := payload.Rat(json.Number(s))
	if !ok || !isNumber || !r.IsInt() {
		return 0, fmt.Errorf("%s is no integer", payload.Shown(v))
	}
	i, bits := r.Num(), 64
	isSigned := true
	switch k {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		bits = 32
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		bits, isSigned = 32, false
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		isSigned = false
	}
	if isSigned && i.IsInt64() && i.Int64()>>(bits-1) == i.Int64()>>63 {
		return uint64(i.Int64()), nil
	}
	if !isSigned && i.IsUint64() && i.BitLen() <= bits {
		return i.Uint64(), nil
	}
	return 0, fmt.Errorf("%s does not fit %s", payload.Shown(v), k)
}

func floating(v any, bits int) (float64, error) {
	s, ok := v.(string)
	if num, isNumber := v.(json.Number); isNumber {
		s, ok = string(num), true
	}
	f, err := strconv.ParseFloat(s, bits)
	if !ok || err != nil || strings.ContainsAny(s, "_xXpP") {
		return 0, fmt.Errorf("%s is no number of %d bits", payload.Shown(v), bits)
	}
	return f, nil
}

// binary is bytes, in JSON as base64 of either alphabet.
func binary(v any) ([]byte, error) {
	switch v := v.(type) {
	case payload.Bin:
		return v, nil
	case string:
		s := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(v, "="))
		if b, err := base64.RawStdEncoding.DecodeString(s); err == nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%s is no base64", payload.Shown(v))
}

// rawName reads "17:varint", with a question mark or without.
func rawName(s string) (number protowire.Number, kind string, ok bool) {
	first, kind, ok := strings.Cut(s, ":")
	n, err := strconv.ParseInt(first, 10, 32)
	number = protowire.Number(n)
	return number, strings.TrimSuffix(kind, "?"), ok && err == nil && number.IsValid()
}

// untyped writes what decoder.untyped shows.
func (e *encoder) untyped(where string, v any) ([]byte, error) {
	defer func() { e.depth-- }()
	if e.depth++; e.depth > payload.MaxDepth {
		return nil, payload.Wrong(where, "more than %d levels", payload.MaxDepth)
	}
	o, ok := v.(payload.Object)
	if !ok {
		return nil, payload.Wrong(where, `%s is no object such as {"1:varint":150}`, payload.Shown(v))
	}
	var b []byte
	for _, member := range o {
		at := payload.Inside(where, member.Name)
		number, kind, ok := rawName(member.Name)
		if !ok {
			return nil, payload.Wrong(at, `without a schema members are named by number and wire type, as in {"1:varint":150,"2:string":"x"}`)
		}
		var err error
		if b, err = e.untypedField(b, at, number, kind, member.Value); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// untypedField writes one value, or each element of an array.
func (e *encoder) untypedField(b []byte, where string, number protowire.Number, kind string, v any) ([]byte, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	f := &field{number: int(number)}
	switch kind {
	case "varint":
		f.kind = protoreflect.Uint64Kind
	case "int":
		f.kind = protoreflect.Int64Kind
	case "fixed32":
		f.kind = protoreflect.Fixed32Kind
	case "float":
		f.kind = protoreflect.FloatKind
	case "fixed64":
		f.kind = protoreflect.Fixed64Kind
	case "double":
		f.kind = protoreflect.DoubleKind
	case "string":
		f.kind = protoreflect.StringKind
	case "bytes":
		f.kind = protoreflect.BytesKind
	case "message", "group":
		return e.untypedMessages(b, where, number, kind, list)
	default:
		return nil, payload.Wrong(where, "%q is none of varint, int, fixed32, float, fixed64, double, string, bytes, message and group", kind)
	}
	for _, v := range list {
		var err error
		if b, err = e.element(b, where, f, v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (e *encoder) untypedMessages(b []byte, where string, number protowire.Number, kind string, list []any) ([]byte, error) {
	for _, v := range list {
		inner, err := e.untyped(where, v)
		if err != nil {
			return nil, err
		}
		if kind == "group" {
			b = append(protowire.AppendTag(b, number, protowire.StartGroupType), inner...)
			b = protowire.AppendTag(b, number, protowire.EndGroupType)
			continue
		}
		b = protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), inner)
	}
	return b, nil
}
