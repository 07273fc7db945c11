// Package selector is the language in which packets are chosen: by the filters of
// decode and proxy, and by what a fault is for.
//
//	c2s PUBLISH topic=cmd/# qos>0
//	client=sensor-* (size>4kB or not retain)
//	payload~"temp[^,]*[89][0-9]" and after>100ms
//
// Terms that follow each other all have to match. A term is
//
//	PUBLISH         a type, in capitals; the types of MQTT in lower case, too
//	c2s, s2c, both  who has sent it: client, server, either
//	name            it is there; a flag is set
//	name=value      also != < <= > >=, and ~ for a regular expression (RE2)
//
// and there are and, or, not and parentheses; not binds tightest, or least. A
// value with blanks, or with a parenthesis that has no partner, stands in quotes.
// Numbers may have a unit: 4kB, 1MiB, 100ms, 2h; 0x10 is 16. topic=, filter= and
// the like take the wildcards of MQTT, client= and type= those of a shell. What
// is not there matches no comparison; of several values one has to match, and
// none of them for !=.
//
// # Promises
//
// An Expr may be used from any goroutine. Match does not allocate, and takes time
// in proportion to the expression and the values.
//
// # Left out
//
// What names there are: that is the business of the [Subject].
package selector

import (
	"slices"
	"strings"
)

// Subject is what an expression is asked about.
type Subject interface {
	// Lookup returns the values of name: nil, if it is not there; of several any
	// may match. They are valid until the next call.
	Lookup(name string) []Value
}

// Names that terms without an operator are about.
const (
	NameType      = "type"
	NameDirection = "direction" // Text of ToServer or ToClient
)

// Directions, as NameDirection has them.
const (
	ToServer = "c2s"
	ToClient = "s2c"
)

// Expr is a parsed expression.
type Expr struct {
	text  string
	root  node
	names []string
	types []string
}

// Match reports whether s is meant. The empty expression means everything.
func (e *Expr) Match(s Subject) bool { return e.root == nil || e.root.match(s) }

// Names lists what the expression asks for, sorted, each once.
func (e *Expr) Names() []string { return slices.Clone(e.names) }

// Types lists the types that the expression names, as they are written, without those
// that have wildcards.
func (e *Expr) Types() []string { return slices.Clone(e.types) }

// String is the text that the expression was parsed from.
func (e *Expr) String() string { return e.text }

// node is a part of an expression.
type node interface{ match(s Subject) bool }

type (
	all   []node
	some  []node
	not   struct{ of node }
	empty struct{} // matches everything: both
)

func (a all) match(s Subject) bool {
	for _, n := range a {
		if !n.match(s) {
			return false
		}
	}
	return true
}

func (o some) match(s Subject) bool {
	for _, n := range o {
		if n.match(s) {
			return true
		}
	}
	return false
}

func (n not) match(s Subject) bool { return !n.of.match(s) }

func (empty) match(Subject) bool { return true }

// present matches what is there, and of flags those that are set.
type present struct{ name string }

func (p present) match(s Subject) bool {
	values := s.Lookup(p.name)
	for i := range values {
		if v := &values[i]; v.kind != boolean || v.whole != 0 {
			return true
		}
	}
	return false
}

// comparison is name, operator and value.
type comparison struct {
	name string
	op   operator
	with literal
}

func (c *comparison) match(s Subject) bool {
	values := s.Lookup(c.name)
	if c.op == differs {
		for i := range values {
			if c.with.holds(equals, &values[i]) {
				return false
			}
		}
		return len(values) > 0
	}
	for i := range values {
		if c.with.holds(c.op, &values[i]) {
			return true
		}
	}
	return false
}

// operator is one of those between a name and a value.
type operator uint8

const (
	equals operator = iota
	differs
	below
	most
	above
	least
	resembles
)

// operators are in the order in which they are looked for.
var operators = []struct {
	text string
	op   operator
}{
	{"==", equals},
	{"!=", differs},
	{"<=", most},
	{">=", least},
	{"!~", differs},
	{"=", equals},
	{"<", below},
	{">", above},
	{"~", resembles},
}

// Name is how expressions call a field: "Remaining Length" is remaining-length.
func Name(field string) string {
	var b strings.Builder
	for i := range len(field) {
		if c, ok := letter(field, i); ok {
			b.WriteByte(c)
		}
	}
	return strings.TrimSuffix(b.String(), "-")
}

// Is reports whether name is the Name of field.
func Is(name, field string) bool {
	at := 0
	for i := range len(field) {
		c, ok := letter(field, i)
		if !ok || at == len(name) && c == '-' {
			continue
		}
		if at == len(name) || name[at] != c {
			return false
		}
		at++
	}
	return at == len(name) && at > 0
}

// letter is what becomes of the byte at i; ok is false if nothing does.
func letter(field string, i int) (c byte, ok bool) {
	plain := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 || c == '_' || c == '.' || c == '/'
	}
	switch c = field[i]; {
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A', true
	case plain(c):
		return c, true
	}
	// A run of others becomes one dash, unless it is at the beginning.
	return '-', i > 0 && plain(field[i-1])
}
