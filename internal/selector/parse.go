package selector

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of an expression.
const (
	maxText  = 16 << 10
	maxDepth = 64
)

// Error is a mistake in an expression.
type Error struct {
	Text   string // the expression
	Column int    // from 1, in characters
	Reason string
	Hint   string // what to write instead, "" if that is not known
}

// Error implements error: "column 9: topic= needs a value".
func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Reason) }

// types are those that may be written in lower case.
var types = []string{
	"CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
	"UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// Parse reads an expression. Its errors are of type *Error.
func Parse(text string) (*Expr, error) {
	p := parser{text: text}
	e := &Expr{text: text}
	if len(text) > maxText {
		return nil, p.fail(0, "", "longer than %d bytes", maxText)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r == utf8.RuneError || r == 0 }); i >= 0 && !utf8.ValidString(text) {
		return nil, p.fail(i, "", "not UTF-8")
	}
	p.blanks()
	if p.at == len(text) {
		return e, nil
	}
	root, err := p.any(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(text) { // any ends at the end or at a parenthesis
		return nil, p.fail(p.at, "", "nothing is opened that this closes")
	}
	e.root = root
	slices.Sort(p.names)
	e.names = slices.Compact(p.names)
	e.types = p.types
	return e, nil
}

type parser struct {
	text  string
	at    int
	names []string
	types []string
}

func (p *parser) fail(at int, hint, format string, a ...any) error {
	return &Error{Text: p.text, Column: utf8.RuneCountInString(p.text[:at]) + 1, Reason: fmt.Sprintf(format, a...), Hint: hint}
}

func (p *parser) blanks() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// rest is what has not been read.
func (p *parser) rest() string { return p.text[p.at:] }

// takes takes a word or a sign, and the blanks behind it.
func (p *parser) takes(word, sign string) bool {
	var n int
	switch {
	case strings.HasPrefix(p.rest(), sign):
		n = len(sign)
	case strings.EqualFold(p.word(), word) && !p.compares():
		n = len(word)
	default:
		return false
	}
	p.at += n
	p.blanks()
	return true
}

// compares reports whether an operator follows the word: then it is a name.
func (p *parser) compares() bool {
	after := strings.TrimLeft(p.rest()[len(p.word()):], " \t\r\n")
	_, n := operatorIn(after)
	return n > 0
}

// word is the name at the present place, "" if there is none.
func (p *parser) word() string {
	rest := p.rest()
	for i := range len(rest) {
		c := rest[i]
		if c < 0x80 && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte("-_./", c) < 0 {
			return rest[:i]
		}
	}
	return rest
}

// any is terms with or between them.
func (p *parser) any(depth int) (node, error) {
	var nodes some
	for {
		n, err := p.all(depth)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
		if !p.takes("or", "||") {
			break
		}
	}
	if len(nodes) == 1 {
		return nodes[0], nil
	}
	return nodes, nil
}

// all is terms with and, or nothing, between them.
func (p *parser) all(depth int) (node, error) {
	var nodes all
	for {
		n, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
		if p.takes("and", "&&") {
			continue
		}
		if p.at == len(p.text) || p.text[p.at] == ')' || p.isOr() {
			break
		}
	}
	if len(nodes) == 1 {
		return nodes[0], nil
	}
	return nodes, nil
}

func (p *parser) isOr() bool {
	q := *p
	return q.takes("or", "||")
}

// term is one of the above, or something in parentheses.
func (p *parser) term(depth int) (node, error) {
	if depth > maxDepth {
		return nil, p.fail(p.at, "", "more than %d in each other", maxDepth)
	}
	start := p.at
	switch {
	case p.at == len(p.text):
		return nil, p.fail(p.at, "", "a term is missing at the end")
	case p.takes("not", "!"):
		n, err := p.term(depth + 1)
		return not{n}, err
	case p.takes("(", "("):
		n, err := p.any(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.at == len(p.text) {
			return nil, p.fail(start, "write ) where it ends", "the parenthesis is not closed")
		}
		p.at++
		p.blanks()
		return n, nil
	}
	word := p.word()
	if word == "" {
		return nil, p.unexpected()
	}
	p.at += len(word)
	p.blanks()
	if op, n := operatorIn(p.rest()); n > 0 {
		return p.comparison(strings.ToLower(word), op, n)
	}
	return p.bare(word, start)
}

// unexpected is the error for what begins no term.
func (p *parser) unexpected() error {
	r, _ := utf8.DecodeRuneInString(p.rest())
	if _, n := operatorIn(p.rest()); n > 0 {
		return p.fail(p.at, "topic=sensors/+", "a name is missing in front of %s", p.rest()[:n])
	}
	switch r {
	case '"', '\'':
		return p.fail(p.at, "payload~"+p.rest(), "a text by itself: of which field?")
	case ')':
		return p.fail(p.at, "", "a term is missing in front of )")
	}
	return p.fail(p.at, "", "%q begins no term", r)
}

// operatorIn is the operator that s begins with, and its size, 0 for none.
func operatorIn(s string) (operator, int) {
	for _, o := range operators {
		if strings.HasPrefix(s, o.text) {
			return o.op, len(o.text)
		}
	}
	return 0, 0
}

// bare is a word without an operator.
func (p *parser) bare(word string, start int) (node, error) {
	lower, upper := strings.ToLower(word), strings.ToUpper(word)
	switch lower {
	case "and", "or":
		return nil, p.fail(start, "", "a term is missing in front of %s", word)
	case "both", "any":
		return empty{}, nil
	case ToServer, ToClient:
		return p.typed(NameDirection, lower), nil
	}
	switch {
	case word == upper && strings.ContainsAny(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), slices.Contains(types, upper):
		return p.typed(NameType, word), nil
	case word[0] >= '0' && word[0] <= '9':
		return nil, p.fail(start, "size>"+word, "a number by itself: of which field?")
	}
	p.names = append(p.names, lower)
	return present{lower}, nil
}

// typed is the term for a word that needs no name.
func (p *parser) typed(name, word string) node {
	p.name(name, word)
	return &comparison{name: name, op: equals, with: newLiteral(name, word, true)}
}

// name notes that name is asked for, and is to be value, "" if that is not known.
func (p *parser) name(name, value string) {
	p.names = append(p.names, name)
	if name == NameType && value != "" && !strings.ContainsAny(value, "*?[") {
		p.types = append(p.types, value)
	}
}

// comparison is what follows a name: an operator of n bytes, and a value.
func (p *parser) comparison(name string, op operator, n int) (node, error) {
	sign := p.rest()[:n]
	p.at += n
	p.blanks()
	at := p.at
	value, quoted, err := p.value()
	switch {
	case err != nil:
		return nil, err
	case value == "" && !quoted:
		return nil, p.fail(at, name+sign+`""`, "%s%s needs a value", name, sign)
	}
	if op == equals || sign == "!=" {
		p.name(name, value)
	} else {
		p.name(name, "")
	}
	c := &comparison{name: name, op: op, with: newLiteral(name, value, quoted)}
	if sign == "~" || sign == "!~" {
		if c.with.pattern, err = regexp.Compile(value); err != nil {
			return nil, p.fail(at, "", "%s%s: %s", name, sign, reason(err))
		}
	}
	switch sign {
	case "!~":
		c.op = resembles
		return all{present{name}, not{c}}, nil
	case "~", "=", "==", "!=":
		return c, nil
	}
	if quoted || !c.with.numeric && !c.with.timed {
		return nil, p.fail(at, name+sign+"10", "%s%s needs a number, and %q is none", name, sign, value)
	}
	return c, nil
}

// reason is what is wrong with a regular expression.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

// value is a quoted text, or everything up to a blank or a parenthesis that
// closes one outside.
func (p *parser) value() (value string, quoted bool, err error) {
	rest := p.rest()
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		value, n, err := unquote(rest)
		if err != nil {
			return "", true, p.fail(p.at, "", "%s", err)
		}
		p.at += n
		p.blanks()
		return value, true, nil
	}
	depth, end := 0, len(rest)
scan:
	for i := range len(rest) {
		switch c := rest[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			end = i
			break scan
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				end = i
				break scan
			}
		}
	}
	p.at += end
	p.blanks()
	return rest[:end], false, nil
}

// unquote reads the quoted text at the start of s: between ' it is as it is,
// between " a \ stands in front of ", \, n, r, t and xNN.
func unquote(s string) (text string, n int, err error) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return b.String(), i + 1, nil
		case c != '\\' || quote == '\'':
			b.WriteByte(c)
		case i+1 == len(s):
		default:
			i++
			plain := strings.IndexByte("nrt", s[i])
			var v byte
			switch {
			case plain >= 0:
				b.WriteByte("\n\r\t"[plain])
			case s[i] == 'x' && i+2 < len(s) && scanHex(s[i+1:i+3], &v):
				b.WriteByte(v)
				i += 2
			case s[i] == quote || s[i] == '\\':
				b.WriteByte(s[i])
			default: // of a regular expression
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		}
	}
	return "", 0, errors.New("the quotation is not closed")
}

func scanHex(s string, v *byte) bool {
	for i := range len(s) {
		d := strings.IndexByte("0123456789abcdef", s[i]|0x20)
		if d < 0 {
			return false
		}
		*v = *v<<4 | byte(d)
	}
	return true
}
