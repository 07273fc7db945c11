package jq

import (
	"encoding/json"
	"reflect"
	"slices"
)

// orders knows how the members of objects were ordered in the text that Parse has
// read. gojq has none for them, but hands on the objects themselves.
type orders struct {
	text  []byte
	root  any
	names map[uintptr][]string // by object; nil: not made yet
}

// of is the order of m: that of the text if m stands there, or else by name.
func (o *orders) of(m map[string]any) []string {
	if o.names == nil {
		o.names = map[uintptr][]string{}
		if len(o.text) > 0 {
			w := textWalker{b: o.text, o: o}
			w.value(o.root)
		}
	}
	if names, ok := o.names[reflect.ValueOf(m).Pointer()]; ok {
		return names
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// textWalker walks over valid JSON and, beside it, over what has become of it.
type textWalker struct {
	b []byte
	i int
	o *orders
}

// value walks over one value. tree is another where the member is repeated.
func (w *textWalker) value(tree any) {
	switch w.next() {
	case '{':
		w.object(tree)
	case '[':
		list, _ := tree.([]any)
		for n := 0; w.more(']'); n++ {
			var e any
			if n < len(list) {
				e = list[n]
			}
			w.value(e)
		}
	default:
		w.literal()
	}
}

func (w *textWalker) object(tree any) {
	m, ok := tree.(map[string]any)
	var names []string
	for w.more('}') {
		var name string
		_ = json.Unmarshal(w.literal(), &name) // valid, so it cannot fail
		w.next()
		w.i++ // the colon
		names = append(names, name)
		w.value(m[name])
	}
	if !ok {
		return
	}
	if len(names) > len(m) { // some are repeated
		known := map[string]bool{}
		names = slices.DeleteFunc(names, func(name string) bool {
			again := known[name]
			known[name] = true
			return again
		})
	}
	if len(names) == len(m) {
		w.o.names[reflect.ValueOf(m).Pointer()] = names
	}
}

// next skips blanks and returns the byte that follows.
func (w *textWalker) next() byte {
	for w.b[w.i] == ' ' || w.b[w.i] == '\t' || w.b[w.i] == '\n' || w.b[w.i] == '\r' {
		w.i++
	}
	return w.b[w.i]
}

// more steps over a bracket or comma and tells whether an element follows; if not,
// it steps over the end.
func (w *textWalker) more(end byte) bool {
	if w.next() != end {
		w.i++
		if w.next() != end {
			return true
		}
	}
	w.i++
	return false
}

// literal takes a string, number or word.
func (w *textWalker) literal() []byte {
	start := w.i
	if w.next() != '"' {
		for w.i < len(w.b) && !slices.Contains([]byte(" \t\r\n,:]}"), w.b[w.i]) {
			w.i++
		}
		return w.b[start:w.i]
	}
	for w.i++; w.b[w.i] != '"'; w.i++ {
		if w.b[w.i] == '\\' {
			w.i++
		}
	}
	w.i++
	return w.b[start:w.i]
}
