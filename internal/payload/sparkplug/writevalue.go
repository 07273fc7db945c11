package sparkplug

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/iotctl/iotctl/internal/payload"
)

// value writes g as t has it into the field of s that t belongs in; without a
// type into the one that g suggests.
func (w *writer) value(where string, t dataType, s slots, g given) (num int, b []byte, err error) {
	if g.field != noField {
		where += "." + g.field.String()
		t = g.field.datatype()
	} else if where != "" {
		where += ".value"
	}
	f, n, raw, err := w.raw(where, t, g.v)
	if err != nil {
		return 0, nil, err
	}
	if g.field != noField {
		f = g.field
	}
	i := slices.Index(s.fields, f)
	if i < 0 {
		return 0, nil, payload.Wrong(where, "no %s can stand here", t)
	}
	num = s.first + i
	b = protowire.AppendTag(nil, protowire.Number(num), f.wire())
	switch f.wire() {
	case protowire.VarintType:
		b = protowire.AppendVarint(b, n)
	case protowire.Fixed32Type:
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	case protowire.Fixed64Type:
		b = binary.LittleEndian.AppendUint64(b, n)
	default:
		b = protowire.AppendBytes(b, raw)
	}
	return num, b, nil
}

// raw is v as the field f of a oneof has it.
func (w *writer) raw(where string, t dataType, v any) (f field, n uint64, b []byte, err error) {
	if t == unknownType || int(t) >= len(typeNames) {
		t = suggested(v)
	}
	wrong := func(err error) error { return payload.Wrong(where, "%v", err) }
	switch bits, _ := t.bits(); {
	case t.isArray():
		list, ok := v.([]any)
		if !ok {
			return f, 0, nil, wrong(fmt.Errorf("%s is no array", payload.Shown(v)))
		}
		if b, err = appendArray(nil, t, list); err != nil {
			return f, 0, nil, wrong(err)
		}
		return bytesField, 0, b, nil
	case bits > 0:
		if n, err = integerOf(t, v); err != nil {
			return f, 0, nil, wrong(err)
		}
		if bits == 64 {
			return longField, n, nil, nil
		}
		return intField, uint64(uint32(n)), nil, nil
	}
	switch t {
	case floatType, doubleType:
		bits := 32
		if f = floatField; t == doubleType {
			f, bits = doubleField, 64
		}
		x, err := floatOf(v, bits)
		if err != nil {
			return f, 0, nil, wrong(err)
		}
		if t == floatType {
			return f, uint64(math.Float32bits(float32(x))), nil, nil
		}
		return f, math.Float64bits(x), nil, nil
	case booleanType:
		on, ok := v.(bool)
		if !ok {
			err = wrong(fmt.Errorf("%s is neither true nor false", payload.Shown(v)))
		}
		return booleanField, protowire.EncodeBool(on), nil, err
	case stringType, textType, uuidType:
		s, ok := v.(string)
		if !ok {
			err = wrong(fmt.Errorf("%s is no text", payload.Shown(v)))
		}
		return stringField, 0, []byte(s), err
	case dataSetType:
		b, err = w.dataSet(where, v)
		return dataSetField, 0, b, err
	case templateType:
		b, err = w.template(where, v)
		return templateField, 0, b, err
	case propertySetType:
		b, err = w.properties(where, v)
		return propertySetField, 0, b, err
	case propertySetListType:
		err = elements(where, v, func(where string, v any) error {
			one, err := w.properties(where, v)
			b = appendBytes(b, 1, one)
			return err
		})
		return propertySetsField, 0, b, err
	}
	if b, err = binaryOf(v); err != nil {
		err = wrong(err)
	}
	return bytesField, 0, b, err
}

// datatype is one that f holds as it is.
func (f field) datatype() dataType {
	return [...]dataType{
		intField: uint32Type, longField: uint64Type, floatField: floatType, doubleField: doubleType,
		booleanField: booleanType, stringField: stringType, bytesField: bytesType, dataSetField: dataSetType,
		templateField: templateType, propertySetField: propertySetType, propertySetsField: propertySetListType,
		extensionField: bytesType,
	}[f]
}

// suggested is a type for a value that comes without one. Without a type long_value
// is read as unsigned, so a negative number is a double. An array or an object tells
// none: bytes, which it is not.
func suggested(v any) dataType {
	switch v := v.(type) {
	case bool:
		return booleanType
	case json.Number:
		for _, t := range []dataType{uint32Type, uint64Type} {
			if _, err := integerOf(t, v); err == nil {
				return t
			}
		}
		return doubleType
	case string:
		return stringType
	}
	return bytesType
}

