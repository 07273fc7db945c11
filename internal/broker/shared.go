package broker

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/iotctl/iotctl/internal/message"
)

// Strategy is how a shared subscription chooses the member that receives a
// message. Members that are connected always go before those that are not.
type Strategy uint8

// Strategies.
const (
	RoundRobin    Strategy = iota // each in turn
	Sticky                        // the same member as long as it is connected
	HashPublisher                 // by the publisher's client identifier
	HashTopic                     // by the topic
)

var strategyNames = [...]string{"round-robin", "sticky", "hash-publisher", "hash-topic"}

func (s Strategy) String() string { return strategyNames[s] }

// UnmarshalText reads the name of a strategy.
func (s *Strategy) UnmarshalText(text []byte) error {
	i := slices.Index(strategyNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown strategy %q, choose one of %s", text, strings.Join(strategyNames[:], ", "))
	}
	*s = Strategy(i)
	return nil
}

// group is a shared subscription: all members with one group name and filter.
// // [MQTT-4.8.2]
type group struct {
	name     string // "group/filter"
	strategy Strategy
	seed     maphash.Seed
	entry    *subscription // in the router

	mu      sync.Mutex
	members []*subscription
	next    int
}

func (b *Broker) joinGroup(sub *subscription) {
	b.shared.Lock()
	defer b.shared.Unlock()
	g := b.groups[sub.share()]
	if g == nil {
		g = &group{name: sub.share(), strategy: b.cfg.Shared, seed: b.seed}
		g.entry = &subscription{group: g, filter: sub.topic()}
		b.groups[sub.share()] = g
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	// A session that subscribes again keeps its place; leaveGroup then does
	// not find what it has replaced.
	if i := slices.IndexFunc(g.members, func(m *subscription) bool { return m.s == sub.s }); i >= 0 {
		g.members[i] = sub
		return
	}
	g.members = append(g.members, sub)
	b.stats.SharedSubscriptions.Add(1)
	if len(g.members) == 1 {
		b.subs.Insert(sub.topic(), g.entry)
	}
}

func (b *Broker) leaveGroup(sub *subscription) {
	b.shared.Lock()
	defer b.shared.Unlock()
	g := b.groups[sub.share()]
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.members, sub)
	if i < 0 {
		return
	}
	g.members = slices.Delete(g.members, i, i+1)
	if i < g.next {
		g.next-- // still the same member
	}
	b.stats.SharedSubscriptions.Add(-1)
	if len(g.members) == 0 {
		b.subs.Remove(sub.topic(), g.entry)
		delete(b.groups, sub.share())
	}
}

// pick chooses the member for m; nil means that there is nobody.
func (g *group) pick(m *message.Message) *subscription {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.members)
	if n == 0 {
		return nil
	}
	first := g.start(m, n)
	offline := -1
	for i := range n {
		at := (first + i) % n
		sub := g.members[at]
		if sub.s.online.Load() {
			g.next = at
			return sub
		}
		if offline < 0 && !sub.s.ended.Load() {
			offline = at
		}
	}
	if offline < 0 {
		return nil // the members are about to leave
	}
	g.next = offline
	return g.members[offline]
}

// start is the index at which the search for a member begins.
func (g *group) start(m *message.Message, n int) int {
	switch g.strategy {
	case Sticky:
		return g.next % n
	case HashPublisher:
		return int(maphash.String(g.seed, m.Publisher) % uint64(n))
	case HashTopic:
		return int(maphash.String(g.seed, m.Topic) % uint64(n))
	default:
		return (g.next + 1) % n
	}
}

// redeliver gives a message of a shared subscription whose member has ended to
// another member. Called without locks.
func (b *Broker) redeliver(d message.Delivery, bt *batch) {
	b.shared.Lock()
	g := b.groups[d.Share]
	b.shared.Unlock()
	if g == nil {
		b.stats.NoSubscribers.Add(1)
		return
	}
	sub := g.pick(d.Message)
	if sub == nil {
		b.stats.NoSubscribers.Add(1)
		return
	}
	b.stats.Redelivered.Add(1)
	b.deliver(d.Message, &pick{sub.s, sub.qos, sub.retainAsPublished, sub.ids(), sub.share()}, d.Retain, bt)
}
