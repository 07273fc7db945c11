package main

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// program is a set of the commands that are clients of a broker.
type program uint16

const (
	progPub program = 1 << iota
	progSub
	progRR
	progGet
	progRetainedLs
	progRetainedDump
	progRetainedRestore
	progRetainedClear
	progRecord
	progReplay
	progRequest
	progReply
	progTop
	progDoctor

	progAll      = 1<<iota - 1
	progTalk     = progAll &^ progDoctor      // doctor decides these itself
	progPeers    = progPub | progSub | progRR // mosquitto has them, too
	progRetained = progRetainedLs | progRetainedDump | progRetainedRestore | progRetainedClear
	progExact    = progGet | progRetained | progRecord | progReplay          // lose nothing: MQTT 5.0, unless another is asked for
	progDevices  = progPub | progSub                                         // speak as devices of other protocols
	progFilters  = progSub | progRetained | progRecord | progTop | progReply // -t is a topic filter
)

// programNames are the commands, in the order of the bits; of sub-commands, what
// they are below stands before them.
var programNames = [...]string{"pub", "sub", "rr", "get", "retained ls", "retained dump", "retained restore", "retained clear", "record", "replay", "request", "reply", "top", "doctor"}

func (p program) String() string { return programNames[bits.TrailingZeros16(uint16(p))] }

// programOf finds a command by its name.
func programOf(name string) (program, bool) {
	i := slices.Index(programNames[:], name)
	return 1 << max(i, 0), i >= 0
}

// naming says under which names of the program an option exists.
type naming uint8

const (
	everywhere naming = iota
	ownName           // iotctl pub, sub, rr and all that mosquitto has not
	peerName          // mosquitto_pub, mosquitto_sub, mosquitto_rr
)

// An option of a client. To add one, add it to the table it belongs to, in
// options_*.go, with its field in the struct above that table: parsing under both
// names, defaults files, variables, profiles, help, man pages and completions
// follow from there.
type option struct {
	long, short string // without dashes; at least one
	progs       program
	names       naming
	arg         string // what to call the argument; "" for a switch
	lack        string // mosquitto's complaint when the argument is missing
	group       string
	help        string
	secret      bool     // the value never appears in errors
	values      []string // what shells complete, where arg does not list them
	// set stores the value, which is "" for a switch. Its errors are
	// complaints, or plain for options that mosquitto has not.
	set func(s *settings, v string) error
}

// name is how errors call the option.
func (o *option) name() string {
	if o.short != "" {
		return "-" + o.short
	}
	return "--" + o.long
}

// repeats reports whether the option may be given several times and adds up.
func (o *option) repeats() bool {
	return o.long == "property" || strings.Contains(o.help, "repeatable")
}

// takes reports how many arguments follow the option, given the first of them.
func (o *option) takes(args []string) int {
	switch {
	case o.arg == "":
		return 0
	case o.long != "property":
		return 1
	case len(args) > 1 && args[1] == "user-property":
		return 4
	}
	return 3
}

// The groups in which help lists options.
const (
	groupConnection = "Connection"
	groupSession    = "Session and login"
	groupTLS        = "TLS"
	groupWill       = "Will"
	groupMessage    = "Message"
	groupSubscribe  = "Subscription"
	groupRecording  = "Recording"
	groupRetained   = "Retained messages"
	groupOutput     = "Output"
	groupLimits     = "When to end"
	groupGeneral    = "General"
)

var optionGroups = []string{
	groupLoad, groupSchedule, groupResult, groupDoctor,
	groupRecording, groupRetained, groupMessage, groupSubscribe, groupOutput, groupLimits, groupConnection,
	groupSession, groupTLS, groupWill, groupSN, groupGeneral,
}

// turnOn sets what a switch stands for.
func turnOn(field func(*settings) *bool) func(*settings, string) error {
	return func(s *settings, _ string) error { *field(s) = true; return nil }
}

// optionsFor lists what p understands under its own or mosquitto's name. The
// tables are in the order in which help lists options of one group.
func optionsFor(p program, peer bool) []*option {
	tables := [][]option{
		messageOptions(), generateOptions(), subscribeOptions(), outputOptions(), showOptions(), waitOptions(), payloadOptions(),
		requestOptions(), topOptions(),
		connectionOptions(), sessionOptions(), tlsOptions(), profileOptions(),
		doctorOptions(), recordOptions(), replayOptionsTable(), retainedOptions(),
		snOptions(), generalOptions(),
	}
	var all []*option
	for _, table := range tables {
		for i := range table {
			o := &table[i]
			if o.progs&p != 0 && o.names != peerName && !peer || o.progs&p != 0 && o.names != ownName && peer {
				all = append(all, o)
			}
		}
	}
	return all
}

func findOption(all []*option, word string) *option {
	i := slices.IndexFunc(all, func(o *option) bool {
		return word == "--"+o.long && o.long != "" || word == "-"+o.short && o.short != ""
	})
	if i < 0 {
		return nil
	}
	return all[i]
}

// complaint is a mistake that mosquitto's clients report, in their words.
// Under its own name the program says the same in the manner of terminal.go.
type complaint string

func complain(format string, a ...any) error { return complaint(fmt.Sprintf(format, a...)) }

// Error begins in lower case and ends without a full stop.
func (c complaint) Error() string {
	s, _, _ := strings.Cut(strings.TrimLeft(string(c), "!?\n"), "\n!")
	s = strings.TrimRight(s, ".\n")
	r, n := utf8.DecodeRuneInString(s)
	word, _, _ := strings.Cut(s[n:], " ")
	if strings.ContainsFunc(word, unicode.IsUpper) { // QoS, TLS
		return s
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// number reads an integer: what is none is an error, or 0 for mosquitto.
func (s *settings) number(v string) (int, error) {
	if s.peer {
		return atoi(v), nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", v)
	}
	return n, nil
}

// atoi is C's: it reads as far as there are digits.
func atoi(v string) int {
	v = strings.TrimLeft(v, " \t\n\v\f\r")
	i := 0
	for i < len(v) && (v[i] >= '0' && v[i] <= '9' || i == 0 && (v[i] == '-' || v[i] == '+')) {
		i++
	}
	n, _ := strconv.Atoi(v[:i])
	return n
}

// duration reads seconds, with a fraction, or under the own name a duration
// with its unit.
func (s *settings) duration(v string) (time.Duration, error) {
	f, err := strconv.ParseFloat(v, 64)
	switch {
	case err == nil:
		return time.Duration(f * float64(time.Second)), nil
	case s.peer:
		return time.Duration(atoi(v)) * time.Second, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a number of seconds nor a duration like 500ms", v)
	}
	return d, nil
}
