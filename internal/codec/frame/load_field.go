package frame

import (
	"math"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// scope is where a field stands.
type scope struct {
	prefix string // path of the enclosing objects: "records."
	depth  int
	item   bool // it is the element of an array and has no name
	apart  bool // its bytes are cut out or changed ones: no place in the frame
}

// messageKeys are the keys that make a message of a mapping.
var messageKeys = []string{"fields", "message", "device_id", "reply", "refuse"}

func (m *mapping) hasMessage() bool { return slices.ContainsFunc(messageKeys, m.has) }

// message reads the keys that the top of a file, a variant and a case share.
func (l *loader) message(m *mapping, sc scope) *message {
	msg := &message{name: m.text("message"), line: m.node.Line, device: -1, index: len(l.messages)}
	l.messages = append(l.messages, msg)
	if n := m.get("fields"); n != nil {
		msg.fields = l.fields(n, sc)
	}
	if n := m.get("device_id"); n != nil {
		l.refer(n, n.Value, sc, &msg.device)
	}
	msg.exact = m.flag("exact", false)
	msg.reply, msg.silent = l.answer(m, "reply", sc)
	msg.refuse, _ = l.answer(m, "refuse", sc)
	return msg
}

// answer reads a template; none for no answer.
func (l *loader) answer(m *mapping, key string, sc scope) (t *template, none bool) {
	n := m.get(key)
	switch {
	case n == nil:
		return nil, false
	case n.Value == "none":
		return nil, true
	}
	return l.template(n, m.what+": "+key, sc, false), false
}

func (l *loader) fields(n *yaml.Node, sc scope) []field {
	n = l.follow(n)
	if n.Kind != yaml.SequenceNode {
		l.errorf(n, "fields: want a list of fields such as - {name: speed, type: u1}, have %s", describe(n))
		return nil
	}
	if sc.depth++; sc.depth > maxNesting {
		l.errorf(n, "fields: nested more than %d deep", maxNesting)
		return nil
	}
	fields := make([]field, 0, len(n.Content))
	var names []string
	for _, c := range n.Content {
		f, ok := l.field(l.follow(c), sc)
		if !ok {
			continue
		}
		if f.name != "_" && slices.Contains(names, f.name) {
			l.errorf(c, "fields: %q is there twice: give one of them another name", f.name)
		}
		names = append(names, f.name)
		fields = append(fields, f)
	}
	return fields
}

// structural types hold fields and may do without a name.
var structural = []string{"switch", "group", "tlv", "kv", "regex", "json", "skip", "checksum"}

func (l *loader) field(n *yaml.Node, sc scope) (field, bool) {
	m := l.mapping(n, "field")
	if len(m.keys) == 0 {
		return field{}, false
	}
	f := field{slot: -1, line: n.Line, mask: math.MaxUint64, le: l.le}
	typ := m.text("type")
	f.name = m.text("name")
	switch {
	case sc.item && f.name != "":
		l.errorf(n, "item: the values of an array have no name: leave name out, or use fields for objects")
	case sc.item:
	case f.name == "" && slices.Contains(structural, typ):
		f.name = "_"
	case f.name == "":
		l.errorf(n, "field: name is missing (name: _ for one that is not shown)")
		f.name = "_"
	}
	if f.name != "" {
		m.what = "field " + f.name
	}
	if strings.ContainsFunc(f.name, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd || strings.ContainsRune("{}:()[]=", r) }) || len(f.name) > 64 {
		l.errorf(n, "field: %q is no good name: use letters, digits and _", f.name)
	}
	f.flat = m.flag("flat", false) || f.name == "_"
	f.hidden = m.flag("omit", false) || f.name == "_" && !m.has("bits") && !slices.Contains(structural, typ)
	f.may = m.flag("optional", false)
	if m.has("at") {
		f.placed, f.at = true, m.number("at", 0, -largestMaxFrame, largestMaxFrame)
		if sc.apart {
			l.errorf(n, "%s: at counts in the frame, and this stands in bytes that were cut out (kv, regex) or changed (add, xor, reverse)", m.what)
		}
	}
	f.dotted = strings.Contains(f.name, ".")
	if !f.dotted && f.name != "" {
		f.json = string(append(appendQuoted(nil, f.name), ':'))
	}
	if f.name != "_" && f.name != "" {
		f.slot = l.declare(sc.prefix + f.name)
	}
	f.unit = m.text("unit")
	m.choice("endian", "be", "le")
	if e := m.get("endian"); e != nil {
		f.le = e.Value == "le"
	}
	l.byteOps(m, &f)
	l.kind(m, typ, &f, sc)
	if f.slot >= 0 {
		l.text[f.slot] = l.text[f.slot] || f.textual
	}
	m.done()
	return f, f.read != nil
}

// inner is the scope of what f holds.
func (sc scope) inner(f *field) scope {
	if !f.flat {
		sc.prefix += f.name + "."
	}
	sc.item = false
	sc.apart = sc.apart || f.ops != nil
	return sc
}

func (l *loader) byteOps(m *mapping, f *field) {
	if !m.has("add") && !m.has("xor") && !m.has("reverse") {
		return
	}
	f.ops = &byteOps{add: byte(m.number("add", 0, -255, 255)), reverse: m.flag("reverse", false)}
	if m.has("xor") {
		f.ops.xor = m.hex("xor")
	}
}