// integerOf is v as t has it, in two's complement of 64 bits.
func integerOf(t dataType, v any) (uint64, error) {
	num, _ := v.(json.Number)
	r, ok := payload.Rat(num)
	if !ok || !r.IsInt() || r.Sign() == 0 && num[0] == '-' {
		return 0, fmt.Errorf("%s is no integer", payload.Shown(v))
	}
	bits, signed := t.bits()
	i := r.Num()
	fits := i.IsUint64() && i.BitLen() <= bits
	if signed {
		fits = i.IsInt64() && i.Int64()>>(bits-1) == i.Int64()>>63
	}
	if !fits {
		return 0, fmt.Errorf("%s does not fit %s", num, t)
	}
	if signed {
		return uint64(i.Int64()), nil
	}
	return i.Uint64(), nil
}

// floatOf is v with the precision of bits.
func floatOf(v any, bits int) (float64, error) {
	switch v := v.(type) {
	case json.Number:
		f, err := strconv.ParseFloat(string(v), bits)
		if err != nil {
			return 0, fmt.Errorf("%s does not fit %d bits", payload.Shown(v), bits)
		}
		return f, nil
	case string:
		if v == "NaN" || v == "Infinity" || v == "-Infinity" {
			return strconv.ParseFloat(v, bits)
		}
	}
	return 0, fmt.Errorf("%s is no number", payload.Shown(v))
}

// binaryOf is bytes, in JSON as base64.
func binaryOf(v any) ([]byte, error) {
	switch v := v.(type) {
	case payload.Bin:
		return v, nil
	case string:
		if b, err := base64.StdEncoding.DecodeString(v); err == nil {
			return b, nil
		}
	}
	return nil, errors.New(payload.Shown(v) + " is no base64")
}

// dataSet writes a table as reader.dataSet shows it.
func (w *writer) dataSet(where string, v any) ([]byte, error) {
	var columns []any
	var kinds []dataType
	var rows any = []any{}
	err := members(where, v, "columns, types and rows", func(name string, v any) (bool, error) {
		switch name {
		case "columns":
			return true, elements(where+".columns", v, func(_ string, v any) error {
				columns = append(columns, v)
				return nil
			})
		case "types":
			return true, elements(where+".types", v, func(where string, v any) error {
				t, err := typeOf(where, v)
				kinds = append(kinds, t)
				return err
			})
		case "rows":
			rows = v
			return true, nil
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	b := appendVarint(nil, 1, uint64(len(columns)))
	for _, c := range columns {
		s, ok := c.(string)
		if !ok {
			return nil, payload.Wrong(where+".columns", "%s is no text", payload.Shown(c))
		}
		b = appendBytes(b, 2, s)
	}
	for _, t := range kinds {
		b = appendVarint(b, 3, uint64(t))
	}
	err = elements(where+".rows", rows, func(where string, v any) error {
		row, err := w.row(where, v, kinds)
		b = appendBytes(b, 4, row)
		return err
	})
	return b, err
}

func (w *writer) row(where string, v any, kinds []dataType) (b []byte, err error) {
	i := 0
	err = elements(where, v, func(where string, v any) error {
		t := unknownType
		if i < len(kinds) {
			t = kinds[i]
		}
		i++
		g := given{typed: true, v: v}
		if o, ok := v.(payload.Object); ok && len(o) == 1 && !g.take(o[0].Name, o[0].Value) {
			return payload.Wrong(where, "%s is no element of a table", payload.Shown(v))
		}
		cell, err := w.withValue(parts{}, where, 0, t, cellSlots, g)
		b = appendBytes(b, 1, cell)
		return err
	})
	return b, err
}

func (w *writer) template(where string, v any) ([]byte, error) {
	p := parts{}
	err := members(where, v, "version, template_ref, is_definition, parameters and metrics", func(name string, v any) (bool, error) {
		at := where + "." + name
		switch name {
		case "version":
			return true, p.text(at, 1, v)
		case "metrics":
			return true, elements(at, v, func(where string, v any) error {
				b, err := w.metric(where, v, false)
				p.bytes(2, b)
				return err
			})
		case "parameters":
			return true, elements(at, v, func(where string, v any) error {
				b, err := w.parameter(where, v)
				p.bytes(3, b)
				return err
			})
		case "template_ref":
			return true, p.text(at, 4, v)
		case "is_definition":
			return true, p.boolean(at, 5, v)
		}
		return false, nil
	})
	return p.join(), err
}

func (w *writer) parameter(where string, v any) ([]byte, error) {
	p := parts{}
	t := unknownType
	var given given
	err := members(where, v, "name, type and value", func(name string, v any) (ok bool, err error) {
		switch name {
		case "name":
			return true, p.text(where+".name", 1, v)
		case "type":
			t, err = typeOf(where+".type", v)
			p[2] = appendVarint(nil, 2, uint64(t))
			return true, err
		}
		return given.take(name, v), nil
	})
	if err != nil {
		return nil, err
	}
	return w.withValue(p, where, 0, t, parameterSlots, given)
}
