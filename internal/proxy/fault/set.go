package fault

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/proxy"
)

// Options are those of a Set.
type Options struct {
	Seed uint64 // of what is left to chance
	// Report is told of each fault, from any goroutine. It must not wait. nil: nobody.
	Report func(Event)
	// Live says that rules may come while connections are open. Without it and without
	// rules, connections have no stage.
	Live bool
}

// Set is the rules of a running proxy. It implements proxy.Factory; its methods may
// be called from any goroutine.
type Set struct {
	opt Options

	rules atomic.Pointer[[]*live]

	mu     sync.Mutex
	stages map[*stage]struct{}
	opened map[string]uint64 // connections of each client so far
	same   map[string]int    // rules of the same text so far
	count  int               // rules so far

	running sync.WaitGroup
}

// NewSet makes a set without rules.
func NewSet(o Options) *Set {
	if o.Report == nil {
		o.Report = func(Event) {}
	}
	s := &Set{opt: o, stages: map[*stage]struct{}{}, opened: map[string]uint64{}, same: map[string]int{}}
	s.rules.Store(&[]*live{})
	return s
}

// Seed is that of the run.
func (s *Set) Seed() uint64 { return s.opt.Seed }

// Limits of a set.
const (
	maxRules  = 1000
	maxScopes = 1 << 17 // clients that a rule counts
)

// live is a rule in use, and what it has counted.
type live struct {
	rule *Rule
	name string
	id   string // what its chances depend on

	gone chan struct{} // closed when the rule is taken away

	mu       sync.Mutex
	tallies  map[tallyKey]*tally
	affected map[string]struct{} // clients
	matched  uint64
	fired    uint64
}

type tallyKey struct {
	scope     string
	direction proxy.Direction
}

// Add puts rules behind those that are there, all or none. A rule without a name
// gets its number.
func (s *Set) Add(rules ...*Rule) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := *s.rules.Load()
	if len(now)+len(rules) > maxRules {
		return nil, fmt.Errorf("more than %d rules", maxRules)
	}
	next := slices.Clip(now)
	var names []string
	for _, r := range rules {
		l := &live{rule: r, name: r.Name, gone: make(chan struct{}), tallies: map[tallyKey]*tally{}, affected: map[string]struct{}{}}
		s.count++
		if l.name == "" {
			l.name = strconv.Itoa(s.count)
		}
		if slices.ContainsFunc(next, func(o *live) bool { return o.name == l.name }) {
			s.count -= len(names) + 1
			return nil, fmt.Errorf("there is a rule %s already", l.name)
		}
		l.id = r.Name
		if l.id == "" {
			l.id = fmt.Sprintf("%s #%d", r.Text, s.same[r.Text])
			s.same[r.Text]++
		}
		next = append(next, l)
		names = append(names, l.name)
	}
	s.rules.Store(&next)
	for st := range s.stages {
		for _, l := range next[len(now):] {
			st.arm(l, true)
		}
	}
	return names, nil
}

// ErrNoRule is what Remove and Release return for a name that no rule has.
var ErrNoRule = errors.New("no rule of that name")

// Remove takes a rule away. What it holds is released, and what it has begun ends.
func (s *Set) Remove(name string) error {
	s.mu.Lock()
	now := *s.rules.Load()
	i := slices.IndexFunc(now, func(l *live) bool { return l.name == name })
	if i < 0 {
		s.mu.Unlock()
		return ErrNoRule
	}
	next := slices.Delete(slices.Clone(now), i, i+1)
	s.rules.Store(&next)
	s.mu.Unlock()
	close(now[i].gone)
	s.release(now[i], -1)
	return nil
}

// Status is what a rule has done so far.
type Status struct {
	Name    string `json:"name"`
	Rule    string `json:"rule"`
	Matched uint64 `json:"matched"`
	Fired   uint64 `json:"fired"`
	Held    int    `json:"held"`
}

