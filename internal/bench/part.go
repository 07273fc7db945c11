package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Part makes a run one of several that carry a load together, on machines of
// their own. The zero value is a run alone.
type Part struct {
	Run   uint32 `json:"run"` // the same of all parts, in topics and stamps; 0: alone
	Index int    `json:"index"`
	// Crosses tells that what one part publishes arrives at others.
	Crosses bool `json:"crosses,omitempty"`
	// The numbers of its first client, publisher and subscriber, and how many
	// publishers there are in all.
	FirstClient     int `json:"first_client"`
	FirstPublisher  int `json:"first_publisher"`
	FirstSubscriber int `json:"first_subscriber"`
	AllPublishers   int `json:"all_publishers"`
	// Shift is what the clock of this machine lacks to the common one.
	Shift time.Duration `json:"shift"`
}

// Company is how a part keeps in step with the others. Its methods are called
// on one goroutine.
type Company interface {
	// Opened is called when everything is open. The load starts at the time
	// that it returns, on the common clock.
	Opened(ctx context.Context) (start time.Time, err error)
	// Settled is told again and again at the end how far this part is, if parts
	// cross, and tells whether all have what they wait for.
	Settled(Progress) bool
	// Streams gets the part's half of the account, if parts cross.
	Streams([]StreamCount)
}

// Progress of a part at the end of a run.
type Progress struct {
	Sent    int64 `json:"sent"`
	Arrived int64 `json:"arrived"`
	Settled bool  `json:"settled"` // everything that was due has left and is acknowledged
}

// StreamCount is what one part knows about a stream: its publisher's how much
// was sent, its subscribers' how much arrived.
type StreamCount struct {
	ID         uint32 `json:"id"`
	Topic      string `json:"topic,omitempty"` // from its publisher
	QoS        uint8  `json:"qos,omitempty"`
	Client     int    `json:"client,omitempty"` // the publisher's number
	Sent       uint64 `json:"sent,omitempty"`
	Received   uint64 `json:"received,omitempty"`
	Duplicated uint64 `json:"duplicated,omitempty"`
	Reordered  uint64 `json:"reordered,omitempty"`
}

// local is a stream of this part, nil if it is another's.
func (s *scene) local(id uint32) *stream {
	i := int(id) - s.base
	if i < 0 || i >= len(s.streams) {
		return nil
	}
	return s.streams[i]
}

// counts are the part's half of the account. A publisher's number is its
// client's and number.
func (s *scene) counts(all []*trackers, number int) []StreamCount {
	byID := map[uint32]*StreamCount{}
	for i, st := range s.streams {
		id := uint32(s.base + i)
		byID[id] = &StreamCount{ID: id, Topic: st.topic, QoS: st.qos, Client: st.pub.c.index + number, Sent: st.sent.Load()}
	}
	for _, ts := range all {
		for key, t := range ts.all {
			id := uint32(key)
			c := byID[id]
			if c == nil {
				c = &StreamCount{ID: id}
				byID[id] = c
			}
			c.Received, c.Duplicated, c.Reordered = c.Received+t.got, c.Duplicated+t.dups, c.Reordered+t.late
		}
	}
	counts := make([]StreamCount, 0, len(byID))
	for _, c := range byID {
		counts = append(counts, *c)
	}
	slices.SortFunc(counts, func(a, b StreamCount) int { return int(a.ID) - int(b.ID) })
	return counts
}

// Share is what one of several machines gets of a load.
type Share struct {
	Plan Plan `json:"plan"`
	Part Part `json:"part"`
}

// Division is a load in parts.
type Division struct {
	Plan   Plan // of the whole, complete
	Shares []Share
	fan    fan
	isFan  bool
}

