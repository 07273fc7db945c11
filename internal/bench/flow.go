package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// flow is publishers that share a schedule.
type flow struct {
	s      *Session
	pubs   []*publisher
	sched  *schedule // nil: closed loop
	start  int64     // of the schedule; set before the load runs
	qos    uint8
	retain bool
	credit bool         // the window is opened by arrivals, too
	limit  int64        // of a closed loop, 0: none
	taken  atomic.Int64 // messages of a closed loop with a limit
	until  atomic.Int64 // nothing that is due later is sent; since start
	ended  atomic.Bool
}

// newFlow lets clients publish, each to the topics that name returns. targets
// is how many subscribers, a group counting as one, get each message of a
// client: 0 if nobody here subscribes.
func (s *Session) newFlow(clients []*Client, name func(client, topic int) string, targets func(client int) int) *flow {
	p := s.plan
	f := &flow{s: s, qos: uint8(p.QoS), retain: p.Retain, limit: p.Messages}
	f.until.Store(never)
	if steps := p.steps(len(clients)); steps != nil {
		f.sched = newSchedule(p.Warmup, steps, p.Messages)
	}
	s.own = true
	for i, c := range clients {
		pub := &publisher{c: c, f: f, index: i, payload: noise(p.Size, uint64(s.run)+uint64(i))}
		pub.at.schedule = f.sched
		for t := range p.Topics {
			topic := name(i, t)
			n := targets(i)
			f.credit = f.credit || n > 0 && f.sched == nil
			pub.streams = append(pub.streams, len(s.streams))
			s.streams = append(s.streams, &stream{topic: topic, name: []byte(topic), qos: f.qos, targets: int32(n), pub: pub})
		}
		f.pubs = append(f.pubs, pub)
	}
	s.flows = append(s.flows, f)
	return f
}

// begin starts the schedule.
func (f *flow) begin(start int64) {
	f.start = start
	for _, p := range f.pubs {
		p.c.wmu.Lock()
		p.c.pub = p
		p.c.wmu.Unlock()
	}
}

// Run implements Load: it sends what is due until ctx ends.
func (f *flow) Run(ctx context.Context) error {
	drivers := min(f.s.plan.Drivers, len(f.pubs))
	var wg sync.WaitGroup
	for d := range drivers {
		var own []*publisher
		for i := d; i < len(f.pubs); i += drivers {
			own = append(own, f.pubs[i])
		}
		wg.Go(func() {
			if f.sched != nil {
				f.drive(ctx, own)
			} else {
				f.push(ctx, own)
			}
		})
	}
	wg.Wait()
	return nil
}

// Drain implements Load; the engine has flows of its own to watch.
func (f *flow) Drain(context.Context) error { return nil }

// drive follows the schedule for some of the publishers.
func (f *flow) drive(ctx context.Context, own []*publisher) {
	at := cursor{schedule: f.sched}
	tick := f.s.tick(f.sched.maxRate())
	for turn := int64(0); ; {
		i := int(turn % int64(len(own)))
		due := at.due(turn/int64(len(own))*int64(len(f.pubs)) + int64(own[i].index))
		if due == never {
			return
		}
		now := f.s.now() - f.start
		if due > now {
			if !f.s.sleep(ctx, max(due-now, tick)) {
				return
			}
			continue
		}
		// Each publisher sends all that it has due, so one round is enough, however
		// far the rate is above what can be sent.
		if rounds := f.sched.count(now) / int64(len(f.pubs)); rounds > turn/int64(len(own))+1 {
			for _, p := range own {
				p.pump()
			}
			turn = rounds * int64(len(own))
			continue
		}
		for n := 0; due <= now; n++ {
			if n < len(own) {
				own[i].pump()
			}
			turn++
			i = int(turn % int64(len(own)))
			due = at.due(turn/int64(len(own))*int64(len(f.pubs)) + int64(own[i].index))
		}
	}
}

