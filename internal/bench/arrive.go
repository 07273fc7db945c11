package bench

import (
	"bytes"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// This file is what happens to packets about messages, with both locks of the
// client held.

// acked ends an exchange.
func (c *Client) acked(id uint16, code mqtt.ReasonCode, phase Phase, now int64) {
	i := int(id) - 1
	if i < 0 || i >= len(c.slots) || c.slots[i].state == slotFree {
		return // of a session that was there before
	}
	s := &c.slots[i]
	if code.IsError() {
		c.sh.n.AckFails++
	} else {
		c.sh.n.Acked++
		c.s.rec.record(c.sh, phase, s.due, s.sent, now)
	}
	s.state = slotFree
	c.free = append(c.free, uint16(i))
}

// received answers PUBREC.
func (c *Client) received(id uint16, code mqtt.ReasonCode, now int64) (err error) {
	if code.IsError() {
		c.acked(id, code, PhasePubcomp, now)
		return nil
	}
	if i := int(id) - 1; i >= 0 && i < len(c.slots) && c.slots[i].state == slotPublish {
		c.slots[i].state = slotRelease
	}
	o := c.output()
	o.b, err = mqtt.Pubrel{PacketID: id}.Append(o.b, c.opts.Version)
	return err
}

// publish takes a message and acknowledges it.
func (c *Client) publish(p *mqtt.Publish, now int64) (err error) {
	repeated := false
	switch p.QoS {
	case 1:
		o := c.output()
		o.b, err = mqtt.Puback{PacketID: p.PacketID}.Append(o.b, c.opts.Version)
	case 2:
		o := c.output()
		o.b, err = mqtt.Pubrec{PacketID: p.PacketID}.Append(o.b, c.opts.Version)
		if repeated = c.held[p.PacketID]; !repeated {
			if c.held == nil {
				c.held = map[uint16]bool{}
			}
			c.held[p.PacketID] = true
		}
	}
	if err != nil || repeated {
		return err
	}
	c.sh.n.Received++
	c.account(p, now)
	return nil
}

// account enters a message into the trackers of the subscriber.
func (c *Client) account(p *mqtt.Publish, now int64) {
	var st stamp
	wall := c.s.unix + now
	v := st.parse(p.Payload, wall)
	if c.unstamped {
		v = foreign
	}
	switch v {
	case corrupt:
		c.sh.n.Corrupted++
		c.s.torn[min(p.QoS, 2)].Add(1)
		return
	case foreign:
		if !c.unstamped {
			c.sh.n.Foreign++
		}
		if c.onArrive != nil {
			c.onArrive(p.Topic, p.Payload, now, now)
		}
		return
	}
	due, sent := st.due-c.s.unix, st.sent-c.s.unix
	if c.onArrive != nil {
		c.onArrive(p.Topic, p.Payload, due, now)
	}
	made := c.s.live.Load()
	if !st.compact && st.run != c.s.run && made != nil && made.own {
		c.sh.n.Foreign++ // left over by another run
		return
	}
	if c.sub == nil && c.group == nil {
		return // not accounted for
	}
	if made != nil && len(p.Topic) > 0 { // without one it has an alias
		if own := made.local(st.stream); own != nil && !bytes.Equal(own.name, p.Topic) {
			c.sh.n.Corrupted++
			c.s.torn[min(p.QoS, 2)].Add(1)
			return
		}
	}
	if !p.Retain {
		c.s.rec.record(c.sh, PhaseE2E, due, sent, now)
	}
	id := uint64(st.stream)
	if made == nil || !made.own { // of whatever run
		id |= uint64(st.run) << 32
	}
	a, ok := c.see(id, st.seq)
	if !ok {
		c.sh.n.Foreign++
		return
	}
	switch a {
	case duplicate:
		c.sh.n.Duplicated++
		return
	case reordered:
		if c.group == nil {
			c.sh.n.Reordered++
		}
	}
	if made != nil {
		made.delivered(c, st.stream)
	}
}

// see enters a message into the account that the client's belong to; not if
// there are too many streams.
func (c *Client) see(id, seq uint64) (arrival, bool) {
	ts := c.sub
	if c.group != nil {
		c.group.mu.Lock()
		defer c.group.mu.Unlock()
		ts = &c.group.trackers
	}
	t := ts.of(id)
	if t == nil {
		return 0, false
	}
	return t.see(seq), true
}
