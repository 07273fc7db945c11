package jq

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// A SyntaxError tells what is wrong with an expression, and where.
type SyntaxError struct {
	Source string
	Offset int // in bytes; -1 where nothing tells the place
	Reason string
}

func (e *SyntaxError) Error() string { return e.Reason }

// Excerpt is the line of the expression with a caret under the place, as two
// lines without a newline at their end; "" where nothing tells the place.
func (e *SyntaxError) Excerpt() string {
	if e.Offset < 0 || strings.TrimSpace(e.Source) == "" {
		return ""
	}
	start := strings.LastIndexByte(e.Source[:e.Offset], '\n') + 1
	line, _, _ := strings.Cut(e.Source[start:], "\n")
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, e.Source[start:e.Offset])
	return line + "\n" + indent + "^"
}

func syntaxError(src string, err error) error {
	bad := &SyntaxError{Source: src, Offset: -1, Reason: err.Error()}
	if parse := (*gojq.ParseError)(nil); errors.As(err, &parse) {
		bad.Offset = max(min(parse.Offset, len(src))-len(parse.Token), 0)
		switch bad.Reason {
		case "unexpected EOF":
			bad.Reason = "the expression ends too soon"
		case "unterminated string literal":
			if at := openQuote(src); at >= 0 {
				bad.Offset = at
			}
			bad.Reason = "this string does not end"
		}
		return bad
	}
	what, name, found := strings.Cut(bad.Reason, ": ")
	if name, _, _ = strings.Cut(name, "/"); found {
		bad.Offset = word(src, name)
	}
	switch {
	case what == "function not defined":
		bad.Reason = fmt.Sprintf("no function is called %s", strings.TrimPrefix(bad.Reason, what+": "))
	case what == "variable not defined":
		bad.Reason = fmt.Sprintf("no variable is called %s", name)
	case what == "cannot load module":
		bad.Reason = "there are no modules to import"
	case strings.HasPrefix(bad.Reason, "missing query"):
		bad.Reason = "the expression is empty; . stands for all"
	case strings.HasPrefix(bad.Reason, "input(s)/0"):
		bad.Offset = word(src, "input")
		bad.Reason = "there is no further input"
	}
	return bad
}

// word finds name in src where it stands for itself, -1 if nowhere.
func word(src, name string) int {
	for at := 0; name != ""; {
		i := strings.Index(src[at:], name)
		if i < 0 {
			break
		}
		at += i
		before, _ := utf8.DecodeLastRuneInString(src[:at])
		after, _ := utf8.DecodeRuneInString(src[at+len(name):])
		if !partOfWord(before) && before != '.' && !partOfWord(after) {
			return at
		}
		at += len(name)
	}
	return -1
}

func partOfWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// openQuote finds the quote that nothing closes, taking the strings one after
// another; those within \( ) count as part of the string around them.
func openQuote(src string) int {
	open, depth := -1, 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '#' && open < 0:
			n := strings.IndexByte(src[i:], '\n')
			if n < 0 {
				return -1
			}
			i += n
		case c == '\\' && open >= 0:
			if i++; i < len(src) && src[i] == '(' {
				depth++
			}
		case c == '(' && depth > 0:
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '"' && open < 0:
			open = i
		case c == '"' && depth == 0:
			open = -1
		}
	}
	return open
}
