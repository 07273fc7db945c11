package format

import (
	"bytes"
	"strings"
)

// Table shows records as lines of cells between commas, which are quoted as
// RFC 4180 has it, or between tabs, where a backslash stands before t, n, r and
// itself. Lines end in a newline.
type Table struct {
	separator byte
	names     []string
	paths     []path
	cell      []byte
}

// DefaultColumns are shown when nobody has chosen others.
const DefaultColumns = "time,topic,qos,retain,payload"

// ParseTable reads the columns of a table, paths between commas, before each of
// which a name and an equals sign may stand: topic[1],t=payload.temp. separator is
// a comma or a tab. The error is a *SyntaxError.
func ParseTable(columns string, separator byte) (*Table, error) {
	t := &Table{separator: separator}
	for start := 0; start <= len(columns); {
		end := start + columnEnd(columns[start:])
		column := columns[start:end]
		at := start + len(column) - len(strings.TrimLeft(column, " "))
		column = strings.TrimSpace(column)
		name, spec := column, column
		if i := strings.IndexByte(column, '='); i > 0 && !strings.Contains(column[:i], `"`) {
			name, spec = strings.TrimSpace(column[:i]), strings.TrimLeft(column[i+1:], " ")
			at += len(column) - len(spec)
		}
		p, bad := parsePath(spec)
		if bad != nil {
			return nil, &SyntaxError{at + bad.Offset, bad.Reason}
		}
		t.names, t.paths = append(t.names, name), append(t.paths, p)
		start = end + 1
	}
	return t, nil
}

// Members are those of the record that the columns begin with.
func (t *Table) Members() []string {
	var names []string
	for _, p := range t.paths {
		if len(p) > 0 && !p[0].indexed {
			names = append(names, p[0].name)
		}
	}
	return names
}

// columnEnd is where the comma is that ends the first column of s; those within
// quotes do not.
func columnEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			quoted = !quoted
		case '\\':
			if quoted {
				i++
			}
		case ',':
			if !quoted {
				return i
			}
		}
	}
	return len(s)
}

// AppendHeader appends the line with the names of the columns.
func (t *Table) AppendHeader(dst []byte) []byte {
	for i, name := range t.names {
		dst = t.append(dst, i, []byte(name))
	}
	return append(dst, '\n')
}

// AppendRow appends the line of one record.
func (t *Table) AppendRow(dst []byte, record any) []byte {
	for i, p := range t.paths {
		t.cell = appendCell(t.cell[:0], p.find(record))
		dst = t.append(dst, i, t.cell)
	}
	return append(dst, '\n')
}

func (t *Table) append(dst []byte, column int, cell []byte) []byte {
	if column > 0 {
		dst = append(dst, t.separator)
	}
	switch {
	case t.separator == '\t':
		return appendTabbed(dst, cell)
	case len(cell) == 0 && len(t.paths) == 1: // an empty line would be no row
	case !bytes.ContainsAny(cell, ",\"\r\n"):
		return append(dst, cell...)
	}
	dst = append(dst, '"')
	for _, c := range cell {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

func appendTabbed(dst, cell []byte) []byte {
	for _, c := range cell {
		switch c {
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\\':
			dst = append(dst, `\\`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