// Divide splits a load among n machines: clients, rates and numbers of
// messages. Publishers and subscribers of one topic come to different machines
// where that is possible.
func Divide(spec Spec, plan Plan, n int, run uint32) (*Division, error) {
	if spec.Device != "" {
		return nil, fmt.Errorf("%s cannot be divided: agents know the broker alone, and not where devices connect to", spec.Name)
	}
	plan.Scenario = spec.Name
	if spec.Defaults != nil {
		spec.Defaults(&plan)
	}
	d := &Division{Plan: plan}
	d.fan, d.isFan = spec.New().(fan)
	if err := d.divisible(n); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%08x", run)
	d.Plan.complete(text)
	cross := d.isFan && (d.fan.all || !plan.ClosedLoop && !strings.Contains(plan.Topic, "%c") && !strings.Contains(plan.Topic, "%u"))
	clients := d.Plan.Clients
	if d.isFan {
		clients = d.Plan.Publishers
	}
	first := 0
	for k := range n {
		p := d.Plan
		p.WatchPID = 0
		from, to := cut(clients, k, n)
		part := Part{Run: run, Index: k, Crosses: d.isFan, FirstClient: first, FirstPublisher: from, AllPublishers: d.Plan.Publishers}
		if d.isFan {
			p.Publishers = to - from
			sub := k
			if !d.fan.all && cross {
				sub = (k + 1) % n
			}
			a, b := cut(d.Plan.Subscribers, sub, n)
			part.FirstSubscriber, p.Subscribers = a, b-a
			first += p.Publishers + p.Subscribers
		} else {
			part.FirstClient = from + d.split(&p, from, to, k, n, text)
		}
		if p.Scenario != feeds {
			p.scale(float64(to-from)/float64(clients), k, n)
		}
		d.Shares = append(d.Shares, Share{p, part})
	}
	return d, nil
}

// split gives a part clients and topics of its own, from one number to another
// of all clients. It returns how many numbers are left out before them: some
// scenarios have clients beside those of the plan.
func (d *Division) split(p *Plan, from, to, k, n int, run string) (gap int) {
	p.Clients = to - from
	if p.Scenario == feeds {
		a, b := cut(d.Plan.Subscribers, k, n)
		p.Subscribers = b - a
	}
	if slices.Contains(numbered, p.Scenario) {
		if d.Plan.Scenario == "sub" && p.Topic == "#" {
			p.Topic = "bench/#" // without what agents say
		}
		return 0
	}
	p.Topic = fmt.Sprintf("bench/%s/%d/%%i", run, k)
	return from + 16*k
}

// feeds is the scenario whose subscribers are divided and get, in every part,
// all that the publishers of that part send.
const feeds = "slow"

// numbered scenarios have the clients of the plan and no others, and take
// topics as they are given.
var numbered = []string{"conn", "pub", "sub", "mqttbs/conn", "mqttbs/conn-enterprise"}

// divisible tells what keeps a load from being shared.
func (d *Division) divisible(n int) error {
	p := &d.Plan
	switch name := p.Scenario; {
	case n < 1:
		return errors.New("no agents")
	case name == feeds && p.Subscribers < n:
		return fmt.Errorf("%d subscribers are too few for %d agents", p.Subscribers, n)
	case !d.isFan && name != feeds && max(p.Clients, 1) < n:
		return fmt.Errorf("%d clients are too few for %d agents", max(p.Clients, 1), n)
	case d.isFan && p.Publishers+p.Subscribers < n:
		return fmt.Errorf("%d publishers and subscribers are too few for %d agents", p.Publishers+p.Subscribers, n)
	case !d.isFan && p.Topic != "" && !slices.Contains(numbered, name):
		return fmt.Errorf("%s has topics of its own on each agent, and none can be given", name)
	case d.isFan && d.fan.all && p.ClosedLoop && p.QoS <= 0 && n > 1:
		return errors.New("a closed loop at QoS 0 is closed by arrivals, which agents do not see of each other: give a rate, or QoS 1")
	}
	return nil
}

// cut is the k-th of n ranges of numbers below total.
func cut(total, k, n int) (from, to int) { return total * k / n, total * (k + 1) / n }

// scale reduces what belongs to all clients together to a share; it is the
// k-th of n.
func (p *Plan) scale(share float64, k, n int) {
	p.Rate *= share
	p.ConnRate *= share
	p.Steps = slices.Clone(p.Steps)
	for i := range p.Steps {
		p.Steps[i].From *= share
		p.Steps[i].To *= share
	}
	if p.Messages > 0 && share > 0 {
		from, to := cut(int(p.Messages), k, n)
		p.Messages = int64(to - from)
	}
}

// Deliveries is how many arrivals so many messages should lead to.
func (d *Division) Deliveries(sent int64) int64 {
	switch {
	case !d.isFan:
		return 0
	case d.fan.all && !d.fan.shared:
		return sent * int64(d.Plan.Subscribers)
	}
	return sent
}
