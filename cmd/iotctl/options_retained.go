package main

import (
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/router"
)

// retainedSettings are those of get and retained.
type retainedSettings struct {
	all      bool
	yes      bool
	fence    string // a topic that is retained; "" is the default one, fenceNone none
	grace    time.Duration
	graceSet bool
	sortBy   string
}

// What comes behind retained messages; see fence.go.
const (
	defaultFence = "$SYS/broker/version"
	fenceNone    = "none"
	defaultGrace = 300 * time.Millisecond
)

func retainedOptions() []option {
	g := groupRetained
	const reading = progGet | progRetained
	return []option{
		{
			long: "topic", short: "t", progs: progGet, arg: "topic", group: g, help: "the topic, as without -t",
			set: func(s *settings, v string) error { s.topics = append(s.topics, v); return nil },
		},
		{
			long: "all", progs: progGet, group: g, help: "allow wildcards, and print all that fit",
			set: func(s *settings, _ string) error { s.all = true; return nil },
		},
		{
			long: "sort", progs: progRetainedLs, arg: "topic|size|qos|age", group: g, help: "sort by topic, or largest or oldest first (default topic)",
			set: func(s *settings, v string) error {
				if _, ok := retainedOrders[v]; !ok {
					return fmt.Errorf("%q: must be topic, size, qos or age", v)
				}
				s.sortBy = v
				return nil
			},
		},
		{
			long: "output", short: "o", progs: progRetainedLs, arg: "text|jsonl", group: g, help: "a table, or the messages as JSON Lines (default text)",
			set: func(s *settings, v string) error {
				if v != "text" && v != "jsonl" {
					return fmt.Errorf("%q: must be text or jsonl", v)
				}
				s.output = v
				return nil
			},
		},
		{
			long: "yes", short: "y", progs: progRetainedRestore | progRetainedClear, group: g, help: "do it, and not only say what would be done",
			set: func(s *settings, _ string) error { s.yes = true; return nil },
		},
		{
			long: "grace", progs: reading, arg: "time", group: g, help: "how long to wait for messages after the last one, from brokers that do not have the topic of --fence; given, it is waited in any case (default 300ms)",
			set: func(s *settings, v string) (err error) {
				s.grace, err = s.duration(v)
				s.graceSet = true
				return err
			},
		},
		{
			long: "fence", progs: reading, arg: "topic|none", group: g, help: "a topic where surely something is retained: when it arrives, all before it has (default " + defaultFence + ")",
			set: func(s *settings, v string) error {
				s.fence = v
				return router.ValidateName(v)
			},
		},
	}
}
