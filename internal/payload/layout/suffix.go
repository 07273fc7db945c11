package layout

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

// suffixes reads [count], :name, *scale, /divisor, +offset, -offset and {names}.
func (p *parser) suffixes(f *field, before []*field) error {
	for {
		var err error
		switch c := p.peek(); c {
		case '[':
			err = p.repeat(f, before)
		case ':':
			p.at++
			if f.name = p.word(); f.name == "" {
				err = errors.New("a name is missing behind the colon")
			}
		case '*', '/', '+', '-':
			err = p.scaling(f, c)
		case '{':
			err = p.labels(f)
		default:
			if (f.kind == text || f.kind == bin || f.kind == digits || f.kind == pad) && f.repeat == once {
				return fmt.Errorf("%s of how many bytes? %[1]s[4], %[1]s[field before it] or %[1]s[] for the rest", f.typeName())
			}
			if f.kind == pad && f.repeat != repeatCount {
				return errors.New("pad has a number of bytes")
			}
			return p.exact(f)
		}
		if err != nil {
			return err
		}
	}
}

func (p *parser) repeat(f *field, before []*field) error {
	p.at++
	word := p.word()
	if p.peek() != ']' {
		return errors.New("a [ without its ]")
	}
	p.at++
	n, err := strconv.Atoi(word)
	switch {
	case f.kind == terminated:
		return errors.New("strz ends at a zero, and is no array")
	case f.repeat != once:
		return errors.New("an array has one length")
	case word == "":
		f.repeat = repeatRest
	case err == nil && n >= 1 && n <= payload.MaxValues:
		f.repeat, f.count = repeatCount, n
	case err == nil:
		return fmt.Errorf("an array of %d elements: 1 to %d", n, payload.MaxValues)
	default:
		i := slices.IndexFunc(before, func(f *field) bool { return f.name == word })
		if i < 0 || before[i].kind != unsigned && before[i].kind != signed || before[i].repeat != once || before[i].scale != nil || before[i].names != nil {
			return fmt.Errorf("%s is no whole number of a field before it", word)
		}
		f.repeat, f.by = repeatBy, word
	}
	return nil
}

func (p *parser) scaling(f *field, operator byte) error {
	p.at++
	start := p.at
	for p.at < len(p.s) && (p.s[p.at] >= '0' && p.s[p.at] <= '9' || p.s[p.at] == '.' || p.s[p.at] == '-' && p.at == start) {
		p.at++
	}
	n, ok := new(big.Rat).SetString(p.s[start:p.at])
	if !ok || p.at-start > 40 {
		return fmt.Errorf("%q behind %c is no number", p.s[start:p.at], operator)
	}
	if f.kind != unsigned && f.kind != signed && f.kind != float {
		return fmt.Errorf("%s is no number, so %c does not go with it", f.typeName(), operator)
	}
	if f.scale == nil {
		f.scale, f.offset = big.NewRat(1, 1), new(big.Rat)
	}
	switch {
	case (operator == '*' || operator == '/') && n.Sign() == 0:
		return fmt.Errorf("%c0", operator)
	case (operator == '*' || operator == '/') && f.offset.Sign() != 0:
		return errors.New("scale first, then shift: *0.1-40")
	case operator == '*':
		f.scale.Mul(f.scale, n)
	case operator == '/':
		f.scale.Quo(f.scale, n)
	case operator == '+':
		f.offset.Add(f.offset, n)
	default:
		f.offset.Sub(f.offset, n)
	}
	return nil
}

// exact finds out how many decimals the values of a scaled field have.
func (p *parser) exact(f *field) error {
	if f.scale == nil {
		return nil
	}
	if f.names != nil {
		return errors.New("a field has names for its values, or is scaled")
	}
	a, exactScale := f.scale.FloatPrec()
	b, exactOffset := f.offset.FloatPrec()
	f.places = max(a, b)
	if !exactScale || !exactOffset {
		f.places = -1
	}
	return nil
}

// labels reads {0:off,1:on}.
func (p *parser) labels(f *field) error {
	end := strings.IndexByte(p.s[p.at:], '}')
	if end < 0 {
		return errors.New("a { without its }")
	}
	inner := p.s[p.at+1 : p.at+end]
	if f.kind != unsigned && f.kind != signed {
		return fmt.Errorf("values of %s have no names", f.typeName())
	}
	for pair := range strings.SplitSeq(inner, ",") {
		number, name, ok := strings.Cut(pair, ":")
		n, err := strconv.ParseInt(strings.TrimSpace(number), 0, 64)
		name = strings.TrimSpace(name)
		if !ok || err != nil || name == "" {
			return fmt.Errorf("%q is no name of a value, as in {0:off,1:on}", pair)
		}
		if slices.ContainsFunc(f.names, func(l label) bool { return l.value == n || l.name == name }) {
			return fmt.Errorf("%q is there twice", pair)
		}
		f.names = append(f.names, label{n, name})
	}
	p.at += end + 1
	return nil
}
