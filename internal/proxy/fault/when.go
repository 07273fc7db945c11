package fault

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/selector"
)

// When chooses among the packets that a rule matches. All that is given has to hold.
type When struct {
	Nth    []int   // only these matches, from 1
	Every  int     // each so manieth match; 0: each
	Chance float64 // 0: always
	Seed   uint64  // of Chance, if HasSeed; else that of the run
	Times  int     // at most so often for each client; 0: without limit
	Once   bool    // once for each connection
	Per    Scope   // who is counted together

	// Times are counted from the beginning of the connection.
	At    time.Duration // from then on; without For once
	After time.Duration // from then on
	For   time.Duration // so long; after the packet, where an action lasts

	AfterRule string // after that rule has done something to the same client
	Side      Side

	HasSeed, HasAt, HasAfter bool

	afterPacket *selector.Expr // after such a packet on the connection
	AfterPacket string
}

// Side is the side of the packet at which something is done.
type Side uint8

// Sides.
const (
	Anyhow Side = iota // as the action has it
	Before             // and the packet is not passed on, if the connection ends
	After
)

func (s Side) String() string { return [...]string{"", "before", "after"}[s] }

// Scope is who is counted together.
type Scope uint8

// Scopes.
const (
	PerClient     Scope = iota // by client identifier, across its connections
	PerConnection              // each connection by itself
	PerRule                    // all together: depends on who comes first
)

var scopes = []string{"client", "connection", "rule"}

func (s Scope) String() string { return scopes[s] }

// parameters are the names in when, as usage.
var parameters = []string{
	"nth=3", "nth=3,5", "every=10", "p=0.01", "seed=7", "times=2", "once", "at=10s", "after=30s", "after=rule", `after="s2c SUBACK"`,
	"for=90s", "per=connection", "before", "after",
}

// Parameters lists how the parts of when are written.
func Parameters() []string { return slices.Clone(parameters) }

func parseWhen(words []word) (When, *Mistake) {
	var w When
	seen := map[string]bool{}
	for _, word := range words {
		name, value, column, ok := word.pair()
		if ok && value == "" {
			return w, mistakef(column, "", "%s= needs a value", name)
		}
		key := name
		if !ok {
			key += " " // after, and after=
		}
		if seen[key] {
			return w, mistakef(word.column, "", "%s is there twice", name)
		}
		seen[key] = true
		var err *Mistake
		if ok {
			err = w.set(name, value, word.column, column)
		} else {
			err = w.flag(name, word.column)
		}
		if err != nil {
			return w, err
		}
	}
	switch {
	case w.HasAt && w.HasAfter:
		return w, mistakef(words[0].column, "at= is a moment, or with for= a window", "at= and after= at the same time")
	case w.HasSeed && w.Chance == 0:
		return w, mistakef(columnOf(words, "seed="), "p=0.5 seed=7", "seed= without p=")
	}
	return w, nil
}

// flag sets what has no value.
func (w *When) flag(name string, column int) *Mistake {
	switch name {
	case "once":
		w.Once = true
	case "before", "after":
		if w.Side != Anyhow {
			return mistakef(column, "", "before and after at the same time")
		}
		w.Side = Before
		if name == "after" {
			w.Side = After
		}
	default:
		return mistakef(column, nearest(name, whenNames()), "%q is no part of when", name)
	}
	return nil
}

func whenNames() []string {
	var names []string
	for _, p := range parameters {
		name, _, ok := strings.Cut(p, "=")
		if ok {
			name += "="
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// set sets name=value; name is at the column at, value at the column column.
func (w *When) set(name, value string, at, column int) *Mistake {
	var err *Mistake
	switch name {
	case "nth":
		for n := range strings.SplitSeq(value, ",") {
			i, err := positive(n, column)
			if err != nil {
				return err
			}
			w.Nth = append(w.Nth, i)
		}
	case "every":
		w.Every, err = positive(value, column)
	case "times":
		w.Times, err = positive(value, column)
	case "p":
		p, e := strconv.ParseFloat(value, 64)
		if e != nil || !(p > 0 && p <= 1) {
			return mistakef(column, "p=0.01", "%q is no probability above 0 and up to 1", value)
		}
		w.Chance = p
	case "seed":
		n, e := strconv.ParseUint(value, 0, 64)
		if e != nil {
			return mistakef(column, "seed=7", "%q is no number", value)
		}
		w.Seed, w.HasSeed = n, true
	case "per":
		i := slices.Index(scopes, value)
		if i < 0 {
			return mistakef(column, "per=client, per=connection, per=rule", "%q is nothing to count by", value)
		}
		w.Per = Scope(i)
	case "at":
		w.HasAt = true
		w.At, err = duration(value, column)
	case "for":
		w.For, err = duration(value, column)
		if err == nil && w.For == 0 {
			return mistakef(column, "for=90s", "for= is never")
		}
	case "after":
		return w.setAfter(value, column)
	default:
		return mistakef(at, nearest(name+"=", whenNames()), "%q is no part of when", name+"=")
	}
	return err
}

// setAfter takes a duration, the name of a rule, or what chooses a packet.
func (w *When) setAfter(value string, column int) *Mistake {
	if value[0] >= '0' && value[0] <= '9' {
		var err *Mistake
		w.HasAfter = true
		w.After, err = duration(value, column)
		return err
	}
	if ValidName(value) && strings.ToUpper(value) != value {
		w.AfterRule = value
		return nil
	}
	e, err := selector.Parse(value)
	if err != nil {
		return whereMistake(column+1, err)
	}
	w.AfterPacket, w.afterPacket = value, e
	return nil
}

func positive(s string, column int) (int, *Mistake) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > math.MaxInt32 {
		return 0, mistakef(column, "", "%q is no number from 1 on", s)
	}
	return n, nil
}

func duration(s string, column int) (time.Duration, *Mistake) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, mistakef(column, "such as 200ms, 90s, 1h30m", "%q is no duration", s)
	}
	return d, nil
}

// tally is what a rule has counted in one scope and direction.
type tally struct {
	matched int // within the window
	fired   int
}

// single tells whether a connection has it at most once.
func (w *When) single() bool { return w.Once || w.HasAt && w.For == 0 }

// open reports whether a moment of a connection is within the window.
func (w *When) open(elapsed time.Duration, lasts bool) bool {
	begin := max(w.At, w.After)
	if elapsed < begin {
		return false
	}
	return w.For == 0 || lasts && !w.HasAt && !w.HasAfter || elapsed < begin+w.For
}

// fires counts a match and decides. spent says that the connection has had its
// one; draw gives the chances of the match n.
func (w *When) fires(t *tally, spent bool, draw func(n int) *rand.Rand) bool {
	t.matched++
	n := t.matched
	switch {
	case spent,
		w.Nth != nil && !slices.Contains(w.Nth, n),
		w.Every > 0 && n%w.Every != 0,
		w.Times > 0 && t.fired >= w.Times,
		w.Chance > 0 && draw(n).Float64() >= w.Chance:
		return false
	}
	t.fired++
	return true
}
