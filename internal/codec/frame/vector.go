package frame

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// vector is one entry of tests.
type vector struct {
	name    string
	line    int
	input   []byte // what arrives; with encode, the frame that is wanted
	dir     Direction
	later   bool
	want    *expected
	reply   *[]byte // nil: not looked at; empty: none
	refuse  *[]byte
	err     string // a word of the reason for which there is no frame
	skipped int    // -1: not looked at
	topic   string
	device  string
	wantID  bool // device is wanted, not given
	env     Env
	encode  []byte // the payload of a downlink
}

// expected is a value that a vector wants, as it is written.
type expected struct {
	node  *yaml.Node
	names []string
	kids  []*expected
}

func (l *loader) vectors(n *yaml.Node) []vector {
	if n.Kind != yaml.SequenceNode {
		l.errorf(n, "tests: want a list")
		return nil
	}
	var out []vector
	for i, c := range n.Content {
		out = append(out, l.vector(l.follow(c), i))
	}
	return out
}

func (l *loader) vector(n *yaml.Node, i int) vector {
	m := l.mapping(n, fmt.Sprintf("tests[%d]", i))
	v := vector{name: m.text("name"), line: n.Line, dir: Up}
	if v.name == "" {
		v.name = m.what
	}
	v.input = m.either("hex", "text")
	if v.input == nil {
		l.errorf(n, `%s: hex or text is missing: the bytes of the frame`, m.what)
	}
	if d := m.direction(); d != Any {
		v.dir = d
	}
	v.later = m.flag("later", false)
	if w := m.get("want"); w != nil {
		v.want = l.expected(w, 0)
	}
	v.reply = m.wanted("reply")
	v.refuse = m.wanted("refuse")
	v.err = m.choice("error", "start", "length", "short", "end", "checksum", "field")
	v.skipped = m.number("skipped", -1, 0, largestMaxFrame)
	v.topic = m.text("topic")
	v.device = m.text("device_id")
	v.env = Env{Seq: uint32(m.number64("seq", 0, 0, 1<<32-1)), Now: time.Unix(0, 0)}
	if t := m.text("now"); t != "" {
		at, err := time.Parse(time.RFC3339Nano, t)
		if err != nil {
			l.errorf(m.get("now"), "%s: now: want a time such as 2025-01-31T12:00:00Z, have %q", m.what, t)
		}
		v.env.Now = at
	}
	if e := m.get("encode"); e != nil {
		if e.Kind == yaml.ScalarNode {
			v.encode = []byte(e.Value)
		} else {
			v.encode = l.asJSON(nil, e, 0)
		}
		v.env.DeviceID = v.device
	}
	v.wantID = v.encode == nil && v.device != ""
	m.done()
	return v
}

// either reads bytes from key in hex, or from other as text.
func (m *mapping) either(key, other string) []byte {
	if m.has(other) {
		if m.has(key) {
			m.l.errorf(m.node, "%s: give %s or %s, not both", m.what, key, other)
			m.get(key)
		}
		return []byte(m.text(other))
	}
	return m.hex(key)
}

// wanted reads key in hex or key_text as text; none is an empty answer.
func (m *mapping) wanted(key string) *[]byte {
	none := []byte{}
	if n := m.get(key); n != nil && n.Value == "none" {
		return &none
	}
	if b := m.either(key, key+"_text"); b != nil {
		return &b
	}
	return nil
}

func (l *loader) expected(n *yaml.Node, depth int) *expected {
	n = l.follow(n)
	e := &expected{node: n}
	if depth > maxNesting {
		l.errorf(n, "tests: want: nested more than %d deep", maxNesting)
		return e
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			e.kids = append(e.kids, l.expected(c, depth+1))
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			e.names = append(e.names, l.follow(n.Content[i]).Value)
			e.kids = append(e.kids, l.expected(n.Content[i+1], depth+1))
		}
	}
	return e
}

// asJSON writes YAML as JSON.
func (l *loader) asJSON(dst []byte, n *yaml.Node, depth int) []byte {
	n = l.follow(n)
	if depth > maxNesting {
		l.errorf(n, "tests: encode: nested more than %d deep", maxNesting)
		return append(dst, "null"...)
	}
	switch n.Kind {
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for _, c := range n.Content {
			dst = l.asJSON(comma(dst), c, depth+1)
		}
		return append(dst, ']')
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			dst = append(appendQuoted(comma(dst), l.follow(n.Content[i]).Value), ':')
			dst = l.asJSON(dst, n.Content[i+1], depth+1)
		}
		return append(dst, '}')
	}
	switch n.Tag {
	case "!!null":
		return append(dst, "null"...)
	case "!!bool":
		return append(dst, n.Value...)
	case "!!int":
		if v, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
			return strconv.AppendInt(dst, v, 10)
		}
	case "!!float":
		if json.Valid([]byte(n.Value)) {
			return append(dst, n.Value...)
		}
	}
	return appendQuoted(dst, n.Value)
}

// differs says where got, decoded from JSON with json.Number, is not what is
// wanted; "" if it is. Objects may have more members than are wanted.
func (e *expected) differs(path string, got any) (where, how string) {
	switch e.node.Kind {
	case yaml.MappingNode:
		object, ok := got.(map[string]any)
		if !ok {
			return path, "want an object, have " + show(got)
		}
		for i, name := range e.names {
			inner, ok := object[name]
			full := strings.TrimPrefix(path+"."+name, ".")
			if !ok {
				return full, "is not there; there are " + strings.Join(sortedKeys(object), ", ")
			}
			if where, how := e.kids[i].differs(full, inner); how != "" {
				return where, how
			}
		}
		return "", ""
	case yaml.SequenceNode:
		list, ok := got.([]any)
		if !ok {
			return path, "want a list, have " + show(got)
		}
		if len(list) != len(e.kids) {
			return path, fmt.Sprintf("want %d elements, have %d", len(e.kids), len(list))
		}
		for i := range list {
			if where, how := e.kids[i].differs(fmt.Sprintf("%s[%d]", path, i), list[i]); how != "" {
				return where, how
			}
		}
		return "", ""
	}
	if !e.is(got) {
		return path, fmt.Sprintf("want %s, have %s", e.node.Value, show(got))
	}
	return "", ""
}

// is compares a scalar. Text is compared as it is written.
func (e *expected) is(got any) bool {
	switch got := got.(type) {
	case string:
		return e.node.Tag != "!!null" && e.node.Value == got
	case bool:
		return e.node.Tag == "!!bool" && (e.node.Value == "true") == got
	case nil:
		return e.node.Tag == "!!null"
	case json.Number:
		if v, err := strconv.ParseUint(e.node.Value, 0, 64); err == nil && e.node.Tag == "!!int" {
			return strconv.FormatUint(v, 10) == got.String()
		}
		if v, err := strconv.ParseInt(e.node.Value, 0, 64); err == nil && e.node.Tag == "!!int" {
			return strconv.FormatInt(v, 10) == got.String()
		}
		have, err := got.Float64()
		want, err2 := strconv.ParseFloat(e.node.Value, 64)
		return err == nil && err2 == nil && e.node.Tag == "!!float" && have == want
	}
	return false
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
