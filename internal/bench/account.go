package bench

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// stream is one publisher's messages on one topic.
type stream struct {
	topic   string
	qos     uint8
	name    []byte        // topic
	targets int32         // how many trackers should see each message
	sent    atomic.Uint64 // sequence numbers used
	pub     *publisher
	arrived atomic.Int64 // deliveries
}

// windowBits is how many sequence numbers behind the greatest a tracker tells
// apart: a message that comes later than that counts as a duplicate.
const windowBits = 64

// A tracker that several connections feed, where messages overtake each other
// by far, remembers everything from the first gap on, within these bounds in
// words of 64 messages.
const (
	firstWide = 8
	mostWide  = 1 << 16
	wideRoom  = 4 << 20 // of all trackers of a group
)

// tracker follows one stream at one subscriber, in constant memory.
type tracker struct {
	stream                uint64
	begun                 bool
	first, next           uint64  // the first seen, the greatest seen + 1
	seen                  uint64  // bit i: next-1-i has arrived
	wide                  *window // in place of seen
	got, dups, late, torn uint64
}

// arrival is what a message is to its stream.
type arrival uint8

const (
	inOrder arrival = iota
	duplicate
	reordered
)

// see enters a sequence number.
func (t *tracker) see(seq uint64) arrival {
	if t.wide != nil {
		return t.seeWide(seq)
	}
	if !t.begun {
		t.begun, t.first, t.next = true, seq, seq
	}
	if seq >= t.next {
		if shift := seq - t.next + 1; shift < windowBits {
			t.seen = t.seen<<shift | 1
		} else {
			t.seen = 1
		}
		t.next = seq + 1
		t.got++
		return inOrder
	}
	back := t.next - 1 - seq
	if back >= windowBits || t.seen>>back&1 == 1 {
		t.dups++
		return duplicate
	}
	t.seen |= 1 << back
	t.first = min(t.first, seq)
	t.got++
	t.late++
	return reordered
}

// window is a ring of bits, one for each message from low on.
type window struct {
	words []uint64
	low   uint64 // the first that has not arrived
	of    *trackers
}

func (w *window) span() uint64 { return uint64(len(w.words)) * 64 }

func (w *window) bit(seq uint64) (word *uint64, bit uint64) {
	return &w.words[seq/64%uint64(len(w.words))], 1 << (seq % 64)
}

func (w *window) has(seq uint64) bool {
	word, bit := w.bit(seq)
	return *word&bit != 0
}

// reach makes room for a message behind all others, which are those below next.
// What falls out of a window that cannot grow is as if it had arrived.
func (w *window) reach(seq, next uint64) {
	for seq-w.low >= w.span() && len(w.words) < mostWide && w.of.words+len(w.words) <= wideRoom {
		old := *w
		w.of.words += len(w.words)
		w.words = make([]uint64, 2*len(w.words))
		for n := w.low; n < next; n++ {
			if old.has(n) {
				word, bit := w.bit(n)
				*word |= bit
			}
		}
	}
	for seq-w.low >= w.span() {
		if w.low >= next {
			w.low = seq // nothing of what is remembered is in reach
			clear(w.words)
			return
		}
		w.pass()
	}
}

// pass moves low on by one.
func (w *window) pass() {
	word, bit := w.bit(w.low)
	*word &^= bit
	w.low++
}

func (t *tracker) seeWide(seq uint64) arrival {
	w := t.wide
	if !t.begun {
		t.begun, t.first, t.next = true, seq, seq
		if seq >= w.span() {
			w.low = seq // others have been there before
		}
	}
	a := inOrder
	switch {
	case seq >= t.next:
		w.reach(seq, t.next)
		t.next = seq + 1
	case seq < w.low || w.has(seq):
		t.dups++
		return duplicate
	default:
		t.first = min(t.first, seq)
		a = reordered // among several connections, which nobody has promised an order
	}
	word, bit := w.bit(seq)
	*word |= bit
	t.got++
	for w.low < t.next && w.has(w.low) {
		w.pass()
	}
	return a
}

// trackers are those of one subscriber, or of a group that shares its
// subscription.
type trackers struct {
	last *tracker // of the message before; most subscribers see few streams
	all  map[uint64]*tracker
	wide bool

	words int // of the windows
}

// maxStreams bounds how many streams a subscriber tells apart.
const maxStreams = 1 << 20

// of is the tracker of a stream, whose number has its run above it where runs
// of others are followed; nil of one too many.
func (ts *trackers) of(id uint64) *tracker {
	if t := ts.last; t != nil && t.stream == id {
		return t
	}
	t := ts.all[id]
	if t == nil {
		if len(ts.all) == maxStreams {
			return nil
		}
		if ts.all == nil {
			ts.all = map[uint64]*tracker{}
		}
		t = &tracker{stream: id}
		if ts.wide {
			t.wide = &window{words: make([]uint64, firstWide), of: ts}
			ts.words += firstWide
		}
		ts.all[id] = t
	}
	ts.last = t
	return t
}

// group is a shared subscription: its members receive each message once
// together.
type group struct {
	mu sync.Mutex
	trackers
}

// worstStreams is how many streams an Account lists.
const worstStreams = 20

// account compares streams with trackers. streams are those of this run, the
// first of which has the number first; of other trackers only gaps are known.
func account(streams []*stream, first int, all []*trackers) Account {
	type sum struct {
		got, dups, late, torn uint64
		trackers              int32
	}
	var a Account
	sums := map[uint64]sum{}
	for _, ts := range all {
		for id, t := range ts.all {
			s := sums[id]
			s.got, s.dups, s.late, s.torn = s.got+t.got, s.dups+t.dups, s.late+t.late, s.torn+t.torn
			s.trackers++
			sums[id] = s
			if i := int(id) - first; i < 0 || i >= len(streams) { // somebody else's
				q := &a.QoS[0]
				q.Expected += int64(t.next - t.first)
				q.Received += int64(t.got)
				q.Lost += int64(t.next - t.first - t.got)
				q.Duplicated += int64(t.dups)
				q.Reordered += int64(t.late)
			}
		}
	}
	var worst []StreamTally
	for id, st := range streams {
		s := sums[uint64(first+id)]
		if s.trackers > st.targets {
			// Somebody got what was not for them. It makes up for nothing.
			extra := astray(uint64(first+id), int(st.targets), all)
			s.got, s.dups = s.got-extra, s.dups+extra
		}
		t := StreamTally{Topic: st.topic, QoS: st.qos, Tally: Tally{
			Sent: int64(st.sent.Load()), Received: int64(s.got),
			Duplicated: int64(s.dups), Reordered: int64(s.late), Corrupted: int64(s.torn),
		}}
		t.Expected = t.Sent * int64(st.targets)
		t.Lost = max(t.Expected-t.Received, 0)
		a.QoS[st.qos].add(t.Tally)
		if t.trouble() > 0 {
			worst = append(worst, t)
		}
	}
	slices.SortStableFunc(worst, func(x, y StreamTally) int { return cmp.Compare(y.trouble(), x.trouble()) })
	a.Worst = worst[:min(len(worst), worstStreams)]
	return a
}

// astray is how many messages of a stream came to more subscribers than it has.
func astray(id uint64, targets int, all []*trackers) (n uint64) {
	var got []uint64
	for _, ts := range all {
		if t := ts.all[id]; t != nil {
			got = append(got, t.got)
		}
	}
	slices.Sort(got)
	for _, k := range got[:len(got)-targets] {
		n += k
	}
	return n
}

func (t *StreamTally) trouble() int64 { return t.Lost + t.Duplicated + t.Reordered + t.Corrupted }
