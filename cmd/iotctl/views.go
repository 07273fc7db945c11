package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fatih/color"

	"github.com/iotctl/iotctl/internal/format"
	"github.com/iotctl/iotctl/internal/jq"
	"github.com/iotctl/iotctl/internal/payload"
)

// A view is a way to show messages that looks into them.
type view interface {
	// append appends what is printed of x, a newline at its end included: nothing
	// where nothing is to be seen. An error concerns x alone, and what dst then
	// holds of it is printed all the same.
	append(dst []byte, x *sight) ([]byte, error)
}

// newView is the view that s asks for, nil if none.
func newView(s *settings, t *terminal) (view, error) {
	tame := t.outTTY && !s.peer
	end := "\n"
	if s.noNewline {
		end = ""
	}
	switch {
	case s.jq != nil:
		return &jqView{query: s.jq, raw: s.rawOutput, spread: s.output == "json", tame: tame, end: end}, nil
	case s.template != nil:
		return &templateView{template: s.template, tame: tame, end: end}, nil
	case s.diff:
		return &diffView{tame: tame, color: t.colorOut}, nil
	case s.output == "csv" || s.output == "tsv":
		return newTableView(s, tame)
	}
	return nil, nil
}

// jqView prints each result of an expression.
type jqView struct {
	query             *jq.Query
	raw, spread, tame bool
	end               string
	buf               []byte
}

func (v *jqView) append(dst []byte, x *sight) ([]byte, error) {
	record := x.record()
	err := v.query.RunText(context.Background(), record, x.line, func(result any) error {
		if s, ok := result.(string); ok && v.raw {
			dst = append(appendShown(dst, s, v.tame), v.end...)
			return nil
		}
		v.buf = payload.AppendJSON(v.buf[:0], result)
		if v.spread {
			var out bytes.Buffer
			_ = json.Indent(&out, v.buf, "", "  ") // valid, so it cannot fail
			v.buf = out.Bytes()
		}
		dst = append(appendShown(dst, v.buf, v.tame), v.end...)
		return nil
	})
	if cap(v.buf) > printBuffer {
		v.buf = nil
	}
	if err != nil {
		err = fmt.Errorf("--jq: %w", err)
	}
	return dst, err
}

// templateView prints by a template. On a terminal what others have written is
// made harmless before the template sees it, whose own colours stay.
type templateView struct {
	template *format.Template
	tame     bool
	end      string
}

func (v *templateView) append(dst []byte, x *sight) ([]byte, error) {
	record := x.record()
	if v.tame {
		record = tamedTree(record)
	}
	dst, err := v.template.Append(dst, record)
	if err != nil {
		return dst, fmt.Errorf("--template: %w", err)
	}
	return append(dst, v.end...), nil
}

// tamedTree is a copy of a tree in which no string moves the cursor.
func tamedTree(v any) any {
	switch v := v.(type) {
	case string:
		return string(appendShown(nil, v, true))
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = tamedTree(e)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, e := range v {
			object[string(appendShown(nil, name, true))] = tamedTree(e)
		}
		return object
	}
	return v
}

// tableView prints a line per message below one that names the columns.
type tableView struct {
	table *format.Table
	tame  bool
	begun bool
	buf   []byte
}

func newTableView(s *settings, tame bool) (view, error) {
	columns, separator := s.columns, byte(',')
	if columns == "" {
		columns = format.DefaultColumns
	}
	if s.output == "tsv" {
		separator = '\t'
	}
	table, err := format.ParseTable(columns, separator)
	return &tableView{table: table, tame: tame}, err
}

func (v *tableView) append(dst []byte, x *sight) ([]byte, error) {
	dst = v.header(dst)
	v.buf = v.table.AppendRow(v.buf[:0], x.record())
	return appendShown(dst, v.buf, v.tame), nil
}

// header appends the first line, once.
func (v *tableView) header(dst []byte) []byte {
	if v.begun {
		return dst
	}
	v.begun = true
	return appendShown(dst, v.table.AppendHeader(nil), v.tame)
}

// diffView prints what has changed since the last message of the topic: all of
// the first one, and of what is no JSON. What is the same is not printed.
type diffView struct {
	last        lastSeen
	tame, color bool
}

func (v *diffView) append(dst []byte, x *sight) ([]byte, error) {
	now := x.readable()
	if x.fits && x.decoded.Problem == "" {
		now = x.decoded.Value
	}
	last, known := v.last.swap(x.m.Topic, now)
	if known && bytes.Equal(last, now) {
		return dst, nil
	}
	if known {
		was, err := jq.Parse(last)
		is, too := jq.Parse(now)
		if err == nil && too == nil {
			return v.appendChanges(dst, x.m.Topic, format.Diff(was, is)), nil
		}
	}
	dst = append(appendShown(dst, x.m.Topic, v.tame), ' ')
	if len(now) == 0 {
		return append(dst, "(null)\n"...), nil
	}
	return append(appendShown(dst, x.readable(), v.tame), '\n'), nil
}

func (v *diffView) appendChanges(dst []byte, topic string, changes []format.Change) []byte {
	if len(changes) == 0 {
		return dst
	}
	dst = append(appendShown(dst, topic, v.tame), '\n')
	for i := range changes {
		line := string(appendShown(nil, changes[i].Append(nil), v.tame))
		kind := map[byte]color.Attribute{'+': color.FgGreen, '-': color.FgRed, '~': color.FgYellow}[changes[i].Kind]
		dst = append(append(append(dst, "  "...), paint(v.color, kind, line)...), '\n')
	}
	return dst
}

// viewProblem is a message that a view cannot show.
type viewProblem struct {
	topic string
	err   error
}

func (p *viewProblem) Error() string {
	return fmt.Sprintf("message on topic %q: %s", p.topic, strings.TrimSpace(p.err.Error()))
}
