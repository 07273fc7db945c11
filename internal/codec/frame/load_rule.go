package frame

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// defaultItems is max_items where it is not given.
const defaultItems = 4096

// textRule reads encoding and strip.
func (l *loader) textRule(m *mapping, f *field, typ string) {
	t := textRule{left: m.text("strip_left"), right: m.text("strip_right")}
	if typ == "str" {
		t.gbk = m.choice("encoding", "ascii", "utf-8", "gbk") == "gbk"
	}
	if t != (textRule{}) {
		f.text = &t
	}
	if f.textual {
		l.wordChecks(m, f, typ)
	}
}

// wordChecks reads const, one_of and null_if for text.
func (l *loader) wordChecks(m *mapping, f *field, typ string) {
	if typ == "bcd" && l.numeric(m) {
		return
	}
	c := &checks{}
	read := func(key string) (words [][]byte) {
		for _, s := range m.texts(key) {
			b := []byte(s)
			if typ == "hex" || typ == "bytes" {
				var err error
				if b, err = parseBytes(s); err != nil {
					l.errorf(m.node, "%s: %s: %v", m.what, key, err)
				}
			}
			words = append(words, b)
		}
		return words
	}
	c.words = append(read("const"), read("one_of")...)
	c.nulls = read("null_if")
	if c.words != nil || c.nulls != nil {
		f.checks = c
	}
}

// numericKeys make a number of what would else be text (bcd).
var numericKeys = []string{"mul", "scale", "div", "offset", "round", "map", "signed", "negate_if", "min", "max"}

func (l *loader) numeric(m *mapping) bool {
	if slices.ContainsFunc(numericKeys, m.has) {
		return true
	}
	return m.has("as") && m.get("as").Value == "int"
}

// numberRule reads what happens to a number: checks, null_if, map, scale, as.
func (l *loader) numberRule(m *mapping, f *field, sc scope, typ string) {
	if f.textual && (typ != "bcd" || !l.numeric(m)) {
		return
	}
	r := newNumberRule()
	r.mul = m.float("scale", 1)
	r.div = m.float("div", 1)
	r.offset = m.float("offset", 0)
	r.round = m.number("round", -1, 0, 15)
	if r.div == 0 {
		l.errorf(m.node, "%s: div: by 0", m.what)
		r.div = 1
	}
	r.whole = r.mul == 1 && r.div == 1 && r.offset == math.Trunc(r.offset) && math.Abs(r.offset) < 1<<53
	r.as = m.choice("as", "int", "string")
	if n := m.get("signed"); n != nil {
		switch {
		case n.Value == "magnitude" || n.Value == "true" && typ == "bcd":
			r.magnitude = true
		default:
			l.errorf(n, "%s: signed: want magnitude (the highest bit is a minus); the types s1 to s8 are two's complement", m.what)
		}
	}
	for _, n := range m.list("null_if") {
		if v, ok := l.integerValue(n); ok {
			r.null = append(r.null, v)
		} else {
			l.errorf(n, "%s: null_if: want a whole number, have %s", m.what, describe(l.follow(n)))
		}
	}
	if f.signed {
		for i, v := range r.null { // as the bits that a negative number has
			r.null[i] = uint64(int64(v<<(64-8*f.width)) >> (64 - 8*f.width))
		}
	}
	r.labels = l.labels(m)
	if n := m.get("negate_if"); n != nil {
		nm := l.mapping(n, m.what+": negate_if")
		if len(nm.keys) != 1 {
			l.errorf(n, "%s: negate_if: want one field and its value: {south: 1}", m.what)
		} else {
			v := nm.number(nm.keys[0], 0, 0, math.MaxInt)
			r.negateIf, r.negate = uint64(v), 0
			l.refer(n, nm.keys[0], sc, &r.negate)
		}
	}
	c := newChecks()
	if n := m.get("const"); n != nil {
		c.oneOf = l.numbers(m, "const")
	}
	c.oneOf = append(c.oneOf, l.numbers(m, "one_of")...)
	c.min, c.max = m.float("min", c.min), m.float("max", c.max)
	if c.min > c.max {
		l.errorf(m.node, "%s: min is more than max", m.what)
	}
	if len(c.oneOf) > 0 || !math.IsInf(c.min, -1) || !math.IsInf(c.max, 1) {
		f.checks = c
	}
	plain := r.mul == 1 && r.div == 1 && r.offset == 0 && r.round < 0 && r.as == "" && !r.magnitude && r.negate < 0
	if !plain || len(r.null) > 0 || r.labels != nil || typ == "bcd" {
		f.num = r
	}
	if f.float && f.num != nil {
		f.num.whole = false
	}
}

func (l *loader) numbers(m *mapping, key string) (out []float64) {
	for _, n := range m.list(key) {
		v, ok := l.float(n)
		if !ok {
			l.errorf(n, "%s: %s: want a number, have %s", m.what, key, describe(l.follow(n)))
		}
		out = append(out, v)
	}
	return out
}

// integerValue reads a number of up to 64 bits; negative ones wrap round.
func (l *loader) integerValue(n *yaml.Node) (uint64, bool) {
	n = l.follow(n)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" {
		return 0, false
	}
	if v, err := strconv.ParseUint(n.Value, 0, 64); err == nil {
		return v, true
	}
	v, err := strconv.ParseInt(n.Value, 0, 64)
	return uint64(v), err == nil
}

