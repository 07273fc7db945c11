package frame

import (
	"errors"
	"fmt"
	"strings"
)

// pattern is bytes of which some, or half of some, may be anything.
type pattern struct {
	want, mask []byte
}

// match reports whether b begins with p; short if it does as far as it goes.
func (p pattern) match(b []byte) (matches, short bool) {
	n := min(len(b), len(p.want))
	for i := range n {
		if b[i]&p.mask[i] != p.want[i] {
			return false, false
		}
	}
	return n == len(p.want), n < len(p.want)
}

// literal reports whether every bit of the pattern is given.
func (p pattern) literal() bool {
	for _, m := range p.mask {
		if m != 0xff {
			return false
		}
	}
	return true
}

// within reports whether q matches everything that p does.
func (p pattern) within(q pattern) bool {
	if len(q.want) > len(p.want) {
		return false
	}
	for i := range q.want {
		if p.mask[i]&q.mask[i] != q.mask[i] || p.want[i]&q.mask[i] != q.want[i] {
			return false
		}
	}
	return true
}

func (p pattern) String() string {
	var s []byte
	for i, c := range p.want {
		for _, shift := range []int{4, 0} {
			if p.mask[i]>>shift&15 == 0 {
				s = append(s, '?')
			} else {
				s = append(s, lowerHex[c>>shift&15])
			}
		}
	}
	return string(s)
}

// parseBytes reads hex with spaces, and text in single quotes: "'##' 0d0a".
func parseBytes(s string) ([]byte, error) {
	p, err := parsePattern(s)
	if err != nil {
		return nil, err
	}
	if !p.literal() {
		return nil, errors.New("? stands for any digit only in start")
	}
	return p.want, nil
}

// parsePattern reads what parseBytes does, and ? for any hex digit.
func parsePattern(s string) (pattern, error) {
	var p pattern
	half := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			if half {
				return pattern{}, fmt.Errorf("half a byte before %q: write two digits for each byte", s[i:])
			}
			continue
		case c == '\'':
			text, _, ok := strings.Cut(s[i+1:], "'")
			if !ok || half {
				return pattern{}, fmt.Errorf("text in hex wants a closing ' : %q", s[i:])
			}
			for j := range len(text) {
				p.want, p.mask = append(p.want, text[j]), append(p.mask, 0xff)
			}
			i += len(text) + 1
			continue
		}
		digit, mask := byte(0), byte(0)
		if c != '?' {
			d := hexDigit(c)
			if d < 0 {
				return pattern{}, fmt.Errorf("%q is not a hex digit (text goes in single quotes: \"'##' 0d0a\")", c)
			}
			digit, mask = byte(d), 0xf
		}
		if !half {
			p.want, p.mask = append(p.want, digit<<4), append(p.mask, mask<<4)
		} else {
			p.want[len(p.want)-1] |= digit
			p.mask[len(p.mask)-1] |= mask
		}
		half = !half
	}
	if half {
		return pattern{}, errors.New("an odd number of hex digits")
	}
	return p, nil
}

// hexDigit is the value of a digit of either case, -1 if c is none.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

const (
	lowerHex = "0123456789abcdef"
	upperHex = "0123456789ABCDEF"
)

func appendHex(dst, b []byte, digits string) []byte {
	for _, c := range b {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}
