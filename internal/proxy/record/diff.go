package record

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// Difference is one way in which what happened now is not what was recorded.
type Difference struct {
	Kind     string        `json:"kind"` // of Kinds
	Client   string        `json:"client"`
	Session  uint64        `json:"session"`       // Number in the recording
	Now      uint64        `json:"now,omitempty"` // Number of the session now, 0 if there is none
	At       time.Duration `json:"-"`             // in the recording, or of now for what is extra
	Seconds  float64       `json:"t"`
	Packet   string        `json:"packet"` // what it is about, in words
	Recorded string        `json:"recorded,omitempty"`
	Live     string        `json:"live,omitempty"`
}

// Kinds of differences.
const (
	KindMissing = "missing" // was recorded and has not come
	KindExtra   = "extra"   // has come and was not recorded
	KindCode    = "code"    // another answer
	KindOrder   = "order"   // in another order
	KindUnsent  = "unsent"  // could not be asked
	KindLate    = "late"    // an answer took longer, by more than is allowed
)

// String is a line for people.
func (d Difference) String() string {
	s := fmt.Sprintf("%-7s client %q, %.3f s: %s", d.Kind, d.Client, d.At.Seconds(), d.Packet)
	if d.Recorded != "" || d.Live != "" {
		s += fmt.Sprintf(": recorded %s, now %s", cmp.Or(d.Recorded, "nothing"), cmp.Or(d.Live, "nothing"))
	}
	return s
}

// Latency is how long answers of a kind took.
type Latency struct {
	Pair     string  `json:"pair"` // "PUBLISH to PUBACK"
	Recorded Spread  `json:"recorded"`
	Now      Spread  `json:"now"`
	Ratio    float64 `json:"ratio"` // of the medians, 0 if one is missing
}

// Spread is a distribution, in seconds.
type Spread struct {
	Count  int     `json:"count"`
	Median float64 `json:"p50"`
	P99    float64 `json:"p99"`
}

// Comparison is all that differs.
type Comparison struct {
	Differences []Difference `json:"differences"`
	Latencies   []Latency    `json:"latencies"`
	Sessions    int          `json:"sessions"`
}

// DiffOptions are how recordings are compared.
type DiffOptions struct {
	// Late is how much longer than recorded an answer may take. 0: as long as it wants.
	Late time.Duration
	// By is whose answers are compared: those of the broker, or those of the clients.
	By proxy.Direction // ToClient: of the broker
}

// Compare says where now differs from what was recorded. Sessions belong together that
// say so, else those of the same client in their order.
func Compare(recorded, now *Recording, o DiffOptions) *Comparison {
	c := &comparer{opt: o, out: &Comparison{Differences: []Difference{}}, took: map[string]*[2][]time.Duration{}}
	used := map[*Session]bool{}
	seen := map[string]int{}
	for _, s := range recorded.Sessions {
		if len(s.Packets) == 0 {
			continue
		}
		c.out.Sessions++
		seen[s.ClientID]++
		matches := c.playedFrom(now, s)
		if matches == nil {
			if m := nth(now, s.ClientID, seen[s.ClientID]); m != nil {
				matches = []*Session{m}
			}
		}
		if matches == nil {
			c.add(Difference{Kind: KindUnsent, Client: s.ClientID, Session: s.Number, At: s.Began, Packet: "the whole session"})
			continue
		}
		old := newScript(s)
		for _, m := range matches {
			used[m] = true
			c.session(old, newScript(m), len(matches) > 1)
		}
	}
	for _, s := range now.Sessions {
		if !used[s] && len(s.Packets) > 0 && s.Of == 0 {
			c.add(Difference{Kind: KindExtra, Client: s.ClientID, Now: s.Number, At: s.Began, Packet: "the whole session"})
		}
	}
	c.latencies()
	return c.out
}

type comparer struct {
	opt  DiffOptions
	out  *Comparison
	took map[string]*[2][]time.Duration
}

func (c *comparer) add(d Difference) {
	d.Seconds = d.At.Seconds()
	c.out.Differences = append(c.out.Differences, d)
}

