package main

import (
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// requestSettings are those of request and reply.
type requestSettings struct {
	concurrency int // requests or commands at a time

	responsePrefix string
	replies        int // wanted for each request; 0: all that come
	wait           time.Duration

	command     string
	echo        bool
	errorReply  bool // a command that fails is answered for
	timeLimit   time.Duration
	grace       time.Duration
	maxOutput   int
	maxWaiting  int
	replyTopics string // template; "" = only what requests name
}

const (
	defaultWait      = 5 * time.Second
	defaultTimeLimit = 10 * time.Second
	defaultMaxOutput = 1 << 20
	defaultWaiting   = 1000
)

// trafficDefaults are of request, reply and top.
func (s *settings) trafficDefaults() {
	s.call.concurrency, s.call.replies, s.call.wait = 1, 1, defaultWait
	s.call.timeLimit, s.call.grace, s.call.maxOutput, s.call.maxWaiting = defaultTimeLimit, defaultTimeLimit, defaultMaxOutput, defaultWaiting
	switch s.prog {
	case progReply:
		s.call.concurrency = 4
	case progTop:
		s.qos = 2 // or the broker would make 0 of all
	}
}

func requestOptions() []option {
	const (
		g    = groupMessage
		both = progRequest | progReply
	)
	duration := func(field func(*settings) *time.Duration) func(*settings, string) error {
		return func(s *settings, v string) (err error) { *field(s), err = s.positiveTime(v); return err }
	}
	mode := func(m messageMode) func(*settings, string) error {
		return func(s *settings, v string) error {
			if s.mode != modeNone || s.call.echo || s.call.command != "" {
				return errOneAnswer
			}
			s.mode, s.message, s.file = m, v, v
			return nil
		}
	}
	return []option{
		{
			long: "response-prefix", progs: progRequest, arg: "topic", group: g, help: "answers come to a topic of our own below this (default iotctl/reply)",
			set: func(s *settings, v string) error {
				if !validName(v) {
					return fmt.Errorf("%q is no topic name", v)
				}
				s.call.responsePrefix = v
				return nil
			},
		},
		{
			long: "replies", progs: progRequest, arg: "n", group: groupLimits, help: "replies to wait for, for each request; 0 takes all that come in the time of --wait (default 1)",
			set: func(s *settings, v string) error {
				n, err := s.number(v)
				if err == nil && n < 0 {
					err = fmt.Errorf("%d: must not be below 0", n)
				}
				s.call.replies = n
				return err
			},
		},
		{long: "wait", progs: progRequest, arg: "time", group: groupLimits, help: "how long to wait for the replies to a request (default 5s)", set: duration(func(s *settings) *time.Duration { return &s.call.wait })},
		{
			long: "repeat", progs: progRequest, arg: "n", group: g, help: "send this many requests (default 1)",
			set: func(s *settings, v string) error {
				n, err := s.number(v)
				if err == nil && (n < 1 || n > maxRequests) {
					err = fmt.Errorf("%d: must be 1 to %d", n, maxRequests)
				}
				s.repeat = n
				return err
			},
		},
		{long: "concurrency", progs: progRequest, arg: "n", group: g, help: "requests that wait for replies at a time (default 1)", set: setConcurrency},
		{
			long: "latency", progs: progRequest, group: groupOutput, help: "print how long the replies took, in percentiles, in place of the replies",
			set: func(s *settings, _ string) error { s.latency = true; return nil },
		},

		{
			long: "command", progs: progReply, arg: "command", group: g, help: "what the shell command prints is the reply; it reads the request",
			set: func(s *settings, v string) error {
				if s.mode != modeNone || s.call.echo || s.call.command != "" {
					return errOneAnswer
				}
				if v == "" {
					return fmt.Errorf("the command is empty")
				}
				s.call.command = v
				return nil
			},
		},
		{
			long: "echo", progs: progReply, group: g, help: "the reply is the request's payload",
			set: func(s *settings, _ string) error {
				if s.mode != modeNone || s.call.command != "" {
					return errOneAnswer
				}
				s.call.echo = true
				return nil
			},
		},
		{long: "message", short: "m", progs: progReply, arg: "text", group: g, help: "reply with this text", set: mode(modeMessage)},
		{long: "file", short: "f", progs: progReply, arg: "file", group: g, help: "reply with the content of this file", set: mode(modeFile)},
		{long: "null-message", short: "n", progs: progReply, group: g, help: "reply with an empty message", set: mode(modeNull)},
		{
			long: "response-topic", short: "e", progs: progReply, arg: "template", group: g,
			help: "where to reply to requests that do not say it, as in answers/%2: %t is the request's topic, %1 its first level",
			set:  func(s *settings, v string) error { s.call.replyTopics = v; return checkReplyTopics(v) },
		},
		{
			long: "on-error", progs: progReply, arg: "none|reply", group: g, help: "what a command that fails replies: nothing, or an object with an error (default none)",
			set: func(s *settings, v string) error {
				if v != "none" && v != "reply" {
					return fmt.Errorf("%q: must be none or reply", v)
				}
				s.call.errorReply = v == "reply"
				return nil
			},
		},
		{long: "concurrency", progs: progReply, arg: "n", group: groupLimits, help: "commands at a time (default 4)", set: setConcurrency},
		{long: "max-waiting", progs: progReply, arg: "n", group: groupLimits, help: "requests that may wait for a command; those above it are not answered (default 1000)", set: positive(func(s *settings) *int { return &s.call.maxWaiting })},
		{long: "time-limit", progs: progReply, arg: "time", group: groupLimits, help: "kill a command after this time (default 10s)", set: duration(func(s *settings) *time.Duration { return &s.call.timeLimit })},
		{long: "grace", progs: progReply, arg: "time", group: groupLimits, help: "at the end finish what has begun, for this long (default 10s)", set: duration(func(s *settings) *time.Duration { return &s.call.grace })},
		{
			long: "max-output", progs: progReply, arg: "bytes", group: groupLimits, help: "kill a command that prints more (default 1048576)",
			set: func(s *settings, v string) error {
				n, err := s.number(v)
				if err == nil && (n < 1 || n > mqtt.MaxRemaining) {
					err = fmt.Errorf("%d: must be 1 to %d", n, mqtt.MaxRemaining)
				}
				s.call.maxOutput = n
				return err
			},
		},
		{long: "count", short: "C", progs: progReply, arg: "n", group: groupLimits, help: "end after this many requests", set: setCount},
		{
			long: "verbose", short: "v", progs: progReply, group: groupGeneral, help: "a line on standard error for each request",
			set: func(s *settings, _ string) error { s.verbose = true; return nil },
		},
	}
}

var errOneAnswer = fmt.Errorf("one of --command, --echo, -m, -f and -n, once")

// setConcurrency takes what fits into a window of packet identifiers.
func setConcurrency(s *settings, v string) error {
	n, err := s.number(v)
	if err == nil && (n < 1 || n > 10_000) {
		err = fmt.Errorf("%d: must be 1 to 10000", n)
	}
	s.call.concurrency = n
	return err
}
