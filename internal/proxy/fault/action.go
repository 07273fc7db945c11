package fault

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Action is what is done. Which of the fields mean something depends on the name.
type Action struct {
	Name     string
	Count    int           // dup: copies; truncate, cut, slice: bytes; reorder: packets
	Delay    time.Duration // delay
	Jitter   time.Duration // delay: at most that much more or less
	Overtake bool          // delay: what follows does not wait
	Rate     float64       // throttle: bytes/s
	Corrupt  Corruption    // corrupt
	Packet   *Template     // replace, inject
	Code     mqtt.ReasonCode
	Release  string // release: the rule that holds, "" for all
}

// kind is what is known of an action by its name.
type kind struct {
	name  string
	usage string
	parse func(a *Action, args []word, at int) *Mistake
	// sided: it is done before or after the packet.
	sided bool
	// lasts: it goes on after the packet, for for=.
	lasts bool
	// alone: at= does it without a packet, where nothing of a packet is asked for.
	alone bool
}

// actions is the table of what can be done.
func actions() []kind {
	return []kind{
		{name: "drop", usage: "drop", parse: noArguments},
		{name: "delay", usage: "delay 200ms±50 [reorder]", parse: parseDelay},
		{name: "dup", usage: "dup [copies]", parse: optionalCount(1, 100)},
		{name: "corrupt", usage: "corrupt [byte[=n[,value]] | bit[=n] | field=name,value]", parse: parseCorrupt},
		{name: "truncate", usage: "truncate bytes", parse: count(0)},
		{name: "reorder", usage: "reorder [window]", parse: optionalCount(2, 64)},
		{name: "hold", usage: "hold", parse: noArguments, lasts: true},
		{name: "release", usage: "release [rule]", parse: parseRelease, alone: true},
		{name: "replace", usage: "replace HEX | replace TYPE name=value…", parse: parsePacket},
		{name: "inject", usage: "inject [c2s|s2c] HEX | inject [c2s|s2c] TYPE name=value…", parse: parsePacket, sided: true, alone: true},
		{name: "throttle", usage: "throttle 2KB/s", parse: parseRate},
		{name: "stall", usage: "stall", parse: noArguments, sided: true, lasts: true, alone: true},
		{name: "blackhole", usage: "blackhole", parse: noArguments, sided: true, lasts: true, alone: true},
		{name: "reset", usage: "reset", parse: noArguments, sided: true, alone: true},
		{name: "close", usage: "close", parse: noArguments, sided: true, alone: true},
		{name: "cut", usage: "cut after 10 bytes", parse: parseCut},
		{name: "slice", usage: "slice bytes", parse: count(1), lasts: true, alone: true},
		{name: "refuse", usage: "refuse 0x97", parse: parseRefuse},
		{name: "lie", usage: "lie", parse: noArguments},
	}
}

// Actions lists how each action is written.
func Actions() []string {
	var all []string
	for _, k := range actions() {
		all = append(all, k.usage)
	}
	return all
}

func (a *Action) kind() kind {
	all := actions()
	return all[slices.IndexFunc(all, func(k kind) bool { return k.name == a.Name })]
}

func parseAction(words []word) (Action, *Mistake) {
	var names []string
	for _, k := range actions() {
		names = append(names, k.name)
		if k.name != words[0].text {
			continue
		}
		a := Action{Name: k.name}
		err := k.parse(&a, words[1:], endOf(words[:1], 1)+1)
		if err != nil && err.Hint == "" {
			err.Hint = k.usage
		}
		return a, err
	}
	return Action{}, mistakef(words[0].column, nearest(words[0].text, names), "no action is called %q", words[0].text)
}

func noArguments(a *Action, args []word, _ int) *Mistake {
	if len(args) > 0 {
		return mistakef(args[0].column, "@ comes before where, / before when", "%s takes nothing, and %q is there", a.Name, args[0].text)
	}
	return nil
}

// atMost refuses what comes behind the first n words.
func atMost(a *Action, args []word, n int) *Mistake {
	if len(args) > n {
		return mistakef(args[n].column, "", "%q is too much for %s", args[n].text, a.Name)
	}
	return nil
}

// count parses a number of bytes that has to be there.
func count(least int) func(*Action, []word, int) *Mistake {
	return func(a *Action, args []word, at int) *Mistake {
		if len(args) == 0 {
			return mistakef(at, "", "%s how many bytes?", a.Name)
		}
		if len(args) > 1 && (args[1].text == "bytes" || args[1].text == "byte") {
			args = args[:1:1]
		}
		n, err := strconv.Atoi(args[0].text)
		if err != nil || n < least || n > mqtt.MaxRemaining {
			return mistakef(args[0].column, "", "%q is no number of bytes from %d on", args[0].text, least)
		}
		a.Count = n
		return atMost(a, args, 1)
	}
}