// playedFrom lists the sessions that say that they are s played again.
func (c *comparer) playedFrom(now *Recording, s *Session) (all []*Session) {
	for _, m := range now.Sessions {
		if m.Of != 0 && m.Of == s.Number {
			all = append(all, m)
		}
	}
	return all
}

// nth is the nth session of a client that is played from none.
func nth(r *Recording, client string, n int) *Session {
	for _, s := range r.Sessions {
		if s.ClientID == client && s.Of == 0 && len(s.Packets) > 0 {
			if n--; n == 0 {
				return s
			}
		}
	}
	return nil
}

// pairing is one session then and now.
type pairing struct {
	*comparer
	old, now *script
	pairs    []int // by step of old: that of now, -1
	taken    []bool
}

// session compares one session. Copies get each other's messages, which are not
// counted as extra.
func (c *comparer) session(old, now *script, copies bool) {
	p := &pairing{comparer: c, old: old, now: now, pairs: slices.Repeat([]int{-1}, len(old.steps)), taken: make([]bool, len(now.steps))}
	p.match()
	p.missing()
	p.extra(copies)
	p.order()
}

// match finds each step of then among those of now: requests by what they say, in
// order, answers by what they answer.
func (p *pairing) match() {
	said := map[saying]int{}
	for i := range p.old.steps {
		st := &p.old.steps[i]
		if st.p == nil {
			continue
		}
		if st.request >= 0 {
			r := p.pairs[st.request]
			if r < 0 {
				continue
			}
			for _, a := range p.now.steps[r].answers {
				if !p.taken[a] {
					p.pair(i, a)
					break
				}
			}
			continue
		}
		k := saying{st.Direction, meaning(st.p)}
		if list, n := p.now.says[k], said[k]; n < len(list) {
			said[k]++
			p.pair(i, list[n])
		}
	}
}

func (p *pairing) pair(i, j int) {
	p.pairs[i], p.taken[j] = j, true
}

// difference fills in what is the same for all of a session.
func (p *pairing) difference(kind string, st *step, recorded, live string) {
	p.add(Difference{
		Kind: kind, Client: p.now.ClientID, Session: p.old.Number, Now: p.now.Number, At: st.At, Packet: p.old.words(st), Recorded: recorded, Live: live,
	})
}

// words is a packet of a script and what it answers.
func (s *script) words(st *step) string {
	text := name(st.p)
	if st.request >= 0 {
		text += " to " + name(s.steps[st.request].p)
	}
	return text
}

// name is a packet in a few words.
func name(p mqtt.Packet) string {
	switch p := p.(type) {
	case mqtt.Publish:
		return fmt.Sprintf("PUBLISH %q, QoS %d", p.Topic, p.QoS)
	case mqtt.Subscribe:
		var filters []string
		for _, f := range p.Filters {
			filters = append(filters, f.Filter)
		}
		return fmt.Sprintf("SUBSCRIBE %q", filters)
	case mqtt.Unsubscribe:
		return fmt.Sprintf("UNSUBSCRIBE %q", p.Filters)
	}
	return p.Type().String()
}

// missing compares the steps of then with their pairs.
func (p *pairing) missing() {
	for i := range p.old.steps {
		st := &p.old.steps[i]
		if st.p == nil {
			continue
		}
		j := p.pairs[i]
		switch {
		case j >= 0 && st.Direction == p.opt.By:
			p.codes(st, &p.now.steps[j])
			p.latency(i, j)
		case j >= 0:
		case st.Direction == p.opt.By && (st.request < 0 || p.pairs[st.request] >= 0):
			p.difference(KindMissing, st, "", "")
		case st.Direction != p.opt.By && (st.request < 0 || p.pairs[st.request] >= 0):
			p.difference(KindUnsent, st, "", "")
		}
	}
}

// codes compares two answers.
func (p *pairing) codes(old, now *step) {
	a, b := result(old.p, p.old.Version), result(now.p, p.now.Version)
	if a != b {
		p.difference(KindCode, old, a, b)
	}
}

