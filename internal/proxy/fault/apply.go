package fault

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// apply does to a packet what the rule says.
func (m *match) apply() error {
	a := &m.rule.rule.Action
	switch a.Name {
	case "drop":
		m.report("not passed on")
		return nil
	case "delay":
		return m.delay(a)
	case "dup":
		return m.dup(a)
	case "corrupt":
		return m.corrupt(a)
	case "truncate":
		n := min(a.Count, len(m.frame.Bytes))
		m.reportRaw(m.frame.Bytes[:n], "%d of %d bytes", n, len(m.frame.Bytes))
		return m.write(m.frame.Bytes[:n])
	case "reorder":
		return m.reorder(a)
	case "hold":
		return m.hold()
	case "release":
		n := m.releases(a)
		m.report("%d packets released", n)
		return m.goOn(m.frame)
	case "replace":
		return m.replace(a)
	case "inject":
		return m.around(m.inject)
	case "throttle":
		return m.throttle(a)
	case "refuse":
		return m.refuse(a)
	case "lie":
		return m.lie()
	case "cut":
		n := min(a.Count, len(m.frame.Bytes))
		m.reportRaw(m.frame.Bytes[:n], "%d of %d bytes, then closed", n, len(m.frame.Bytes))
		if err := m.write(m.frame.Bytes[:n]); err != nil {
			return err
		}
		return ended(proxy.Polite)
	case "slice":
		m.slice(a)
		return m.goOn(m.frame)
	}
	return m.end(a.Name)
}

// around does something before or after the packet is passed on; after, unless the
// rule says otherwise.
func (m *match) around(do func() error) error {
	if m.rule.rule.When.Side == Before {
		if err := do(); err != nil {
			return err
		}
		return m.goOn(m.frame)
	}
	if err := m.goOn(m.frame); err != nil {
		return err
	}
	return do()
}

// write sends bytes that are no packet.
func (m *match) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return m.st.conn.Write(m.frame.Direction, b)
}

func (m *match) delay(a *Action) error {
	d := a.Delay
	if a.Jitter > 0 {
		d += time.Duration(m.chance.Int64N(2*int64(a.Jitter)+1)) - a.Jitter
	}
	switch {
	case !a.Overtake:
		m.report("by %v; those behind it wait", d)
	case m.overtaken(d):
		m.report("by %v; those behind it overtake", d)
		return nil
	default:
		m.report("by %v; more than %d bytes are, so those behind it wait", d, maxHeldBytes)
	}
	if err := m.rule.wait(m.ctx, max(d, 1)); err != nil {
		return err
	}
	return m.goOn(m.frame)
}

// overtaken passes the packet on after d, beside Handle. false: too much waits so already.
func (m *match) overtaken(d time.Duration) bool {
	st, n := m.st, weight(&m.frame)
	st.mu.Lock()
	full := st.bytes+n > maxHeldBytes
	if !full {
		st.bytes += n
	}
	st.mu.Unlock()
	if full {
		return false
	}
	later := m.later()
	st.begin(func() {
		err := m.rule.wait(st.ctx, max(d, 1))
		st.mu.Lock()
		st.bytes -= n
		st.mu.Unlock()
		if err == nil {
			_ = later.goOn(later.frame) // the end of the connection
		}
	})
	return true
}

// dup passes on copies behind the packet. Rules do not look at copies.
func (m *match) dup(a *Action) error {
	m.report("%d more", a.Count)
	first := *m
	first.passage = &passage{st: m.st, ctx: m.ctx, emit: m.emit, rules: m.rules, group: &group{}}
	if err := first.goOn(m.frame); err != nil {
		return err
	}
	second := m.frame
	if h := &second.Header; h.Type == mqtt.TypePublish && h.Flags>>1&3 != 0 {
		second.Bytes = bytes.Clone(second.Bytes)
		second.Bytes[0] |= 8 // [MQTT-3.3.1-1] [MQTT3-3.3.1-1]
		h.Flags |= 8
	}
	for range a.Count {
		if err := first.pass(second); err != nil {
			return err
		}
	}
	return nil
}