// Rules lists the rules in their order.
func (s *Set) Rules() []Status {
	all := []Status{}
	for _, l := range *s.rules.Load() {
		l.mu.Lock()
		st := Status{Name: l.name, Rule: l.rule.Text, Matched: l.matched, Fired: l.fired}
		l.mu.Unlock()
		for _, stage := range s.open() {
			st.Held += stage.heldBy(l)
		}
		all = append(all, st)
	}
	return all
}

// Release passes on what the rule of that name holds, or what all hold for "": at
// most n packets, or all for -1. It returns how many those are.
func (s *Set) Release(name string, n int) (int, error) {
	if name == "" {
		return s.release(nil, n), nil
	}
	for _, l := range *s.rules.Load() {
		if l.name == name {
			return s.release(l, n), nil
		}
	}
	return 0, ErrNoRule
}

func (s *Set) release(l *live, n int) (released int) {
	for _, st := range s.open() {
		left := -1
		if n >= 0 {
			left = n - released
		}
		released += st.release(l, left)
	}
	return released
}

// open lists the stages of open connections, oldest first.
func (s *Set) open() []*stage {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*stage, 0, len(s.stages))
	for st := range s.stages {
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b *stage) int { return int(int64(a.conn.Number - b.conn.Number)) })
	return all
}

// Fired tells whether a rule of that name has done something.
func (s *Set) Fired(name string) bool {
	for _, l := range *s.rules.Load() {
		if l.name == name {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.fired > 0
		}
	}
	return false
}

// Open implements proxy.Factory.
func (s *Set) Open(c *proxy.Conn) (proxy.Stage, error) {
	rules := *s.rules.Load()
	if len(rules) == 0 && !s.opt.Live {
		return nil, nil //nolint:nilnil // no stage for this connection, as Factory has it
	}
	st := newStage(s, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.opened) >= maxScopes {
		clear(s.opened)
	}
	s.opened[c.ClientID]++
	st.ordinal = s.opened[c.ClientID]
	s.stages[st] = struct{}{}
	for _, l := range *s.rules.Load() {
		st.arm(l, false)
	}
	return st, nil
}

// Close waits for what runs beside connections. All of them have to be closed.
func (s *Set) Close() { s.running.Wait() }

// affects tells whether the rule of that name has done something to a client.
func (s *Set) affects(name, client string) bool {
	for _, l := range *s.rules.Load() {
		if l.name != name {
			continue
		}
		l.mu.Lock()
		_, ok := l.affected[client]
		l.mu.Unlock()
		if ok {
			return true
		}
	}
	return false
}

// decide counts a match of st's connection and says whether something is done.
func (l *live) decide(st *stage, d proxy.Direction, spent bool) (match int, chance *rand.Rand, fires bool) {
	w := &l.rule.When
	scope := st.client
	switch w.Per {
	case PerConnection:
		scope = fmt.Sprintf("%s\x00%d", st.client, st.ordinal)
	case PerRule:
		scope = ""
	}
	seed := st.set.opt.Seed
	if w.HasSeed {
		seed = w.Seed
	}
	draw := func(n int) *rand.Rand {
		if chance == nil {
			chance = rand.New(rand.NewPCG(seed, mix(l.id, scope, d, n))) //nolint:gosec // chances of a test, which repeat by intention
		}
		return chance
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := tallyKey{scope, d}
	t := l.tallies[key]
	if t == nil {
		if len(l.tallies) >= maxScopes {
			clear(l.tallies)
		}
		t = &tally{}
		l.tallies[key] = t
	}
	l.matched++
	if fires = w.fires(t, spent, draw); fires {
		l.fired++
		if len(l.affected) >= maxScopes {
			clear(l.affected)
		}
		l.affected[st.client] = struct{}{}
		chance = draw(t.matched)
	}
	return t.matched, chance, fires
}

// mix is a number that depends on all of its arguments.
func mix(rule, scope string, d proxy.Direction, n int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q %v %d", rule, scope, d, n)
	x := h.Sum64() // FNV spreads the last bytes badly: the finaliser of splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