// result is what an answer says.
func result(p mqtt.Packet, v mqtt.Version) string {
	var all []string
	for _, c := range codes(p) {
		all = append(all, c.Name(p.Type(), v))
	}
	if c, ok := p.(mqtt.Connack); ok && c.SessionPresent {
		all = append(all, "session present")
	}
	return strings.Join(all, ", ")
}

// latency takes note of how long an answer took.
func (p *pairing) latency(i, j int) {
	old, now := &p.old.steps[i], &p.now.steps[j]
	if old.request < 0 || now.request < 0 {
		return
	}
	before := old.At - p.old.steps[old.request].At
	after := now.At - p.now.steps[now.request].At
	pair := p.old.steps[old.request].p.Type().String() + " to " + old.p.Type().String()
	if p.took[pair] == nil {
		p.took[pair] = &[2][]time.Duration{}
	}
	p.took[pair][0] = append(p.took[pair][0], before)
	p.took[pair][1] = append(p.took[pair][1], after)
	if p.opt.Late > 0 && after > before+p.opt.Late {
		p.difference(KindLate, old, before.String(), after.String())
	}
}

// extra lists what has come now and not then.
func (p *pairing) extra(copies bool) {
	for j := range p.now.steps {
		st := &p.now.steps[j]
		if st.p == nil || copies && st.request < 0 || p.taken[j] || st.Direction != p.opt.By || st.request >= 0 && !p.taken[st.request] {
			continue
		}
		p.add(Difference{
			Kind: KindExtra, Client: p.now.ClientID, Session: p.old.Number, Now: p.now.Number, At: st.At,
			Packet: p.now.words(st), Live: result(st.p, p.now.Version),
		})
	}
}

// order compares the order of messages on a topic with a QoS, and of acknowledgements
// of a type. [MQTT-4.6.0-2] [MQTT-4.6.0-6]
func (p *pairing) order() {
	last := map[string]int{}
	for i := range p.old.steps {
		st := &p.old.steps[i]
		j := p.pairs[i]
		if st.p == nil || j < 0 || st.Direction != p.opt.By {
			continue
		}
		var row string
		switch q := st.p.(type) {
		case mqtt.Publish:
			row = fmt.Sprintf("%q %d", q.Topic, q.QoS)
		case mqtt.Puback, mqtt.Pubrec, mqtt.Pubcomp:
			row = st.p.Type().String()
		default:
			continue
		}
		if before, ok := last[row]; ok && j < before {
			p.difference(KindOrder, st, "", "")
			continue
		}
		last[row] = j
	}
}

// latencies sums up what latency has gathered.
func (c *comparer) latencies() {
	for pair, both := range c.took {
		l := Latency{Pair: pair, Recorded: spread(both[0]), Now: spread(both[1])}
		if l.Recorded.Median > 0 {
			l.Ratio = l.Now.Median / l.Recorded.Median
		}
		c.out.Latencies = append(c.out.Latencies, l)
	}
	slices.SortFunc(c.out.Latencies, func(a, b Latency) int { return cmp.Compare(a.Pair, b.Pair) })
}

func spread(all []time.Duration) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	return Spread{len(all), all[(len(all)-1)/2].Seconds(), all[(len(all)-1)*99/100].Seconds()}
}

// WriteText writes a comparison for people.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, d := range c.Differences {
		fmt.Fprintln(&b, d)
	}
	if len(c.Latencies) > 0 {
		fmt.Fprintf(&b, "%-24s %8s %12s %12s %12s %12s\n", "answers", "count", "p50 then", "p50 now", "p99 then", "p99 now")
	}
	for _, l := range c.Latencies {
		fmt.Fprintf(&b, "%-24s %8d %12s %12s %12s %12s\n", l.Pair, l.Now.Count, ms(l.Recorded.Median), ms(l.Now.Median), ms(l.Recorded.P99), ms(l.Now.P99))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func ms(seconds float64) string { return fmt.Sprintf("%.3f ms", seconds*1e3) }
