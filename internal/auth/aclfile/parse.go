package aclfile

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/router"
)

// SyntaxError tells which line of a file is wrong.
type SyntaxError struct {
	Path   string
	Line   int // from 1
	Reason error
}

// Error is "path:line: reason".
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Reason) }

// Unwrap gives the reason.
func (e *SyntaxError) Unwrap() error { return e.Reason }

// access is what a line says about a filter: a set, since several lines may
// speak of one topic.
type access uint8

const (
	read access = 1 << iota
	write
	deny
)

var words = map[string]access{"read": read, "write": write, "readwrite": read | write, "deny": deny}

// line is a line that gives or denies a right.
type line struct {
	pattern bool
	user    string // "" is anonymous; not for patterns
	access  access
	filter  string
}

// maxProblems bounds how many lines of a file are complained about: a file of
// another kind is wrong in every line.
const maxProblems = 20

// parse returns a *SyntaxError for each line that is wrong, joined.
func parse(path string, b []byte) ([]line, error) {
	var out []line
	var errs []error
	user := ""
	for i, text := range strings.Split(strings.TrimPrefix(string(b), "\ufeff"), "\n") {
		text = strings.Trim(text, " \t\r")
		if text == "" || text[0] == '#' {
			continue
		}
		var err error
		word, rest, _ := strings.Cut(text, " ")
		rest = strings.TrimLeft(rest, " \t")
		switch word {
		case "user":
			user, err = rest, validateUser(rest)
		case "topic", "pattern":
			l := line{pattern: word == "pattern"}
			if !l.pattern {
				l.user = user
			}
			if l.access, l.filter, err = parseRight(rest); err == nil {
				err = validateFilter(l)
			}
			out = append(out, l)
		default:
			err = fmt.Errorf("%.40q is neither topic nor user nor pattern", word)
		}
		if err == nil {
			continue
		}
		if len(errs) == maxProblems {
			errs = append(errs, &SyntaxError{path, i + 1, errors.New("wrong, too, and not read any further")})
			break
		}
		errs = append(errs, &SyntaxError{path, i + 1, err})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// parseRight reads "[access] filter". As for mosquitto, a single word is always
// a filter, and a filter may contain spaces only after the word for access.
func parseRight(s string) (access, string, error) {
	word, filter, two := strings.Cut(s, " ")
	if !two {
		return read | write, word, nil
	}
	a, ok := words[word]
	if !ok {
		return 0, "", fmt.Errorf("%.40q is neither read nor write nor readwrite nor deny", word)
	}
	return a, strings.TrimLeft(filter, " \t"), nil
}

func validateUser(user string) error {
	switch {
	case user == "":
		return errors.New("no name after user")
	case !utf8.ValidString(user) || strings.Contains(user, "\x00"):
		return fmt.Errorf("user %q: not text", user)
	}
	return nil
}

func validateFilter(l line) error {
	if err := router.ValidateFilter(l.filter); err != nil {
		return err
	}
	if !utf8.ValidString(l.filter) {
		return fmt.Errorf("topic filter %q: not UTF-8", l.filter)
	}
	if _, _, shared, _ := router.SplitShared(l.filter); shared {
		return fmt.Errorf("topic filter %q: rights go by the filter behind the share name", l.filter)
	}
	if !l.pattern {
		return nil
	}
	for level := range strings.SplitSeq(l.filter, "/") {
		if level != clientLevel && level != userLevel &&
			(strings.Contains(level, clientLevel) || strings.Contains(level, userLevel)) {
			return fmt.Errorf("topic filter %q: %%c and %%u must be whole levels", l.filter)
		}
	}
	return nil
}
