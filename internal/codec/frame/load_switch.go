package frame

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxSwitchKeys bounds the values that the cases of one switch list.
const maxSwitchKeys = 65536

// choice reads the body of a switch: by, cases, default.
func (l *loader) choice(m *mapping, f *field, sc scope) *choice {
	c := &choice{}
	n := m.get("by")
	if n == nil {
		l.errorf(m.node, "%s: by is missing: the earlier field that chooses the case", m.what)
	} else {
		c.byName = n.Value
		c.by = l.earlier(n, n.Value, m.what+": by", sc)
	}
	strange := l.cases(m, c, func(n *yaml.Node) *message { return l.caseOf(n, sc.inner(f)) })
	l.pending = append(l.pending, func() { // other cases may have a field of the same name, of text
		if text, known := l.text[c.by]; known && !text {
			l.neverNumbers(strange, c)
		}
	})
	return c
}

// wordKey is a key of cases, or a part of one, that no number can be.
type wordKey struct {
	key  *yaml.Node
	word string
}

// neverNumbers complains about keys that the numbers of by never are.
func (l *loader) neverNumbers(strange []wordKey, c *choice) {
	for _, s := range strange {
		hint := "want numbers such as 1, 0x12 or 0x80..0x8f"
		if _, err := strconv.ParseUint(s.word, 0, 64); err == nil {
			hint = "leave out the quotes"
		}
		l.errorf(s.key, "cases: %q is never reached, because %s is a number: %s", s.word, c.byName, hint)
	}
}

// cases reads cases and default; each case is one, or a list by direction. It
// returns the keys that are words.
func (l *loader) cases(m *mapping, c *choice, read func(*yaml.Node) *message) (strange []wordKey) {
	c.sparse, c.words = map[uint64]int16{}, map[string]int16{}
	alternatives := func(key string, n *yaml.Node) (list []*message) {
		nodes := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			nodes = n.Content
		}
		for _, n := range nodes {
			msg := read(l.follow(n))
			msg.label = "case " + c.byName + "=" + key
			if msg.name != "" {
				msg.label = msg.name + " (" + c.byName + "=" + key + ")"
			}
			for _, before := range list {
				if before.dir == Any || before.dir == msg.dir {
					l.errorf(n, "%s: case %s is there twice for direction %v: give each its dir: up or down", m.what, key, msg.dir)
				}
			}
			list = append(list, msg)
		}
		return list
	}
	n := m.get("cases")
	if n == nil {
		l.errorf(m.node, "%s: cases are missing", m.what)
		return nil
	}
	cm := l.mapping(n, "cases")
	for i, key := range cm.keys {
		if len(c.cases) == 32000 {
			l.errorf(cm.key[i], "%s: too many cases", m.what)
			return nil
		}
		c.cases = append(c.cases, alternatives(key, cm.get(key)))
		for _, word := range l.caseKey(cm, i, c) {
			strange = append(strange, wordKey{cm.key[i], word})
		}
	}
	if n := m.get("default"); n != nil {
		c.other = alternatives("default", n)
	}
	return strange
}

// caseKey enters the values of a key such as 0x12, 0x80..0x8f or 1, 2, and returns
// what of it is words.
func (l *loader) caseKey(cm *mapping, i int, c *choice) (words []string) {
	index := int16(len(c.cases))
	word := cm.keys[i]
	if _, ok := c.words[word]; !ok {
		c.words[word] = index
	}
	if lower := strings.ToLower(word); strings.Trim(lower, lowerHex) == "" { // of a hex field, which is lower case
		if _, ok := c.words[lower]; !ok {
			c.words[lower] = index
		}
	}
	if cm.key[i].Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && !strings.ContainsAny(word, ".,") {
		// Quoted, it is text; but a digit field may still be chosen by it.
		if v, err := strconv.ParseUint(word, 10, 64); err == nil {
			l.enter(cm.key[i], c, v, v, index)
			return nil
		}
		return []string{word}
	}
	for _, part := range strings.Split(word, ",") {
		part = strings.TrimSpace(part)
		first, last, isRange := strings.Cut(part, "..")
		from, err := strconv.ParseUint(strings.TrimSpace(first), 0, 64)
		if err != nil {
			if !isRange && part != word {
				c.words[part] = index
			}
			words = append(words, part)
			continue
		}
		to := from
		if isRange {
			if to, err = strconv.ParseUint(strings.TrimSpace(last), 0, 64); err != nil || to < from {
				l.errorf(cm.key[i], "cases: %q is no range such as 0x80..0x8f", part)
				continue
			}
		}
		l.enter(cm.key[i], c, from, to, index)
	}
	return words
}

