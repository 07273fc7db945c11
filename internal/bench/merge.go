package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// PartResult is what the record of a run says about one of its agents.
type PartResult struct {
	Name        string      `json:"name"`
	Environment Environment `json:"environment"`
	Ended       string      `json:"ended"` // "complete", or why not
	// Offset is how far its clock was ahead of the common one, at most Error
	// away from that, after RoundTrip. The offset has been taken out of
	// latencies, the error cannot be.
	Offset    time.Duration `json:"offset"`
	Error     time.Duration `json:"error"`
	RoundTrip time.Duration `json:"round_trip"`
	Self      Self          `json:"self"` // as in Final
}

// Merger makes one run of the records of its parts. It is for one goroutine.
type Merger struct {
	d     *Division
	epoch time.Time
	emit  func(record any)
	parts []partLog

	measured, total Counters
	latency         map[string]*Histogram
	self            Self
	limited, counts int
	streams         map[uint32]*mergedStream
}

// partLog is what has come from a part.
type partLog struct {
	result   PartResult
	ahead    time.Duration // from the common epoch to the part's own
	waiting  []*Interval
	over     bool // nothing more will come
	final    *Final
	subFails int64
}

type mergedStream struct {
	StreamCount
	known bool // its publisher's part has reported
}

// NewMerger begins a run at epoch, on the common clock. emit gets its records.
func NewMerger(d *Division, epoch time.Time, emit func(record any)) *Merger {
	return &Merger{
		d: d, epoch: epoch, emit: emit, parts: make([]partLog, len(d.Shares)),
		latency: map[string]*Histogram{}, streams: map[uint32]*mergedStream{},
	}
}

// Part is what will be said about a part; it may still be changed.
func (m *Merger) Part(k int) *PartResult { return &m.parts[k].result }

// Began tells when the record of part k begins, on the common clock.
func (m *Merger) Began(k int, at time.Time) { m.parts[k].ahead = at.Sub(m.epoch) }

// Event passes on what a part has reported.
func (m *Merger) Event(k int, e *Event) {
	own := *e
	own.At += m.parts[k].ahead
	own.Text = m.parts[k].result.Name + ": " + e.Text
	m.emit(&own)
}

// Interval takes the next interval of part k.
func (m *Merger) Interval(k int, i *Interval) {
	p := &m.parts[k]
	if p.over {
		return
	}
	p.waiting = append(p.waiting, i)
	p.subFails += i.Counters.SubscribeFail
	m.flush()
}

// Over ends part k, with its balance or, where it has gone, without.
func (m *Merger) Over(k int, f *Final, why string) {
	p := &m.parts[k]
	if p.over {
		return
	}
	p.over, p.final, p.result.Ended = true, f, why
	m.flush()
}

// stageOrder is where an interval belongs.
func stageOrder(i *Interval) int {
	order := slices.Index([]Stage{StageConnect, StageWarmup, StageMeasure, StageDrain}, i.Stage)
	if order < 0 {
		order = 4
	}
	return order<<16 + i.Step
}

// flush puts together what has come from everybody: the intervals of the
// earliest stage that anybody is in, one of each part.
func (m *Merger) flush() {
	for {
		first := -1
		for k := range m.parts {
			p := &m.parts[k]
			if len(p.waiting) == 0 {
				if !p.over {
					return
				}
				continue
			}
			if o := stageOrder(p.waiting[0]); first < 0 || o < first {
				first = o
			}
		}
		if first < 0 {
			return
		}
		var sum *Interval
		for k := range m.parts {
			p := &m.parts[k]
			if len(p.waiting) == 0 || stageOrder(p.waiting[0]) != first {
				continue
			}
			i := p.waiting[0]
			p.waiting = p.waiting[1:]
			i.At += p.ahead
			if i.Stage == StageMeasure {
				p.result.Self.CPU += i.Self.CPU
				p.result.Self.Lag = max(p.result.Self.Lag, i.Self.Lag)
				p.result.Self.RSS = i.Self.RSS
			}
			p.result.Self.Goroutines = max(p.result.Self.Goroutines, i.Self.Goroutines)
			if sum == nil {
				sum = i
				continue
			}
			sum.join(i)
		}
		m.keep(sum)
		m.emit(sum)
	}
}

