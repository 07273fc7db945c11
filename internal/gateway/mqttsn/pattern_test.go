package mqttsn

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// octet of a pattern: a value, or a part of a variable.
type octet struct {
	value, other byte   // either will do
	name         string // of a variable; index says which half
	index        int
}

// pattern reads BYTES.
func (p *player) pattern(s string) ([]octet, error) {
	head, rest, enveloped := strings.Cut(s, "|")
	if enveloped {
		outer, err := p.pattern(head)
		if err != nil {
			return nil, err
		}
		inner, err := p.pattern(rest)
		return append(outer, inner...), err
	}
	var out []octet
	name, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	kind, named := messageTypes[name]
	if !named {
		rest = s
	}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		switch {
		case rest[0] == '"':
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, errors.New("a quote without an end")
			}
			for _, c := range []byte(rest[1 : 1+end]) {
				out = append(out, octet{value: c, other: c})
			}
			rest = rest[2+end:]
		case rest[0] == '$':
			word, after, _ := strings.Cut(rest, " ")
			out = append(out, octet{name: word, index: 0}, octet{name: word, index: 1})
			rest = after
		default:
			word, after, _ := strings.Cut(rest, " ")
			word, other, either := strings.Cut(word, "/")
			word, times, repeated := strings.Cut(word, "*")
			b, err := hex.DecodeString(word)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", word, err)
			}
			n := 1
			if repeated {
				if n, err = strconv.Atoi(times); err != nil {
					return nil, err
				}
			}
			for range n {
				for _, c := range b {
					out = append(out, octet{value: c, other: c})
				}
			}
			if either {
				v, err := hex.DecodeString(other)
				if err != nil || len(v) != 1 || len(b) != 1 {
					return nil, fmt.Errorf("%q is no alternative to %q", other, word)
				}
				out[len(out)-1].other = v[0]
			}
			rest = after
		}
	}
	if !named {
		return out, nil
	}
	if n := len(out) + 2; n <= 255 {
		return append(octets(byte(n), kind), out...), nil
	}
	n := len(out) + 4
	return append(octets(1, byte(n>>8), byte(n), kind), out...), nil
}

func octets(b ...byte) []octet {
	out := make([]octet, len(b))
	for i, c := range b {
		out[i] = octet{value: c, other: c}
	}
	return out
}

// bytes is a pattern whose variables are bound.
func (p *player) bytes(s string) ([]byte, error) {
	pattern, err := p.pattern(s)
	if err != nil {
		return nil, err
	}
	b := make([]byte, len(pattern))
	for i, o := range pattern {
		b[i] = o.value
		if o.name != "" {
			v, ok := p.bound[o.name]
			if !ok {
				return nil, fmt.Errorf("%s has not been seen yet", o.name)
			}
			b[i] = v[o.index]
		}
	}
	return b, nil
}

// match compares, and binds the variables that are seen for the first time.
func (p *player) match(want []octet, got []byte) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d bytes, want %d", len(got), len(want))
	}
	news := map[string][2]byte{}
	for i, o := range want {
		value, other := o.value, o.other
		if o.name != "" {
			v, ok := p.bound[o.name]
			if !ok {
				if o.index == 0 {
					news[o.name] = [2]byte{got[i], got[i+1]}
				}
				v = news[o.name]
			}
			value, other = v[o.index], v[o.index]
		}
		if got[i] != value && got[i] != other {
			return fmt.Errorf("byte %d is %02x, want %02x", i, got[i], value)
		}
	}
	for name, v := range news {
		if v == [2]byte{} {
			return fmt.Errorf("%s is 0", name)
		}
		p.bound[name] = v
	}
	return nil
}
