package diagnostic

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// quoted reads a string in double quotes, or bytes in single ones.
func (p *parser) quoted() (Item, error) {
	quote := p.b[p.at]
	it := Item{Kind: Text}
	if quote == '\'' {
		it.Kind = Bytes
	}
	start := p.at
	p.at++
	for {
		if p.at >= len(p.b) {
			return it, &SyntaxError{start, "a string without its end"}
		}
		switch b := p.b[p.at]; {
		case b == quote:
			p.at++
			if it.Data == nil {
				it.Data = []byte{}
			}
			switch it.Width = p.width(); {
			case it.Width == Indefinite && len(it.Data) > 0:
				return it, &SyntaxError{start, `a string in parts is written (_ "…", "…")`}
			case it.Width == Indefinite:
				it.Data = nil
			}
			return it, nil
		case b == '\\':
			if err := p.escape(&it.Data); err != nil {
				return it, err
			}
		case b < ' ' && b != '\n':
			return it, p.wrong("a control character in a string")
		default:
			r, n := utf8.DecodeRune(p.b[p.at:])
			if r == utf8.RuneError && n == 1 {
				return it, p.wrong("text that is not UTF-8")
			}
			it.Data = append(it.Data, p.b[p.at:p.at+n]...)
			p.at += n
		}
	}
}

func (p *parser) escape(dst *[]byte) error {
	if p.at+1 >= len(p.b) {
		return p.wrong("a string without its end")
	}
	c := p.b[p.at+1]
	const from, to = `"'\/bfnrt`, "\"'\\/\b\f\n\r\t"
	if i := strings.IndexByte(from, c); i >= 0 {
		*dst = append(*dst, to[i])
		p.at += 2
		return nil
	}
	if c != 'u' {
		return p.wrong("no escape")
	}
	r, ok := p.unit()
	if !ok {
		return p.wrong(`\u without four hex digits`)
	}
	if utf16.IsSurrogate(r) {
		low, ok := p.unit()
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return p.wrong("half a pair of surrogates")
		}
	}
	*dst = utf8.AppendRune(*dst, r)
	return nil
}

// unit reads \u and four hex digits.
func (p *parser) unit() (rune, bool) {
	rest := p.b[p.at:]
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(rest[2:6]), 16, 16)
	if err != nil {
		return 0, false
	}
	p.at += 6
	return rune(n), true
}

// literal reads what stands in single quotes behind word.
func (p *parser) literal(word string, start int) (Item, error) {
	end := bytes.IndexByte(p.b[p.at+1:], '\'')
	if end < 0 {
		return Item{}, &SyntaxError{start, "a string without its end"}
	}
	text := p.b[p.at+1 : p.at+1+end]
	p.at += end + 2
	digits := strings.Join(strings.Fields(string(text)), "")
	it := Item{Kind: Bytes}
	var err error
	switch word {
	case "h":
		it.Data, err = hex.DecodeString(digits)
	case "b64":
		digits = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(digits, "="))
		it.Data, err = base64.RawStdEncoding.DecodeString(digits)
	case "b32":
		it.Data, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(digits, "="))
	case "h32":
		it.Data, err = base32.HexEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(digits, "="))
	case "float":
		return p.bits(digits, start)
	case "dt", "DT":
		return Item{Kind: App, Name: word, Data: text}, nil
	default:
		return Item{}, &SyntaxError{start, fmt.Sprintf("%s'…' is unknown; there are h, b64, b32, h32, float, dt and DT", word)}
	}
	if err != nil {
		return Item{}, &SyntaxError{start, fmt.Sprintf("%s'…' with digits that are none", word)}
	}
	it.Width = p.width()
	if it.Width == Indefinite {
		return it, &SyntaxError{start, "a string in parts is written (_ h'…', h'…')"}
	}
	return it, nil
}

// bits reads a float by its bits.
func (p *parser) bits(digits string, start int) (Item, error) {
	width := map[int]Width{4: TwoBytes, 8: FourBytes, 16: EightBytes}[len(digits)]
	n, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || width == Shortest {
		return Item{}, &SyntaxError{start, "float'…' has 4, 8 or 16 hex digits"}
	}
	return Item{Kind: NaN, Arg: n, Width: width}, nil
}

