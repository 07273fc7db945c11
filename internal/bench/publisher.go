package bench

import (
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// publisher sends the messages of one client. Everything but the atomic fields
// is guarded by the client's wmu.
type publisher struct {
	c       *Client
	f       *flow
	index   int   // within the flow
	turn    int64 // messages sent; with index it says which of the schedule is next
	streams []int // by topic
	at      cursor
	payload []byte
	waiting bool // the message that is due next has been counted as waiting

	delivered atomic.Int64 // of turn; what opens the window on a closed loop
	kicked    atomic.Bool
}

// open tells that there may be something to send; its schedule has begun.
func (p *publisher) open() bool { return p.f != nil && !p.f.ended.Load() }

// next is when the publisher's next message is due: now on a closed loop.
func (p *publisher) next(now int64) int64 {
	f := p.f
	if f.sched == nil {
		if f.limit > 0 && f.taken.Load() >= f.limit {
			return never
		}
		return now
	}
	due := p.at.due(p.turn*int64(len(f.pubs)) + int64(p.index))
	if due >= f.until.Load() {
		return never
	}
	return f.start + due
}

// burst bounds what one call of fill appends, so that the kernel gets
// something before the last of a large window is encoded.
const burst = 32 << 10

// fill appends every message that is due and that the window has room for.
// Call it with the client's wmu held; it returns how many were appended.
func (p *publisher) fill(now int64) (n int) {
	c, f := p.c, p.f
	var late, full int64
	before := 0
	if c.out != nil {
		before = len(c.out.b)
	}
	for !c.full() {
		due := p.next(now)
		if due > now {
			break
		}
		if !p.room() {
			if f.sched != nil && !p.waiting {
				p.waiting = true
				full++
			}
			break
		}
		p.waiting = false
		if now-due > 1e6 {
			late++
		}
		if f.limit > 0 && f.sched == nil && f.taken.Add(1) > f.limit {
			break
		}
		p.append(due, now)
		n++
		if len(c.out.b)-before >= burst {
			break
		}
	}
	if n+int(full) > 0 {
		bytes := 0
		if c.out != nil {
			bytes = len(c.out.b) - before
		}
		c.sh.mu.Lock()
		c.sh.n.Sent += int64(n)
		c.sh.n.Late += late
		c.sh.n.WindowFull += full
		c.sh.n.BytesOut += int64(bytes)
		c.sh.mu.Unlock()
	}
	return n
}

// room tells whether the window lets another message through.
func (p *publisher) room() bool {
	c := p.c
	if p.f.qos > 0 && len(c.free) == 0 && len(c.slots) >= c.window {
		return false
	}
	return !p.f.credit || p.turn-p.delivered.Load() < int64(c.window)
}

// append encodes one message.
func (p *publisher) append(due, now int64) {
	c, f := p.c, p.f
	id := p.streams[int(p.turn%int64(len(p.streams)))]
	st := f.s.streams[id]
	p.turn++
	m := mqtt.Publish{QoS: f.qos, Retain: f.retain, Topic: st.name, Payload: p.payload}
	if f.qos > 0 {
		m.PacketID = c.take(due, now)
	}
	stamp := stamp{
		run: f.s.run, stream: uint32(f.s.base + id), seq: st.sent.Add(1) - 1,
		due: f.s.unix + due, sent: f.s.unix + now,
	}
	stamp.put(p.payload)
	o := c.output()
	if c.dialect != nil {
		o.b, _, _ = c.dialect.Publish(o.b, client.Message{Topic: st.topic, Payload: p.payload}) // Open has tried one
		return
	}
	o.b, _ = m.Append(o.b, c.opts.Version) // the session has encoded one before
}

// take finds a packet identifier.
func (c *Client) take(due, now int64) uint16 {
	var i int
	if n := len(c.free); n > 0 {
		i = int(c.free[n-1])
		c.free = c.free[:n-1]
	} else {
		i = len(c.slots)
		c.slots = append(c.slots, slot{})
	}
	c.slots[i] = slot{due: due, sent: now, state: slotPublish}
	return uint16(i + 1)
}

// maxBursts is how many of them are sent before others get the lock.
const maxBursts = 8

// pump sends what is due, from outside of the client's reader.
func (p *publisher) pump() {
	if !p.open() {
		return
	}
	p.c.wmu.Lock()
	for range maxBursts {
		if p.fill(p.c.s.now()) == 0 {
			break
		}
		p.c.flush()
	}
	p.c.wmu.Unlock()
}

// delivered opens the window of a stream's publisher, after an arrival at c.
func (s *scene) delivered(c *Client, id uint32) {
	st := s.local(id)
	if st == nil {
		return
	}
	n := st.arrived.Add(1)
	p := st.pub
	if p == nil || p.f == nil || !p.f.credit {
		return
	}
	if n%int64(max(st.targets, 1)) != 0 {
		return
	}
	d := p.delivered.Add(1)
	// Half a window at a time, so that writes are worth their system call.
	if d%int64(max(p.c.window/2, 1)) == 0 && !p.kicked.Swap(true) {
		c.kicks = append(c.kicks, p)
	}
}