// join adds an interval of another part.
func (i *Interval) join(o *Interval) {
	i.At, i.Duration = min(i.At, o.At), max(i.Duration, o.Duration)
	i.Target += o.Target
	i.Counters.Add(&o.Counters)
	i.Gauges.Connections += o.Gauges.Connections
	i.Gauges.Inflight += o.Gauges.Inflight
	i.Gauges.Behind += o.Gauges.Behind
	if i.Latency == nil {
		i.Latency = map[string]*Histogram{}
	}
	addLatencies(i.Latency, o.Latency, false)
	i.Self.CPU += o.Self.CPU
	i.Self.Lag = max(i.Self.Lag, o.Self.Lag)
	i.Self.Goroutines += o.Self.Goroutines
	i.Self.RSS += o.Self.RSS
	for _, why := range o.Limited {
		if !slices.Contains(i.Limited, why) {
			i.Limited = append(i.Limited, why)
		}
	}
}

// addLatencies adds o, its phases of connecting alone if asked to.
func addLatencies(all, o map[string]*Histogram, connecting bool) {
	for name, h := range o {
		phase := Phase(slices.Index(phaseNames[:], strings.TrimSuffix(name, Sent)))
		if h == nil || connecting && phase > PhaseSuback {
			continue
		}
		if all[name] == nil {
			all[name] = NewHistogram()
		}
		all[name].Add(h)
	}
}

// keep adds an interval to the balance.
func (m *Merger) keep(i *Interval) {
	// A part that begins a little late still connects when the first messages of
	// others come.
	early := i.Stage == StageConnect && (m.d.Plan.Warmup > 0 || !m.d.crosses())
	addLatencies(m.latency, i.Latency, early || i.Stage == StageWarmup)
	m.total.Add(&i.Counters)
	m.self.Goroutines = max(m.self.Goroutines, i.Self.Goroutines)
	if i.Stage != StageMeasure {
		return
	}
	m.measured.Add(&i.Counters)
	m.self.CPU += i.Self.CPU
	m.self.Lag = max(m.self.Lag, i.Self.Lag)
	m.self.RSS = i.Self.RSS
	if i.Duration >= m.d.Plan.Sampling/2 {
		m.counts++
		if len(i.Limited) > 0 {
			m.limited++
		}
	}
}

// Streams takes a part's half of the account. Streams that the plan does not
// have are an error.
func (m *Merger) Streams(k int, counts []StreamCount) error {
	all := m.d.Plan.Publishers * m.d.Plan.Topics
	part := &m.d.Shares[k]
	for _, c := range counts {
		if int(c.ID) >= all || c.QoS > 2 {
			return fmt.Errorf("stream %d at QoS %d: the plan has %d streams", c.ID, c.QoS, all)
		}
		s := m.streams[c.ID]
		if s == nil {
			s = &mergedStream{StreamCount: StreamCount{ID: c.ID}}
			m.streams[c.ID] = s
		}
		s.Received += c.Received
		s.Duplicated += c.Duplicated
		s.Reordered += c.Reordered
		first := part.Part.FirstPublisher * m.d.Plan.Topics
		if own := int(c.ID) - first; own >= 0 && own < part.Plan.Publishers*m.d.Plan.Topics {
			s.Topic, s.QoS, s.Client, s.Sent, s.known = c.Topic, c.QoS, c.Client, c.Sent, true
		}
	}
	return nil
}

