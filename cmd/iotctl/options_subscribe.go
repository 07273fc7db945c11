package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/iotctl/iotctl/internal/format"
	"github.com/iotctl/iotctl/internal/router"
)

func subscribeOptions() []option {
	g := groupSubscribe
	const receiving = progSub | progRR
	flag := func(field func(*settings) *bool) func(*settings, string) error {
		return func(s *settings, _ string) error { *field(s) = true; return nil }
	}
	return []option{
		{
			long: "topic", short: "t", progs: progFilters, arg: "filter", group: g, help: "subscribe to this topic filter; repeatable",
			lack: "-t argument given but no topic specified.\n",
			set:  func(s *settings, v string) error { return s.addTopic(v, "-t") },
		},
		{
			long: "unsubscribe", short: "U", progs: progSub, arg: "filter", group: g, help: "unsubscribe from this topic filter; repeatable",
			lack: "-U argument given but no unsubscribe topic specified.\n",
			set: func(s *settings, v string) error {
				if err := s.text(v, "-U"); err != nil {
					return err
				}
				if router.ValidateFilter(v) != nil {
					return complain("Invalid unsubscribe topic '%s', are all '+' and '#' wildcards correct?", v)
				}
				s.unsubscribe = append(s.unsubscribe, v)
				return nil
			},
		},
		{
			long: "filter-out", short: "T", progs: progSub | progRecord, arg: "filter", group: g, help: "ignore messages with matching topics; repeatable",
			lack: "-T argument given but no topic filter specified.\n",
			set: func(s *settings, v string) error {
				if err := s.text(v, "-T"); err != nil {
					return err
				}
				if router.ValidateFilter(v) != nil {
					return complain("Invalid filter topic '%s', are all '+' and '#' wildcards correct?", v)
				}
				s.filterOut = append(s.filterOut, v)
				return nil
			},
		},
		{short: "R", long: "no-retained", progs: receiving | progRecord, names: ownName, group: g, help: "ignore retained messages", set: flag(func(s *settings) *bool { return &s.noRetained })},
		{short: "R", progs: receiving, names: peerName, set: flag(func(s *settings) *bool { return &s.noRetained })},
		{
			long: "retained-only", progs: progSub, group: g, help: "show retained messages only, and end at the first other one",
			set: flag(func(s *settings) *bool { return &s.retainedOnly }),
		},
		{
			long: "remove-retained", progs: progSub, group: g, help: "make the broker forget the retained messages that arrive, those of -T excepted",
			set: flag(func(s *settings) *bool { return &s.removeRetained }),
		},
		{
			long: "retain-as-published", progs: progSub, group: g, help: "keep the retain flag of live messages; needs -V 5",
			set: flag(func(s *settings) *bool { return &s.retainAsPublished }),
		},
		{
			long: "retain-handling", progs: progSub, arg: "always|new|never", group: g, help: "when the broker sends retained messages; needs -V 5 (default always)",
			lack: "--retain-handling argument given but no option specified.\n",
			set: func(s *settings, v string) error {
				kind, ok := map[string]uint8{"always": 0, "new": 1, "never": 2}[v]
				if !ok {
					return complain("Unknown value '%s' for --retain-handling.\n", v)
				}
				s.retainHandling = kind
				return nil
			},
		},
		{
			long: "strict", progs: progSub | progRecord, names: ownName, group: g, help: "fail when the broker refuses any of the subscriptions, not only all",
			set: flag(func(s *settings) *bool { return &s.strict }),
		},
		{short: "C", long: "count", progs: progSub | progRecord, names: ownName, arg: "n", group: groupLimits, help: "end after this many messages", set: setCount},
		{short: "C", progs: progSub, names: peerName, arg: "n", lack: "-C argument given but no count specified.\n", set: setCount},
		{short: "E", long: "exit-after-subscribe", progs: progSub, names: ownName, group: groupLimits, help: "end when the broker has answered the subscription", set: flag(func(s *settings) *bool { return &s.exitAfterSub })},
		{short: "E", progs: progSub, names: peerName, set: flag(func(s *settings) *bool { return &s.exitAfterSub })},
		{short: "W", long: "timeout", progs: progAll, names: ownName, arg: "time", group: groupLimits, help: "end with code 27 after this time, as in 3, 0.5 or 500ms", set: (*settings).setTimeout},
		{short: "W", progs: receiving, names: peerName, arg: "seconds", lack: "-W argument given but no timeout specified.\n", set: (*settings).setTimeout},
	}
}

func setCount(s *settings, v string) error {
	n, err := s.number(v)
	if err != nil {
		return err
	}
	if n < 1 {
		return complain("Invalid message count \"%d\".\n", n)
	}
	s.count = n
	return nil
}

func outputOptions() []option {
	g := groupOutput
	const receiving = progSub | progRR | progGet | progRequest
	flag := func(field func(*settings) *bool) func(*settings, string) error {
		return func(s *settings, _ string) error { *field(s) = true; return nil }
	}
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
		{long: "verbose", short: "v", progs: receiving, group: g, help: "print topic and payload", set: flag(func(s *settings) *bool { return &s.verbose })},
		{short: "N", long: "no-newline", progs: receiving, names: ownName, group: g, help: "print no newline after a message", set: flag(func(s *settings) *bool { return &s.noNewline })},
		{short: "N", progs: receiving, names: peerName, set: flag(func(s *settings) *bool { return &s.noNewline })},
		{long: "pretty", progs: receiving, group: g, help: "spread the JSON of %j and %J over lines", set: flag(func(s *settings) *bool { return &s.pretty })},
		{long: "watch", short: "w", progs: progSub, group: g, help: "clear the screen and keep a line per topic up to date", set: flag(func(s *settings) *bool { return &s.watch })},
		{long: "message-rate", progs: progSub, group: g, help: "print messages per second instead of messages", set: flag(func(s *settings) *bool { return &s.messageRate })},
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

func generalOptions() []option {
	flag := func(field func(*settings) *bool) func(*settings, string) error {
		return func(s *settings, _ string) error { *field(s) = true; return nil }
	}
	return []option{
		{long: "debug", short: "d", progs: progAll, group: groupGeneral, help: "show every packet, decoded, on standard error", set: flag(func(s *settings) *bool { return &s.debug })},
		{long: "quiet", progs: progAll, group: groupGeneral, help: "print no errors and no warnings", set: flag(func(s *settings) *bool { return &s.quiet })},
		{long: "no-defaults", progs: progAll, names: ownName, group: groupGeneral, help: "ignore the file of default options", set: flag(func(s *settings) *bool { return &s.noDefaults })},
		{short: "o", progs: progAll, names: peerName, arg: "file", set: func(*settings, string) error { return nil }}, // read before all others
	}
}
