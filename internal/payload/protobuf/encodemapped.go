package protobuf

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/iotctl/iotctl/internal/payload"
)

// mapped writes a well-known type that was given in the form of the JSON mapping;
// false if v is its fields.
func (e *encoder) mapped(where string, m *message, v any) (b []byte, done bool, err error) {
	name, ok := strings.CutPrefix(m.name, google)
	if !ok {
		return nil, false, nil
	}
	o, isObject := v.(payload.Object)
	switch name {
	case "Timestamp", "Duration":
		s, ok := v.(string)
		if !ok {
			return nil, false, nil
		}
		b, err = moment(where, name, s)
		return b, true, err
	case "FieldMask":
		s, ok := v.(string)
		if !ok || s == "" {
			return nil, ok, nil
		}
		for path := range strings.SplitSeq(s, ",") {
			b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), snake(path))
		}
		return b, true, nil
	case "Any":
		if !isObject {
			return nil, false, nil
		}
		url, typed := o.Get("@type")
		if !typed {
			return nil, false, nil
		}
		b, err = e.any(where, url, o)
		return b, true, err
	case "Struct":
		if !isObject {
			return nil, true, payload.Wrong(where, "%s is no object", payload.Shown(v))
		}
		b, err = e.field(nil, where, m.byNumber[1], o)
		return b, true, err
	case "ListValue":
		list, ok := v.([]any)
		if !ok {
			return nil, false, nil
		}
		b, err = e.field(nil, where, m.byNumber[1], list)
		return b, true, err
	case "Value":
		b, err = e.dynamic(where, m, v)
		return b, true, err
	}
	if f := m.wrapped(); f != nil && !isObject {
		if b, err = e.scalar(nil, where, f, v); err != nil || len(bytes.Trim(b, "\x00")) == 0 {
			return nil, true, err // zero is not written
		}
		return append(protowire.AppendTag(nil, 1, wireType(f.kind)), b...), true, nil
	}
	return nil, false, nil
}

// dynamic writes a Value.
func (e *encoder) dynamic(where string, m *message, v any) ([]byte, error) {
	number := 1 // null
	switch v.(type) {
	case json.Number:
		number = 2
	case string:
		number = 3
	case bool:
		number = 4
	case payload.Object:
		number = 5
	case []any:
		number = 6
	case payload.Bin:
		return nil, payload.Wrong(where, "a Value holds no bytes")
	}
	return e.element(nil, where, m.byNumber[number], v)
}

// any writes an Any: the fields behind "@type", or its member value.
func (e *encoder) any(where string, url any, o payload.Object) ([]byte, error) {
	s, ok := url.(string)
	if !ok || s == "" {
		return nil, payload.Wrong(where, "%s in @type names no type", payload.Shown(url))
	}
	rest := payload.Object{}
	for _, member := range o {
		if member.Name != "@type" {
			rest = append(rest, member)
		}
	}
	value, _ := rest.Get("value")
	var b []byte
	var err error
	switch inner := e.schema.typeOf(s); {
	case inner == nil:
		if b, err = binary(value); err != nil {
			return nil, payload.Wrong(where, "%s is not in the files, so value has to be its bytes as base64", s)
		}
	case inner.special():
		if b, err = e.message(payload.Inside(where, "value"), inner, value); err != nil {
			return nil, err
		}
	default:
		if b, err = e.message(where, inner, rest); err != nil {
			return nil, err
		}
	}
	out := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), s)
	return protowire.AppendBytes(protowire.AppendTag(out, 2, protowire.BytesType), b), nil
}

// moment writes a Timestamp of RFC 3339, or a Duration such as "1.5s".
func moment(where, name, s string) ([]byte, error) {
	var seconds, nanos int64
	if name == "Timestamp" {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || t.Unix() < minTimestamp || t.Unix() > maxTimestamp {
			return nil, payload.Wrong(where, `%q is no time of RFC 3339, as in "2026-05-02T10:30:00Z"`, s)
		}
		seconds, nanos = t.Unix(), int64(t.Nanosecond())
	} else {
		var ok bool
		if seconds, nanos, ok = duration(s); !ok {
			return nil, payload.Wrong(where, `%q is no duration, as in "1.5s"`, s)
		}
	}
	var b []byte
	if seconds != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), uint64(seconds))
	}
	if nanos != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(nanos))
	}
	return b, nil
}

func duration(s string) (seconds, nanos int64, ok bool) {
	s, unit := strings.CutSuffix(s, "s")
	s, negative := strings.CutPrefix(s, "-")
	whole, part, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if !unit || err != nil || n > maxDuration || len(part) > 9 {
		return 0, 0, false
	}
	if part != "" {
		f, err := strconv.ParseUint(part+strings.Repeat("0", 9-len(part)), 10, 63)
		if err != nil {
			return 0, 0, false
		}
		nanos = int64(f)
	}
	if negative {
		return -int64(n), -nanos, true
	}
	return int64(n), nanos, true
}