// size reads how many bytes a field has: size, len or until.
func (l *loader) size(m *mapping, f *field, sc scope, otherwise size) {
	given := 0
	f.size = otherwise
	if n := m.get("size"); n != nil {
		given++
		f.size = l.amount(n, m.what+": size", sc)
	}
	if n := m.get("len"); n != nil {
		given++
		width, _, le, ok := l.integer(n.Value)
		if !ok || n.Value[0] != 'u' {
			l.errorf(n, "%s: len: want the type of the length in front: u1, u2, u2le, u4, have %s", m.what, describe(n))
			width = 1
		}
		f.size = size{kind: sizePrefix, width: width, le: le}
	}
	if m.has("until") {
		given++
		f.size = size{kind: sizeUntil, until: m.hex("until")}
		if len(f.size.until) == 0 {
			l.errorf(m.node, "%s: until is empty", m.what)
		}
	}
	switch {
	case given > 1:
		l.errorf(m.node, "%s: give only one of size, len and until", m.what)
	case given == 0 && otherwise.kind == sizeFixed && otherwise.n < 0:
		l.errorf(m.node, "%s: its size is missing: size: 8, size: rest, size: another field, len: u1 or until: \"00\"", m.what)
		f.size = size{kind: sizeRest}
	}
}

// needed is the otherwise of a type that cannot do without a size.
var needed = size{kind: sizeFixed, n: -1}

// amount reads a number, rest, or the name of an earlier field, the last two
// with + or - a number.
func (l *loader) amount(n *yaml.Node, what string, sc scope) size {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
		return size{n: l.number(n, what, 1, 0, largestMaxFrame)}
	}
	name, delta := n.Value, 0
	if i := strings.LastIndexAny(name, "+-"); i > 0 {
		d := l.number(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strings.TrimSpace(name[i+1:]), Line: n.Line}, what, 0, 0, largestMaxFrame)
		if name[i] == '-' {
			d = -d
		}
		name, delta = strings.TrimSpace(name[:i]), d
	}
	switch {
	case n.Kind != yaml.ScalarNode || name == "":
		l.errorf(n, "%s: want a number, rest, or the name of an earlier field", what)
		return size{kind: sizeRest}
	case name == "rest":
		if delta > 0 {
			l.errorf(n, "%s: there are no bytes behind the rest", what)
		}
		return size{kind: sizeRest, n: -delta}
	}
	s := size{kind: sizeField, n: delta, name: name}
	s.slot = l.earlier(n, name, what, sc)
	return s
}

// integer reads a type such as u2, s4le.
func (l *loader) integer(typ string) (width int, signed, le, ok bool) {
	le = l.le
	base := typ
	if b, found := strings.CutSuffix(typ, "le"); found {
		base, le = b, true
	} else if b, found := strings.CutSuffix(typ, "be"); found {
		base, le = b, false
	}
	if len(base) != 2 || base[0] != 'u' && base[0] != 's' || base[1] < '1' || base[1] > '8' {
		return 0, false, false, false
	}
	return int(base[1] - '0'), base[0] == 's', le, true
}

// declare gives a field's path a slot. Fields of one path share it: they
// stand in different cases.
func (l *loader) declare(path string) int {
	if slot, ok := l.slots[path]; ok {
		return slot
	}
	l.slots[path] = len(l.slots)
	return l.slots[path]
}

// lookup finds a name from the inside out.
func (l *loader) lookup(name string, sc scope) (int, bool) {
	for prefix := sc.prefix; ; {
		if slot, ok := l.slots[prefix+name]; ok {
			return slot, true
		}
		if prefix == "" {
			return -1, false
		}
		prefix = prefix[:strings.LastIndexByte(prefix[:len(prefix)-1], '.')+1]
	}
}

// earlier finds a field that must have been read before this place.
func (l *loader) earlier(n *yaml.Node, name, what string, sc scope) int {
	if slot, ok := l.lookup(name, sc); ok {
		return slot
	}
	if slot, ok := l.foreign(name); ok {
		return slot
	}
	l.unknown(n, what, name, " before this line")
	return 0
}

// refer finds a field anywhere in the file, once all of it has been read.
// others are names that could stand there, too.
func (l *loader) refer(n *yaml.Node, name string, sc scope, slot *int, others ...string) {
	l.pending = append(l.pending, func() {
		if s, ok := l.lookup(name, sc); ok {
			*slot = s
		} else if s, ok := l.foreign(name); ok {
			*slot = s
		} else {
			l.unknown(n, "", name, "", others...)
		}
	})
}

// foreign gives a slot to a name that a frame may bring along (kv, json).
func (l *loader) foreign(name string) (slot int, ok bool) {
	for _, bag := range l.bags {
		rest, inside := strings.CutPrefix(name, bag.prefix)
		if !inside || rest == "" {
			continue
		}
		if slot, ok = bag.refs[rest]; !ok {
			slot = l.declare("\x00" + name)
			bag.refs[rest] = slot
		}
		ok = true
	}
	return slot, ok
}

// unknown complains about a name that no field has; others are what could stand
// there, too.
func (l *loader) unknown(n *yaml.Node, what, name, where string, others ...string) {
	if what != "" {
		what += ": "
	}
	names := others
	for path := range l.slots {
		if !strings.HasPrefix(path, "\x00") {
			names = append(names, path)
		}
	}
	l.errorf(n, "%sthere is no field %q%s%s", what, name, where, suggest(name, names))
}

// bag is a structure whose names come out of the frame.
type bag struct {
	prefix string
	refs   map[string]int
}