func (m *match) corrupt(a *Action) error {
	b, what, err := a.Corrupt.apply(m.frame.Bytes, m.st.conn.Version, m.chance)
	if err != nil {
		m.report("not possible: %v", err)
		return m.goOn(m.frame)
	}
	f, err := proxy.NewFrame(m.frame.Direction, b)
	if err == nil {
		_, err = readPacket(m.st.conn, f)
	}
	if err != nil {
		m.reportRaw(b, "%s: no longer a packet", what)
		return m.write(b)
	}
	m.report("%s", what)
	return m.goOn(f)
}

func (m *match) replace(a *Action) error {
	like, _ := readPacket(m.st.conn, m.frame)
	b, err := a.Packet.Build(m.st.conn.Version, like)
	if err != nil {
		m.report("not possible: %v", err)
		return m.goOn(m.frame)
	}
	f, err := proxy.NewFrame(m.frame.Direction, b)
	if err != nil {
		m.reportRaw(b, "by %d bytes", len(b))
		return m.write(b)
	}
	m.report("by %v", f.Header.Type)
	return m.goOn(f)
}

// inject puts a packet in behind all rules.
func (m *match) inject() error {
	t := m.rule.rule.Action.Packet
	d := m.frame.Direction
	if t.Turned {
		d = t.Direction
	}
	var like mqtt.Packet
	if t.SameID {
		like, _ = readPacket(m.st.conn, m.frame)
		d := draft{}
		if like != nil {
			d.load(like)
		}
		like = ack(mqtt.TypePuback, d.id) // the identifier alone
	}
	b, err := t.Build(m.st.conn.Version, like)
	if err != nil {
		m.report("not possible: %v", err)
		return nil
	}
	f, err := proxy.NewFrame(d, b)
	if err != nil {
		m.reportRaw(b, "%d bytes", len(b))
		return m.st.conn.Write(d, b)
	}
	m.st.mu.Lock()
	f = m.st.ids[d].inject(f, t.Type == 0 || t.hasID())
	m.st.mu.Unlock()
	if id, _ := idOf(&f); id != 0 {
		m.report("%v %v, id %d", d, f.Header.Type, id)
	} else {
		m.report("%v %v", d, f.Header.Type)
	}
	return m.emit(f)
}

// throttle waits as long as the packet takes at that rate.
func (m *match) throttle(a *Action) error {
	took := time.Duration(float64(len(m.frame.Bytes)) / a.Rate * float64(time.Second))
	key := rowKey{m.rule, m.frame.Direction}
	now := time.Now()
	m.st.mu.Lock()
	at := m.st.buckets[key]
	if at.Before(now) {
		at = now
	}
	at = at.Add(took)
	m.st.buckets[key] = at
	m.st.mu.Unlock()
	m.report("%d bytes take %v", len(m.frame.Bytes), took.Round(time.Microsecond))
	if err := m.rule.wait(m.ctx, max(at.Sub(now), 1)); err != nil {
		return err
	}
	return m.goOn(m.frame)
}

// refuse answers for the receiver, who does not get the packet.
func (m *match) refuse(a *Action) error {
	p, err := readPacket(m.st.conn, m.frame)
	if p == nil || err != nil {
		m.report("not possible: %v", err)
		return m.goOn(m.frame)
	}
	answer, ends, why := refusal(p, a.Code, m.st.conn.Version)
	if why != "" {
		m.report("%s", why)
	} else {
		m.report("answered by %v 0x%02x", answer.Type(), uint8(a.Code))
	}
	if answer != nil {
		if err := m.answer(m.frame.Direction, answer); err != nil {
			return err
		}
	}
	if ends {
		return ended(proxy.Polite)
	}
	return nil
}