func (p *parser) special(word string, negative bool) Item {
	it := Item{Kind: Float, Float: math.NaN()}
	if word == "Infinity" {
		it.Float = math.Inf(1)
		if negative {
			it.Float = math.Inf(-1)
		}
	}
	it.Width = p.width()
	return it
}

// number reads a number, or a tag with what is in it.
func (p *parser) number(depth int) (Item, error) {
	start := p.at
	negative := p.b[p.at] == '-'
	if negative || p.b[p.at] == '+' {
		p.at++
	}
	if bytes.HasPrefix(p.b[p.at:], []byte("Infinity")) {
		p.at += len("Infinity")
		return p.special("Infinity", negative), nil
	}
	from := p.at
	isFloat, base := false, 10
	if p.at+1 < len(p.b) && p.b[p.at] == '0' {
		if b := map[byte]int{'x': 16, 'o': 8, 'b': 2}[p.b[p.at+1]|0x20]; b != 0 {
			base = b
			p.at += 2
			from = p.at
		}
	}
	for ; p.at < len(p.b); p.at++ {
		c := p.b[p.at]
		exponent := base == 10 && c|0x20 == 'e'
		isDigit := c >= '0' && c <= '9' || base == 16 && c|0x20 >= 'a' && c|0x20 <= 'f'
		sign := isFloat && (c == '+' || c == '-') && p.b[p.at-1]|0x20 == 'e'
		if !isDigit && !exponent && !sign && !(base == 10 && c == '.') {
			break
		}
		isFloat = isFloat || exponent || c == '.' && base == 10
	}
	digits := string(p.b[from:p.at])
	if negative {
		digits = "-" + digits
	}
	width := p.width()
	if isFloat {
		return float(digits, width, start)
	}
	if len(digits) > maxDigits {
		return Item{}, &SyntaxError{start, fmt.Sprintf("a number of more than %d digits", maxDigits)}
	}
	n, ok := new(big.Int).SetString(digits, base)
	if !ok {
		return Item{}, &SyntaxError{start, fmt.Sprintf("%q is no number", digits)}
	}
	it := whole(n, width)
	if p.at < len(p.b) && p.b[p.at] == '(' {
		p.at++
		if it.Kind != Int || negative || width == Indefinite {
			return Item{}, &SyntaxError{start, "no number of a tag"}
		}
		kid, err := p.item(depth + 1)
		if err != nil {
			return Item{}, err
		}
		if ok, err := p.take(")"); err != nil || !ok {
			return Item{}, p.wrong("%s where ) is to be", p.found())
		}
		return Item{Kind: Tag, Arg: it.Arg, Width: width, Kids: []Item{kid}}, nil
	}
	if width == Indefinite || it.Kind == Big && width != Shortest {
		return Item{}, &SyntaxError{start, "a width that numbers have not"}
	}
	return it, nil
}

// maxDigits bounds the time that big numbers take.
const maxDigits = 10_000

// whole is n as an item.
func whole(n *big.Int, w Width) Item {
	it := Item{Kind: Int, Width: w}
	positive := n
	if n.Sign() < 0 {
		it.Negative, positive = true, new(big.Int).Not(n)
	}
	if !positive.IsUint64() {
		return Item{Kind: Big, Width: w, Big: n}
	}
	it.Arg = positive.Uint64()
	return it
}

func float(digits string, w Width, start int) (Item, error) {
	size := 64
	if w == FourBytes {
		size = 32
	}
	v, err := strconv.ParseFloat(digits, size)
	if err != nil || len(digits) > maxDigits {
		return Item{}, &SyntaxError{start, fmt.Sprintf("%.40q is no number, or too large", digits)}
	}
	if w != Shortest && w < TwoBytes || w == Indefinite {
		return Item{}, &SyntaxError{start, "floats have the widths _1, _2 and _3"}
	}
	return Item{Kind: Float, Float: v, Width: w}, nil
}
