package translate

import (
	"errors"
	"fmt"
	"strings"
)

// kind is what a token of a shell's line is.
type kind uint8

const (
	word kind = iota
	redirection
	separator // between commands: | && || ; & and the end of a line
)

// token is a piece of a line. text is a word's value, in which an expansion
// ($NAME, $(…), `…`) stands between opens and closes.
type token struct {
	kind      kind
	text, raw string
	gap       string // what was before it
}

// Marks around expansions; they are of the private use area and mean nothing
// else.
const (
	opens  = '\uE0F0'
	closes = '\uE0F1'
)

var errUnclosed = errors.New("a quotation mark or a bracket is not closed")

// lexer cuts a line into tokens.
type lexer struct {
	s  string
	at int
}

func lex(line string) ([]token, error) {
	l := &lexer{s: line}
	var all []token
	for {
		gap := l.blanks()
		if l.at == len(l.s) {
			if strings.TrimSpace(gap) != "" { // a comment at the end
				all = append(all, token{kind: separator, gap: gap})
			}
			return all, nil
		}
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		t.gap = gap
		all = append(all, t)
	}
}

// blanks takes blanks, joined lines and comments.
func (l *lexer) blanks() string {
	from := l.at
	for l.at < len(l.s) {
		rest := l.s[l.at:]
		switch {
		case rest[0] == ' ', rest[0] == '\t', rest[0] == '\r':
			l.at++
		case strings.HasPrefix(rest, "\\\n"):
			l.at += 2
		case strings.HasPrefix(rest, "\\\r\n"):
			l.at += 3
		case rest[0] == '#':
			for l.at < len(l.s) && l.s[l.at] != '\n' {
				l.at++
			}
		default:
			return gapOf(l.s[from:l.at])
		}
	}
	return gapOf(l.s[from:l.at])
}

// gapOf keeps comments and makes one blank of joined lines.
func gapOf(s string) string {
	if strings.Contains(s, "#") {
		return s
	}
	if strings.ContainsAny(s, "\\\r") {
		return " "
	}
	return s
}

func (l *lexer) next() (token, error) {
	from := l.at
	for _, op := range []string{"&&", "||", "|&", ";;", "|", ";", "\n", "(", ")"} {
		if strings.HasPrefix(l.s[l.at:], op) {
			l.at += len(op)
			return token{kind: separator, raw: op}, nil
		}
	}
	digits := l.at
	for digits < len(l.s) && l.s[digits] >= '0' && l.s[digits] <= '9' {
		digits++
	}
	for _, op := range []string{"&>>", "&>", ">>", ">|", ">&", "<<<", "<<", "<&", "<>", ">", "<"} {
		if strings.HasPrefix(l.s[digits:], op) {
			if op == "<<" {
				return token{}, errors.New("here documents (<<) are not understood")
			}
			l.at = digits + len(op)
			return token{kind: redirection, raw: l.s[from:l.at]}, nil
		}
	}
	if l.s[l.at] == '&' {
		l.at++
		return token{kind: separator, raw: "&"}, nil
	}
	text, err := l.word()
	return token{kind: word, text: text, raw: l.s[from:l.at]}, err
}

// word reads up to a blank or an operator.
func (l *lexer) word() (string, error) {
	var b strings.Builder
	for l.at < len(l.s) {
		switch c := l.s[l.at]; {
		case strings.IndexByte(" \t\r\n|&;<>()", c) >= 0:
			return b.String(), nil
		case c == '\'':
			end := strings.IndexByte(l.s[l.at+1:], '\'')
			if end < 0 {
				return "", errUnclosed
			}
			b.WriteString(l.s[l.at+1 : l.at+1+end])
			l.at += end + 2
		case c == '"':
			l.at++
			if err := l.quoted(&b); err != nil {
				return "", err
			}
		case strings.HasPrefix(l.s[l.at:], "\\\n"):
			l.at += 2
		case c == '\\' && l.at+1 < len(l.s):
			b.WriteByte(l.s[l.at+1])
			l.at += 2
		case strings.HasPrefix(l.s[l.at:], "$'"):
			if err := l.escaped(&b); err != nil {
				return "", err
			}
		default:
			if err := l.plain(&b); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}

// quoted reads what is between double quotes; the first is taken already.
func (l *lexer) quoted(b *strings.Builder) error {
	for l.at < len(l.s) {
		switch c := l.s[l.at]; {
		case c == '"':
			l.at++
			return nil
		case strings.HasPrefix(l.s[l.at:], "\\\n"):
			l.at += 2
		case c == '\\' && l.at+1 < len(l.s) && strings.IndexByte("\\\"$`", l.s[l.at+1]) >= 0:
			b.WriteByte(l.s[l.at+1])
			l.at += 2
		default:
			if err := l.plain(b); err != nil {
				return err
			}
		}
	}
	return errUnclosed
}

// plain takes one byte, or an expansion as a whole.
func (l *lexer) plain(b *strings.Builder) error {
	n, err := expansion(l.s[l.at:])
	switch {
	case err != nil:
		return err
	case n == 0:
		b.WriteByte(l.s[l.at])
		l.at++
	default:
		b.WriteRune(opens)
		b.WriteString(l.s[l.at : l.at+n])
		b.WriteRune(closes)
		l.at += n
	}
	return nil
}

// expansion is the length of what a shell would replace at the beginning of s.
func expansion(s string) (int, error) {
	if s[0] == '`' {
		end := strings.IndexByte(s[1:], '`')
		if end < 0 {
			return 0, errUnclosed
		}
		return end + 2, nil
	}
	if s[0] != '$' || len(s) < 2 {
		return 0, nil
	}
	switch c := s[1]; {
	case c == '(' || c == '{':
		depth := 0
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '(', '{':
				depth++
			case ')', '}':
				if depth--; depth == 0 {
					return i + 1, nil
				}
			}
		}
		return 0, errUnclosed
	case nameByte(c) && (c < '0' || c > '9'):
		n := 2
		for n < len(s) && nameByte(s[n]) {
			n++
		}
		return n, nil
	case strings.IndexByte("@*#?$!-0123456789", c) >= 0:
		return 2, nil
	}
	return 0, nil
}

func nameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// escaped reads $'…'.
func (l *lexer) escaped(b *strings.Builder) error {
	simple := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'a': '\a', '\\': '\\', '\'': '\'', '"': '"', '0': 0}
	for i := l.at + 2; i < len(l.s); i++ {
		switch c := l.s[i]; {
		case c == '\'':
			l.at = i + 1
			return nil
		case c == '\\' && i+1 < len(l.s):
			i++
			v, ok := simple[l.s[i]]
			if !ok {
				return fmt.Errorf("\\%c in $'…' is not understood", l.s[i])
			}
			b.WriteByte(v)
		default:
			b.WriteByte(c)
		}
	}
	return errUnclosed
}

// Quote writes a word so that a shell reads it as it is, and its expansions as
// they were.
func Quote(s string) string {
	switch {
	case s == "":
		return "''"
	case strings.ContainsRune(s, opens):
		return expanding(s)
	case strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,@%+=") == "":
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// expanding writes a word between double quotes.
func expanding(s string) string {
	var b strings.Builder
	inside := false
	for _, r := range s {
		switch {
		case r == opens:
			inside = true
		case r == closes:
			inside = false
		case !inside && strings.ContainsRune("\\\"$`", r):
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}