// labels reads map: {0: closed, 1: open}.
func (l *loader) labels(m *mapping) map[uint64][]byte {
	n := m.get("map")
	if n == nil {
		return nil
	}
	lm := l.mapping(n, m.what+": map")
	labels := make(map[uint64][]byte, len(lm.keys))
	for i, key := range lm.keys {
		v, err := strconv.ParseUint(key, 0, 64)
		if err != nil {
			s, err := strconv.ParseInt(key, 0, 64)
			if err != nil {
				l.errorf(lm.key[i], "%s: map: %q is no number: want number: word", m.what, key)
			}
			v = uint64(s)
		}
		labels[v] = []byte(lm.text(key))
	}
	return labels
}

// bits reads bits: {moving: 0, sats: [0, 4], state: {low: 4, width: 2, map: {...}}}.
func (l *loader) bits(m *mapping, f *field, sc scope, width int) {
	n := m.get("bits")
	if n == nil {
		if m.has("flat") && f.name != "_" {
			l.errorf(m.node, "%s: flat is for bits and for structures", m.what)
		}
		return
	}
	bm := l.mapping(n, m.what+": bits")
	inner := sc.inner(f)
	for i, name := range bm.keys {
		v := bm.get(name)
		b := bitField{field: field{name: name, slot: -1, line: bm.key[i].Line}, width: 1}
		what := m.what + ": bits: " + name
		switch v.Kind {
		case yaml.ScalarNode:
			b.low = uint(l.number(v, what, 0, 0, width-1))
		case yaml.SequenceNode:
			low, w := bm.pair(name, 0, 1)
			b.low, b.width = uint(max(low, 0)), uint(max(w, 1))
		default:
			p := l.mapping(v, what)
			b.low, b.width = uint(p.number("low", 0, 0, width-1)), uint(p.number("width", 1, 1, width))
			b.hidden, b.unit = p.flag("omit", false), p.text("unit")
			l.numberRule(p, &b.field, inner, "bits")
			p.done()
		}
		if int(b.low+b.width) > width {
			l.errorf(v, "%s: bits %d to %d are not among %d bits", what, b.low, b.low+b.width-1, width)
			b.low, b.width = 0, 1
		}
		if name != "_" {
			b.slot = l.declare(inner.prefix + name)
			if !l.text[b.slot] {
				l.text[b.slot] = false
			}
		}
		b.hidden = b.hidden || name == "_"
		b.dotted = strings.Contains(name, ".")
		if !b.dotted {
			b.json = string(append(appendQuoted(nil, name), ':'))
		}
		f.bits = append(f.bits, b)
	}
}

func (l *loader) regex(m *mapping, f *field, sc scope) {
	f.read, f.sub = readRegex, &nested{}
	l.size(m, f, sc, size{kind: sizeRest})
	pattern, err := regexp.Compile(m.text("pattern"))
	if err != nil || !m.has("pattern") {
		l.errorf(m.node, "%s: pattern: want a regular expression with named parts, such as '(?P<lat>[0-9.]+)': %v", m.what, err)
		f.sub.pattern = regexp.MustCompile("^$")
		return
	}
	f.sub.pattern = pattern
	var defs *mapping
	if n := m.get("fields"); n != nil {
		defs = l.mapping(n, m.what+": fields")
	}
	for i, name := range pattern.SubexpNames() {
		if name == "" {
			continue
		}
		def := &yaml.Node{Kind: yaml.MappingNode, Line: m.node.Line}
		if defs != nil {
			if n := defs.get(name); n != nil {
				def = n
			}
		}
		inner := sc.inner(f)
		inner.apart = true
		if part, ok := l.keyed(def, name, inner); ok {
			part.placed, part.at = false, i
			f.sub.fields = append(f.sub.fields, part)
		}
	}
	if defs != nil {
		defs.done()
	}
	if len(f.sub.fields) == 0 {
		l.errorf(m.node, "%s: pattern has no named parts, such as '(?P<lat>[0-9.]+)'", m.what)
	}
}

// keyed reads a field whose name and size stand elsewhere: in a key or pattern.
func (l *loader) keyed(n *yaml.Node, name string, sc scope) (field, bool) {
	n = l.follow(n)
	if n.Kind != yaml.MappingNode {
		l.errorf(n, "%s: want a field without name, such as {type: ascii_float}, have %s", name, describe(n))
		return field{}, false
	}
	full := &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Content: slices.Clone(n.Content)}
	put := func(key, value string) {
		for i := 0; i+1 < len(full.Content); i += 2 {
			if full.Content[i].Value == key {
				return
			}
		}
		full.Content = append(full.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: n.Line},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: n.Line})
	}
	put("name", name)
	put("type", "str")
	has := func(key string) bool { return hasKey(full, key) }
	for i := 0; i+1 < len(full.Content); i += 2 {
		_, sized := kinds[full.Content[i+1].Value]
		if sized && full.Content[i].Value == "type" && !has("size") && !has("len") && !has("until") {
			put("size", "rest")
			break
		}
	}
	return l.field(full, sc)
}
