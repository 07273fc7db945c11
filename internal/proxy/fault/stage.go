package fault

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// stage applies the rules of a Set to one connection.
type stage struct {
	set     *Set
	conn    *proxy.Conn
	client  string // who is counted
	ordinal uint64 // of the client's connections, from 1
	began   time.Time
	ctx     context.Context //nolint:containedctx // of what runs beside Handle, until the connection ends
	cancel  context.CancelFunc

	black   atomic.Int64 // until then nothing passes, in Unix nanoseconds
	ending  atomic.Bool  // what comes now comes too late
	packets [2]atomic.Int64

	mu      sync.Mutex
	ids     [2]identifiers // by the direction of requests
	aliases [2]aliases
	spent   map[*live]bool // has had its one
	seen    map[*live]bool // has had the packet that it waits for
	held    []*heldFrame
	bytes   int // of held
	rows    map[rowKey]*row
	buckets map[rowKey]time.Time // of throttle: when the next byte may go
}

// rowKey is a rule in a direction.
type rowKey struct {
	rule      *live
	direction proxy.Direction
}

func newStage(s *Set, c *proxy.Conn) *stage {
	ctx, cancel := context.WithCancel(context.Background())
	st := &stage{
		set: s, conn: c, client: c.ClientID, began: time.Now(), ctx: ctx, cancel: cancel,
		spent: map[*live]bool{}, seen: map[*live]bool{}, rows: map[rowKey]*row{}, buckets: map[rowKey]time.Time{},
	}
	if st.client == "" {
		st.client = fmt.Sprintf("connection %d", c.Number)
	}
	return st
}

// Ended implements proxy.Ender.
func (st *stage) Ended(*proxy.End) {
	st.cancel()
	st.set.mu.Lock()
	delete(st.set.stages, st)
	st.set.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.held, st.bytes = nil, 0
	for _, r := range st.rows {
		r.timer.Stop()
	}
	clear(st.rows)
}

// passage is the way of one packet through the rules.
type passage struct {
	st    *stage
	ctx   context.Context //nolint:containedctx // that of Handle
	emit  func(proxy.Frame) error
	rules []*live
	group *group // of duplicates
}

// group is a packet and its duplicates.
type group struct{ passed bool }

// Handle implements proxy.Stage.
func (st *stage) Handle(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	st.packets[f.Direction].Add(1)
	if st.ending.Load() {
		return nil
	}
	p := passage{st: st, ctx: ctx, emit: emit, rules: *st.set.rules.Load()}
	st.mu.Lock()
	topic := st.aliases[f.Direction].resolve(f, st.conn.Version)
	f, pass, reply := st.incoming(f)
	st.mu.Unlock()
	if reply != 0 {
		id, _ := idOf(&f)
		if err := p.answer(f.Direction, ack(reply, id)); err != nil {
			return err
		}
	}
	if !pass {
		return nil
	}
	return p.run(0, f, topic)
}

// concerns tells whether one of the rules from i on can have to do with f.
func (p *passage) concerns(i int, f *proxy.Frame) bool {
	for _, l := range p.rules[i:] {
		r := l.rule
		if r.When.afterPacket != nil || r.sides.has(f.Direction) && r.types.has(f.Header.Type) {
			return true
		}
	}
	return false
}

// incoming brings the identifiers of a packet in order before rules see it.
func (st *stage) incoming(f proxy.Frame) (out proxy.Frame, pass bool, reply mqtt.Type) {
	if !asks(f.Header.Type) {
		return st.ids[f.Direction.Back()].answer(f)
	}
	s := &st.ids[f.Direction]
	if len(s.lied) == 0 {
		return f, true, 0
	}
	id, _ := idOf(&f)
	if _, lied := s.lied[id]; !lied {
		return f, true, 0
	}
	switch {
	case f.Header.Type == mqtt.TypePubrel:
		delete(s.lied, id)
		return f, false, mqtt.TypePubcomp
	case f.Header.Type == mqtt.TypePublish && f.Header.Flags&8 != 0:
		return f, false, mqtt.TypePubrec
	case f.Header.Type == mqtt.TypePublish:
		delete(s.lied, id) // the sender has begun anew
	}
	return f, true, 0
}

// ack is an acknowledgement of success.
func ack(t mqtt.Type, id uint16) mqtt.Packet {
	d := draft{typ: t, id: id}
	return d.packet()
}

// answer sends a packet back to the sender of one in direction d.
func (p *passage) answer(d proxy.Direction, packet mqtt.Packet) error {
	b, err := packet.Append(nil, p.st.conn.Version)
	if err != nil {
		return err
	}
	f, err := proxy.NewFrame(d.Back(), b)
	if err != nil {
		return err
	}
	return p.emit(f)
}