func (l *loader) enter(n *yaml.Node, c *choice, from, to uint64, index int16) {
	if to-from >= maxSwitchKeys || len(c.sparse) >= maxSwitchKeys {
		l.errorf(n, "cases: more than %d values", maxSwitchKeys)
		return
	}
	for v := from; ; v++ {
		switch {
		case v < 256 && c.dense[v] == 0:
			c.dense[v] = index
		case v >= 256 && c.sparse[v] == 0:
			c.sparse[v] = index
		default:
			l.errorf(n, "cases: %#x is there twice", v)
			return
		}
		if v == to {
			return
		}
	}
}

func (l *loader) caseOf(n *yaml.Node, sc scope) *message {
	m := l.mapping(n, "case")
	dir := m.direction()
	msg := l.message(m, sc)
	msg.dir = dir
	m.done()
	return msg
}

func (l *loader) tlv(m *mapping, f *field, sc scope) {
	f.read, f.sub = readTLV, &nested{}
	f.sub.items = m.number("max_items", defaultItems/4, 1, maxValues)
	l.noOps(m, f)
	c := &choice{byName: "tag"}
	for _, part := range []struct {
		key string
		to  *field
	}{{"tag", &f.sub.tag}, {"length", &f.sub.length}} {
		typ := m.text(part.key)
		width, signed, le, ok := l.integer(typ)
		*part.to = field{name: part.key, slot: -1, width: width, le: le, read: readUint, hidden: true}
		switch {
		case typ == "varint":
			part.to.read = readVarint
		case !ok || signed:
			l.errorf(m.node, "%s: %s: want u1, u2, u4 or varint, have %q", m.what, part.key, typ)
			part.to.width = 1
		}
	}
	switch m.choice("unlisted", "hex", "omit") {
	case "omit":
		f.sub.cut = true
	}
	inner := sc.inner(f)
	strange := l.cases(m, c, func(n *yaml.Node) *message {
		if n.Kind == yaml.MappingNode && hasKey(n, "type") {
			msg := &message{line: n.Line, device: -1, index: len(l.messages)}
			l.messages = append(l.messages, msg)
			if one, ok := l.sized(n, inner); ok {
				msg.fields = []field{one}
			}
			return msg
		}
		return l.caseOf(n, inner)
	})
	l.neverNumbers(strange, c)
	f.sub.choice = c
}

func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// sized reads a field that takes all of its window unless it says otherwise.
func (l *loader) sized(n *yaml.Node, sc scope) (field, bool) {
	name := ""
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" {
			name = n.Content[i+1].Value
		}
	}
	return l.keyed(n, name, sc)
}

func (l *loader) kv(m *mapping, f *field, sc scope) {
	f.read, f.sub = readKV, &nested{refs: map[string]int{}, keys: map[string]*field{}}
	f.sub.items = m.number("max_items", defaultItems/4, 1, maxValues)
	l.size(m, f, sc, size{kind: sizeRest})
	f.sub.sep, f.sub.eq = m.text("sep"), []byte(m.text("eq"))
	if f.sub.sep == "" || len(f.sub.eq) == 0 {
		l.errorf(m.node, `%s: kv needs sep, any of whose characters ends a pair, and eq: sep: ";", eq: "="`, m.what)
		f.sub.sep, f.sub.eq = ";", []byte{'='}
	}
	f.sub.numbers = m.flag("numbers", false)
	inner := sc.inner(f)
	inner.apart = true
	if n := m.get("keys"); n != nil {
		km := l.mapping(n, m.what+": keys")
		for _, key := range km.keys {
			if one, ok := l.keyed(km.get(key), key, inner); ok {
				f.sub.keys[key] = &one
			}
		}
	}
	l.bags = append(l.bags, bag{inner.prefix, f.sub.refs})
}
