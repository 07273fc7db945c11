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

// wideWords is the window of trackers that several connections feed, where
// messages overtake each other by far.
const wideWords = 64

// tracker follows one stream at one subscriber, in constant memory.
type tracker struct {
	stream                uint32
	begun                 bool
	first, next           uint64 // the first seen, the greatest seen + 1
	seen                  uint64 // bit i: next-1-i has arrived
	wide                  *[wideWords]uint64
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

func (t *tracker) seeWide(seq uint64) arrival {
	const span = wideWords * 64
	bit := func(n uint64) (*uint64, uint64) { return &t.wide[n%span/64], 1 << (n % 64) }
	if !t.begun {
		t.begun, t.first, t.next = true, seq, seq
	}
	if seq >= t.next {
		if seq-t.next >= span {
			*t.wide = [wideWords]uint64{}
		} else {
			for n := t.next; n <= seq; n++ {
				w, b := bit(n)
				*w &^= b
			}
		}
		t.next = seq + 1
		w, b := bit(seq)
		*w |= b
		t.got++
		return inOrder
	}
	w, b := bit(seq)
	if t.next-seq > span || *w&b != 0 {
		t.dups++
		return duplicate
	}
	*w |= b
	t.first = min(t.first, seq)
	t.got++
	t.late++
	return reordered
}

// trackers are those of one subscriber, or of a group that shares its
// subscription.
type trackers struct {
	last *tracker // of the message before; most subscribers see few streams
	all  map[uint32]*tracker
	wide bool
}

func (ts *trackers) of(id uint32) *tracker {
	if t := ts.last; t != nil && t.stream == id {
		return t
	}
	t := ts.all[id]
	if t == nil {
		if ts.all == nil {
			ts.all = map[uint32]*tracker{}
		}
		t = &tracker{stream: id}
		if ts.wide {
			t.wide = new([wideWords]uint64)
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
	type sum struct{ got, dups, late, torn uint64 }
	var a Account
	sums := map[uint32]sum{}
	for _, ts := range all {
		for id, t := range ts.all {
			s := sums[id]
			s.got, s.dups, s.late, s.torn = s.got+t.got, s.dups+t.dups, s.late+t.late, s.torn+t.torn
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
		s := sums[uint32(first+id)]
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

func (t *StreamTally) trouble() int64 { return t.Lost + t.Duplicated + t.Reordered + t.Corrupted }
