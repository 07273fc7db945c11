package bench

import (
	"math"
	"testing"
	"time"
)

// The shares of a load make up the whole, whatever the number of agents.
func TestDivide(t *testing.T) {
	for _, spec := range []Spec{Pair(), FanIn(), FanOut(), Shared(), Conn(), Churn(), Slow()} {
		for n := 1; n <= 7; n++ {
			d, err := Divide(spec, Plan{
				QoS: -1, Clients: 23, Publishers: 17, Subscribers: 11, Topics: 3, Rate: 1000, ConnRate: 50, Messages: 1001,
				Steps: []Step{{time.Second, 100, 300}},
			}, n, 5)
			if err != nil {
				t.Fatal(err)
			}
			var pubs, subs, clients int
			var rate, steps float64
			taken := map[int]bool{}
			for k, s := range d.Shares {
				p, part := &s.Plan, &s.Part
				if part.Run != 5 || part.Index != k || p.Validate() != nil {
					t.Errorf("%s in %d: %+v", spec.Name, n, s)
				}
				if d.isFan && (part.FirstPublisher != pubs || d.fan.all && part.FirstSubscriber != subs) {
					t.Errorf("%s in %d: part %d begins with publisher %d and subscriber %d", spec.Name, n, k, part.FirstPublisher, part.FirstSubscriber)
				}
				if !d.fan.all && d.isFan && n > 1 && part.FirstPublisher == part.FirstSubscriber {
					t.Errorf("%s in %d: part %d has its own subscribers", spec.Name, n, k)
				}
				pubs, subs, clients = pubs+p.Publishers, subs+p.Subscribers, clients+p.Clients
				rate, steps = rate+p.Rate, steps+p.Steps[0].To
				count := p.Clients
				if d.isFan {
					count = p.Publishers + p.Subscribers
				}
				for i := range count {
					if taken[part.FirstClient+i] {
						t.Errorf("%s in %d: client %d twice", spec.Name, n, part.FirstClient+i)
					}
					taken[part.FirstClient+i] = true
				}
			}
			if d.isFan && (pubs != d.Plan.Publishers || subs != d.Plan.Subscribers) || !d.isFan && clients != d.Plan.Clients {
				t.Errorf("%s in %d: %d publishers, %d subscribers, %d clients", spec.Name, n, pubs, subs, clients)
			}
			if each := spec.Name == "slow"; !each && (math.Abs(rate-1000) > 1e-6 || math.Abs(steps-300) > 1e-6) {
				t.Errorf("%s in %d: %v and %v per second", spec.Name, n, rate, steps)
			}
		}
	}
}

// Of what a part that has gone should have said, nothing is guessed.
func TestMergeWithoutOne(t *testing.T) {
	d, err := Divide(Pair(), Plan{Publishers: 2, QoS: 1, Rate: 10}, 2, 5)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMerger(d, time.Now(), func(any) {})
	// Part 0 has publisher 0 and the subscriber of publisher 1.
	if err := m.Streams(0, []StreamCount{{ID: 0, Topic: "a", QoS: 1, Sent: 10}, {ID: 1, Received: 4}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Streams(0, []StreamCount{{ID: 2}}); err == nil {
		t.Error("a stream that the plan does not have")
	}
	m.Interval(0, &Interval{Stage: StageMeasure, Duration: time.Second, Counters: Counters{Sent: 10, Received: 4}})
	m.Over(0, &Final{Measured: time.Second}, "complete")
	m.Over(1, nil, "has gone")
	m.Part(1).Name = "b"
	f := m.Balance(time.Now(), nil)
	if got, want := f.Account.QoS[1], (Tally{Sent: 10}); got != want || f.Ended != "agent b: has gone" || f.Counters.Received != 4 {
		t.Errorf("%+v, %q, %+v", got, f.Ended, f.Counters)
	}
}
