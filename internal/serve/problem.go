package serve

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File string // "" when it did not come from a file
	Line int    // 0 when unknown
	Path string // "listeners[0].tls.cert"; "" for the whole
	Err  error
}

// Error is "iotctl.yaml:12: listeners[0].access[1]: …".
func (p *Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	return b.String() + p.Err.Error()
}

// Unwrap gives access to the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Problems is what checking a configuration returns: everything that is wrong
// with it.
type Problems []*Problem

// Error is one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives access to each.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// source remembers where a configuration came from, for later problems.
type source struct {
	file  string
	lines map[string]int // by path
}

// problems collects what is wrong with one configuration.
type problems struct {
	source
	all Problems
}

func (ps *problems) add(path string, err error) {
	for _, err := range parts(err) {
		p := &Problem{Line: ps.line(path), Path: path, Err: err}
		if p.Line > 0 { // otherwise it came from elsewhere
			p.File = ps.file
		}
		ps.all = append(ps.all, p)
	}
}

func (ps *problems) addf(path, format string, args ...any) {
	ps.add(path, fmt.Errorf(format, args...))
}

// addJoined adds what a package's Validate has returned: errors that begin
// with the name of an option below path.
func (ps *problems) addJoined(path string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			ps.addJoined(path, e)
		}
		return
	}
	name, text, ok := strings.Cut(err.Error(), ": ")
	if !ok || !isKey(name) {
		ps.add(path, err)
		return
	}
	ps.add(join(path, name), &renamed{text, err})
}

// parts are the errors that err joins, each behind what err says before them.
func parts(err error) []error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		joined, ok := inner.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		before, last := strings.CutSuffix(err.Error(), inner.Error())
		if plain := errors.Join(joined.Unwrap()...); !last || plain == nil || plain.Error() != inner.Error() {
			break
		}
		var all []error
		for _, e := range joined.Unwrap() {
			for _, part := range parts(e) {
				all = append(all, &renamed{before + part.Error(), part})
			}
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// renamed is an error whose text has lost the name that stands in the path.
type renamed struct {
	text string
	err  error
}

func (r *renamed) Error() string { return r.text }
func (r *renamed) Unwrap() error { return r.err }

func isKey(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_.[]") == ""
}

// line finds the line of path, or of what encloses it.
func (s source) line(path string) int {
	for path != "" {
		if n, ok := s.lines[path]; ok {
			return n
		}
		path = parent(path)
	}
	return 0
}

// join puts a key below a path. A listener that does not come from a file has
// its URL for a path.
func join(path, name string) string {
	switch {
	case path == "" || name == "":
		return path + name
	case strings.Contains(path, "://"):
		return path + ": " + name
	}
	return path + "." + name
}

// err is all of them, in the order of the file.
func (ps *problems) err() error {
	if len(ps.all) == 0 {
		return nil
	}
	slices.SortStableFunc(ps.all, func(a, b *Problem) int { return a.Line - b.Line })
	return ps.all
}

// addOthers adds what a check has found in a configuration that could not be
// read completely, except what may be a consequence of that: values that are
// missing where something could not be read, and listeners without a way to
// log in.
func (ps *problems) addOthers(checked error) {
	var found Problems
	if !errors.As(checked, &found) {
		return
	}
	known := map[string]bool{}
	for _, p := range ps.all {
		known[p.Path], known[parent(p.Path)] = true, true
	}
	for _, p := range found {
		var exposed *ExposedError
		var nobody *NobodyError
		missing := ps.lines[p.Path] == 0 && known[parent(p.Path)]
		if !missing && !known[p.Path] && !errors.As(p, &exposed) && !errors.As(p, &nobody) {
			ps.all = append(ps.all, p)
		}
	}
}

// parent of "listeners[0].access[1]" is "listeners[0].access".
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }
