package main

import (
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/router"
)

// subscribeSettings say what sub asks for, what of it counts, and when it ends.
type subscribeSettings struct {
	unsubscribe       []string
	filterOut         []string
	count             int
	timeout           time.Duration
	exitAfterSub      bool
	noRetained        bool
	retainedOnly      bool
	removeRetained    bool
	retainAsPublished bool
	retainHandling    uint8
	strict            bool
	randomFilter      int // tenths of a percent
}

func subscribeOptions() []option {
	g := groupSubscribe
	const receiving = progSub | progRR
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
		{short: "R", long: "no-retained", progs: receiving | progRecord, names: ownName, group: g, help: "ignore retained messages", set: turnOn(func(s *settings) *bool { return &s.noRetained })},
		{short: "R", progs: receiving, names: peerName, set: turnOn(func(s *settings) *bool { return &s.noRetained })},
		{
			long: "retained-only", progs: progSub, group: g, help: "show retained messages only, and end at the first other one",
			set: turnOn(func(s *settings) *bool { return &s.retainedOnly }),
		},
		{
			long: "remove-retained", progs: progSub, group: g, help: "make the broker forget the retained messages that arrive, those of -T excepted",
			set: turnOn(func(s *settings) *bool { return &s.removeRetained }),
		},
		{
			long: "retain-as-published", progs: progSub, group: g, help: "keep the retain flag of live messages; needs -V 5",
			set: turnOn(func(s *settings) *bool { return &s.retainAsPublished }),
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
			set: turnOn(func(s *settings) *bool { return &s.strict }),
		},
		{short: "C", long: "count", progs: progSub | progRecord, names: ownName, arg: "n", group: groupLimits, help: "end after this many messages", set: setCount},
		{short: "C", progs: progSub, names: peerName, arg: "n", lack: "-C argument given but no count specified.\n", set: setCount},
		{short: "E", long: "exit-after-subscribe", progs: progSub, names: ownName, group: groupLimits, help: "end when the broker has answered the subscription", set: turnOn(func(s *settings) *bool { return &s.exitAfterSub })},
		{short: "E", progs: progSub, names: peerName, set: turnOn(func(s *settings) *bool { return &s.exitAfterSub })},
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

// setTimeout is -W under both names.
func (s *settings) setTimeout(v string) error {
	d, err := s.duration(v)
	if err != nil {
		return err
	}
	if s.peer {
		d = time.Duration(atoi(v)) * time.Second
	}
	if d <= 0 {
		if s.peer {
			return complain("Invalid timeout \"%d\".\n", atoi(v))
		}
		return fmt.Errorf("%q: must be above 0", v)
	}
	s.timeout = d
	return nil
}
