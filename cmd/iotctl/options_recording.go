package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/recording"
	"github.com/iotctl/iotctl/internal/router"
)

// recordSettings are those of record.
type recordSettings struct {
	out        string // file; "-" is standard output
	outFormat  string // "jsonl", "pcapng"; "" by the name
	appendTo   bool
	overwrite  bool
	maxBytes   int64
	recordTime time.Duration
}

// replaySettings are those of replay.
type replaySettings struct {
	clock      recording.Clock
	loops      int // below 0: for ever
	rewrites   []recording.Rewrite
	choice     recording.Choice
	directions recording.Directions
	keepQoS    bool // as recorded
	keepRetain bool
	dryRun     bool
	captureTLS string // secrets of a capture
}

func recordOptions() []option {
	g := groupRecording
	const writing = progRecord | progRetainedDump
	return []option{
		{
			long: "write", short: "w", progs: writing, arg: "file", group: g, help: "write to this file; - is standard output",
			set: func(s *settings, v string) error { s.out = v; return nil },
		},
		{
			long: "format", progs: progRecord, arg: "jsonl|pcapng", group: g, help: "what to write (default by the name of the file: pcapng for .pcapng, otherwise jsonl)",
			set: func(s *settings, v string) error {
				if v != formatLines && v != formatCapture {
					return fmt.Errorf("%q: must be %s or %s", v, formatLines, formatCapture)
				}
				s.outFormat = v
				return nil
			},
		},
		{long: "append", progs: progRecord, group: g, help: "go on with a file that is there; a last line that was cut goes", set: turnOn(func(s *settings) *bool { return &s.appendTo })},
		{long: "overwrite", progs: writing, group: g, help: "replace a file that is there", set: turnOn(func(s *settings) *bool { return &s.overwrite })},
		{
			long: "for", progs: progRecord, arg: "time", group: groupLimits, help: "end after this time, with success",
			set: func(s *settings, v string) (err error) { s.recordTime, err = s.positive(v); return err },
		},
		{
			long: "max-size", progs: progRecord, arg: "bytes", group: groupLimits, help: "end when the file has this size, as in 500K, 20M or 2G",
			set: func(s *settings, v string) (err error) { s.maxBytes, err = parseBytes(v); return err },
		},
		{
			long: "qos", short: "q", progs: progRecord | progRetained | progGet, arg: "qos", group: groupSubscribe, help: "QoS of the subscription: what is published with a higher one comes with this (default 2)",
			set: setQoS,
		},
	}
}

// The forms of a recording.
const (
	formatLines   = "jsonl"
	formatCapture = "pcapng"
)

func setQoS(s *settings, v string) error {
	n, err := s.number(v)
	if err == nil && (n < 0 || n > 2) {
		err = fmt.Errorf("%q: must be 0, 1 or 2", v)
	}
	s.qos = n
	return err
}

// positive reads a time above 0.
func (s *settings) positive(v string) (time.Duration, error) {
	d, err := s.duration(v)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q: must be above 0", v)
	}
	return d, err
}

