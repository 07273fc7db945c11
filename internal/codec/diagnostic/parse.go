package diagnostic

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ParseSequence reads items with commas between them; there may be none.
func ParseSequence(text []byte) ([]Item, error) {
	p := parser{b: text}
	if err := p.space(); err != nil {
		return nil, err
	}
	if p.at == len(text) {
		return nil, nil
	}
	all, err := p.items(0, "")
	if err == nil && p.at < len(text) {
		err = p.wrong("%s where a comma or the end is to be", p.found())
	}
	return all, err
}

type parser struct {
	b     []byte
	at    int
	count int
}

func (p *parser) wrong(format string, a ...any) error {
	return &SyntaxError{p.at, fmt.Sprintf(format, a...)}
}

func (p *parser) found() string {
	if p.at >= len(p.b) {
		return "the end"
	}
	r, n := utf8.DecodeRune(p.b[p.at:])
	if r == utf8.RuneError && n <= 1 || r < ' ' {
		return fmt.Sprintf("byte 0x%02x", p.b[p.at])
	}
	return strconv.QuoteRune(r)
}

// space skips blanks and comments: between slashes, and from # to the end of the
// line.
func (p *parser) space() error {
	for p.at < len(p.b) {
		switch p.b[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		case '/':
			end := bytes.IndexByte(p.b[p.at+1:], '/')
			if end < 0 {
				return p.wrong("a comment without its end")
			}
			p.at += end + 2
		case '#':
			end := bytes.IndexByte(p.b[p.at:], '\n')
			if end < 0 {
				p.at = len(p.b)
				return nil
			}
			p.at += end
		default:
			return nil
		}
	}
	return nil
}

// take skips blanks, then s if it is there.
func (p *parser) take(s string) (bool, error) {
	err := p.space()
	ok := err == nil && bytes.HasPrefix(p.b[p.at:], []byte(s))
	if ok {
		p.at += len(s)
	}
	return ok, err
}

// items reads items up to shut, which it takes; a comma may stand before it. At
// the top shut is "".
func (p *parser) items(depth int, shut string) ([]Item, error) {
	kids := []Item{}
	for {
		if done, err := p.shut(shut); err != nil || done && (shut != "" || len(kids) > 0) {
			return kids, err
		}
		it, err := p.item(depth)
		if err != nil {
			return nil, err
		}
		kids = append(kids, it)
		comma, err := p.take(",")
		if err != nil {
			return nil, err
		}
		if comma {
			continue
		}
		done, err := p.shut(shut)
		if err == nil && !done && shut != "" {
			err = p.wrong("%s where a comma or %s is to be", p.found(), shut)
		}
		return kids, err
	}
}

func (p *parser) shut(s string) (bool, error) {
	ok, err := p.take(s)
	return ok && (s != "" || p.at == len(p.b)), err
}

func (p *parser) pairs(depth int) ([]Item, error) {
	kids := []Item{}
	for {
		if done, err := p.take("}"); err != nil || done {
			return kids, err
		}
		key, err := p.item(depth)
		if err != nil {
			return nil, err
		}
		colon, err := p.take(":")
		if err == nil && !colon {
			err = p.wrong("%s where a colon is to be", p.found())
		}
		if err != nil {
			return nil, err
		}
		value, err := p.item(depth)
		if err != nil {
			return nil, err
		}
		kids = append(kids, key, value)
		comma, err := p.take(",")
		if err != nil {
			return nil, err
		}
		if !comma {
			done, err := p.take("}")
			if err == nil && !done {
				err = p.wrong("%s where a comma or } is to be", p.found())
			}
			return kids, err
		}
	}
}

func (p *parser) item(depth int) (Item, error) {
	if err := p.space(); err != nil {
		return Item{}, err
	}
	if p.count++; p.count > MaxItems {
		return Item{}, p.wrong("more than %d items", MaxItems)
	}
	if depth > MaxDepth {
		return Item{}, p.wrong("more than %d levels", MaxDepth)
	}
	if p.at >= len(p.b) {
		return Item{}, p.wrong("the end where an item is to be")
	}
	switch b := p.b[p.at]; {
	case b == '[' || b == '{':
		p.at++
		it := Item{Kind: Array, Width: p.width()}
		var err error
		if b == '{' {
			it.Kind = Map
			it.Kids, err = p.pairs(depth + 1)
		} else {
			it.Kids, err = p.items(depth+1, "]")
		}
		return it, err
	case b == '<':
		if ok, _ := p.take("<<"); !ok {
			return Item{}, p.wrong("one < where two are to be")
		}
		kids, err := p.items(depth+1, ">>")
		return Item{Kind: Embed, Kids: kids}, err
	case b == '(':
		return p.parts(depth)
	case b == '"' || b == '\'':
		return p.quoted()
	case b >= '0' && b <= '9' || b == '-' || b == '+':
		return p.number(depth)
	case b|0x20 >= 'a' && b|0x20 <= 'z':
		return p.word(depth)
	}
	return Item{}, p.wrong("%s where an item is to be", p.found())
}

