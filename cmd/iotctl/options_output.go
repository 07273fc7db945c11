package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/format"
	"github.com/iotctl/iotctl/internal/jq"
)

// outputSettings choose how messages are printed, as mosquitto's programs do.
type outputSettings struct {
	output      string // text, json, jsonl
	format      string
	verbose     bool
	noNewline   bool
	pretty      bool
	watch       bool
	messageRate bool
}

func outputOptions() []option {
	g := groupOutput
	const receiving = progSub | progRR | progGet | progRequest
	return []option{
		{
			long: "output", short: "o", progs: receiving, names: ownName, arg: "text|jsonl|json|csv|tsv", group: g, help: "text, JSON with one message in a line or spread over lines, or a table with commas or tabs (default text)",
			set: func(s *settings, v string) error {
				if !slices.Contains([]string{"text", "jsonl", "json", "csv", "tsv"}, v) {
					return fmt.Errorf("%q: must be text, jsonl, json, csv or tsv", v)
				}
				s.output = v
				return nil
			},
		},
		{short: "F", long: "format", progs: receiving, names: ownName, arg: "format", group: g, help: "how to print a message, as in '%t %p'; see iotctl help formats", set: setFormat},
		{short: "F", progs: receiving, names: peerName, arg: "format", lack: "-F argument given but no format specified.\n", set: setFormat},
		{long: "verbose", short: "v", progs: receiving, group: g, help: "print topic and payload", set: turnOn(func(s *settings) *bool { return &s.verbose })},
		{short: "N", long: "no-newline", progs: receiving, names: ownName, group: g, help: "print no newline after a message", set: turnOn(func(s *settings) *bool { return &s.noNewline })},
		{short: "N", progs: receiving, names: peerName, set: turnOn(func(s *settings) *bool { return &s.noNewline })},
		{long: "pretty", progs: receiving, group: g, help: "spread the JSON of %j and %J over lines", set: turnOn(func(s *settings) *bool { return &s.pretty })},
		{long: "watch", short: "w", progs: progSub, group: g, help: "clear the screen and keep a line per topic up to date", set: turnOn(func(s *settings) *bool { return &s.watch })},
		{long: "message-rate", progs: progSub, group: g, help: "print messages per second instead of messages", set: turnOn(func(s *settings) *bool { return &s.messageRate })},
		{
			long: "random-filter", progs: progSub, arg: "percent", group: g, help: "print only this share of the messages, 0.1 to 100",
			lack: "--random-filter argument given but no chance specified.\n",
			set: func(s *settings, v string) error {
				f, err := strconv.ParseFloat(v, 64)
				if err != nil && s.peer {
					f = float64(atoi(v))
				}
				greatest := 100.0
				if s.peer {
					greatest = 1000 // mosquitto_sub does not mind
				}
				s.randomFilter = int(f * 10)
				if !(f >= 0.1 && f <= greatest) {
					return complain("--random-filter chance must be between 0.1-100.0\n")
				}
				return nil
			},
		},
	}
}

// setFormat refuses a bad format before anything connects.
func setFormat(s *settings, v string) error {
	if _, err := format.Parse(v, s.formatOptions()); err != nil {
		return complain("%s", err)
	}
	s.format = v
	return nil
}

func (s *settings) formatOptions() format.Options {
	o := format.Options{Exact: s.peer, Pretty: s.pretty}
	if s.peer20 {
		o.Dialect = format.V20
	}
	return o
}

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
	return []option{
		{
			long: "jq", progs: receiving, names: ownName, arg: "expr", group: g, help: "print what this expression makes of the object of -o jsonl, as in .payload.temp; see iotctl help formats",
			set: func(s *settings, v string) error {
				q, err := jq.Compile(v)
				if err != nil {
					return pointed(err)
				}
				s.jq = q
				return knownMembers(q.Members())
			},
		},
		{long: "raw-output", progs: receiving, names: ownName, group: g, help: "print strings that --jq gives without quotes", set: turnOn(func(s *settings) *bool { return &s.rawOutput })},
		{
			long: "template", progs: receiving, names: ownName, arg: "template", group: g, help: "print the object of -o jsonl by a Go template, as in '{{.topic}} {{.payload.temp}}'; see iotctl help formats",
			set: func(s *settings, v string) error {
				t, err := format.ParseTemplate(v)
				if err != nil {
					return fail(exitUsage, err, "iotctl help formats")
				}
				s.template = t
				return knownMembers(t.Members())
			},
		},
		{
			long: "columns", progs: receiving, names: ownName, arg: "paths", group: g, help: "the columns of -o csv and tsv, as in time,topic[1],t=payload.temp (default " + format.DefaultColumns + ")",
			set: func(s *settings, v string) error {
				s.columns = v
				t, err := format.ParseTable(v, ',')
				if bad := (*format.SyntaxError)(nil); errors.As(err, &bad) {
					return fmt.Errorf("%w\n%s", err, insetLines(caret(v, bad.Offset)))
				}
				if err != nil {
					return err
				}
				return knownMembers(t.Members())
			},
		},
		{long: "changes", progs: progSub, names: ownName, group: g, help: "show a message only if its payload is not the last one of its topic", set: turnOn(func(s *settings) *bool { return &s.changes })},
		{long: "diff", progs: progSub, names: ownName, group: g, help: "show what has changed in the JSON of a topic: members added, removed, changed", set: turnOn(func(s *settings) *bool { return &s.diff })},
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
