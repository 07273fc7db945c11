package dissect

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/codec/lwm2m"
)

// tlvWalk takes the elements of a payload of LwM2M TLV.
type tlvWalk struct {
	b        []byte // the message
	about    coapAbout
	problems []Problem
	parts    int
	depth    int // of containers
	values   int
	last     string // the only value, for the summary
}

// tlv reads body, which is LwM2M TLV.
func (w *coapWalk) tlv(f *Field, body []byte) {
	t := tlvWalk{b: w.b, about: w.about}
	f.Kind, f.Form, f.Note = Structure, Opaque, "LwM2M TLV"
	if w.about.lwm2m {
		f.Note += " of " + w.about.object.String()
		if o, ok := lwm2m.LookupObject(w.about.object.IDs[0]); ok && w.about.object.Depth > 0 {
			f.Note += ", " + o.Name
		}
	} else if w.m.Code.Response() {
		f.Note += "; path unknown, the request was not seen"
	}
	path := lwm2m.Path{}
	if w.about.lwm2m {
		path = w.about.object
	}
	f.Kids = t.elements(f.Off, f.Off+len(body), path, nil)
	w.p.Problems = append(w.p.Problems, t.problems...)
	if t.values == 1 && t.parts <= mostParts {
		w.say(t.last)
		return
	}
	w.say(strconv.Itoa(t.values) + " values")
}

// elements takes those from off to end, which lie in one of kind outer, nil for
// none.
func (t *tlvWalk) elements(off, end int, path lwm2m.Path, outer *lwm2m.Kind) (all []Field) {
	for off < end {
		if t.parts++; t.parts > mostParts {
			return append(all, Field{Name: "more elements", Kind: Bytes, Off: off, Len: end - off, Value: bytes.Clone(t.b[off:end]), Form: Raw, Secret: t.about.hides()})
		}
		e, n, err := lwm2m.ParseTLV(t.b[off:end])
		if bad := (*lwm2m.Malformed)(nil); errors.As(err, &bad) {
			t.problems = append(t.problems, Problem{
				Off: off + bad.Offset, Len: end - off - bad.Offset, Text: bad.Reason, Rule: bad.Clause,
				Advice: "A receiver answers 4.00 Bad Request.",
			})
			return append(all, Field{Name: "rest", Kind: Bytes, Off: off, Len: end - off, Value: bytes.Clone(t.b[off:end]), Form: Raw, Secret: t.about.hides()})
		}
		if outer != nil {
			if wrong := outer.Holds(e.Kind); wrong != "" {
				t.problems = append(t.problems, Problem{Off: off, Len: 1, Text: wrong, Rule: "LwM2M 1.1 §7.4.3"})
			}
		}
		all = append(all, t.element(off, e, path)...)
		off += n
	}
	return all
}

// deepest is how deep containers are opened: an instance holds multiple resources,
// and what holds more is wrong.
const deepest = 4

// element is e at off: its header, its identifier, its length and its value.
func (t *tlvWalk) element(off int, e lwm2m.TLV, path lwm2m.Path) []Field {
	first := t.b[off]
	value := Span{off + e.HeaderBytes(), len(e.Value)}
	head := Field{
		Name: e.Kind.String(), Kind: Flags, Off: off, Len: 1, Value: uint64(first), Form: Unsigned,
		Note: fmt.Sprintf("id %d bit, length %d bit", 8*e.IDBytes, max(8*e.LengthBytes, 3)),
	}
	if e.LengthBytes > 0 {
		head.Value, head.Form = nil, Opaque // the note says it all
	} else {
		head.Kids = []Field{{Name: "length", Kind: Length, Off: off, Len: 1, Mask: 0x07, Value: uint64(first & 7), Form: Unsigned, Of: value}}
	}
	inner := t.place(path, e)
	id := Field{Name: "id", Kind: Number, Off: off + 1, Len: e.IDBytes, Value: uint64(e.ID), Form: Unsigned}
	r, known := t.resource(inner, e)
	switch {
	case e.Kind == lwm2m.ObjectInstance:
	case e.Kind == lwm2m.ResourceInstance:
	case known:
		id.Note = r.Name
	}
	all := []Field{head, id}
	if e.LengthBytes > 0 {
		all = append(all, Field{Name: "length", Kind: Length, Off: off + 1 + e.IDBytes, Len: e.LengthBytes, Value: uint64(len(e.Value)), Form: Unsigned, Of: value})
	}
	if e.Kind.Container() && t.depth < deepest {
		f := Field{Name: "contents", Kind: Structure, Off: value.Off, Len: value.Len}
		if t.about.lwm2m {
			f.Note = inner.String()
		}
		t.depth++
		f.Kids = t.elements(value.Off, value.Off+value.Len, inner, &e.Kind)
		t.depth--
		return append(all, f)
	}
	return append(all, t.leaf(value, e, inner, r, known))
}

