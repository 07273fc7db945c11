package sparkplug

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/iotctl/iotctl/internal/payload"
)

// writer writes one payload.
type writer struct {
	now   func() time.Time
	data  bool // names of metrics with an alias stay away
	nodes *nodes
	to    topic
}

// members calls fn for each member of v, which has to be an object. fn returns
// false for those that it does not know.
func members(where string, v any, known string, fn func(name string, v any) (bool, error)) error {
	o, ok := v.(payload.Object)
	if !ok {
		return payload.Wrong(where, "%s is no object with members such as %s", payload.Shown(v), known)
	}
	for _, m := range o {
		ok, err := fn(m.Name, m.Value)
		if err != nil {
			return err
		}
		if !ok {
			return payload.Wrong(where, "member %q is none of %s", m.Name, known)
		}
	}
	return nil
}

// elements calls fn for each element of v, which has to be an array.
func elements(where string, v any, fn func(where string, v any) error) error {
	list, ok := v.([]any)
	if !ok {
		return payload.Wrong(where, "%s is no array", payload.Shown(v))
	}
	for i, e := range list {
		if err := fn(fmt.Sprintf("%s[%d]", where, i), e); err != nil {
			return err
		}
	}
	return nil
}

func appendBytes[T []byte | string](dst []byte, num int, b T) []byte {
	dst = protowire.AppendTag(dst, protowire.Number(num), protowire.BytesType)
	return append(protowire.AppendVarint(dst, uint64(len(b))), b...)
}

func appendVarint(dst []byte, num int, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, protowire.Number(num), protowire.VarintType), n)
}

// parts are the fields of a message by number, so that the order of members does
// not matter.
type parts map[int][]byte

func (p parts) bytes(num int, b []byte) { p[num] = appendBytes(p[num], num, b) }

func (p parts) text(where string, num int, v any) error {
	s, ok := v.(string)
	if !ok {
		return payload.Wrong(where, "%s is no text", payload.Shown(v))
	}
	p[num] = appendBytes(nil, num, s)
	return nil
}

func (p parts) unsigned(where string, num int, v any) error {
	n, err := integerOf(uint64Type, v)
	if err != nil {
		return payload.Wrong(where, "%v", err)
	}
	p[num] = appendVarint(nil, num, n)
	return nil
}

func (p parts) boolean(where string, num int, v any) error {
	b, ok := v.(bool)
	if !ok {
		return payload.Wrong(where, "%s is neither true nor false", payload.Shown(v))
	}
	p[num] = appendVarint(nil, num, protowire.EncodeBool(b))
	return nil
}

func (p parts) join() []byte {
	b := []byte{}
	for num := 1; num <= 19; num++ {
		b = append(b, p[num]...)
	}
	return b
}

func (w *writer) payload(v any) ([]byte, error) {
	p := parts{}
	err := members("payload", v, "timestamp, metrics, seq, uuid and body", func(name string, v any) (bool, error) {
		switch name {
		case "timestamp":
			return true, w.time(p, name, 1, v)
		case "metrics":
			return true, elements(name, v, func(where string, v any) error {
				b, err := w.metric(where, v, w.data)
				p.bytes(2, b)
				return err
			})
		case "seq":
			return true, p.unsigned(name, 3, v)
		case "uuid":
			return true, p.text(name, 4, v)
		case "body":
			b, err := binaryOf(v)
			if err != nil {
				return true, payload.Wrong(name, "%v", err)
			}
			p.bytes(5, b)
			return true, nil
		}
		return false, nil
	})
	return p.join(), err
}

// time writes milliseconds since 1970, which may be given as RFC 3339 or as "now".
func (w *writer) time(p parts, where string, num int, v any) error {
	s, ok := v.(string)
	if !ok {
		return p.unsigned(where, num, v)
	}
	t, err := w.now(), error(nil)
	if s != "now" {
		t, err = time.Parse(time.RFC3339Nano, s)
	}
	if err != nil || t.UnixMilli() < 0 {
		return payload.Wrong(where, `%q is no time: give milliseconds since 1970, "now", or as in "2026-05-02T10:30:00Z"`, s)
	}
	p[num] = appendVarint(nil, num, uint64(t.UnixMilli()))
	return nil
}

const metricMembers = "name, alias, timestamp, datatype, is_historical, is_transient, metadata, properties and value"