// width reads an encoding indicator, if one is there.
func (p *parser) width() Width {
	rest := p.b[p.at:]
	if len(rest) == 0 || rest[0] != '_' {
		return Shortest
	}
	if len(rest) > 1 {
		switch c := rest[1]; {
		case c == 'i':
			p.at += 2
			return Immediate
		case c >= '0' && c <= '3':
			p.at += 2
			return OneByte + Width(c-'0')
		}
	}
	p.at++
	return Indefinite
}

// parts reads a string that comes in parts.
func (p *parser) parts(depth int) (Item, error) {
	start := p.at
	p.at++
	if ok, err := p.take("_"); err != nil || !ok {
		return Item{}, p.wrong("a parenthesis that is no (_ \"…\", \"…\")")
	}
	kids, err := p.items(depth+1, ")")
	if err != nil {
		return Item{}, err
	}
	if len(kids) == 0 {
		return Item{}, &SyntaxError{start, `a string of no parts is written ''_ or ""_`}
	}
	for i := range kids {
		if kids[i].Kind != kids[0].Kind || kids[i].Kind != Bytes && kids[i].Kind != Text || kids[i].Width == Indefinite {
			return Item{}, &SyntaxError{start, "parts of a string are strings of one kind"}
		}
	}
	return Item{Kind: kids[0].Kind, Width: Indefinite, Kids: kids}, nil
}

// word reads what begins with a letter.
func (p *parser) word(depth int) (Item, error) {
	start := p.at
	for p.at < len(p.b) && (p.b[p.at]|0x20 >= 'a' && p.b[p.at]|0x20 <= 'z' || p.b[p.at] >= '0' && p.b[p.at] <= '9') {
		p.at++
	}
	word := string(p.b[start:p.at])
	if p.at < len(p.b) && p.b[p.at] == '\'' {
		return p.literal(word, start)
	}
	switch word {
	case "false", "true", "null", "undefined":
		n := map[string]uint64{"false": False, "true": True, "null": Null, "undefined": Undefined}[word]
		return Item{Kind: Simple, Arg: n}, nil
	case "NaN", "Infinity":
		return p.special(word, false), nil
	case "simple":
		return p.simple(start, depth)
	case "ext":
		return p.ext(start, depth)
	}
	return Item{}, &SyntaxError{start, fmt.Sprintf("%q is no item; text stands in double quotes", word)}
}

// argument reads an integer up to shut.
func (p *parser) argument(shut string, depth int) (Item, error) {
	it, err := p.item(depth + 1)
	if err == nil && it.Kind != Int {
		err = p.wrong("no whole number")
	}
	if err == nil {
		var ok bool
		if ok, err = p.take(shut); err == nil && !ok {
			err = p.wrong("%s where %s is to be", p.found(), shut)
		}
	}
	return it, err
}

func (p *parser) simple(start, depth int) (Item, error) {
	if ok, err := p.take("("); err != nil || !ok {
		return Item{}, p.wrong("simple without (number)")
	}
	n, err := p.argument(")", depth)
	if err != nil {
		return Item{}, err
	}
	if n.Negative || n.Arg > 255 || n.Arg >= 24 && n.Arg < 32 {
		return Item{}, &SyntaxError{start, "simple values are 0 to 23 and 32 to 255"}
	}
	return Item{Kind: Simple, Arg: n.Arg}, nil
}

func (p *parser) ext(start, depth int) (Item, error) {
	if ok, err := p.take("("); err != nil || !ok {
		return Item{}, p.wrong("ext without (type, bytes)")
	}
	n, err := p.argument(",", depth)
	if err != nil {
		return Item{}, err
	}
	if n.Arg > 127 {
		return Item{}, &SyntaxError{start, "types of extensions are -128 to 127"}
	}
	data, err := p.item(depth + 1)
	if err != nil {
		return Item{}, err
	}
	if ok, err := p.take(")"); err != nil || !ok || data.Kind != Bytes || data.Width == Indefinite {
		return Item{}, &SyntaxError{start, "an extension is ext(type, h'…')"}
	}
	kind := int8(n.Arg)
	if n.Negative {
		kind = -1 - kind
	}
	return Item{Kind: Ext, Arg: uint64(kind), Data: data.Data}, nil
}
