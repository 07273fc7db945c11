package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/framing"
	"github.com/iotctl/iotctl/internal/generate"
)

// generateSettings say what pub sends one after the other, and when.
type generateSettings struct {
	framing framing.Framing // of standard input
	framed  bool            // it was chosen
	skipBad bool

	generateText *string // of payloads; nil: none
	rowsFile     string  // file; "" = none
	seed         uint64
	seeded       bool

	rate      float64 // per second; 0 = none
	sendFor   time.Duration
	repeatSet bool
}

func generateOptions() []option {
	g := groupMessage
	const pub = progPub
	framed := func(s *settings, v string) (err error) {
		s.framed = true
		s.framing, err = framing.Parse(v)
		return err
	}
	return []option{
		{
			long: "jsonl", progs: pub, names: ownName, group: g, help: "send what iotctl sub -o jsonl prints: topic, QoS, retain and properties by line of standard input; what a line lacks is that of the command line",
			set: func(s *settings, _ string) error { return s.setMode(modeRecords) },
		},
		{
			long: "skip-bad", progs: pub, names: ownName, group: g, help: "go on behind a line or a row that is wrong; the code is 5 all the same",
			set: func(s *settings, _ string) error { s.skipBad = true; return nil },
		},
		{
			long: "nul", short: "0", progs: pub, names: ownName, group: g, help: "like -l, but messages end with a zero byte, as find -print0 writes them",
			set: func(s *settings, _ string) error { return framed(s, "nul") },
		},
		{
			long: "framing", progs: pub, names: ownName, arg: "how", group: g, help: "like -l, but messages are told apart by this: " + framing.Names + " (lengths before them) or regex:EXPRESSION (what stands between them)",
			set: framed,
		},
		{
			long: "generate", progs: pub | progRequest, names: ownName, arg: "template", group: g, help: `send payloads such as '{"n":{{n}},"t":{{walk 20 0.5}}}', @FILE reads it from a file; -t is a template, too; see iotctl help generators`,
			set: func(s *settings, v string) error { s.generateText = &v; return s.setMode(modeGenerate) },
		},
		{
			long: "rows", progs: pub, names: ownName, arg: "file", group: g, help: "send a message per row of a CSV or JSONL file, - is standard input; {{.column}} in --generate and -t takes from it, without --generate the row is the payload",
			set: func(s *settings, v string) error {
				if s.rowsFile = v; v == "" {
					return errors.New("must be the name of a file")
				}
				return s.setMode(modeGenerate)
			},
		},
		{
			long: "seed", progs: pub | progRequest, names: ownName, arg: "n", group: g, help: "the same number makes the same random values",
			set: func(s *settings, v string) (err error) {
				if s.seed, err = strconv.ParseUint(v, 10, 64); err != nil {
					return fmt.Errorf("%q is not a whole number from 0", v)
				}
				s.seeded = true
				return nil
			},
		},
		{
			long: "rate", progs: pub, names: ownName, arg: "rate", group: g, help: "send by a schedule: 10/s, 0.5/s, 100/min; without --repeat and --for until the input ends or for ever",
			set: func(s *settings, v string) (err error) { s.rate, err = generate.ParseRate(v); return err },
		},
		{
			long: "for", progs: pub, names: ownName, arg: "time", group: groupLimits, help: "stop sending after this time, as in 30s or 5m; without --rate it sends as fast as it can",
			set: func(s *settings, v string) (err error) {
				if s.sendFor, err = s.duration(v); err == nil && s.sendFor <= 0 {
					err = fmt.Errorf("%q: must be above 0", v)
				}
				return err
			},
		},
	}
}

// setMode says where messages come from, of which there is one place.
func (s *settings) setMode(m messageMode) error {
	if s.mode != modeNone && (s.mode != modeGenerate || m != modeGenerate) {
		return complain("Only one type of message can be sent at once.\n")
	}
	s.mode = m
	return nil
}

// streams tells that messages come one after the other, so that pub has reason to
// stay when the connection breaks.
func (s *settings) streams() bool {
	return s.mode == modeLines || s.mode == modeRecords || s.mode == modeGenerate || s.rate > 0 || s.sendFor > 0
}

// reads tells that messages come from standard input, one by one.
func (s *settings) reads() bool { return s.mode == modeLines || s.mode == modeRecords }

// checkSending finds what does not go together.
func (s *settings) checkSending() error {
	if s.framed && s.mode == modeNone {
		s.mode = modeLines
	}
	switch {
	case s.framed && s.mode != modeLines:
		return usagef("--framing and -0 cut standard input into messages, and go with -l only")
	case s.skipBad && s.mode == modeNone:
		return usagef("--skip-bad goes with --jsonl, --rows and -l")
	case s.seeded && s.mode != modeGenerate:
		return usagef("--seed goes with --generate and --rows")
	case (s.rate > 0 || s.sendFor > 0) && s.repeatDelay > 0:
		return usagef("--repeat-delay waits for acknowledgements, which --rate and --for do not: one of them")
	case s.reads() && s.repeatSet && !s.peer:
		return usagef("--repeat: standard input can be read only once")
	}
	return nil
}

// messages is how many of one kind are to be sent, 0 for no bound.
func (s *settings) messages() int {
	if !s.repeatSet && (s.rate > 0 || s.sendFor > 0) {
		return 0
	}
	return s.repeat
}
