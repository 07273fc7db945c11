package generate

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Rows are the lines of a table: CSV with the names of the columns in its first
// line, separated by comma, semicolon or tab, or one JSON object per line. What
// begins with { is JSON.
type Rows struct {
	in    *limited
	lines *bufio.Reader
	csv   *csv.Reader // nil: JSON
	names []string    // of the columns of CSV
	n     int

	ahead    *row // what more has read
	aheadErr error
}

// NewRows reads the names of the columns, if there are any. A row has at most
// limit bytes.
func NewRows(in io.Reader, limit int) (*Rows, error) {
	r := &Rows{in: &limited{in: in, limit: limit}}
	r.in.reset()
	r.lines = bufio.NewReader(r.in)
	if mark, _ := r.lines.Peek(3); string(mark) == "\uFEFF" {
		_, _ = r.lines.Discard(3)
	}
	if _, err := r.lines.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head, err := r.lines.Peek(r.lines.Buffered())
	if err != nil {
		return nil, err
	}
	if first := bytes.TrimLeft(head, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		return r, nil
	}
	r.csv = csv.NewReader(r.lines)
	r.csv.Comma = separator(head)
	if r.names, err = r.csv.Read(); errors.Is(err, io.EOF) {
		return nil, errors.New("no line with the names of the columns")
	} else if err != nil {
		return nil, err
	}
	for i, name := range r.names {
		if slices.Contains(r.names[:i], name) {
			return nil, fmt.Errorf("two columns have the name %q", name)
		}
	}
	return r, nil
}

// separator is the most frequent in the first line.
func separator(head []byte) rune {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best, most := ',', 0
	for _, c := range ",;\t" {
		if n := bytes.Count(line, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

// Check finds columns that a template names and CSV has not.
func (r *Rows) Check(t *Template) error {
	if r.csv == nil {
		return nil
	}
	for _, p := range t.parts {
		if name := strings.Join(p.path, "."); p.path != nil && !slices.Contains(r.names, name) {
			return &SyntaxError{Offset: p.offset, Reason: fmt.Sprintf("there is no column %q; these are: %s", name, strings.Join(r.names, ", "))}
		}
	}
	return nil
}

// row is one of them: the cells of CSV, or the members of an object.
type row struct {
	n     int
	names []string
	cells []string
	json  []byte // nil: CSV
}

// more reads ahead to see whether another row follows.
func (r *Rows) more() bool {
	if r.ahead == nil && r.aheadErr == nil {
		r.ahead, r.aheadErr = r.read()
	}
	return !errors.Is(r.aheadErr, io.EOF)
}

// next is the next row; io.EOF behind the last.
func (r *Rows) next() (*row, error) {
	if r.ahead == nil && r.aheadErr == nil {
		return r.read()
	}
	ahead, err := r.ahead, r.aheadErr
	r.ahead, r.aheadErr = nil, nil
	return ahead, err
}

func (r *Rows) read() (*row, error) {
	r.n++
	r.in.reset()
	if r.csv != nil {
		cells, err := r.csv.Read()
		if err != nil {
			return nil, r.told(err)
		}
		return &row{n: r.n, names: r.names, cells: cells}, nil
	}
	for {
		line, err := r.lines.ReadBytes('\n')
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			return nil, r.told(err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if line[0] != '{' || !json.Valid(line) {
			return nil, &RowError{r.n, "is not a JSON object"}
		}
		var b bytes.Buffer
		_ = json.Compact(&b, line) // valid, so it cannot fail
		return &row{n: r.n, json: b.Bytes()}, nil
	}
}

func (r *Rows) told(err error) error {
	if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
		return &RowError{r.n, fmt.Sprintf("line %d, byte %d: %v", parse.Line, parse.Column, parse.Err)}
	}
	if errors.Is(err, errLong) {
		return &RowError{r.n, fmt.Sprintf("longer than %d bytes", r.in.limit)}
	}
	return err
}

// find follows names into the row; plain tells that it is a value of JSON.
func (r *row) find(path []string) (b []byte, plain bool, err error) {
	if r.json == nil {
		name := strings.Join(path, ".")
		if i := slices.Index(r.names, name); i >= 0 {
			return []byte(r.cells[i]), isNumber([]byte(r.cells[i])), nil
		}
		return nil, false, &RowError{r.n, fmt.Sprintf("there is no column %q", name)}
	}
	b = r.json
	for i, name := range path {
		var members map[string]json.RawMessage
		if json.Unmarshal(b, &members) != nil || members[name] == nil {
			return nil, false, &RowError{r.n, fmt.Sprintf("there is no member %q", strings.Join(path[:i+1], "."))}
		}
		b = members[name]
	}
	if b[0] != '"' {
		return b, true, nil
	}
	var text string
	_ = json.Unmarshal(b, &text) // valid, so it cannot fail
	return []byte(text), false, nil
}

func field(path []string) maker {
	return func(dst []byte, c *state) ([]byte, bool, error) {
		b, plain, err := c.row.find(path)
		return append(dst, b...), plain, err
	}
}

// wholeRow writes the row as a JSON object; cells that are numbers are numbers.
func wholeRow(dst []byte, c *state) ([]byte, bool, error) {
	switch {
	case c.row.json != nil:
		return append(dst, c.row.json...), true, nil
	}
	dst = append(dst, '{')
	for i, name := range c.row.names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, jsonOf([]byte(name))...), ':')
		if cell := []byte(c.row.cells[i]); isNumber(cell) {
			dst = append(dst, cell...)
		} else {
			dst = append(dst, jsonOf(cell)...)
		}
	}
	return append(dst, '}'), true, nil
}

var errLong = errors.New("too long")

// limited ends a row that is too long.
type limited struct {
	in          io.Reader
	limit, left int
}

// reset begins a row; what is read ahead of it does not count.
func (l *limited) reset() { l.left = l.limit + 8192 }

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLong
	}
	n, err := l.in.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}
