package protobuf

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	wire "github.com/iotctl/iotctl/internal/codec/protobuf"
	"github.com/iotctl/iotctl/internal/payload"
)

// maxDepth bounds messages in each other. As JSON each is up to two levels.
const maxDepth = payload.MaxDepth/2 - 2

const maxNotes = 16

// decoder decodes one payload.
type decoder struct {
	schema *schema // nil = none
	notes  []string
	values int
	depth  int
	joined int // bytes that were copied to merge messages
}

func (d *decoder) note(format string, a ...any) {
	s := fmt.Sprintf(format, a...)
	for _, one := range d.notes {
		if one == s {
			return
		}
	}
	if len(d.notes) < maxNotes {
		d.notes = append(d.notes, s)
	}
}

// count bounds what one payload may cost.
func (d *decoder) count(off int) error {
	if d.values++; d.values > payload.MaxValues {
		return payload.Malformedf(off, "more than %d values", payload.MaxValues)
	}
	return nil
}

// entry is one field on the wire.
type entry struct {
	n   uint64 // of varint, fixed32 and fixed64
	b   []byte // of bytes and groups; aliases the payload
	off int
}

// slot is what a message has of one field, in the order of its first entry.
type slot struct {
	number  int
	typ     protowire.Type
	field   *field // nil = not in the schema, or of another wire type
	entries []entry
}

// slots cuts a message into its fields. m may be nil.
func (d *decoder) slots(m *message, b []byte, off int) ([]*slot, error) {
	type key struct {
		number int
		typ    protowire.Type
		known  bool
	}
	var all []*slot
	index := map[key]*slot{}
	chosen := map[string]*slot{} // of each oneof the member that was there last
	for len(b) > 0 {
		on := wire.Next(b)
		num, typ := on.Num, on.Type
		if on.Tag < 0 || typ == protowire.EndGroupType || !num.IsValid() {
			return nil, payload.Malformedf(off, "no tag of a field")
		}
		if on.Size < 0 {
			return nil, payload.Malformedf(off, "field %d is cut short or broken", num)
		}
		e := entry{n: on.N, b: on.B, off: on.Offset(off)}
		if err := d.count(off); err != nil {
			return nil, err
		}
		var f *field
		if m != nil {
			f = m.byNumber[int(num)]
		}
		if f != nil && !f.takes(typ) {
			d.note("field %d of %s (%s) is %s on the wire: shown as that", num, m.name, f.name, wire.TypeName(typ))
			f = nil
		}
		k := key{int(num), typ, f != nil}
		if f != nil {
			k.typ = 0
		}
		s := index[k]
		if s == nil {
			s = &slot{number: int(num), typ: typ, field: f}
			index[k] = s
			all = append(all, s)
		}
		if f != nil && f.repeated && typ == protowire.BytesType && wireType(f.kind) != protowire.BytesType {
			if err := d.unpack(s, f, e); err != nil {
				return nil, err
			}
		} else {
			s.entries = append(s.entries, e)
		}
		if f != nil && f.oneof != "" { // the last member counts, as protobuf has it
			if was := chosen[f.oneof]; was != nil && was != s {
				d.note("%s and %s are both there, and the last of them counts", was.field.name, f.name)
				was.entries = nil
			}
			chosen[f.oneof] = s
		}
		b, off = b[on.Tag+on.Size:], off+on.Tag+on.Size
	}
	return all, nil
}

// unpack takes the numbers of a packed field.
func (d *decoder) unpack(s *slot, f *field, packed entry) error {
	off := packed.off
	for b := packed.b; len(b) > 0; {
		number, _, n := wire.Value(0, wireType(f.kind), b)
		if n < 0 {
			return payload.Malformedf(off, "field %d (%s): its packed numbers are cut short or broken", f.number, f.name)
		}
		if err := d.count(off); err != nil {
			return err
		}
		s.entries = append(s.entries, entry{n: number, off: off})
		b, off = b[n:], off+n
	}
	return nil
}

func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}

func (f *field) takes(typ protowire.Type) bool {
	want := wireType(f.kind)
	return typ == want || f.repeated && typ == protowire.BytesType && want != protowire.StartGroupType
}

// message reads a message: an object, or what the JSON mapping has for one of the
// well-known types.
func (d *decoder) message(m *message, b []byte, off int) (any, error) {
	defer func() { d.depth-- }()
	if d.depth++; d.depth > maxDepth {
		return nil, payload.Malformedf(off, "more than %d levels", maxDepth)
	}
	slots, err := d.slots(m, b, off)
	if err != nil {
		return nil, err
	}
	o := payload.Object{}
	for _, s := range slots {
		if len(s.entries) == 0 {
			continue
		}
		member, err := d.member(m, s)
		if err != nil {
			return nil, err
		}
		o = append(o, member)
	}
	for _, f := range m.required {
		if _, ok := o.Get(f.name); !ok {
			d.note("%s, which %s has to have, is missing", f.name, m.name)
		}
	}
	return d.mapped(m, o)
}

