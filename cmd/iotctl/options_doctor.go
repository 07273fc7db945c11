package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/doctor"
)

// groupDoctor is what help lists the options of doctor under.
const groupDoctor = "Checks"

// doctorSettings are of doctor alone.
type doctorSettings struct {
	only, skip       []string
	prefix           string
	checkTimeout     time.Duration
	maxPacket, maxID int
	tries            int
}

func doctorOptions() []option {
	opt := func(long, arg, help string, set func(*settings, string) error) option {
		return option{long: long, arg: arg, help: help, progs: progDoctor, names: ownName, group: groupDoctor, set: set}
	}
	names := func(field func(*settings) *[]string) func(*settings, string) error {
		return func(s *settings, v string) error {
			list := strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
			*field(s) = append(*field(s), list...)
			if len(list) == 0 {
				return fmt.Errorf("%q names no check", v)
			}
			return nil
		}
	}
	count := func(field func(*settings) *int) func(*settings, string) error {
		return func(s *settings, v string) error {
			n, err := s.number(v)
			if err == nil && n < 1 {
				err = fmt.Errorf("%q: must be above 0", v)
			}
			*field(s) = n
			return err
		}
	}
	all := []option{
		opt("only", "checks", "only these checks, with commas between; the beginning of a name stands for all that begin so; repeatable", names(func(s *settings) *[]string { return &s.only })),
		opt("skip", "checks", "not these checks; repeatable", names(func(s *settings) *[]string { return &s.skip })),
		opt("prefix", "topic", "topics begin with this, and a random level follows (default iotctl/doctor)", func(s *settings, v string) error { s.prefix = strings.TrimSuffix(v, "/"); return nil }),
		opt("tries", "n", "messages per QoS (default 5)", count(func(s *settings) *int { return &s.tries })),
		opt("max-packet", "bytes", "the longest packet to try (default 1048576)", count(func(s *settings) *int { return &s.maxPacket })),
		opt("max-id", "bytes", "the longest client identifier to try (default 65535)", count(func(s *settings) *int { return &s.maxID })),
		opt("check-timeout", "time", "give a check at most this time (default 10s)", func(s *settings, v string) (err error) { s.checkTimeout, err = s.duration(v); return }),
	}
	for i := range all {
		if o := &all[i]; o.long == "only" || o.long == "skip" {
			o.values = doctor.Names()
		}
	}
	return append(all, option{
		long: "output", short: "o", progs: progDoctor, names: ownName, arg: "text|json", group: groupOutput, help: "text, or one JSON object (default text)",
		set: func(s *settings, v string) error {
			if v != "text" && v != "json" {
				return fmt.Errorf("%q: must be text or json", v)
			}
			s.output = v
			return nil
		},
	})
}
