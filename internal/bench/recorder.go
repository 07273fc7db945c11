package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// shard collects what happens on some of the clients. The lock is held for a
// batch of packets at a time.
type shard struct {
	mu      sync.Mutex
	n       Counters
	latency *latencies
	early   *latencies // of what is measured, as long as the warm-up is not cut; nil: nothing
	_       [64]byte   // the next shard's lock is on another cache line
}

// latencies of each phase, from the intended time and, behind these, from the
// time of sending. They are made when there is something to record.
type latencies [2 * phases]*Histogram

func (l *latencies) record(p Phase, due, sent, now int64) {
	for i, d := range [2]int64{now - due, now - sent} {
		h := &l[int(p)+i*int(phases)]
		if *h == nil {
			*h = NewHistogram()
		}
		(*h).Record(d)
	}
}

// byName lists what has been recorded.
func (l *latencies) byName() map[string]*Histogram {
	m := map[string]*Histogram{}
	for i, h := range l {
		if h == nil || h.TotalCount() == 0 {
			continue
		}
		name := phaseNames[i%int(phases)]
		if i >= int(phases) {
			name += Sent
		}
		m[name] = h
	}
	return m
}

// recorder is where clients record, sharded.
type recorder struct {
	shards []shard
	spare  *latencies // swapped with each shard's in turn
	next   atomic.Uint32

	// What is due from from to to counts; what is due before it is recorded only
	// as long as the measurement has not begun. In nanoseconds of the session.
	from, to atomic.Int64
	warming  atomic.Bool // the interval is one of the warm-up, even if from has passed

	connections atomic.Int64
	descriptors atomic.Int64 // failures for want of descriptors since the last interval
	ports       atomic.Int64 // and of ports
}

func newRecorder(shards int) *recorder {
	r := &recorder{shards: make([]shard, shards), spare: new(latencies)}
	for i := range r.shards {
		r.shards[i].latency = new(latencies)
	}
	r.from.Store(never)
	r.to.Store(never)
	return r
}

// shard deals out the shards in turn.
func (r *recorder) shard() *shard { return &r.shards[int(r.next.Add(1))%len(r.shards)] }

// record enters what was due at due and happened at now, if that counts. The
// shard's lock is held.
func (r *recorder) record(s *shard, p Phase, due, sent, now int64) {
	switch from := r.from.Load(); {
	case due >= from && due < r.to.Load():
		l := s.latency
		if r.warming.Load() { // who ends the warm-up is late
			if s.early == nil {
				s.early = new(latencies)
			}
			l = s.early
		}
		l.record(p, due, sent, now)
	case now < from:
		s.latency.record(p, due, sent, now)
	}
}

// phase records one duration outside of a batch.
func (s *shard) phase(p Phase, due, sent, now int64) {
	s.mu.Lock()
	s.latency.record(p, due, sent, now)
	s.mu.Unlock()
}

// count changes counters outside of a batch.
func (s *shard) count(change func(*Counters)) {
	s.mu.Lock()
	change(&s.n)
	s.mu.Unlock()
}

// collect takes everything recorded since the last call.
func (r *recorder) collect() (Counters, *latencies) {
	var n Counters
	all := new(latencies)
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n.Add(&s.n)
		s.n = Counters{}
		taken := s.latency
		s.latency = r.spare
		if s.early != nil && !r.warming.Load() {
			all.take(s.early)
			s.early = nil
		}
		s.mu.Unlock()
		all.take(taken)
		r.spare = taken
	}
	return n, all
}

// take adds what is in o and leaves it empty.
func (l *latencies) take(o *latencies) {
	for i, h := range o {
		if h == nil || h.TotalCount() == 0 {
			continue
		}
		if l[i] == nil {
			l[i] = NewHistogram()
		}
		l[i].Add(h)
		h.Reset()
	}
}

// merge adds what is in o, connecting alone if asked to.
func (l *latencies) merge(o *latencies, connecting bool) {
	for i, h := range o {
		p := Phase(i % int(phases))
		if h == nil || connecting && p > PhaseSuback {
			continue
		}
		if l[i] == nil {
			l[i] = NewHistogram()
		}
		l[i].Add(h)
	}
}

// Add adds what o has counted.
func (c *Counters) Add(o *Counters) {
	c.Connects += o.Connects
	c.ConnectFails += o.ConnectFails
	c.Disconnects += o.Disconnects
	c.Subscribes += o.Subscribes
	c.SubscribeFail += o.SubscribeFail
	c.Sent += o.Sent
	c.Acked += o.Acked
	c.AckFails += o.AckFails
	c.Received += o.Received
	c.Foreign += o.Foreign
	c.Operations += o.Operations
	c.OperationFail += o.OperationFail
	c.Late += o.Late
	c.WindowFull += o.WindowFull
	c.Blocked += o.Blocked
	c.Duplicated += o.Duplicated
	c.Reordered += o.Reordered
	c.Corrupted += o.Corrupted
	c.BytesOut += o.BytesOut
	c.BytesIn += o.BytesIn
}

// clock counts nanoseconds since the session began; monotonic.
type clock struct {
	epoch time.Time
	unix  int64 // of epoch
}

// newClock makes one that is ahead of this machine's by shift.
func newClock(shift time.Duration) clock {
	now := time.Now()
	return clock{epoch: now, unix: now.UnixNano() + int64(shift)}
}

func (c *clock) now() int64 { return int64(time.Since(c.epoch)) }
