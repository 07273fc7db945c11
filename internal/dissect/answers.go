package dissect

import (
	"cmp"
	"slices"
	"time"
)

// asked is a packet that waits for an answer. Its zero value is none.
type asked struct {
	number int
	at     time.Time
}

// askedBy is the packet that st is at.
func askedBy(st *Stream) asked { return asked{st.Number, st.Time} }

// answer notes that p answers a, if that is a packet.
func (p *Packet) answer(a asked, st *Stream) {
	p.Answers = a.number
	if !a.at.IsZero() && !st.Time.IsZero() {
		p.After = st.Time.Sub(a.at)
	}
}

// waiters are packets that are answered in their order, by what is asked.
type waiters [3]map[string][]asked // by direction of who asks

// mostWaiting is how many are known. With more, who answers whom is not.
const mostWaiting = 4096

func waitersOf(st *Stream) *waiters { return sharedOf(st, func() *waiters { return new(waiters) }) }

// ask adds the packet that st is at.
func (w *waiters) ask(d Direction, what string, st *Stream) {
	if w[d] == nil {
		w[d] = make(map[string][]asked)
	}
	if len(w[d][what]) >= mostWaiting {
		w[d][what] = nil
	}
	w[d][what] = append(w[d][what], askedBy(st))
}

// take removes the one that has waited longest.
func (w *waiters) take(d Direction, what string) (a asked) {
	if all := w[d][what]; len(all) > 0 {
		a, w[d][what] = all[0], all[1:]
	}
	return a
}

// openWaiters are those of st that are left, none if something was missed.
func openWaiters(st *Stream) (all []Open) {
	if st == nil || st.Joined {
		return nil
	}
	w := waitersOf(st)
	for d := range w {
		for what, list := range w[d] {
			for _, a := range list {
				if a.number > 0 {
					all = append(all, Open{a.number, Problem{Text: what + " has no answer", Warning: true}})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Open) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// lengthAt is how many bytes the field at off has, 0 if none begins there.
func lengthAt(fields []Field, off int) int {
	for i := range fields {
		if fields[i].Off == off && fields[i].Len > 0 {
			return fields[i].Len
		}
	}
	return 0
}
