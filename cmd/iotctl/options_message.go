package main

import (
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/router"
)

// messageMode is where the payload comes from.
type messageMode uint8

const (
	modeNone messageMode = iota
	modeMessage
	modeFile
	modeStdin
	modeLines
	modeNull
	modeRecords
	modeGenerate
)

// messageSettings are of what is published, by pub, rr, request and reply.
type messageSettings struct {
	topics        []string // of pub and rr the last one counts
	qos           int
	mode          messageMode
	message       string
	file          string
	retain        bool
	repeat        int
	repeatDelay   time.Duration
	maxLine       int // 0: the default
	stats         bool
	responseTopic string
	latency       bool
}

const (
	defaultMaxLine   = 1_000_000
	defaultMaxRecord = 64 << 20
)

func messageOptions() []option {
	g := groupMessage
	const sending = progPub | progRR | progRequest
	mode := func(m messageMode) func(*settings, string) error {
		return func(s *settings, v string) error {
			switch m {
			case modeMessage:
				s.message = v
			case modeFile:
				s.file = v
			}
			return s.setMode(m)
		}
	}
	return []option{
		{
			long: "topic", short: "t", progs: sending, arg: "topic", group: g, help: "publish to this topic",
			lack: "-t argument given but no topic specified.\n",
			set:  func(s *settings, v string) error { return s.addTopic(v, "-t") },
		},
		{
			long: "message", short: "m", progs: sending, arg: "text", group: g, help: "send this text",
			lack: "-m argument given but no message specified.\n", set: mode(modeMessage),
		},
		{
			long: "file", short: "f", progs: sending, arg: "file", group: g, help: "send the content of this file",
			lack: "-f argument given but no file specified.\n", set: mode(modeFile),
		},
		{long: "stdin-file", short: "s", progs: sending, group: g, help: "send standard input as one message", set: mode(modeStdin)},
		{long: "stdin-line", short: "l", progs: progRR, names: peerName, set: mode(modeLines)},
		{long: "stdin-line", short: "l", progs: progPub, group: g, help: "send each line of standard input as a message", set: mode(modeLines)},
		{long: "null-message", short: "n", progs: sending, group: g, help: "send an empty message", set: mode(modeNull)},
		{
			long: "qos", short: "q", progs: progPub, arg: "qos", group: g, help: "QoS: 0, 1 or 2 (default 0); of mqttsn:// also -1, without a connection",
			lack: "-q argument given but no QoS specified.\n", set: setMessageQoS,
		},
		{
			long: "qos", short: "q", progs: progTalk &^ progExact &^ progPub, arg: "qos", group: g, help: "QoS: 0, 1 or 2 (default 0)",
			lack: "-q argument given but no QoS specified.\n", set: setMessageQoS,
		},
		{
			long: "retain", short: "r", progs: progPub, group: g, help: "the broker keeps the message for later subscribers",
			set: func(s *settings, _ string) error { s.retain = true; return nil },
		},
		{short: "e", long: "response-topic", progs: progRR | progRequest, names: ownName, arg: "topic", group: g, help: "wait for the answer on this topic", set: setResponseTopic},
		{short: "e", progs: progRR, names: peerName, arg: "topic", lack: "-e argument given but no response topic specified.\n", set: setResponseTopic},
		{
			long: "repeat", progs: progPub, arg: "n", group: g, help: "send the message this often (default 1)",
			lack: "--repeat argument given but no count specified.\n",
			set: func(s *settings, v string) error {
				n, err := s.number(v)
				if err != nil {
					return err
				}
				if n < 1 || n > math.MaxInt32 {
					return complain("--repeat argument must be >0.\n")
				}
				s.repeat, s.repeatSet = n, true
				return nil
			},
		},
		{
			long: "repeat-delay", progs: progPub, arg: "seconds", group: g, help: "wait between repetitions, counted from the acknowledgement",
			lack: "--repeat-delay argument given but no time specified.\n",
			set: func(s *settings, v string) (err error) {
				if f, bad := strconv.ParseFloat(v, 64); bad != nil && s.peer {
					s.repeatDelay = time.Duration(float64(atoi(v)) * float64(time.Second))
				} else if bad == nil && (math.IsNaN(f) || f > 1e9) {
					err = fmt.Errorf("%q is too long", v)
				} else {
					s.repeatDelay, err = s.duration(v)
				}
				if err == nil && s.repeatDelay < 0 {
					err = complain("--repeat-delay argument must be >=0.0.\n")
				}
				return err
			},
		},
		{
			long: "max-line", progs: progPub, names: ownName, arg: "bytes", group: g, help: "refuse longer lines, rows and messages of standard input (default 1000000; of --jsonl, whose lines hold payloads of any size, 67108864)",
			set: setMaxLine,
		},
		{
			long: "stats", progs: progPub, names: ownName, group: g, help: "report at the end how many messages were acknowledged",
			set: func(s *settings, _ string) error { s.stats = true; return nil },
		},
		{
			long: "latency", progs: progRR, group: g, help: "print how long the answer took",
			set: func(s *settings, _ string) error { s.latency, s.nodelay = true, true; return nil },
		},
	}
}

func setResponseTopic(s *settings, v string) error {
	if err := s.text(v, "-e"); err != nil {
		return err
	}
	if !validName(v) {
		return complain("Invalid response topic '%s', does it contain '+' or '#'?", v)
	}
	s.responseTopic = v
	return nil
}

func setMessageQoS(s *settings, v string) error {
	n, err := s.number(v)
	if err != nil {
		return err
	}
	if n > 2 || n < 0 && (n != -1 || s.peer) {
		return complain("Invalid QoS given: %d", n)
	}
	s.qos = n
	return nil
}

// addTopic checks a topic of -t or -L by what the program does with it.
func (s *settings) addTopic(v, from string) error {
	if err := s.text(v, from); err != nil {
		return err
	}
	if s.prog&progFilters != 0 {
		if router.ValidateFilter(v) != nil {
			return s.hinted(complain("Invalid subscription topic '%s', are all '+' and '#' wildcards correct?", v), "+ stands for a whole level, # for all levels at the end, as in 'a/+/b/#'")
		}
	} else if !validName(v) {
		return complain("Invalid publish topic '%s', does it contain '+' or '#'?", v)
	}
	s.topics = append(s.topics, v)
	return nil
}

// text checks that an argument can be an MQTT string.
func (s *settings) text(v, from string) error {
	if !utf8.ValidString(v) {
		return complain("Malformed UTF-8 in %s argument.\n", from)
	}
	return nil
}

func validName(topic string) bool { return router.ValidateName(topic) == nil }

func setMaxLine(s *settings, v string) error {
	n, err := s.number(v)
	if err != nil || n < 1 {
		return fmt.Errorf("%q: must be a number above 0", v)
	}
	s.maxLine = n
	return nil
}
