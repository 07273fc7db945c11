package record

import (
	"context"
	"sort"
	"sync"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// gate keeps what several sessions send in the order of the recording: nothing is
// sent before what came earlier has been, and before earlier subscriptions and
// connections have had their answers.
type gate struct {
	mu    sync.Mutex
	all   []*turn // by order
	first int     // all before have been settled
}

// turn is one packet that is to be sent.
type turn struct {
	order   int
	sent    chan struct{} // closed when it is, or never will be
	settled chan struct{} // closed when its answer is there, or will not be; nil: nobody waits for it
	once    [2]sync.Once
}

func (t *turn) send() { t.once[0].Do(func() { close(t.sent) }) }

func (t *turn) settle() {
	if t.settled != nil {
		t.once[1].Do(func() { close(t.settled) })
	}
}

// newTurn makes the turn of a step, whose place is found by gate.sort.
func newTurn(st *step) *turn {
	t := &turn{order: st.Order, sent: make(chan struct{})}
	switch mqtt.Type(st.Bytes[0] >> 4) {
	case mqtt.TypeConnect, mqtt.TypeSubscribe, mqtt.TypeUnsubscribe:
		t.settled = make(chan struct{})
	}
	return t
}

func (g *gate) add(t *turn) { g.all = append(g.all, t) }

func (g *gate) sort() {
	sort.Slice(g.all, func(i, j int) bool { return g.all[i].order < g.all[j].order })
}

// wait waits for the turn of t.
func (g *gate) wait(ctx context.Context, t *turn) error {
	i := sort.Search(len(g.all), func(i int) bool { return g.all[i].order >= t.order })
	if i > 0 {
		select {
		case <-g.all[i-1].sent:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for {
		before := g.unsettled(i)
		if before == nil {
			return nil
		}
		select {
		case <-before.settled:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unsettled is the first turn before i that has no answer yet, nil for none.
func (g *gate) unsettled(i int) *turn {
	g.mu.Lock()
	defer g.mu.Unlock()
	for ; g.first < i; g.first++ {
		t := g.all[g.first]
		if t.settled == nil {
			continue
		}
		select {
		case <-t.settled:
		default:
			return t
		}
	}
	return nil
}