// push keeps the windows of a closed loop full. Acknowledgements and arrivals
// do most of it; without any there is nobody but this goroutine.
func (f *flow) push(ctx context.Context, own []*publisher) {
	free := f.qos == 0 && !f.credit
	const look = 100 * time.Millisecond
	seen := make([]int64, len(own))
	still := make([]time.Duration, len(own))
	for {
		for i, p := range own {
			if d := p.delivered.Load(); d != seen[i] || !f.credit {
				seen[i], still[i] = d, 0
			} else if still[i] += look; still[i] >= time.Second {
				p.forgive()
				still[i] = 0
			}
			p.pump()
		}
		if f.limit > 0 && f.taken.Load() >= f.limit {
			return
		}
		wait := look
		if free {
			wait = 100 * time.Microsecond
		}
		if !f.s.sleep(ctx, int64(wait)) {
			return
		}
	}
}

// forgive opens the window of a publisher whose messages have been lost; the
// account knows about them.
func (p *publisher) forgive() {
	p.c.wmu.Lock()
	p.delivered.Store(p.turn)
	p.c.wmu.Unlock()
}

// unsent counts what was due and did not leave. Nothing is sent afterwards.
func (f *flow) unsent(now int64) (n int64) {
	f.ended.Store(true)
	if f.sched == nil {
		return 0
	}
	due, all := f.sched.count(min(now-f.start+1, f.until.Load())), int64(len(f.pubs))
	for _, p := range f.pubs {
		p.c.wmu.Lock()
		if left := (due-int64(p.index)+all-1)/all - p.turn; left > 0 {
			p.turn += left
			n += left
		}
		p.c.wmu.Unlock()
	}
	return n
}

// tick is how long a driver sleeps at least: at high rates longer, because
// messages that leave together cost less.
func (s *Session) tick(rate float64) int64 {
	const precise = 20_000
	switch {
	case s.plan.Tick > 0:
		return int64(s.plan.Tick)
	case rate > precise:
		return int64(time.Millisecond)
	}
	return 0
}

// fine is up to where a sleep is left to the kernel's own clock: the runtime's
// timers are exact to a millisecond.
const fine = int64(1500 * time.Microsecond)

// sleep waits and returns false when ctx has ended.
func (s *Session) sleep(ctx context.Context, d int64) bool {
	if d > fine {
		t := time.NewTimer(time.Duration(d - fine/2))
		defer t.Stop()
		before := s.now()
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
		d -= s.now() - before
	}
	if d > 0 {
		nap(time.Duration(d))
	}
	return ctx.Err() == nil
}

// pause waits and returns false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// burst publishes n messages and waits for their acknowledgements. message i
// is what make returns; its payload is the caller's again after the call.
func (c *Client) burst(ctx context.Context, n int, make func(i int, now int64) mqtt.Publish) error {
	for i := 0; ; {
		c.wmu.Lock()
		now, sent := c.s.now(), 0
		for ; i < n && !c.full() && (len(c.free) > 0 || len(c.slots) < c.window); i++ {
			m := make(i, now)
			if m.QoS > 0 {
				m.PacketID = c.take(now, now)
			}
			if err := c.add(m); err != nil {
				c.wmu.Unlock()
				return err
			}
			sent++
		}
		c.flush()
		pending := len(c.slots) - len(c.free)
		c.wmu.Unlock()
		c.sh.count(func(k *Counters) { k.Sent += int64(sent) })
		if i == n && pending == 0 {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("publish: %w", c.err)
		default:
		}
		if !pause(ctx, time.Millisecond) {
			return fmt.Errorf("publish: %w", ErrNoAnswer)
		}
	}
}

// aside is the stream of stamps that are not accounted for.
const aside = 1<<24 - 1

// filler is a payload with a stamp that is not accounted for.
func (s *Session) filler(seq int) []byte {
	b := noise(s.plan.Size, uint64(seq))
	st := stamp{run: s.run, stream: aside, seq: uint64(seq), due: s.unix + s.now(), sent: s.unix + s.now()}
	st.put(b)
	return b
}