func (d *decoder) member(m *message, s *slot) (payload.Member, error) {
	if s.field == nil {
		if m.byNumber[s.number] == nil {
			d.note("field %d (%s) is not in %s", s.number, wire.TypeName(s.typ), m.name)
		}
		return d.guess(s)
	}
	v, text, err := d.known(s)
	if err == nil && !text {
		d.note("field %d (%s) is text, but not UTF-8: shown as bytes", s.number, s.field.name)
		return payload.Member{Name: strconv.Itoa(s.number) + ":bytes", Value: one(s.bins())}, nil
	}
	return payload.Member{Name: s.field.name, Value: v}, err
}

// known is the value of a field. false: there is text in it that is no UTF-8.
func (d *decoder) known(s *slot) (v any, text bool, err error) {
	f := s.field
	switch {
	case f.message != nil && f.message.mapEntry:
		return d.pairs(f.message, s)
	case f.repeated:
		list := make([]any, len(s.entries))
		for i, e := range s.entries {
			if list[i], text, err = d.value(f, e); err != nil || !text {
				return nil, text, err
			}
		}
		return list, true, nil
	case len(s.entries) == 1:
		return d.value(f, s.entries[0])
	}
	d.note("%s is there %d times", f.name, len(s.entries))
	last := s.entries[len(s.entries)-1]
	if f.message != nil {
		if last, err = d.join(s); err != nil {
			return nil, true, err
		}
	}
	return d.value(f, last)
}

// join merges messages, which putting their bytes together does.
func (d *decoder) join(s *slot) (joined entry, err error) {
	joined.off = s.entries[0].off
	for _, e := range s.entries {
		if d.joined += len(e.b); d.joined > payload.MaxBytes {
			return joined, payload.Malformedf(e.off, "messages that come in parts, of more than %d bytes", payload.MaxBytes)
		}
		joined.b = append(joined.b, e.b...)
	}
	return joined, nil
}

// pairs reads a map: an object with its keys as text.
func (d *decoder) pairs(m *message, s *slot) (any, bool, error) {
	o := payload.Object{}
	at := map[string]int{}
	key, value := m.byNumber[1], m.byNumber[2]
	if key == nil || value == nil {
		return nil, false, nil
	}
	for _, e := range s.entries {
		slots, err := d.slots(m, e.b, e.off)
		if err != nil {
			return nil, true, err
		}
		k, v := zero(key), any(nil)
		valued := false
		for _, part := range slots {
			if part.field == nil {
				d.note("field %d (%s) of an entry of a map is left out", part.number, wire.TypeName(part.typ))
				continue
			}
			x, text, err := d.known(part)
			if err != nil || !text {
				return nil, text, err
			}
			if part.field == key {
				k = x
			} else {
				v, valued = x, true
			}
		}
		if !valued {
			if v, err = d.absent(value, e.off); err != nil {
				return nil, true, err
			}
		}
		name := keyText(k)
		if i, ok := at[name]; ok {
			o[i].Value = v
			continue
		}
		at[name] = len(o)
		o = append(o, payload.Member{Name: name, Value: v})
	}
	return o, true, nil
}

// absent is the value of an entry of a map that has none.
func (d *decoder) absent(f *field, off int) (any, error) {
	if f.message != nil {
		return d.message(f.message, nil, off)
	}
	return zero(f), nil
}

func keyText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	}
	return string(v.(json.Number))
}

// zero is the value of a scalar that is not there.
func zero(f *field) any {
	switch f.kind {
	case protoreflect.BoolKind:
		return false
	case protoreflect.StringKind:
		return ""
	case protoreflect.BytesKind:
		return payload.Bin{}
	case protoreflect.EnumKind:
		return f.enum.show(0)
	}
	return json.Number("0")
}

func (d *decoder) value(f *field, e entry) (v any, text bool, err error) {
	if f.message != nil {
		v, err = d.message(f.message, e.b, e.off)
		return v, true, err
	}
	if f.kind == protoreflect.StringKind && !utf8.Valid(e.b) {
		return nil, false, nil
	}
	return scalar(f, e), true, nil
}

func scalar(f *field, e entry) any {
	switch f.kind {
	case protoreflect.BoolKind:
		return e.n != 0
	case protoreflect.EnumKind:
		return f.enum.show(int32(uint32(e.n)))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return payload.Int(int64(int32(uint32(e.n))))
	case protoreflect.Sint32Kind:
		return payload.Int(int64(int32(protowire.DecodeZigZag(e.n & math.MaxUint32))))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return payload.Uint(uint64(uint32(e.n)))
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return payload.Int(int64(e.n))
	case protoreflect.Sint64Kind:
		return payload.Int(protowire.DecodeZigZag(e.n))
	case protoreflect.FloatKind:
		return payload.Float(float64(math.Float32frombits(uint32(e.n))), 32)
	case protoreflect.DoubleKind:
		return payload.Float(math.Float64frombits(e.n), 64)
	case protoreflect.StringKind:
		return string(e.b)
	case protoreflect.BytesKind:
		return bin(e.b)
	}
	return payload.Uint(e.n)
}

// show is the name of a value; of those that have none the number. The one value
// of google.protobuf.NullValue is null.
func (e *enum) show(n int32) any {
	if e.name == "google.protobuf.NullValue" && n == 0 {
		return nil
	}
	if name, ok := e.byNumber[n]; ok {
		return name
	}
	return payload.Int(int64(n))
}

func bin(b []byte) payload.Bin { return append(payload.Bin{}, b...) }