// place is the path of e, which lies in what path names. A payload may begin at
// any level: a resource that was asked for comes with its own identifier.
func (t *tlvWalk) place(path lwm2m.Path, e lwm2m.TLV) lwm2m.Path {
	level := 2
	switch e.Kind {
	case lwm2m.ObjectInstance:
		level = 1
	case lwm2m.ResourceInstance:
		level = 3
	}
	for path.Depth < level && t.about.lwm2m { // an instance that is left out
		path = path.Join(0)
	}
	path.Depth = min(path.Depth, level)
	return path.Join(e.ID)
}

// resource is the one that e is, or is an instance of.
func (t *tlvWalk) resource(at lwm2m.Path, e lwm2m.TLV) (lwm2m.Resource, bool) {
	if t.about.lwm2m && at.Depth >= 3 && t.about.object.Depth > 0 {
		return lwm2m.LookupResource(at.IDs[0], at.IDs[2])
	}
	return lwm2m.LookupReusable(e.ID)
}

// secretResource reports whether the value at a path is a key or a password.
func secretResource(p lwm2m.Path) bool {
	if p.Depth < 3 {
		return false
	}
	object, id := p.IDs[0], p.IDs[2]
	return object == 0 && (id == 5 || id == 8) || object == 9 && id == 15
}

// hides reports whether a key or a password may be anywhere in a payload.
func (a *coapAbout) hides() bool {
	return a.lwm2m && a.object.Depth > 0 && (a.object.IDs[0] == 0 || a.object.IDs[0] == 9) && (a.object.Depth < 3 || secretResource(a.object))
}

// leaf is a value.
func (t *tlvWalk) leaf(s Span, e lwm2m.TLV, at lwm2m.Path, r lwm2m.Resource, known bool) Field {
	f := Field{Name: r.Type.String(), Kind: Bytes, Off: s.Off, Len: s.Len, Form: Raw, Note: r.Units}
	v, err := lwm2m.ParseValue(r.Type, e.Value)
	if bad := (*lwm2m.Malformed)(nil); errors.As(err, &bad) {
		t.problems = append(t.problems, Problem{Off: s.Off, Len: s.Len, Text: fmt.Sprintf("%s: %s", r.Name, bad.Reason), Rule: bad.Clause})
		v = e.Value
	}
	var text string
	switch v := v.(type) {
	case string:
		f.Kind, f.Value, text = Text, v, excerpt(v)
	case int64:
		f.Kind, f.Form, f.Value, text = Number, Unsigned, v, strconv.FormatInt(v, 10)
	case uint64:
		f.Kind, f.Form, f.Value, text = Number, Unsigned, v, strconv.FormatUint(v, 10)
	case float64:
		f.Kind, f.Form, f.Value, text = Number, Opaque, v, strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		f.Kind, f.Form, f.Value, text = Flags, Opaque, v, strconv.FormatBool(v)
	case time.Time:
		f.Kind, f.Form, f.Value, text = Number, Opaque, v, v.Format(time.RFC3339)
	case lwm2m.Link:
		f.Kind, f.Form, f.Value, text = Number, Opaque, v.String(), v.String()
	case []byte:
		f.Value, text = bytes.Clone(v), bytesText(len(v))
	default:
		f.Form, f.Note, text = Opaque, "empty", "empty"
	}
	f.Secret = t.about.lwm2m && secretResource(at)
	switch {
	case !known:
		f.Note = "type not known"
	case !t.about.lwm2m:
		f.Note = fmt.Sprintf("type from resource %d", e.ID)
	}
	t.values++
	if f.Secret {
		text = "hidden"
	}
	t.last = "= " + text
	if !t.about.lwm2m || t.about.object.Depth < 3 {
		t.last = cmp.Or(r.Name, strconv.Itoa(int(e.ID))) + " " + t.last
	}
	return f
}