// parseBytes reads 500, 500K, 20M or 2G, each 1024 of the one before.
func parseBytes(v string) (int64, error) {
	digits := strings.TrimSuffix(strings.ToUpper(v), "B")
	factor := 0
	for i, unit := range []string{"K", "M", "G"} {
		if rest, ok := strings.CutSuffix(digits, unit); ok {
			digits, factor = rest, (i+1)*10
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64>>factor {
		return 0, fmt.Errorf("%q: must be a number of bytes, as in 500K, 20M or 2G", v)
	}
	return n << factor, nil
}

func replayOptionsTable() []option {
	g := groupRecording
	filter := func(field func(*settings) *[]string) func(*settings, string) error {
		return func(s *settings, v string) error {
			if err := router.ValidateFilter(v); err != nil {
				return err
			}
			*field(s) = append(*field(s), v)
			return nil
		}
	}
	count := func(field func(*settings) *int) func(*settings, string) error {
		return func(s *settings, v string) (err error) {
			if *field(s), err = s.number(v); err == nil && *field(s) < 0 {
				err = fmt.Errorf("%q is below 0", v)
			}
			return err
		}
	}
	return []option{
		{
			long: "speed", progs: progReplay, arg: "factor", group: g, help: "play this much faster than it was recorded: 1, 10, 0.5, or max, as fast as it goes (default 1)",
			set: func(s *settings, v string) (err error) { s.clock.Speed, err = parseSpeed(v); return err },
		},
		{
			long: "max-pause", progs: progReplay, arg: "time", group: g, help: "shorten pauses of the recording to this",
			set: func(s *settings, v string) (err error) { s.clock.MaxPause, err = s.positive(v); return err },
		},
		{
			long: "loop", progs: progReplay, arg: "n|forever", group: g, help: "play it this often, one time right behind the other (default 1)",
			set: func(s *settings, v string) error {
				if v == "forever" {
					s.loops = -1
					return nil
				}
				n, err := strconv.Atoi(v)
				if err != nil || n < 1 {
					return fmt.Errorf("%q: must be a number above 0, or forever", v)
				}
				s.loops = n
				return nil
			},
		},
		{
			long: "rewrite", progs: progReplay, arg: "from=to", group: g,
			help: "publish to another topic: site/+/#=test/+/# with filters, prefix:old/=new/ or regex:EXPRESSION=TEXT with $1; repeatable, the first that fits counts",
			set: func(s *settings, v string) error {
				r, err := recording.ParseRewrite(v)
				s.rewrites = append(s.rewrites, r)
				return err
			},
		},
		{
			long: "topic", short: "t", progs: progReplay, arg: "filter", group: g, help: "play only messages with a topic, as recorded, that fits; repeatable",
			set: filter(func(s *settings) *[]string { return &s.choice.Filters }),
		},
		{
			long: "filter-out", short: "T", progs: progReplay, arg: "filter", group: g, help: "do not play messages with such a topic; repeatable",
			set: filter(func(s *settings) *[]string { return &s.choice.Out }),
		},
		{
			long: "from", progs: progReplay, arg: "moment", group: g, help: "begin there: a time as in 2026-03-04T05:06:07Z, or how long after the first message, as in 90s",
			set: func(s *settings, v string) (err error) { s.choice.From, err = recording.ParseMoment(v); return err },
		},
		{
			long: "to", progs: progReplay, arg: "moment", group: g, help: "end there, before that moment",
			set: func(s *settings, v string) (err error) { s.choice.To, err = recording.ParseMoment(v); return err },
		},
		{long: "skip", progs: progReplay, arg: "n", group: g, help: "leave out the first messages of those that are chosen", set: count(func(s *settings) *int { return &s.choice.Skip })},
		{long: "limit", progs: progReplay, arg: "n", group: g, help: "play so many messages, at most", set: count(func(s *settings) *int { return &s.choice.Limit })},
		{
			long: "qos", short: "q", progs: progReplay, arg: "qos", group: g, help: "publish all with this QoS (default as recorded)",
			set: func(s *settings, v string) error { s.keepQoS = false; return setQoS(s, v) },
		},
		{
			long: "retain", short: "r", progs: progReplay, group: g, help: "publish all as retained messages (default as recorded)",
			set: func(s *settings, _ string) error { s.keepRetain, s.retain = false, true; return nil },
		},
		{
			long: "no-retain", progs: progReplay, group: g, help: "publish none as retained messages",
			set: func(s *settings, _ string) error { s.keepRetain, s.retain = false, false; return nil },
		},
		{
			long: "direction", progs: progReplay, arg: "published|delivered|both", group: g,
			help: "which messages of a capture: those that clients have published, those that brokers have delivered, or both (default what iotctl record has recorded, and of other captures published)",
			set:  func(s *settings, v string) (err error) { s.directions, err = recording.ParseDirections(v); return err },
		},
		{
			long: "keylog", progs: progReplay, arg: "file", group: g, help: "decrypt the TLS of a capture with the secrets in this file, as SSLKEYLOGFILE names it",
			set: func(s *settings, v string) error { s.captureTLS = v; return nil },
		},
		{
			long: "max-line", progs: progReplay | progRetainedRestore, arg: "bytes", group: g, help: "refuse longer lines (default 67108864)",
			set: setMaxLine,
		},
		{long: "dry-run", progs: progReplay, group: g, help: "print what would be published and when, and connect to nobody", set: turnOn(func(s *settings) *bool { return &s.dryRun })},
	}
}

// parseSpeed reads a factor, or max.
func parseSpeed(v string) (float64, error) {
	if v == "max" {
		return math.Inf(1), nil
	}
	f, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSuffix(v, "x"), "×"), 64)
	if err != nil || !(f > 0) || math.IsInf(f, 1) {
		return 0, errors.New(strconv.Quote(v) + ": must be a number above 0, as in 10 or 0.5, or max")
	}
	return f, nil
}