// lie answers that all is well, and passes nothing on.
func (m *match) lie() error {
	p, err := readPacket(m.st.conn, m.frame)
	if p == nil || err != nil {
		m.report("not possible: %v", err)
		return m.goOn(m.frame)
	}
	if _, ok := p.(mqtt.Connect); ok {
		m.report("not possible: CONNECT is answered by the broker")
		return m.goOn(m.frame)
	}
	answer := proxy.Success(p)
	if answer == nil {
		m.report("not passed on; %v has no answer", p.Type())
		return nil
	}
	if q, ok := p.(mqtt.Publish); ok && q.QoS == 2 {
		m.st.mu.Lock()
		put(&m.st.ids[m.frame.Direction].lied, q.PacketID, struct{}{})
		m.st.mu.Unlock()
	}
	m.report("answered by %v, not passed on", answer.Type())
	return m.answer(m.frame.Direction, answer)
}

// end is for actions that stop a connection, or end it.
func (m *match) end(action string) error {
	a := &m.rule.rule.Action
	if a.Name == "stall" && m.rule.rule.When.Side != After { // the packet is one of those that nobody has read
		d := m.rest()
		m.report("%v", lasting(d))
		m.st.stall(m.rule, d)
		if err := m.rule.wait(m.ctx, d); err != nil {
			return err
		}
		return m.goOn(m.frame)
	}
	if m.rule.rule.When.Side == After {
		if action == "close" || action == "reset" {
			m.st.ending.Store(true) // an answer to the packet would race with the end
		}
		if err := m.goOn(m.frame); err != nil {
			return err
		}
	}
	return m.stop(action)
}

// stop does what needs no packet.
func (m *match) stop(action string) error {
	switch action {
	case "stall":
		d := m.rest()
		m.report("%v", lasting(d))
		m.st.stall(m.rule, d)
	case "blackhole":
		d := m.rest()
		m.report("%v", lasting(d))
		m.st.blackhole(m.rule, d)
	case "reset":
		m.report("both sides get RST")
		return ended(proxy.Reset)
	case "close":
		m.report("both sides get FIN")
		return ended(proxy.Polite)
	}
	return nil
}

// rest is how long something lasts that begins now; 0: for ever.
func (m *match) rest() time.Duration {
	w := &m.rule.rule.When
	if w.For == 0 || !w.HasAt && !w.HasAfter {
		return w.For
	}
	return max(w.For+max(w.At, w.After)-time.Since(m.st.began), 1)
}

func lasting(d time.Duration) string {
	if d == 0 {
		return "from now on"
	}
	return fmt.Sprintf("for %v", d.Round(time.Millisecond))
}

// stall has nothing more read in the rule's directions for d.
func (st *stage) stall(l *live, d time.Duration) {
	set := func(on bool) {
		for _, dir := range []proxy.Direction{proxy.ToServer, proxy.ToClient} {
			if l.rule.sides.has(dir) {
				st.conn.Stall(dir, on)
			}
		}
	}
	set(true)
	st.begin(func() {
		_ = l.wait(st.ctx, d)
		set(false)
	})
}

// blackhole forgets everything for d.
func (st *stage) blackhole(l *live, d time.Duration) {
	until := int64(math.MaxInt64)
	if d > 0 {
		until = time.Now().Add(d).UnixNano()
	}
	st.black.Store(until)
	st.begin(func() { // ends when the rule goes, too
		_ = l.wait(st.ctx, d)
		st.black.CompareAndSwap(until, 0)
	})
}

// slice has what follows in the packet's direction written in pieces.
func (m *match) slice(a *Action) {
	st, l, d := m.st, m.rule, m.frame.Direction
	st.conn.Slice(d, a.Count, sliceBreak)
	rest := m.rest()
	m.report("%d bytes at a time, %v", a.Count, lasting(rest))
	st.begin(func() {
		_ = l.wait(st.ctx, rest)
		st.conn.Slice(d, 0, 0)
	})
}

// sliceBreak is the pause between pieces, so that each is a segment of its own.
const sliceBreak = time.Millisecond

// errInjected is why connections end that a rule has ended.
var errInjected = errors.New("a fault that was asked for")

func ended(how proxy.Manner) *proxy.End {
	return &proxy.End{Why: "fault", Err: errInjected, Manner: how}
}
