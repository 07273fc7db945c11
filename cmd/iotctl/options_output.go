package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/format"
	"github.com/iotctl/iotctl/internal/jq"
)

// showSettings choose how messages are shown, beyond what mosquitto's programs do.
type showSettings struct {
	jq        *jq.Query
	rawOutput bool
	template  *format.Template
	columns   string
	changes   bool
	diff      bool
}

func showOptions() []option {
	g := groupOutput
	const receiving = progSub | progRR | progGet | progRequest
	flag := func(field func(*settings) *bool) func(*settings, string) error {
		return func(s *settings, _ string) error { *field(s) = true; return nil }
	}
	return []option{
		{
			long: "jq", progs: receiving, names: ownName, arg: "expr", group: g, help: "print what this expression makes of the object of -o jsonl, as in .payload.temp; see iotctl help formats",
			set: func(s *settings, v string) error {
				q, err := jq.Compile(v)
				s.jq = q
				return pointed(err)
			},
		},
		{long: "raw-output", progs: receiving, names: ownName, group: g, help: "print strings that --jq gives without quotes", set: flag(func(s *settings) *bool { return &s.rawOutput })},
		{
			long: "template", progs: receiving, names: ownName, arg: "template", group: g, help: "print the object of -o jsonl by a Go template, as in '{{.topic}} {{.payload.temp}}'; see iotctl help formats",
			set: func(s *settings, v string) error {
				t, err := format.ParseTemplate(v)
				s.template = t
				return err
			},
		},
		{
			long: "columns", progs: receiving, names: ownName, arg: "paths", group: g, help: "the columns of -o csv and tsv, as in time,topic[1],t=payload.temp (default " + format.DefaultColumns + ")",
			set: func(s *settings, v string) error {
				s.columns = v
				_, err := format.ParseTable(v, ',')
				if bad := (*format.SyntaxError)(nil); errors.As(err, &bad) {
					return fmt.Errorf("%w\n%s", err, insetLines(caret(v, bad.Offset)))
				}
				return err
			},
		},
		{long: "changes", progs: progSub, names: ownName, group: g, help: "show a message only if its payload is not the last one of its topic", set: flag(func(s *settings) *bool { return &s.changes })},
		{long: "diff", progs: progSub, names: ownName, group: g, help: "show what has changed in the JSON of a topic: members added, removed, changed", set: flag(func(s *settings) *bool { return &s.diff })},
	}
}

// checkShow finds what is wrong with the options together.
func (s *settings) checkShow() error {
	var ways []string
	for _, w := range []struct {
		chosen bool
		name   string
	}{
		{s.output == "csv" || s.output == "tsv", "-o " + s.output},
		{s.format != "", "-F"},
		{s.jq != nil, "--jq"},
		{s.template != nil, "--template"},
		{s.diff, "--diff"},
		{s.watch && (s.jq != nil || s.diff || s.output == "csv" || s.output == "tsv"), "--watch"},
		{(s.template != nil || s.diff) && (s.output == "json" || s.output == "jsonl"), "-o " + s.output},
	} {
		if w.chosen {
			ways = append(ways, w.name)
		}
	}
	switch {
	case len(ways) > 1:
		return usagef("%s and %s exclude each other", ways[0], ways[1])
	case s.columns != "" && s.output != "csv" && s.output != "tsv":
		return fail(exitUsage, errors.New("--columns are those of a table"), "add -o csv or -o tsv")
	case s.rawOutput && s.jq == nil:
		return fail(exitUsage, errors.New("--raw-output is about the strings that --jq gives"), "add --jq EXPR")
	}
	return nil
}

// caret is a line with a caret below one of its bytes.
func caret(line string, at int) string { return line + "\n" + strings.Repeat(" ", at) + "^" }

// insetLines puts two blanks before each line.
func insetLines(lines string) string { return "  " + strings.ReplaceAll(lines, "\n", "\n  ") }
