package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// downlink says how a message becomes a frame.
type downlink struct {
	topic topicTemplate
	by    string
	cases map[string]*template
	names []string  // of cases, sorted
	other *template // without by, or its default
}

// Encode appends the frame that downlink.encode makes of the payload of a
// message, which is JSON unless the definition takes the payload as it is.
func (c *Codec) Encode(dst, payload []byte, env Env) ([]byte, error) {
	t, get, err := c.pick(payload)
	if err != nil {
		return dst, err
	}
	dst, err = t.build(dst, get, payload, env)
	if err != nil {
		return dst, fmt.Errorf("%s: %w", t.label, err)
	}
	return dst, nil
}

// pick finds the template for a payload, and where it gets its values.
func (c *Codec) pick(payload []byte) (*template, values, error) {
	d := &c.down
	if d.other != nil && d.by == "" && d.other.text {
		return d.other, noFields, nil
	}
	if d.other == nil && d.by == "" {
		return nil, nil, fmt.Errorf("codec %s sends nothing to devices: it has no downlink.encode", c.name)
	}
	doc, err := parseObject(payload)
	if err != nil {
		return nil, nil, fmt.Errorf("downlink: %w", err)
	}
	get := func(p *part) (scalar, bool) { return member(doc, p) }
	if d.by == "" {
		return d.other, get, nil
	}
	name := memberText(doc[d.by])
	if t, ok := d.cases[name]; ok {
		return t, get, nil
	}
	if d.other != nil {
		return d.other, get, nil
	}
	return nil, nil, fmt.Errorf("downlink: %s: %q is none of %s", d.by, name, strings.Join(d.names, ", "))
}

func noFields(*part) (scalar, bool) { return scalar{}, false }

// parseObject reads a JSON object, numbers as they are written.
func parseObject(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var doc map[string]any
	if err := d.Decode(&doc); err != nil || doc == nil {
		return nil, errors.New(`the payload is no JSON object such as {"cmd":"reboot"}`)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows the JSON object")
	}
	return doc, nil
}

func memberText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func member(doc map[string]any, p *part) (scalar, bool) {
	if p.kind == partDevice {
		return scalar{}, false // the gateway knows better
	}
	v, ok := doc[p.name]
	if !ok || v == nil {
		return scalar{}, false
	}
	return jsonScalar(v), true
}

func jsonScalar(v any) scalar {
	raw, err := json.Marshal(v)
	if err != nil {
		raw = nil // cannot happen: it was JSON before
	}
	s := scalar{text: []byte(memberText(v)), raw: raw}
	switch v := v.(type) {
	case json.Number:
		s.number = true
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			s.n, s.minus = uint64(n), n < 0
		} else if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			s.n = n
		} else if n, err := v.Float64(); err == nil {
			s.float, s.n = true, math.Float64bits(n)
		} else {
			s.number = false // 1e400 is none that can be told from others
		}
	case bool:
		s.number = true
		if v {
			s.n = 1
		}
	case []any:
		s.isList = true
		for _, e := range v {
			s.list = append(s.list, jsonScalar(e))
		}
	case map[string]any:
		s.object = true
	}
	return s
}

// downlink reads the key of that name.
func (l *loader) downlink(n *yaml.Node) downlink {
	d := downlink{}
	m := l.mapping(n, "downlink")
	if t := m.get("topic"); t != nil {
		d.topic = l.topic(t, "downlink: topic", true)
	}
	outer := l.zone
	l.zone = l.tz(m)
	m.choice("payload", "json", "raw") // a template with {payload} alone needs no JSON
	e := m.get("encode")
	switch {
	case e == nil:
		l.errorf(n, `downlink: encode is missing: a template, or by and cases: {by: cmd, cases: {reboot: "7878 ..."}}`)
	case e.Kind == yaml.ScalarNode:
		d.other = l.template(e, "downlink: encode", scope{}, true)
	default:
		em := l.mapping(e, "downlink: encode")
		if d.by = em.text("by"); d.by == "" {
			l.errorf(e, "downlink: encode: by is missing: the member of the JSON that chooses the case")
		}
		d.cases = map[string]*template{}
		if cn := em.get("cases"); cn != nil {
			cm := l.mapping(cn, "downlink: cases")
			for _, key := range cm.keys {
				d.cases[key] = l.template(cm.get(key), "downlink: "+key, scope{}, true)
				d.names = append(d.names, key)
			}
		}
		if o := em.get("default"); o != nil {
			d.other = l.template(o, "downlink: default", scope{}, true)
		}
		slices.Sort(d.names)
		em.done()
	}
	l.zone = outer
	m.done()
	return d
}
