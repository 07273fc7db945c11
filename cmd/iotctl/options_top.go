package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/traffic"
)

// topSettings are those of tables of topics.
type topSettings struct {
	table     bool // of sub
	sortBy    traffic.Key
	reverse   bool
	search    string
	depth     int
	maxTopics int // 0: as traffic has it
	sys       bool
	once      time.Duration // 0: a screen
	rows      int           // of a plain table; 0: all
}

func topOptions() []option {
	const g = groupOutput
	return []option{
		{
			long: "table", progs: progSub, names: ownName, group: g,
			help: "keep a table of topics up to date, with rate, size, age and last value; without a terminal print it at the end",
			set:  func(s *settings, _ string) error { s.top.table = true; return nil },
		},
		{
			long: "sort", progs: progTop, arg: "key", values: traffic.Keys(), group: g, help: "what comes first: " + strings.Join(traffic.Keys(), ", ") + " (default rate)",
			set: func(s *settings, v string) error {
				k, ok := traffic.ParseKey(v)
				if !ok {
					return fmt.Errorf("%q is none of %s", v, strings.Join(traffic.Keys(), ", "))
				}
				s.top.sortBy = k
				return nil
			},
		},
		{long: "reverse", progs: progTop, group: g, help: "the other way round", set: func(s *settings, _ string) error { s.top.reverse = true; return nil }},
		{long: "search", progs: progTop, arg: "text", group: g, help: "show the topics that contain this, in either case", set: func(s *settings, v string) error { s.top.search = v; return nil }},
		{
			long: "depth", progs: progTop, arg: "n", group: g, help: "put topics of more than this many levels together, as a/b/#",
			set: positive(func(s *settings) *int { return &s.top.depth }),
		},
		{
			long: "max-topics", progs: progTop, arg: "n", group: g, help: "forget those that have been silent for the longest above this many (default 200000)",
			set: positive(func(s *settings) *int { return &s.top.maxTopics }),
		},
		{long: "sys", progs: progTop, group: groupSubscribe, help: "the topics below $SYS, too", set: func(s *settings, _ string) error { s.top.sys = true; return nil }},
		{
			long: "once", progs: progTop, arg: "time", group: g, help: "print one plain table after this time and end; needs no terminal",
			set: func(s *settings, v string) (err error) { s.top.once, err = s.positiveTime(v); return err },
		},
		{
			long: "rows", short: "n", progs: progTop, arg: "n", group: g, help: "with --once, at most this many rows (default all)",
			set: positive(func(s *settings) *int { return &s.top.rows }),
		},
		{
			long: "output", short: "o", progs: progTop, arg: "text|jsonl|json", group: g, help: "with --once, text, or JSON: a line per topic, or one object with the totals (default text)",
			set: setOutput,
		},
	}
}

// setOutput is for commands whose output is text, jsonl and json and no more.
func setOutput(s *settings, v string) error {
	if v != "text" && v != "json" && v != "jsonl" {
		return fmt.Errorf("%q: must be text, jsonl or json", v)
	}
	s.output = v
	return nil
}

// positive sets a field to a number above 0.
func positive(field func(*settings) *int) func(*settings, string) error {
	return func(s *settings, v string) error {
		n, err := s.number(v)
		if err == nil && n < 1 {
			err = fmt.Errorf("%d: must be above 0", n)
		}
		if err == nil {
			*field(s) = n
		}
		return err
	}
}

// positiveTime reads a duration above 0.
func (s *settings) positiveTime(v string) (time.Duration, error) {
	d, err := s.duration(v)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q: must be above 0", v)
	}
	return d, err
}
