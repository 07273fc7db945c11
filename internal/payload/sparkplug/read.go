package sparkplug

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/iotctl/iotctl/internal/payload"
)

// message is a payload as it is on the wire.
type message struct {
	timestamp *uint64
	metrics   []metric
	seq       *uint64
	uuid      *string
	body      []byte // nil = none
}

type metric struct {
	name       *string
	alias      *uint64
	timestamp  *uint64
	datatype   *dataType
	historical *bool
	transient  *bool
	null       bool
	metadata   payload.Object
	properties payload.Object // nil = none
	value      value
}

// value is one of the fields of a oneof, not yet looked at.
type value struct {
	field field
	n     uint64
	b     []byte
	off   int
}

// label is what notes call a metric: by name, alias or place.
func (m *metric) label(i int) string {
	switch {
	case m.name != nil:
		return "metric " + strconv.Quote(*m.name)
	case m.alias != nil:
		return "the metric with alias " + strconv.FormatUint(*m.alias, 10)
	}
	return "metric " + strconv.Itoa(i+1)
}

func (r *reader) payload(b []byte) (*message, error) {
	p := &message{}
	err := r.walk("payload", b, 0, func(e entry) (bool, error) {
		switch {
		case e.num == 1 && e.typ == protowire.VarintType:
			p.timestamp = &e.n
		case e.num == 2 && e.typ == protowire.BytesType:
			m, err := r.metric(e)
			if err != nil {
				return true, err
			}
			p.metrics = append(p.metrics, m)
		case e.num == 3 && e.typ == protowire.VarintType:
			p.seq = &e.n
		case e.num == 4 && e.typ == protowire.BytesType:
			s := r.text("uuid", e)
			p.uuid = &s
		case e.num == 5 && e.typ == protowire.BytesType:
			p.body = append([]byte{}, e.b...)
		default:
			return false, nil
		}
		return true, nil
	})
	return p, err
}

func (r *reader) metric(in entry) (m metric, err error) {
	if err := r.count(in.off); err != nil {
		return m, err
	}
	err = r.walk("metric", in.b, in.off, func(e entry) (bool, error) {
		if m.value.take(metricSlots, e) {
			return true, nil
		}
		switch {
		case e.num == 1 && e.typ == protowire.BytesType:
			s := r.text("the name of a metric", e)
			m.name = &s
		case e.num == 8 && e.typ == protowire.BytesType:
			var err error
			m.metadata, err = r.metadata(e)
			return true, err
		case e.num == 9 && e.typ == protowire.BytesType:
			var err error
			m.properties, err = r.properties(e)
			return true, err
		case e.typ != protowire.VarintType:
			return false, nil
		case e.num == 2:
			m.alias = &e.n
		case e.num == 3:
			m.timestamp = &e.n
		case e.num == 4:
			t := dataType(e.n) // uint32, as protobuf cuts it
			m.datatype = &t
		case e.num == 5:
			m.historical = new(e.n != 0)
		case e.num == 6:
			m.transient = new(e.n != 0)
		case e.num == 7:
			m.null = e.n != 0
		default:
			return false, nil
		}
		return true, nil
	})
	return m, err
}

// take takes e if it is one of the fields of a value. The last one counts.
func (v *value) take(s slots, e entry) bool {
	i := e.num - s.first
	if i < 0 || i >= len(s.fields) || s.fields[i].wire() != e.typ {
		return false
	}
	*v = value{s.fields[i], e.n, e.b, e.off}
	return true
}

func (f field) wire() protowire.Type {
	switch f {
	case intField, longField, booleanField:
		return protowire.VarintType
	case floatField:
		return protowire.Fixed32Type
	case doubleField:
		return protowire.Fixed64Type
	}
	return protowire.BytesType
}

// metadataFields are the names by number, and which of them are text.
var metadataFields = [...]struct {
	name string
	kind field
}{
	1: {"is_multi_part", booleanField},
	2: {"content_type", stringField},
	3: {"size", longField},
	4: {"seq", longField},
	5: {"file_name", stringField},
	6: {"file_type", stringField},
	7: {"md5", stringField},
	8: {"description", stringField},
}

func (r *reader) metadata(in entry) (payload.Object, error) {
	var values [len(metadataFields)]any
	err := r.walk("metadata", in.b, in.off, func(e entry) (bool, error) {
		if e.num >= len(metadataFields) || metadataFields[e.num].kind.wire() != e.typ {
			return false, nil
		}
		switch f := metadataFields[e.num]; f.kind {
		case booleanField:
			values[e.num] = e.n != 0
		case stringField:
			values[e.num] = r.text("metadata: "+f.name, e)
		default:
			values[e.num] = payload.Uint(e.n)
		}
		return true, nil
	})
	o := payload.Object{}
	for i, v := range values {
		if v != nil {
			o = append(o, payload.Member{Name: metadataFields[i].name, Value: v})
		}
	}
	return o, err
}

// properties reads a PropertySet: an object with a member for each key, of the
// shape {"type":"String","value":"C"}.
func (r *reader) properties(in entry) (payload.Object, error) {
	defer r.leave()
	if err := r.enter(in.off); err != nil {
		return nil, err
	}
	var keys []string
	var values []payload.Object
	err := r.walk("property set", in.b, in.off, func(e entry) (bool, error) {
		switch {
		case e.typ != protowire.BytesType || e.num > 2:
			return false, nil
		case e.num == 1:
			keys = append(keys, r.text("the key of a property", e))
		default:
			v, err := r.property(e)
			if err != nil {
				return true, err
			}
			values = append(values, v)
		}
		return true, r.count(e.off)
	})
	if err != nil {
		return nil, err
	}
	if len(keys) != len(values) {
		return nil, payload.Malformedf(in.off, "%d keys and %d values in a property set", len(keys), len(values))
	}
	o := make(payload.Object, len(keys))
	for i, k := range keys {
		o[i] = payload.Member{Name: k, Value: values[i]}
	}
	return o, nil
}

func (r *reader) property(in entry) (payload.Object, error) {
	var t *dataType
	var null bool
	var v value
	err := r.walk("property", in.b, in.off, func(e entry) (bool, error) {
		switch {
		case v.take(propertySlots, e):
		case e.num == 1 && e.typ == protowire.VarintType:
			t = new(dataType(e.n))
		case e.num == 2 && e.typ == protowire.VarintType:
			null = e.n != 0
		default:
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	o := payload.Object{}
	if t != nil {
		o = append(o, payload.Member{Name: "type", Value: typeValue(*t)})
	}
	return r.withValue(o, "a property", t, null, v)
}

// withValue adds the member value: null where is_null says so, none where there
// is none. What does not fit the type is a member named after its field.
func (r *reader) withValue(o payload.Object, what string, t *dataType, null bool, v value) (payload.Object, error) {
	if null && v.field != noField {
		r.notes.addf("%s is null and has a value", what)
	}
	if null {
		return append(o, payload.Member{Name: "value"}), nil
	}
	if v.field == noField {
		return o, nil
	}
	dt := unknownType
	if t != nil {
		dt = *t
	}
	shown, fits, err := r.value(what, dt, v)
	if !fits {
		return append(o, payload.Member{Name: v.field.String(), Value: shown}), err
	}
	return append(o, payload.Member{Name: "value", Value: shown}), err
}

// typeValue is the name of a data type, or its number if it has none.
func typeValue(t dataType) any {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return payload.Uint(uint64(t))
}
