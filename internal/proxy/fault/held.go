package fault

import (
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/proxy"
)

// maxHeldBytes is how much a connection keeps of what is held or overtaken; then the
// direction waits. frameBytes is what a packet takes up beside its own bytes, about.
const (
	maxHeldBytes = 1 << 20
	frameBytes   = 512
)

// weight is what a packet counts of maxHeldBytes.
func weight(f *proxy.Frame) int { return len(f.Bytes) + frameBytes }

// heldFrame is a packet that waits for its release.
type heldFrame struct {
	*match
	free chan struct{} // closed by the release
}

// hold keeps the packet until it is released; those behind it go on.
func (m *match) hold() error {
	later := m.later()
	h := &heldFrame{match: later, free: make(chan struct{})}
	st := m.st
	st.mu.Lock()
	st.bytes += weight(&h.frame)
	full := st.bytes > maxHeldBytes
	st.held = append(st.held, h)
	st.mu.Unlock()
	if full {
		m.report("held; more than %d bytes are, so those behind it wait", maxHeldBytes)
	} else {
		m.report("held; those behind it go on")
	}
	if d := m.rest(); d > 0 {
		st.begin(func() {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-t.C:
				st.let(h)
			case <-h.free:
			case <-st.ctx.Done():
			}
		})
	}
	if m.rule.isGone() { // perhaps too late for what its end releases
		st.let(h)
	}
	if !full {
		return nil
	}
	select {
	case <-h.free:
	case <-m.ctx.Done():
	}
	return nil
}

// let passes on h, unless somebody has done so.
func (st *stage) let(h *heldFrame) bool {
	st.mu.Lock()
	i := slices.Index(st.held, h)
	if i >= 0 {
		st.held = slices.Delete(st.held, i, i+1)
		st.bytes -= weight(&h.frame)
	}
	st.mu.Unlock()
	if i < 0 {
		return false
	}
	_ = h.goOn(h.frame) // the end of the connection
	close(h.free)
	return true
}

// release passes on what l holds, or all for nil: at most n, or all for -1.
func (st *stage) release(l *live, n int) (released int) {
	st.mu.Lock()
	var chosen []*heldFrame
	for _, h := range st.held {
		if (l == nil || h.rule == l) && (n < 0 || len(chosen) < n) {
			chosen = append(chosen, h)
		}
	}
	st.mu.Unlock()
	for _, h := range chosen {
		if st.let(h) {
			released++
		}
	}
	return released
}

func (st *stage) heldBy(l *live) (n int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, h := range st.held {
		if h.rule == l {
			n++
		}
	}
	for key, r := range st.rows {
		if key.rule == l {
			n += len(r.frames)
		}
	}
	return n
}

// releases does what the action release does.
func (m *match) releases(a *Action) int {
	n, _ := m.st.set.Release(a.Release, -1) // a rule that is not there holds nothing
	return n
}

// row is what reorder has gathered.
type row struct {
	frames []*match
	bytes  int
	timer  *time.Timer
}

// rowPatience is how long reorder waits for a window to fill.
const rowPatience = time.Second

// reorder gathers a window of packets and passes them on in another order.
func (m *match) reorder(a *Action) error {
	later := m.later()
	key := rowKey{m.rule, m.frame.Direction}
	st := m.st
	st.mu.Lock()
	r := st.rows[key]
	if r == nil {
		r = &row{}
		st.rows[key] = r
		r.timer = time.AfterFunc(rowPatience, func() {
			st.mu.Lock()
			mine := st.rows[key] == r
			if mine {
				delete(st.rows, key)
			}
			st.mu.Unlock()
			if mine {
				_ = r.passOn(nil)
			}
		})
	}
	r.frames = append(r.frames, later)
	r.bytes += weight(&later.frame)
	n := len(r.frames)
	full := n >= a.Count || r.bytes > maxHeldBytes
	if full {
		r.timer.Stop()
		delete(st.rows, key)
	}
	st.mu.Unlock()
	if !full {
		m.report("%d of %d, waits for the others", n, a.Count)
		return nil
	}
	m.report("the last of %d; they go on in another order", n)
	return r.passOn(m.passage)
}

// passOn passes on the packets of a row by chance in another order, by p if there is
// a Handle to do so.
func (r *row) passOn(p *passage) error {
	last := r.frames[len(r.frames)-1]
	for _, i := range otherOrder(len(r.frames), last.chance.Perm) {
		f := r.frames[i]
		if p != nil {
			f.passage = p
		}
		if err := f.goOn(f.frame); err != nil {
			return err
		}
	}
	return nil
}

// otherOrder is an order of n that is not the one that they are in.
func otherOrder(n int, perm func(int) []int) []int {
	order := perm(n)
	if n > 1 && slices.IsSorted(order) {
		slices.Reverse(order)
	}
	return order
}

// byItself tells whether a rule waits for its time and not for a packet.
func (st *stage) byItself(l *live) bool {
	r := l.rule
	w := &r.When
	return w.HasAt && r.Action.kind().alone && withoutPacket(r.where) && w.Nth == nil && w.Every == 0 &&
		w.AfterRule == "" && w.afterPacket == nil
}

// arm sets the clock of a rule that waits for its time. now is for one that comes
// while the connection is open: what needs no packet is done at once.
func (st *stage) arm(l *live, now bool) {
	r := l.rule
	w := &r.When
	elapsed := time.Since(st.began)
	begin := w.At
	switch {
	case st.byItself(l):
		if elapsed > begin && (w.For == 0 || elapsed > begin+w.For) {
			return
		}
	case now && r.Action.kind().alone && withoutPacket(r.where) && w.Nth == nil && w.Every == 0 && w.Chance == 0 &&
		w.AfterRule == "" && w.afterPacket == nil && !w.HasAfter:
	default:
		return
	}
	var matching []proxy.Direction
	for _, d := range []proxy.Direction{proxy.ToServer, proxy.ToClient} {
		v := view{conn: st.conn, frame: proxy.Frame{Direction: d}}
		if r.sides.has(d) && (r.where == nil || r.where.Match(&v)) {
			matching = append(matching, d)
		}
	}
	if len(matching) == 0 {
		return
	}
	st.begin(func() {
		if begin > elapsed && (l.wait(st.ctx, begin-elapsed) != nil || l.isGone()) {
			return
		}
		st.act(l, matching[0])
	})
}

func (l *live) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// act does what needs no packet.
func (st *stage) act(l *live, d proxy.Direction) {
	n, chance, ok := l.decide(st, d, false)
	if !ok {
		return
	}
	m := &match{passage: st.aside(nil), rule: l, frame: proxy.Frame{Direction: d}, count: n, chance: chance}
	var err error
	switch a := &l.rule.Action; a.Name {
	case "inject":
		err = m.inject()
	case "release":
		n := m.releases(a)
		m.report("%d packets released", n)
	case "slice":
		m.slice(a)
	default:
		err = m.stop(a.Name)
	}
	if end, ok := err.(*proxy.End); ok { //nolint:errorlint // as stop returns it
		st.conn.End(end)
	}
}
