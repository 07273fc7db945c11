package fault

import (
	"strings"
	"unicode/utf8"
)

// word is one word of a rule. Quotes belong to it.
type word struct {
	text   string
	column int // in characters, from 1
}

// splitWords splits at blanks that are not within quotes. Quotes begin a word or a
// value; a backslash within " takes what follows as it is.
func splitWords(s string) ([]word, *Mistake) {
	var words []word
	var quote rune
	start, column, begun := -1, 0, 0
	quoted, escaped := 0, false
	for i, r := range s {
		column++
		switch {
		case escaped:
			escaped = false
			continue
		case quote != 0:
			if r == '\\' && quote == '"' {
				escaped = true
			} else if r == quote {
				quote = 0
			}
			continue
		}
		if r == ' ' || r == '\t' || r == '\n' || r == '\r' {
			if start >= 0 {
				words = append(words, word{s[start:i], begun})
				start = -1
			}
			continue
		}
		if start < 0 {
			start, begun = i, column
		}
		if (r == '"' || r == '\'') && (start == i || strings.IndexByte("=~<>(:", s[i-1]) >= 0) {
			quote, quoted = r, column
		}
	}
	if quote != 0 {
		return nil, mistakef(quoted, "", "the quotation has no end")
	}
	if start >= 0 {
		words = append(words, word{s[start:], begun})
	}
	return words, nil
}

// pair splits name=value. The value is without its quotes; column is where it
// begins.
func (w word) pair() (name, value string, column int, ok bool) {
	name, value, ok = strings.Cut(w.text, "=")
	return name, unquote(value), w.column + utf8.RuneCountInString(name) + 1, ok
}

// unquote takes off the quotes, and the backslashes within.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' && s[0] != '\'' || s[len(s)-1] != s[0] {
		return s
	}
	quote := s[0]
	s = s[1 : len(s)-1]
	if quote == '\'' || !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// endOf is the column behind the last word.
func endOf(words []word, otherwise int) int {
	if len(words) == 0 {
		return otherwise
	}
	last := words[len(words)-1]
	return last.column + utf8.RuneCountInString(last.text)
}
