package sparkplug

import (
	"encoding/json"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/iotctl/iotctl/internal/payload"
)

// object is what people see of a payload.
func (r *reader) object(p *message) (payload.Object, error) {
	o := payload.Object{}
	add := func(name string, v any) { o = append(o, payload.Member{Name: name, Value: v}) }
	if p.timestamp != nil {
		add("timestamp", payload.Uint(*p.timestamp))
	}
	metrics, err := r.metrics(p.metrics)
	if err != nil {
		return nil, err
	}
	add("metrics", metrics)
	if p.seq != nil {
		add("seq", payload.Uint(*p.seq))
	}
	if p.uuid != nil {
		add("uuid", *p.uuid)
	}
	if p.body != nil {
		add("body", payload.Bin(p.body))
	}
	return o, nil
}

func (r *reader) metrics(all []metric) ([]any, error) {
	list := make([]any, 0, len(all))
	for i := range all {
		o, err := r.metricObject(&all[i], i)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

func (r *reader) metricObject(m *metric, i int) (payload.Object, error) {
	o := payload.Object{}
	add := func(name string, v any) { o = append(o, payload.Member{Name: name, Value: v}) }
	if m.name != nil {
		add("name", *m.name)
	}
	if m.alias != nil {
		add("alias", payload.Uint(*m.alias))
	}
	if m.timestamp != nil {
		add("timestamp", payload.Uint(*m.timestamp))
	}
	if m.datatype != nil {
		add("datatype", typeValue(*m.datatype))
	}
	if m.historical != nil {
		add("is_historical", *m.historical)
	}
	if m.transient != nil {
		add("is_transient", *m.transient)
	}
	if m.metadata != nil {
		add("metadata", m.metadata)
	}
	if m.properties != nil {
		add("properties", m.properties)
	}
	return r.withValue(o, m.label(i), m.datatype, m.null, m.value)
}

// value is v as its data type has it, or else as its field has it: then it does
// not fit.
func (r *reader) value(what string, t dataType, v value) (shown any, fits bool, err error) {
	if t != unknownType && int(t) < len(typeNames) {
		if shown, fits, err = r.typed(what, t, v); fits || err != nil {
			return shown, true, err
		}
		r.notes.addf("%s is of type %s, and %s holds none", what, t, v.field)
	} else {
		fits = v.field < bytesField // others tell no type
	}
	shown, err = r.plain(what, v)
	return shown, fits, err
}

// typed is v as t has it; false if it does not fit.
func (r *reader) typed(what string, t dataType, v value) (any, bool, error) {
	switch bits, signed := t.bits(); {
	case t.isArray():
		if v.field != bytesField {
			return nil, false, nil
		}
		list, ok := r.array(t, v.b)
		return list, ok, r.countAll(len(list), v.off)
	case bits > 0:
		n, ok := integer(v, bits, signed)
		return n, ok, nil
	}
	switch t {
	case floatType, doubleType:
		if v.field == floatField || v.field == doubleField {
			shown, err := r.plain(what, v)
			return shown, true, err
		}
	case booleanType:
		return v.n != 0, v.field == booleanField, nil
	case stringType, textType, uuidType:
		return r.text(what, entry{b: v.b}), v.field == stringField, nil
	case bytesType, fileType:
		return bin(v.b), v.field == bytesField, nil
	case dataSetType, templateType, propertySetType, propertySetListType:
		if v.field == fieldOf(t) {
			shown, err := r.plain(what, v)
			return shown, true, err
		}
	}
	return nil, false, nil
}

func fieldOf(t dataType) field {
	switch t {
	case dataSetType:
		return dataSetField
	case templateType:
		return templateField
	case propertySetType:
		return propertySetField
	case propertySetListType:
		return propertySetsField
	}
	return noField
}

func (r *reader) countAll(n, off int) error {
	r.values += n
	return r.count(off)
}

// integer is the number that int_value or long_value holds. Negative numbers are
// two's complement of 32 or 64 bits, with some programs of the size of the type.
func integer(v value, bits int, signed bool) (any, bool) {
	if v.field != intField && v.field != longField {
		return nil, false
	}
	n := v.n
	if v.field == intField {
		n = uint64(uint32(n))
	}
	if !signed {
		return payload.Uint(n), bits == 64 || n < 1<<bits
	}
	i := int64(n)
	switch {
	case bits < 64 && n < 1<<bits:
		i = int64(n<<(64-bits)) >> (64 - bits)
	case v.field == intField:
		i = int64(int32(uint32(n)))
	}
	return json.Number(strconv.FormatInt(i, 10)), i>>(bits-1) == 0 || i>>(bits-1) == -1
}

// plain is v as its field has it.
func (r *reader) plain(what string, v value) (any, error) {
	switch v.field {
	case intField:
		return payload.Uint(uint64(uint32(v.n))), nil
	case longField:
		return payload.Uint(v.n), nil
	case floatField:
		return payload.Float(float64(math.Float32frombits(uint32(v.n))), 32), nil
	case doubleField:
		return payload.Float(math.Float64frombits(v.n), 64), nil
	case booleanField:
		return v.n != 0, nil
	case stringField:
		return r.text(what, entry{b: v.b}), nil
	}
	in := entry{b: v.b, off: v.off}
	switch v.field {
	case dataSetField:
		return r.dataSet(what, in)
	case templateField:
		return r.template(in)
	case propertySetField:
		return r.properties(in)
	case propertySetsField:
		return r.propertySets(in)
	case extensionField:
		r.notes.addf("%s: the value is an extension, shown as bytes", what)
	}
	return bin(v.b), nil
}

func bin(b []byte) payload.Bin { return append(payload.Bin{}, b...) }

func (r *reader) propertySets(in entry) ([]any, error) {
	list := []any{}
	err := r.walk("property set list", in.b, in.off, func(e entry) (bool, error) {
		if e.num != 1 || e.typ != protowire.BytesType {
			return false, nil
		}
		o, err := r.properties(e)
		if err != nil {
			return true, err
		}
		list = append(list, o)
		return true, r.count(e.off)
	})
	return list, err
}

// dataSet reads a table: names and types of columns, and rows of values.
func (r *reader) dataSet(what string, in entry) (payload.Object, error) {
	var width uint64
	columns, types, rows := []any{}, []any{}, []entry{}
	var kinds []dataType
	err := r.walk("data set", in.b, in.off, func(e entry) (bool, error) {
		switch {
		case e.num == 1 && e.typ == protowire.VarintType:
			width = e.n
		case e.num == 2 && e.typ == protowire.BytesType:
			columns = append(columns, r.text("the name of a column", e))
		case e.num == 3 && e.typ == protowire.VarintType:
			kinds = append(kinds, dataType(e.n))
		case e.num == 3 && e.typ == protowire.BytesType: // packed
			for b := e.b; len(b) > 0; {
				n, size := protowire.ConsumeVarint(b)
				if size < 0 {
					return true, payload.Malformedf(e.off, "data set: the types are broken")
				}
				kinds, b = append(kinds, dataType(n)), b[size:]
			}
		case e.num == 4 && e.typ == protowire.BytesType:
			rows = append(rows, e)
		default:
			return false, nil
		}
		return true, r.count(e.off)
	})
	if err != nil {
		return nil, err
	}
	if err := r.countAll(len(kinds), in.off); err != nil {
		return nil, err
	}
	for _, t := range kinds {
		types = append(types, typeValue(t))
	}
	if width != uint64(len(columns)) || len(columns) != len(types) {
		r.notes.addf("%s: %d columns, %d names and %d types", what, width, len(columns), len(types))
	}
	table := make([]any, len(rows))
	for i, row := range rows {
		if table[i], err = r.row(what, row, kinds); err != nil {
			return nil, err
		}
	}
	return payload.Object{{Name: "columns", Value: columns}, {Name: "types", Value: types}, {Name: "rows", Value: table}}, nil
}

func (r *reader) row(what string, in entry, kinds []dataType) ([]any, error) {
	cells := []any{}
	err := r.walk("row", in.b, in.off, func(e entry) (bool, error) {
		if e.num != 1 || e.typ != protowire.BytesType {
			return false, nil
		}
		if err := r.count(e.off); err != nil {
			return true, err
		}
		var v value
		err := r.walk("element", e.b, e.off, func(e entry) (bool, error) { return v.take(cellSlots, e), nil })
		if err != nil {
			return true, err
		}
		t := unknownType
		if len(cells) < len(kinds) {
			t = kinds[len(cells)]
		}
		if v.field == noField {
			cells = append(cells, nil)
			return true, nil
		}
		shown, fits, err := r.value(what, t, v)
		if !fits {
			shown = payload.Object{{Name: v.field.String(), Value: shown}}
		}
		cells = append(cells, shown)
		return true, err
	})
	if err == nil && len(cells) != len(kinds) {
		r.notes.addf("%s: a row of %d elements in a table of %d columns", what, len(cells), len(kinds))
	}
	return cells, err
}

func (r *reader) template(in entry) (payload.Object, error) {
	defer r.leave()
	if err := r.enter(in.off); err != nil {
		return nil, err
	}
	var version, ref, definition any
	var metrics []metric
	parameters := []any{}
	err := r.walk("template", in.b, in.off, func(e entry) (bool, error) {
		switch {
		case e.num == 5 && e.typ == protowire.VarintType:
			definition = e.n != 0
		case e.typ != protowire.BytesType:
			return false, nil
		case e.num == 1:
			version = r.text("the version of a template", e)
		case e.num == 2:
			m, err := r.metric(e)
			if err != nil {
				return true, err
			}
			metrics = append(metrics, m)
		case e.num == 3:
			p, err := r.parameter(e)
			if err != nil {
				return true, err
			}
			parameters = append(parameters, p)
		case e.num == 4:
			ref = r.text("the reference of a template", e)
		default:
			return false, nil
		}
		return true, r.count(e.off)
	})
	if err != nil {
		return nil, err
	}
	o := payload.Object{}
	for _, m := range []payload.Member{{Name: "version", Value: version}, {Name: "template_ref", Value: ref}, {Name: "is_definition", Value: definition}} {
		if m.Value != nil {
			o = append(o, m)
		}
	}
	if len(parameters) > 0 {
		o = append(o, payload.Member{Name: "parameters", Value: parameters})
	}
	list, err := r.metrics(metrics)
	return append(o, payload.Member{Name: "metrics", Value: list}), err
}

func (r *reader) parameter(in entry) (payload.Object, error) {
	var name *string
	var t *dataType
	var v value
	err := r.walk("parameter", in.b, in.off, func(e entry) (bool, error) {
		switch {
		case v.take(parameterSlots, e):
		case e.num == 1 && e.typ == protowire.BytesType:
			name = new(r.text("the name of a parameter", e))
		case e.num == 2 && e.typ == protowire.VarintType:
			t = new(dataType(e.n))
		default:
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	o := payload.Object{}
	if name != nil {
		o = append(o, payload.Member{Name: "name", Value: *name})
	}
	if t != nil {
		o = append(o, payload.Member{Name: "type", Value: typeValue(*t)})
	}
	return r.withValue(o, "a parameter", t, false, v)
}
