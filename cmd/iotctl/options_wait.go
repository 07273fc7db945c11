package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/jq"
)

// waitSettings say what sub waits for.
type waitSettings struct {
	until, failOn *jq.Query
	expect        int
	within, idle  time.Duration // 0: none
}

func waitOptions() []option {
	g := groupLimits
	query := func(field func(*settings) **jq.Query) func(*settings, string) error {
		return func(s *settings, v string) error {
			q, err := jq.Compile(v)
			switch {
			case err != nil:
				return pointed(err)
			case q.Assigns():
				return fail(exitUsage, errors.New("= assigns, and so this is true of every message"), "== compares")
			}
			*field(s) = q
			return knownMembers(q.Members())
		}
	}
	span := func(field func(*settings) *time.Duration) func(*settings, string) error {
		return func(s *settings, v string) error {
			d, err := s.duration(v)
			if err == nil && d < time.Millisecond {
				err = fmt.Errorf("%q: must be at least 1ms", v)
			}
			*field(s) = d
			return err
		}
	}
	return []option{
		{
			long: "until", progs: progSub, names: ownName, arg: "jq", group: g, help: "end with code 0 at the first message for which this is true, as in '.payload.temp > 30'",
			set: query(func(s *settings) **jq.Query { return &s.until }),
		},
		{
			long: "fail-on", progs: progSub, names: ownName, arg: "jq", group: g, help: "end with code 13 at the first message for which this is true",
			set: query(func(s *settings) **jq.Query { return &s.failOn }),
		},
		{
			long: "expect", progs: progSub, names: ownName, arg: "n", group: g, help: "end with code 0 when this many messages have come, and with 27 if the run ends before",
			set: func(s *settings, v string) error {
				n, err := s.number(v)
				if err == nil && n < 1 {
					err = fmt.Errorf("%q: must be at least 1", v)
				}
				s.expect = n
				return err
			},
		},
		{
			long: "within", progs: progSub, names: ownName, arg: "time", group: g, help: "the time that --until and --expect have, and --fail-on watches, from the answer to the subscription on",
			set: span(func(s *settings) *time.Duration { return &s.within }),
		},
		{
			long: "idle", progs: progSub, names: ownName, arg: "time", group: g, help: "end with code 0 when no message has come for this time, as in 2 or 500ms",
			set: span(func(s *settings) *time.Duration { return &s.idle }),
		},
	}
}

// waits tells that one of the options is there.
func (w *waitSettings) waits() bool {
	return w.until != nil || w.failOn != nil || w.expect > 0 || w.idle > 0
}

// checkWait finds what is wrong with the options together.
func (s *settings) checkWait() error {
	switch {
	case s.within > 0 && s.until == nil && s.failOn == nil && s.expect == 0:
		return fail(exitUsage, errors.New("--within is the time for something, and nothing is waited for"), "add --expect N, --until EXPR or --fail-on EXPR; -W ends after a time in any case")
	case s.waits() && s.exitAfterSub:
		return usagef("-E ends before any message comes; --until, --fail-on, --expect and --idle wait for some")
	}
	return nil
}

// pointed says what is wrong with an expression, with a caret below the place.
func pointed(err error) error {
	bad := (*jq.SyntaxError)(nil)
	if !errors.As(err, &bad) || bad.Excerpt() == "" {
		return err
	}
	return fmt.Errorf("%w\n%s", err, insetLines(bad.Excerpt()))
}