// optionalCount parses a number from least to most.
func optionalCount(least, most int) func(*Action, []word, int) *Mistake {
	return func(a *Action, args []word, _ int) *Mistake {
		a.Count = least
		if len(args) == 0 {
			return nil
		}
		n, err := strconv.Atoi(args[0].text)
		if err != nil || n < least || n > most {
			return mistakef(args[0].column, "", "%q is no number from %d to %d", args[0].text, least, most)
		}
		a.Count = n
		return atMost(a, args, 1)
	}
}

// maxDelay is the longest delay.
const maxDelay = 24 * time.Hour

func parseDelay(a *Action, args []word, at int) *Mistake {
	if len(args) == 0 {
		return mistakef(at, "", "delay how long?")
	}
	mean, spread, jitters := strings.Cut(args[0].text, "±")
	if !jitters {
		mean, spread, jitters = strings.Cut(args[0].text, "+-")
	}
	d, err := time.ParseDuration(mean)
	if err != nil || d < 0 || d > maxDelay {
		return mistakef(args[0].column, "", "%q is no duration from 0 to 24h", mean)
	}
	a.Delay = d
	if jitters {
		if spread != "" && spread[len(spread)-1] >= '0' && spread[len(spread)-1] <= '9' {
			spread += strings.TrimLeft(mean, "0123456789.") // that of the mean
		}
		j, err := time.ParseDuration(spread)
		if err != nil || j < 0 || j > d {
			return mistakef(args[0].column+utf8.RuneCountInString(mean)+1, "", "%q is no duration from 0 to %v", spread, d)
		}
		a.Jitter = j
	}
	if len(args) > 1 && args[1].text == "reorder" {
		a.Overtake = true
		return atMost(a, args, 2)
	}
	return atMost(a, args, 1)
}

// rates are the units of throttle, in bytes.
var rates = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"KB", 1e3}, {"kB", 1e3}, {"MB", 1e6}, {"B", 1},
}

func parseRate(a *Action, args []word, at int) *Mistake {
	if len(args) == 0 {
		return mistakef(at, "", "throttle to what rate?")
	}
	number, factor := strings.TrimSuffix(args[0].text, "/s"), 1.0
	for _, r := range rates {
		if rest, ok := strings.CutSuffix(number, r.name); ok {
			number, factor = rest, r.bytes
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f*factor >= 1 && f*factor <= 1e12) {
		return mistakef(args[0].column, "", "%q is no rate from 1B/s on", args[0].text)
	}
	a.Rate = f * factor
	return atMost(a, args, 1)
}

// parseCut takes "after 10 bytes", "10 bytes" and "10".
func parseCut(a *Action, args []word, at int) *Mistake {
	if len(args) > 0 && args[0].text == "after" {
		args, at = args[1:], endOf(args[:1], at)+1
	}
	return count(0)(a, args, at)
}

func parseRelease(a *Action, args []word, _ int) *Mistake {
	if len(args) == 0 {
		return nil
	}
	if a.Release = args[0].text; !ValidName(a.Release) {
		return mistakef(args[0].column, "hers: hold @ …", "%q is no name of a rule", a.Release)
	}
	return atMost(a, args, 1)
}

// parseRefuse takes a number, or the name of a reason code with dashes.
func parseRefuse(a *Action, args []word, at int) *Mistake {
	if len(args) == 0 {
		return mistakef(at, "refuse 0x97, refuse quota-exceeded", "refuse with which reason code?")
	}
	code, ok := codeOf(args[0].text)
	if !ok {
		return mistakef(args[0].column, "refuse 0x97, refuse quota-exceeded", "%q is no reason code", args[0].text)
	}
	if code < 0x80 && (code == 0 || code > mqtt.V3NotAuthorized) {
		return mistakef(args[0].column, "0x80 and above; for CONNECT of 3.x also 1 to 5", "0x%02x refuses nothing", uint8(code))
	}
	a.Code = code
	return atMost(a, args, 1)
}

// codeOf reads a reason code: "0x97", "151" or "quota-exceeded".
func codeOf(s string) (mqtt.ReasonCode, bool) {
	if n, err := strconv.ParseUint(s, 0, 8); err == nil {
		return mqtt.ReasonCode(n), true
	}
	for c := 255; c >= 0; c-- {
		code := mqtt.ReasonCode(c)
		if name := code.String(); !strings.HasPrefix(name, "reason code ") && dashed(name) == strings.ToLower(s) {
			return code, true
		}
	}
	return 0, false
}

func dashed(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") }
