package protobuf

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/iotctl/iotctl/internal/payload"
)

// Bounds of the JSON mapping, in seconds.
const (
	minTimestamp = -62135596800 // year 1
	maxTimestamp = 253402300799 // the end of year 9999
	maxDuration  = 315576000000
)

const google = "google.protobuf."

// mapped is what the JSON mapping has for the well-known types. What it cannot
// say stays an object of fields.
func (d *decoder) mapped(m *message, o payload.Object) (any, error) {
	name, ok := strings.CutPrefix(m.name, google)
	if !ok {
		return o, nil
	}
	switch name {
	case "Timestamp", "Duration":
		return d.time(name, o), nil
	case "FieldMask":
		return fieldMask(o), nil
	case "Any":
		return d.any(m, o)
	case "Struct":
		fields, _ := o.Get("fields")
		d.extra(name, o, "fields")
		if fields == nil {
			return payload.Object{}, nil
		}
		return fields, nil
	case "ListValue":
		switch {
		case len(o) == 0:
			return []any{}, nil
		case len(o) == 1 && o[0].Name == "values":
			return o[0].Value, nil
		}
	case "Value":
		for _, member := range o {
			if f := m.byName[member.Name]; f != nil {
				d.extra(name, o, member.Name)
				return member.Value, nil
			}
		}
		d.extra(name, o, "")
		d.note("a Value is none: shown as null")
		return nil, nil
	}
	if f := m.wrapped(); f != nil {
		switch {
		case len(o) == 0:
			return zero(f), nil
		case len(o) == 1 && o[0].Name == f.name:
			return o[0].Value, nil
		}
	}
	return o, nil
}

// wrapped is the field of a wrapper such as DoubleValue, nil of other messages.
func (m *message) wrapped() *field {
	switch strings.TrimPrefix(m.name, google) {
	case "DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue", "StringValue", "BytesValue":
		return m.byNumber[1]
	}
	return nil
}

// special reports whether the JSON mapping has a form of its own for m, which
// then stands in a member of an Any.
func (m *message) special() bool {
	switch name, ok := strings.CutPrefix(m.name, google); {
	case !ok:
		return false
	case name == "Timestamp", name == "Duration", name == "FieldMask", name == "Any", name == "Struct", name == "ListValue", name == "Value", name == "Empty":
		return true
	}
	return m.wrapped() != nil
}

// extra says what cannot be shown.
func (d *decoder) extra(what string, o payload.Object, known string) {
	for _, m := range o {
		if m.Name != known {
			d.note("%s of a %s is left out", m.Name, what)
		}
	}
}

func (d *decoder) time(name string, o payload.Object) any {
	var seconds, nanos int64
	for _, m := range o {
		n, _ := m.Value.(json.Number)
		v, err := strconv.ParseInt(string(n), 10, 64)
		switch {
		case err != nil:
			return o
		case m.Name == "seconds":
			seconds = v
		case m.Name == "nanos":
			nanos = v
		default:
			return o
		}
	}
	if name == "Duration" {
		if seconds < -maxDuration || seconds > maxDuration || nanos <= -1e9 || nanos >= 1e9 || seconds < 0 && nanos > 0 || seconds > 0 && nanos < 0 {
			d.note("a Duration is beyond what one can be")
			return o
		}
		sign := ""
		if seconds < 0 || nanos < 0 {
			sign, seconds, nanos = "-", -seconds, -nanos
		}
		return sign + strconv.FormatInt(seconds, 10) + fraction(nanos) + "s"
	}
	if seconds < minTimestamp || seconds > maxTimestamp || nanos < 0 || nanos >= 1e9 {
		d.note("a Timestamp is beyond the years 1 to 9999")
		return o
	}
	return time.Unix(seconds, 0).UTC().Format("2006-01-02T15:04:05") + fraction(nanos) + "Z"
}

// fraction is nanoseconds behind a point, with 0, 3, 6 or 9 digits.
func fraction(nanos int64) string {
	s := fmt.Sprintf(".%09d", nanos)
	s = strings.TrimSuffix(strings.TrimSuffix(s, "000"), "000")
	return strings.TrimSuffix(s, ".000")
}

// fieldMask is paths in camel case with commas between them.
func fieldMask(o payload.Object) any {
	if len(o) == 0 {
		return ""
	}
	list, ok := o[0].Value.([]any)
	if len(o) > 1 || o[0].Name != "paths" || !ok {
		return o
	}
	paths := make([]string, len(list))
	for i, v := range list {
		s, _ := v.(string)
		if paths[i] = camel(s); s == "" || snake(paths[i]) != s || strings.Contains(s, ",") {
			return o
		}
	}
	return strings.Join(paths, ",")
}

// snake goes back from camel.
func snake(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if 'A' <= c && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// typeOf is the message that the URL of an Any names, nil if it is not in the files.
func (s *schema) typeOf(url string) *message {
	m, err := s.message(url[strings.LastIndexByte(url, '/')+1:])
	if err != nil {
		return nil
	}
	return m
}

// any shows what is in an Any, if its type is in the files: its fields behind
// "@type", or "value" for the well-known types.
func (d *decoder) any(m *message, o payload.Object) (any, error) {
	var url string
	b := payload.Bin{}
	for _, member := range o {
		switch f := m.byName[member.Name]; {
		case f == nil:
			return o, nil
		case f.kind == protoreflect.StringKind:
			url, _ = member.Value.(string)
		default:
			b, _ = member.Value.(payload.Bin)
		}
	}
	if url == "" {
		return o, nil
	}
	inner := d.schema.typeOf(url)
	if inner == nil {
		d.note("%s is not in the files: its value is bytes", url)
		return payload.Object{{Name: "@type", Value: url}, {Name: "value", Value: b}}, nil
	}
	v, err := d.message(inner, b, 0)
	if err != nil {
		d.note("%s does not hold a %s: %v", m.name, inner.name, err)
		return o, nil
	}
	shown := payload.Object{{Name: "@type", Value: url}}
	if fields, ok := v.(payload.Object); ok && !inner.special() {
		return append(shown, fields...), nil
	}
	return append(shown, payload.Member{Name: "value", Value: v}), nil
}
