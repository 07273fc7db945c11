package bench

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// try runs a plan against a broker of its own.
func try(t *testing.T, spec Spec, p Plan) (*Final, *Result) {
	t.Helper()
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	var record bytes.Buffer
	f, err := Run(t.Context(), Options{Plan: p, Spec: spec, Endpoint: e, Record: &record})
	if err != nil {
		t.Fatal(err)
	}
	res, err := ReadResult(&record)
	if err != nil {
		t.Fatal(err)
	}
	return f, res
}

func TestPairs(t *testing.T) {
	for qos := range 3 {
		for _, closed := range []bool{false, true} {
			p := Plan{Publishers: 4, QoS: qos, SubQoS: -1, Messages: 2000, Duration: 20 * time.Second, ClosedLoop: closed, Window: 20}
			if !closed {
				p.Rate = 10000
			}
			f, res := try(t, Pair(), p)
			sum := f.Account.QoS[qos]
			if want := (Tally{Sent: 2000, Expected: 2000, Received: 2000}); sum != want {
				t.Errorf("QoS %d, closed loop %v: %+v, want %+v", qos, closed, sum, want)
			}
			if f.Account.Unacked != 0 || f.Account.Unsent != 0 || f.Ended != "complete" {
				t.Errorf("QoS %d, closed loop %v: %+v", qos, closed, f)
			}
			if n := f.Latency["e2e"].TotalCount(); n != 2000 {
				t.Errorf("QoS %d, closed loop %v: %d latencies", qos, closed, n)
			}
			if res.Final == nil || res.Header.Plan.Publishers != 4 || len(res.Intervals) == 0 {
				t.Errorf("record: %+v", res)
			}
		}
	}
}

// An interrupted run is drained and has its balance.
func TestInterrupted(t *testing.T) {
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f, err := Run(ctx, Options{
		Spec: Pair(), Endpoint: e,
		Plan: Plan{Publishers: 2, QoS: 1, SubQoS: -1, Rate: 500, Duration: time.Hour, Sampling: 50 * time.Millisecond},
		Watch: func(record any) {
			if i, ok := record.(*Interval); ok && i.Stage == StageMeasure && i.Counters.Received > 0 {
				cancel()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := f.Account.QoS[1]
	if f.Ended != "interrupted" || sum.Sent == 0 || sum.Lost+f.Account.Unsent+f.Account.Unacked > 0 || f.Measured > time.Minute {
		t.Errorf("%s after %v: %+v", f.Ended, f.Measured, f.Account)
	}
}

// Whoever ends the warm-up may be late: all that was due behind it counts, and
// nothing before.
func TestWarmupThatEndsLate(t *testing.T) {
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	const warmup = 100 * time.Millisecond
	var once sync.Once
	f, err := Run(t.Context(), Options{
		Spec: Pair(), Endpoint: e,
		Plan: Plan{Publishers: 2, QoS: 1, SubQoS: -1, Rate: 500, Warmup: warmup, Duration: 400 * time.Millisecond, Sampling: warmup / 4},
		Watch: func(record any) {
			if i, ok := record.(*Interval); ok && i.Stage == StageWarmup {
				once.Do(func() { time.Sleep(3 * warmup) })
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if e2e, acks := f.Latency["e2e"].TotalCount(), f.Latency["puback"].TotalCount(); e2e != 200 || acks != 200 || f.Total.Received != 250 {
		t.Errorf("of 250 messages, 50 of them early, %d arrivals and %d acknowledgements are measured: %+v", e2e, acks, f.Total)
	}
}

// A search ends at a rate that meets the conditions, next to one that does not.
func TestFindMax(t *testing.T) {
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	limit, err := ParseAssertion("sent.rate<2000")
	if err != nil {
		t.Fatal(err)
	}
	var best, worst float64 = 0, 1e9
	rate, confirmed, err := FindMax(t.Context(), Options{
		Spec: Pair(), Endpoint: e, Asserts: []Assertion{limit},
		Plan: Plan{Publishers: 2, Rate: 1000, Duration: 100 * time.Millisecond},
	}, func(tr Trial) {
		if tr.OK {
			best = max(best, tr.Rate)
		} else {
			worst = min(worst, tr.Rate)
		}
	})
	if err != nil || rate != best || confirmed > 3 || (worst-rate)/worst > precision {
		t.Errorf("%v (%d), %v; the best was %v, the worst %v", rate, confirmed, err, best, worst)
	}
}

// A search says what cannot be found, and does not take a rate for met that was
// never sent.
func TestFindMaxOfNothing(t *testing.T) {
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	search := func(spec Spec, condition string, p Plan) (trials []Trial, err error) {
		a, err := ParseAssertion(condition)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = FindMax(t.Context(), Options{Spec: spec, Endpoint: e, Asserts: []Assertion{a}, Plan: p}, func(tr Trial) { trials = append(trials, tr) })
		return trials, err
	}
	trials, err := search(Pub(), "e2e.p99<1s", Plan{Clients: 1, Rate: 100, Duration: 100 * time.Millisecond})
	if err == nil || len(trials) != 1 {
		t.Errorf("%d runs, %v", len(trials), err)
	}
	trials, _ = search(Pub(), "sent>0", Plan{Clients: 1, Rate: 1e9, Duration: 20 * time.Millisecond, Drain: time.Millisecond})
	if len(trials) == 0 || trials[0].OK {
		t.Errorf("%+v", trials)
	}
}

// A message that the broker does not pass on is missed: here those that a
// second client with the same identifier keeps from their subscriber.
func TestLossIsNoticed(t *testing.T) {
	spec := Pair()
	inner := spec.New
	spec.New = func() Scenario { return deaf{inner()} }
	f, _ := try(t, spec, Plan{Publishers: 1, QoS: 1, SubQoS: -1, Rate: 1000, Messages: 100, Drain: 100 * time.Millisecond})
	if got := f.Account.QoS[1]; got.Lost != 100 || len(f.Account.Worst) != 1 || f.Total.Disconnects != 1 {
		t.Errorf("%+v, %+v", got, f.Total)
	}
}

// deaf is a scenario whose first client is taken over before the load begins.
type deaf struct{ Scenario }

func (d deaf) Open(ctx context.Context, s *Session) (Load, error) {
	load, err := d.Scenario.Open(ctx, s)
	if err != nil {
		return nil, err
	}
	victim := s.all()[0]
	for _, c := range s.all() {
		if c.sub != nil {
			victim = c
		}
	}
	o := s.clientOptions(victim.index)
	if _, err := s.Connect(ctx, o); err != nil {
		return nil, err
	}
	<-victim.Done()
	return load, nil
}

// One that only subscribes follows several runs of others, each from its
// beginning.
func TestRunsOfOthers(t *testing.T) {
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready := make(chan struct{})
	var once sync.Once
	done := make(chan *Final, 1)
	go func() {
		f, err := Run(ctx, Options{
			Spec: Sub(), Endpoint: e,
			Plan: Plan{Clients: 1, QoS: 1, SubQoS: 1, Duration: time.Hour, Sampling: 20 * time.Millisecond},
			Watch: func(record any) {
				if i, ok := record.(*Interval); ok && i.Stage == StageMeasure {
					once.Do(func() { close(ready) })
				}
			},
		})
		if err != nil {
			t.Error(err)
		}
		done <- f
	}()
	<-ready
	for range 2 {
		if _, err := Run(t.Context(), Options{Spec: Pub(), Endpoint: e, Plan: Plan{Clients: 2, QoS: 1, Rate: 1000, Messages: 200}}); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if got, want := (<-done).Account.Sum(), (Tally{Expected: 400, Received: 400}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
