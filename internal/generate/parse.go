package generate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads a template. What is random in it begins with seed. The error is a
// *SyntaxError.
func Parse(s string, seed uint64) (*Template, error) {
	t := &Template{}
	for at := 0; ; {
		open := strings.Index(s[at:], "{{")
		if open < 0 {
			if at < len(s) {
				t.parts = append(t.parts, part{text: s[at:]})
			}
			return t, nil
		}
		if open > 0 {
			t.parts = append(t.parts, part{text: s[at : at+open]})
		}
		p := &parser{s: s, i: at + open + 2, start: at + open, seed: seed}
		if err := p.words(); err != nil {
			return nil, err
		}
		made, err := p.expression()
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, made)
		at = p.i
	}
}

// word of an expression.
type word struct {
	text   string
	offset int
	quoted bool
	weight string // what follows the colon behind a quoted word
}

// parser reads one expression.
type parser struct {
	s     string
	i     int
	start int // of {{
	seed  uint64

	all     []word
	used    int // of all
	options map[string]word
	taken   map[string]bool // options that were asked for
}

func (p *parser) fail(offset int, format string, a ...any) error {
	return &SyntaxError{Offset: offset, Reason: fmt.Sprintf(format, a...)}
}

// words splits the expression up to its }} at blanks outside of quotes.
func (p *parser) words() error {
	for {
		for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t' || p.s[p.i] == '\n') {
			p.i++
		}
		rest := p.s[p.i:]
		switch {
		case rest == "":
			return p.fail(p.start, "{{ without }}")
		case strings.HasPrefix(rest, "}}"):
			p.i += 2
			return nil
		case rest[0] == '"' || rest[0] == '\'':
			if err := p.quoted(); err != nil {
				return err
			}
			continue
		}
		end := strings.IndexAny(rest, " \t\n}")
		if end == 0 {
			return p.fail(p.i, "} is not expected here")
		}
		if end < 0 {
			return p.fail(p.start, "{{ without }}")
		}
		p.all = append(p.all, word{text: rest[:end], offset: p.i})
		p.i += end
	}
}

func (p *parser) quoted() error {
	w := word{offset: p.i, quoted: true}
	end := strings.IndexByte(p.s[p.i+1:], p.s[p.i])
	if end < 0 {
		return p.fail(p.i, "a quotation mark is missing")
	}
	w.text = p.s[p.i+1 : p.i+1+end]
	p.i += end + 2
	if rest := p.s[p.i:]; strings.HasPrefix(rest, ":") {
		end := strings.IndexAny(rest, " \t\n}")
		if end < 0 {
			return p.fail(p.start, "{{ without }}")
		}
		w.weight = rest[1:end]
		p.i += end
	}
	p.all = append(p.all, w)
	return nil
}

// expression makes a part of the words.
func (p *parser) expression() (part, error) {
	made := part{offset: p.start}
	if len(p.all) > 0 && p.all[0].text == "json" && !p.all[0].quoted {
		made.json = true
		p.used++
	}
	if p.used == len(p.all) {
		return made, p.fail(p.start, "nothing stands between {{ and }}")
	}
	name := p.all[p.used]
	p.used++
	p.findOptions()
	var err error
	switch {
	case name.quoted:
		made.make = text(name.text)
	case strings.HasPrefix(name.text, ".") && len(name.text) > 1:
		made.path, made.row = strings.Split(name.text[1:], "."), true
	case name.text == "." || name.text == "row":
		made.make, made.row = wholeRow, true
	case name.text == "field":
		var w word
		w, err = p.next("the name")
		made.path, made.row = []string{w.text}, true
	default:
		f, ok := function(name.text)
		if !ok {
			return made, &SyntaxError{Offset: name.offset, Word: name.text, Reason: fmt.Sprintf("%q is no generator", name.text)}
		}
		made.make, err = f(p)
	}
	if made.path != nil {
		made.make = field(made.path)
	}
	if err == nil && p.used < len(p.all) {
		err = p.fail(p.all[p.used].offset, "%q is one word too many", p.all[p.used].text)
	}
	for name, w := range p.options {
		if err == nil && !p.taken[name] {
			err = p.fail(w.offset, "there is no option %q here", name)
		}
	}
	return made, err
}

// findOptions takes the words of the form name=value out of those that remain.
func (p *parser) findOptions() {
	p.options, p.taken = map[string]word{}, map[string]bool{}
	rest := p.all[p.used:]
	p.all = p.all[:p.used:p.used]
	for _, w := range rest {
		name, value, ok := strings.Cut(w.text, "=")
		switch name {
		case "min", "max", "noise", "digits", "phase":
			if ok && !w.quoted {
				p.options[name] = word{text: value, offset: w.offset + len(name) + 1}
				continue
			}
		}
		p.all = append(p.all, w)
	}
}

// more tells whether words remain.
func (p *parser) more() bool { return p.used < len(p.all) }

// next takes a word; what is the sense of it, for errors.
func (p *parser) next(what string) (word, error) {
	if !p.more() {
		return word{}, p.fail(p.i-2, "%s is missing", what)
	}
	p.used++
	return p.all[p.used-1], nil
}

// number takes a finite number.
func (p *parser) number(what string) (float64, error) {
	w, err := p.next(what)
	if err != nil {
		return 0, err
	}
	return p.asNumber(w, what)
}

func (p *parser) asNumber(w word, what string) (float64, error) {
	f, err := strconv.ParseFloat(w.text, 64)
	if err != nil || f-f != 0 {
		return 0, p.fail(w.offset, "%s: %q is not a number", what, w.text)
	}
	return f, nil
}

// integer takes a whole number.
func (p *parser) integer(what string) (int64, error) {
	w, err := p.next(what)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(w.text, 10, 64)
	if err != nil {
		return 0, p.fail(w.offset, "%s: %q is not a whole number", what, w.text)
	}
	return n, nil
}

// time takes a duration above 0.
func (p *parser) time(what string) (time.Duration, error) {
	w, err := p.next(what)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(w.text)
	if err != nil || d <= 0 {
		return 0, p.fail(w.offset, "%s: %q is not a time such as 30s, 15m or 24h", what, w.text)
	}
	return d, nil
}

// option is the value of a named number, otherwise if it is not given.
func (p *parser) option(name string, otherwise float64) (float64, error) {
	p.taken[name] = true
	w, ok := p.options[name]
	if !ok {
		return otherwise, nil
	}
	return p.asNumber(w, name)
}