func (w *writer) metric(where string, v any, data bool) ([]byte, error) {
	p := parts{}
	m := metric{}
	var given given
	err := members(where, v, metricMembers, func(name string, v any) (bool, error) {
		at := where + "." + name
		switch name {
		case "name":
			if s, ok := v.(string); ok {
				m.name = &s
			}
			return true, p.text(at, 1, v)
		case "alias":
			n, _ := integerOf(uint64Type, v)
			m.alias = &n
			return true, p.unsigned(at, 2, v)
		case "timestamp":
			return true, w.time(p, at, 3, v)
		case "datatype", "dataType":
			t, err := typeOf(at, v)
			m.datatype, p[4] = &t, appendVarint(nil, 4, uint64(t))
			return true, err
		case "is_historical":
			return true, p.boolean(at, 5, v)
		case "is_transient":
			return true, p.boolean(at, 6, v)
		case "metadata":
			b, err := metadataOf(at, v)
			p.bytes(8, b)
			return true, err
		case "properties":
			b, err := w.properties(at, v)
			p.bytes(9, b)
			return true, err
		}
		return given.take(name, v), nil
	})
	if err != nil {
		return nil, err
	}
	var t dataType
	if data {
		if def, ok := w.known(&m); ok {
			t = def.datatype
			if m.alias != nil && m.name != nil && def.name == *m.name {
				delete(p, 1)
			}
		}
	}
	if m.datatype != nil {
		t = *m.datatype
	}
	return w.withValue(p, where, 7, t, metricSlots, given)
}

// known is what the birth of m said.
func (w *writer) known(m *metric) (def definition, ok bool) {
	if e, known := w.nodes.byID[w.to.id()]; known {
		def, ok = e.Value.(*node).find(w.to.device, m)
	}
	return def, ok
}

// given is the value that was typed: as the data type has it, or the field's.
type given struct {
	typed bool
	field field // noField = by data type
	v     any
}

func (g *given) take(name string, v any) bool {
	if name == "value" {
		*g = given{typed: true, v: v}
		return true
	}
	for f := intField; f <= extensionField; f++ {
		if fieldNames[f] == name {
			*g = given{typed: true, field: f, v: v}
			return true
		}
	}
	return false
}

// withValue adds g to p: as is_null (field null; 0 = there is none) or in one of s.
func (w *writer) withValue(p parts, where string, null int, t dataType, s slots, g given) ([]byte, error) {
	switch {
	case !g.typed:
	case g.v == nil && null > 0:
		p[null] = appendVarint(nil, null, 1)
	case g.v != nil:
		num, b, err := w.value(where, t, s, g)
		if err != nil {
			return nil, err
		}
		p[num] = b
	}
	return p.join(), nil
}

// typeOf reads a data type, by name or number.
func typeOf(where string, v any) (dataType, error) {
	if s, ok := v.(string); ok {
		for i, name := range typeNames {
			if strings.EqualFold(name, s) {
				return dataType(i), nil
			}
		}
		return 0, payload.Wrong(where, "there is no data type %q: they are %s", s, strings.Join(typeNames[1:], ", "))
	}
	n, err := integerOf(uint32Type, v)
	if err != nil {
		return 0, payload.Wrong(where, "%v", err)
	}
	return dataType(n), nil
}

func metadataOf(where string, v any) ([]byte, error) {
	p := parts{}
	err := members(where, v, "content_type, size, seq, file_name, file_type, md5, description and is_multi_part", func(name string, v any) (bool, error) {
		for num, f := range metadataFields {
			if f.name != name || num == 0 {
				continue
			}
			switch f.kind {
			case booleanField:
				return true, p.boolean(where+"."+name, num, v)
			case stringField:
				return true, p.text(where+"."+name, num, v)
			}
			return true, p.unsigned(where+"."+name, num, v)
		}
		return false, nil
	})
	return p.join(), err
}

// properties writes a PropertySet: its keys, then its values.
func (w *writer) properties(where string, v any) ([]byte, error) {
	o, ok := v.(payload.Object)
	if !ok {
		return nil, payload.Wrong(where, `%s is no object such as {"engUnit":{"type":"String","value":"C"}}`, payload.Shown(v))
	}
	keys, values := []byte{}, []byte{}
	for _, m := range o {
		b, err := w.property(where+"."+m.Name, m.Value)
		if err != nil {
			return nil, err
		}
		keys, values = appendBytes(keys, 1, m.Name), appendBytes(values, 2, b)
	}
	return append(keys, values...), nil
}

func (w *writer) property(where string, v any) ([]byte, error) {
	p := parts{}
	t := unknownType
	var given given
	err := members(where, v, "type and value", func(name string, v any) (ok bool, err error) {
		switch name {
		case "type":
			t, err = typeOf(where+".type", v)
			p[1] = appendVarint(nil, 1, uint64(t))
			return true, err
		}
		return given.take(name, v), nil
	})
	if err != nil {
		return nil, err
	}
	return w.withValue(p, where, 2, t, propertySlots, given)
}