// targets is how many arrivals of each message of a publisher can be known;
// -1: what was sent to a part that has gone cannot be.
func (m *Merger) targets(s *mergedStream) int64 {
	n := int64(0)
	for k := range m.parts {
		p, share := &m.parts[k], &m.d.Shares[k]
		from := share.Part.FirstSubscriber
		switch {
		case m.d.fan.shared && p.final == nil && share.Plan.Subscribers > 0:
			return -1
		case m.d.fan.shared && share.Plan.Subscribers > 0:
			n = 1
		case p.final == nil: // gone
		case m.d.fan.all:
			n += max(int64(share.Plan.Subscribers)-p.subFails, 0)
		case s.Client >= from && s.Client < from+share.Plan.Subscribers && (s.Received > 0 || p.subFails == 0):
			n = 1
		}
	}
	return n
}

// account compares what the parts have published and received.
func (m *Merger) account() (a Account) {
	var worst []StreamTally
	for k := range m.parts {
		f := m.parts[k].final
		if f == nil {
			continue
		}
		a.Unsent += f.Account.Unsent
		a.Unacked += f.Account.Unacked
		for q := range a.QoS {
			if m.d.isFan {
				a.QoS[q].Corrupted += f.Account.QoS[q].Corrupted
			} else {
				a.QoS[q].add(f.Account.QoS[q])
			}
		}
		if !m.d.isFan {
			worst = append(worst, f.Account.Worst...)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.streams)) {
		s := m.streams[id]
		if !s.known {
			continue // nobody can say how much was sent
		}
		t := StreamTally{Topic: s.Topic, QoS: s.QoS, Tally: Tally{
			Sent: int64(s.Sent), Received: int64(s.Received), Duplicated: int64(s.Duplicated), Reordered: int64(s.Reordered),
		}}
		if n := m.targets(s); n >= 0 {
			t.Expected = t.Sent * n
		} else {
			t.Expected = t.Received
		}
		t.Lost = max(t.Expected-t.Received, 0)
		a.QoS[s.QoS].add(t.Tally)
		if t.trouble() > 0 {
			worst = append(worst, t)
		}
	}
	slices.SortStableFunc(worst, func(x, y StreamTally) int { return cmp.Compare(y.trouble(), x.trouble()) })
	a.Worst = worst[:min(len(worst), worstStreams)]
	return a
}

// ClockError is how wrong a latency can be that begins at one part and ends at
// another.
func (m *Merger) clockError() time.Duration {
	if !m.d.isFan || !m.d.crosses() {
		return 0
	}
	var errs []time.Duration
	for k := range m.parts {
		errs = append(errs, m.parts[k].result.Error)
	}
	slices.Sort(errs)
	n := len(errs)
	return errs[n-1] + errs[max(n-2, 0)]
}

// crosses tells whether messages go from one part to another.
func (d *Division) crosses() bool {
	if len(d.Shares) < 2 {
		return false
	}
	return d.fan.all || d.Shares[0].Part.FirstPublisher != d.Shares[0].Part.FirstSubscriber
}

// Balance ends the run. now is on the common clock.
func (m *Merger) Balance(now time.Time, asserts []Assertion) *Final {
	f := &Final{
		At: now.Sub(m.epoch), Ended: "complete", Counters: m.measured, Total: m.total, Latency: m.latency,
		Account: m.account(), Self: m.self, LimitedIntervals: m.limited, MeasureIntervals: m.counts,
		Values: map[string]float64{}, ClockError: m.clockError(),
	}
	for k := range m.parts {
		p := &m.parts[k]
		f.Agents = append(f.Agents, p.result)
		if p.result.Ended != f.Ended && f.Ended == "complete" {
			f.Ended = p.result.Ended
			if f.Ended != "interrupted" {
				f.Ended = fmt.Sprintf("agent %s: %s", p.result.Name, p.result.Ended)
			}
		}
		if p.final == nil {
			continue
		}
		f.Measured = max(f.Measured, p.final.Measured)
		for name, v := range p.final.Values {
			if strings.HasSuffix(name, "rate") {
				f.Values[name] += v
			} else {
				f.Values[name] = max(f.Values[name], v)
			}
		}
	}
	for _, a := range asserts {
		f.Assertions = append(f.Assertions, a.judge(f))
	}
	return f
}