// run passes f through the rules from i on.
func (p *passage) run(i int, f proxy.Frame, topic []byte) error {
	st := p.st
	if st.isBlack() {
		return nil
	}
	if !p.concerns(i, &f) {
		return p.pass(f)
	}
	v := &view{conn: st.conn, frame: f, topic: topic}
	var done []*live
	for ; i < len(p.rules); i++ {
		l := p.rules[i]
		if e := l.rule.When.afterPacket; e != nil && e.Match(v) {
			done = append(done, l)
		}
		m, ok := st.decide(l, v)
		if !ok {
			continue
		}
		st.note(done)
		m.passage, m.next = p, i+1
		return m.apply()
	}
	st.note(done)
	return p.pass(f)
}

// note takes note of rules whose packet has come.
func (st *stage) note(done []*live) {
	if len(done) == 0 {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, l := range done {
		st.seen[l] = true
	}
}

// pass sends f on its way behind all rules.
func (p *passage) pass(f proxy.Frame) error {
	st := p.st
	if asks(f.Header.Type) {
		st.mu.Lock()
		s := &st.ids[f.Direction]
		if p.group != nil && p.group.passed {
			f = s.expect(f)
		} else {
			f = s.request(f)
		}
		if p.group != nil {
			p.group.passed = true
		}
		st.mu.Unlock()
	}
	return p.emit(f)
}

// match is a rule that has decided to do something to a packet.
type match struct {
	*passage
	rule   *live
	frame  proxy.Frame
	topic  []byte
	next   int // of the rules, behind this one
	count  int
	number int // of the packet
	chance *rand.Rand
}

// decide asks one rule about a packet.
func (st *stage) decide(l *live, v *view) (match, bool) {
	r, w := l.rule, &l.rule.When
	switch {
	case !r.sides.has(v.frame.Direction), !r.types.has(v.frame.Header.Type),
		r.where != nil && !r.where.Match(v),
		!w.open(time.Since(st.began), r.Action.kind().lasts),
		st.byItself(l),
		w.AfterRule != "" && !st.set.affects(w.AfterRule, st.client):
		return match{}, false
	}
	st.mu.Lock()
	waits := w.afterPacket != nil && !st.seen[l]
	spent := w.single() && st.spent[l]
	st.mu.Unlock()
	if waits {
		return match{}, false
	}
	n, chance, ok := l.decide(st, v.frame.Direction, spent)
	if !ok {
		return match{}, false
	}
	st.mu.Lock()
	st.spent[l] = true
	st.mu.Unlock()
	return match{
		rule: l, frame: v.frame, topic: v.topic, count: n, number: int(st.packets[v.frame.Direction].Load()), chance: chance,
	}, true
}

// report tells of the fault.
func (m *match) report(format string, a ...any) { m.reportRaw(nil, format, a...) }

func (m *match) reportRaw(raw []byte, format string, a ...any) {
	name := ""
	if len(m.frame.Bytes) > 0 {
		name = m.frame.Header.Type.String()
	}
	m.st.conn.Metrics.Fault(m.rule.rule.Action.Name)
	m.st.set.opt.Report(Event{
		Time: time.Now(), Connection: m.st.conn.Number, Client: m.st.conn.ClientID, Rule: m.rule.name,
		Action: m.rule.rule.Action.Name, Direction: m.frame.Direction, Packet: name, Number: m.number, Match: m.count,
		Text: fmt.Sprintf(format, a...), Raw: raw,
	})
}

// goOn passes f to the rules behind this one.
func (m *match) goOn(f proxy.Frame) error { return m.run(m.next, f, m.topic) }

// later is m for when Handle has returned: its frame is a copy, and what it passes
// on is injected.
func (m *match) later() *match {
	c := *m
	c.frame.Bytes = bytes.Clone(m.frame.Bytes)
	c.topic = bytes.Clone(m.topic)
	c.passage = m.st.aside(m.rules)
	return &c
}

// aside is the way of packets that no Handle passes on.
func (st *stage) aside(rules []*live) *passage {
	return &passage{st: st, ctx: st.ctx, rules: rules, emit: func(f proxy.Frame) error { return st.conn.Inject(st, f) }}
}

// begin runs f beside Handle.
func (st *stage) begin(f func()) { st.set.running.Go(f) }

// wait returns when d has passed, or ctx ends or the rule is taken away. d 0 is for
// ever.
func (l *live) wait(ctx context.Context, d time.Duration) error {
	var passed <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		passed = t.C
	}
	select {
	case <-passed:
	case <-l.gone:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func (st *stage) isBlack() bool {
	until := st.black.Load()
	return until != 0 && (until == math.MaxInt64 || time.Now().UnixNano() < until)
}
