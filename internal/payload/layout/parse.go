package layout

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

// parser reads the description of a layout.
type parser struct {
	s      string
	at     int
	little bool
	bit    int // of the byte at which the next field begins
}

func parse(s string) (*fields, error) {
	if len(s) > maxText {
		return nil, fmt.Errorf("a description of %d bytes: at most %d", len(s), maxText)
	}
	p := &parser{s: s}
	all, err := p.fields(0, nil)
	if err == nil && p.at < len(s) {
		err = errors.New("a ) without its (")
	}
	if err == nil && len(all.all) == 0 {
		err = errors.New("no fields; give some, as in struct:>u16:temp*0.1 u8:flags")
	}
	if err == nil && p.bit > 0 {
		err = fmt.Errorf("the last field ends within a byte: %d bits are left, add u%[1]d:_", 8-p.bit)
	}
	if err != nil {
		return nil, fmt.Errorf("character %d: %w", min(p.at, len(s))+1, err)
	}
	return all, nil
}

// skip skips blanks, commas and newlines.
func (p *parser) skip() {
	for p.at < len(p.s) && strings.IndexByte(" \t\r\n,", p.s[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) peek() byte {
	if p.at < len(p.s) {
		return p.s[p.at]
	}
	return 0
}

// fields reads up to the end, or a closing parenthesis. outer are those that
// stand before the group.
func (p *parser) fields(depth int, outer []*field) (*fields, error) {
	if depth > 8 {
		return nil, errors.New("groups lie more than 8 levels deep")
	}
	all := &fields{}
	for {
		p.skip()
		if p.at == len(p.s) || p.peek() == ')' {
			return all, p.finish(all)
		}
		more, err := p.field(depth, append(slices.Clone(outer), pointers(all.all)...))
		if err != nil {
			return nil, err
		}
		all.all = append(all.all, more...)
	}
}

func pointers(all []field) []*field {
	out := make([]*field, len(all))
	for i := range all {
		out[i] = &all[i]
	}
	return out
}

// finish checks what fields are together.
func (p *parser) finish(all *fields) error {
	seen := map[string]bool{}
	unnamed := 0
	for i := range all.all {
		f := &all.all[i]
		all.least += f.least()
		if f.hidden() {
			continue
		}
		if f.name == "" {
			unnamed++
		} else if seen[f.name] {
			return fmt.Errorf("two fields are called %s", f.name)
		}
		seen[f.name] = true
		if f.repeat == repeatBy {
			j := slices.IndexFunc(all.all[:i], func(other field) bool { return other.name == f.by })
			if j >= 0 {
				all.all[j].counts = f
			}
		}
		if f.repeat == repeatRest && i < len(all.all)-1 {
			return fmt.Errorf("%s goes up to the end, and %s follows it", f.title(), all.all[i+1].title())
		}
	}
	delete(seen, "")
	if unnamed > 0 && len(seen) > 0 {
		return errors.New("some fields have names and some have not: give names to all of them, or to none")
	}
	all.named = len(seen) > 0
	return nil
}

// least is how many bits the field takes at least.
func (f *field) least() int {
	n := f.element()
	switch f.repeat {
	case repeatCount:
		return min(n, mostBits/f.count) * f.count
	case repeatBy, repeatRest:
		return 0
	}
	return n
}

// mostBits keeps products from overflowing; no payload is as long.
const mostBits = 1 << 30

// element is how many bits an element takes at least.
func (f *field) element() int {
	switch f.kind {
	case group:
		return f.kids.least
	case text, bin, digits, pad, terminated:
		return 8
	}
	return f.bits
}

// field reads a field, or several of Python's letters.
func (p *parser) field(depth int, before []*field) ([]field, error) {
	if err := p.order(); err != nil {
		return nil, err
	}
	f := field{little: p.little}
	start := p.bit
	if p.peek() == '(' {
		p.at++
		kids, err := p.fields(depth+1, before)
		if err != nil {
			return nil, err
		}
		if p.peek() != ')' {
			return nil, errors.New("a ( without its )")
		}
		p.at++
		if kids.least == 0 {
			return nil, errors.New("a group may be of no bytes at all")
		}
		f.kind, f.kids = group, kids
	} else {
		word := p.word()
		letters, err := p.typeOf(word, &f)
		if err != nil || letters != nil {
			return letters, err
		}
	}
	if err := p.suffixes(&f, before); err != nil {
		return nil, err
	}
	return []field{f}, p.advance(&f, start)
}

// order takes the signs of byte orders. It changes at whole bytes.
func (p *parser) order() error {
	for {
		c := p.peek()
		if c != '<' && c != '>' && c != '!' {
			return nil
		}
		little := c == '<'
		if little != p.little && p.bit != 0 {
			return errors.New("the byte order changes within a byte")
		}
		p.little = little
		p.at++
		p.skip()
	}
}

// advance moves p.bit behind f, which began at bit start of a byte.
func (p *parser) advance(f *field, start int) error {
	n := 0 // bits of an element, beyond whole bytes
	switch f.kind {
	case unsigned, signed, float, boolean:
		n = f.bits
	case group:
		n = p.bit - start + 8
	}
	switch {
	case f.repeat == repeatCount && f.isList():
		n = n % 8 * (f.count % 8)
	case f.repeat == repeatRest:
		n = -start
	case f.repeat == repeatBy && n%8 != 0:
		return fmt.Errorf("%s repeats parts of bytes", f.title())
	}
	p.bit = (start + n) % 8
	return nil
}

func (p *parser) word() string {
	start := p.at
	for p.at < len(p.s) && isWord(p.s[p.at]) {
		p.at++
	}
	return p.s[start:p.at]
}

func isWord(b byte) bool {
	return b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || b == '?' || b == '_' || b == '.'
}

// typeOf finds out what word is: the type of f, or letters of Python's, which
// are fields by themselves.
func (p *parser) typeOf(word string, f *field) ([]field, error) {
	switch word {
	case "bool":
		f.kind, f.bits = boolean, 8
		return nil, nil
	case "flag":
		f.kind, f.bits = boolean, 1
		return nil, nil
	case "str":
		f.kind = text
		return nil, nil
	case "strz":
		f.kind = terminated
		return nil, nil
	case "bytes":
		f.kind = bin
		return nil, nil
	case "hex":
		f.kind = digits
		return nil, nil
	case "pad":
		f.kind = pad
		return nil, nil
	}
	if len(word) > 1 {
		if n, err := strconv.Atoi(word[1:]); err == nil {
			switch {
			case (word[0] == 'u' || word[0] == 'i') && n >= 1 && n <= 64:
				f.kind, f.bits = unsigned, n
				if word[0] == 'i' {
					f.kind = signed
				}
				return nil, nil
			case word[0] == 'f' && (n == 16 || n == 32 || n == 64):
				f.kind, f.bits = float, n
				return nil, nil
			case word[0] == 'u' || word[0] == 'i' || word[0] == 'f':
				return nil, fmt.Errorf("%s: there are u1 to u64, i1 to i64, f16, f32 and f64", word)
			}
		}
	}
	return p.letters(word, f)
}

// python is what a letter of Python's struct stands for, in standard sizes.
func python(letter byte) (f field, ok bool) {
	switch letter {
	case 'b', 'h', 'i', 'l', 'q':
		f.kind = signed
	case 'B', 'H', 'I', 'L', 'Q':
		f.kind = unsigned
	case '?':
		f.kind = boolean
	case 'e', 'f', 'd':
		f.kind = float
	case 's':
		return field{kind: text, repeat: repeatCount, count: 1}, true
	case 'x':
		return field{kind: pad, repeat: repeatCount, count: 1}, true
	default:
		return f, false
	}
	switch letter {
	case 'b', 'B', '?':
		f.bits = 8
	case 'h', 'H', 'e':
		f.bits = 16
	case 'q', 'Q', 'd':
		f.bits = 64
	default:
		f.bits = 32
	}
	return f, true
}

// letters reads Python's letters. A single one may have a name and so on, like
// any other type.
func (p *parser) letters(word string, f *field) ([]field, error) {
	unknown := fmt.Errorf("%q is no type; there are u8, i16, f32, flag, bool, str, strz, bytes, hex, pad, ( ) and Python's letters", word)
	if word == "" {
		unknown = fmt.Errorf("%q where a type is to be", p.peek())
	}
	var all []field
	for i := 0; i < len(word); {
		n, digits := 0, 0
		for ; i < len(word) && word[i] >= '0' && word[i] <= '9' && digits < 7; i, digits = i+1, digits+1 {
			n = n*10 + int(word[i]-'0')
		}
		if i == len(word) {
			return nil, unknown
		}
		one, ok := python(word[i])
		if !ok || digits > 0 && n == 0 || n > payload.MaxValues {
			return nil, unknown
		}
		i++
		one.little = p.little
		switch {
		case digits == 0:
			all = append(all, one)
		case one.repeat == repeatCount:
			one.count = n
			all = append(all, one)
		case len(all)+n > maxText:
			return nil, fmt.Errorf("%s: more than %d values", word, maxText)
		default:
			all = append(all, slices.Repeat([]field{one}, n)...)
		}
	}
	if len(all) == 0 {
		return nil, unknown
	}
	if len(all) == 1 {
		*f = all[0]
		return nil, nil
	}
	if next := p.peek(); next != 0 && strings.IndexByte(" \t\r\n,)", next) < 0 {
		return nil, fmt.Errorf("%s are several fields, and %q follows: give each its name, as in H:a H:b", word, next)
	}
	return all, nil
}
