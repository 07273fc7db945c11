package passwordfile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError tells which line of a file is wrong. It quotes no password and
// no hash.
type SyntaxError struct {
	Path   string
	Line   int // from 1
	Reason error
}

// Error is "path:line: reason".
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Reason) }

// Unwrap gives the reason.
func (e *SyntaxError) Unwrap() error { return e.Reason }

// table is what a file says; immutable but for the cache in its entries.
type table struct {
	users map[string]*entry
	list  []*entry // in the order of the file, to pick from for unknown users
}

// lines splits a file, without line ends. The last line may lack one.
func lines(b []byte) []string {
	s := strings.TrimPrefix(string(b), "\ufeff")
	if s == "" {
		return nil
	}
	all := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], "\r")
	}
	return all
}

// maxProblems bounds how many lines of a file are complained about: a file of
// another kind is wrong in every line.
const maxProblems = 20

// parse returns a *SyntaxError for each line that is wrong, joined.
func parse(path string, b []byte) (*table, error) {
	t := &table{users: make(map[string]*entry)}
	var errs []error
	for i, line := range lines(b) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		user, h, err := parseLine(line)
		if err == nil && t.users[user] != nil {
			err = fmt.Errorf("user %q stands twice", user)
		}
		if err == nil {
			e := &entry{hash: h}
			t.users[user] = e
			t.list = append(t.list, e)
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
	return t, nil
}

func parseLine(line string) (user string, h *hash, err error) {
	if line == "" {
		return "", nil, errors.New("the line is blank")
	}
	user, encoded, found := strings.Cut(line, ":")
	if !found {
		return "", nil, errors.New("no colon after the user name")
	}
	if err := validateUser(user); err != nil {
		return "", nil, err
	}
	if h, err = parseHash(encoded); err != nil {
		return "", nil, fmt.Errorf("user %q: %w", user, err)
	}
	return user, h, nil
}

// validateUser says which user names a file can hold: those that MQTT can
// carry, without what would break a line or a log.
func validateUser(user string) error {
	switch {
	case user == "":
		return errors.New("the user name is empty")
	case len(user) > 65535:
		return errors.New("the user name is longer than 65535 bytes")
	case !utf8.ValidString(user):
		return fmt.Errorf("user %q: not UTF-8", user)
	case strings.Contains(user, ":"):
		return fmt.Errorf("user %q: a colon in the name", user)
	case strings.ContainsFunc(user, unicode.IsControl):
		return fmt.Errorf("user %q: a control character in the name", user)
	case strings.HasPrefix(user, "#"):
		return fmt.Errorf("user %q: the line would be a comment", user)
	}
	return nil
}
