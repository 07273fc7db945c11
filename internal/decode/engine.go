package decode

import (
	"cmp"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
)

// Engine reads streams as they come.
type Engine struct {
	o      Options
	sink   Sink
	as     dissect.Dissector // all that is read; nil: it is recognised
	level  uint8             // of MQTT, with as
	number int               // of the last packet

	flows map[*capture.Flow]*stream
	flow  *capture.Flow // of the last chunk
	last  *stream       // its stream
	ticks uint64        // counts chunks, so that streams know who was silent for longest

	pastes       int     // streams of what was pasted
	pasted       *stream // with Options.Stream
	conversation uint8   // the level of MQTT that the first has said; 0: none

	queue []event // in order of time; the level of the first is not settled
	held  int     // bytes of queue

	top    piece  // what Chunk takes
	packet Packet // reused, as are these
	line   []byte
	frames []int
}

// stream is a Stream with what is to be known to read it.
type stream struct {
	Stream
	top     *level
	heard   uint64    // ticks
	at      time.Time // when that was
	ended   [3]bool
	version uint8  // of MQTT, by what was pasted before; 0: not known
	first   string // Type of its first packet
	turned  bool   // its sides are the other way round than the capture has them
}

// piece is what one direction has sent, in order.
type piece struct {
	dir    dissect.Direction
	time   time.Time
	frames []int
	bytes  []byte
	gap    int  // bytes missing before bytes; -1: unknown how many
	end    bool // nothing follows
	whole  bool // bytes is a datagram, or all there is
	cut    int  // bytes that the capture has left out at its end
}

// event is a piece for a level, or a note, that waits for its turn.
type event struct {
	level *level // nil for a note
	piece piece
	note  *Note
	since time.Time // zero without Options.Patience
}

// mostEvents may wait.
const mostEvents = 16384

// New returns an engine that hands what it reads to s. The error is an *Error.
func New(o Options, s Sink) (*Engine, error) {
	as, level, err := o.forced()
	if err != nil {
		return nil, err
	}
	return &Engine{o: o.withDefaults(), sink: s, as: as, level: level, flows: map[*capture.Flow]*stream{}}, nil
}

// Chunk takes what a capture has next.
func (e *Engine) Chunk(c capture.Chunk) error {
	if c.Flow != e.flow || e.last == nil {
		if err := e.find(&c); err != nil {
			return err
		}
	}
	s := e.last
	e.ticks++
	s.heard, s.at = e.ticks, c.Time
	e.top = piece{
		dir: c.Direction, time: c.Time, frames: c.Frames, bytes: c.Bytes, gap: c.Gap,
		end: c.End, whole: c.Datagram, cut: c.Cut,
	}
	if s.turned {
		e.top.dir = other(c.Direction)
	}
	if c.Comment != "" {
		if err := e.note(Note{Kind: Comment, Stream: &s.Stream, Direction: e.top.dir, Time: c.Time, Frames: c.Frames, Text: c.Comment}); err != nil {
			return err
		}
	}
	if err := e.deliver(s.top, &e.top); err != nil {
		return err
	}
	if !c.End {
		return nil
	}
	s.ended[e.top.dir] = true
	if s.ended[dissect.FromClient] && s.ended[dissect.FromServer] {
		delete(e.flows, c.Flow)
		e.last = nil
		return e.finish(s)
	}
	return nil
}

// find makes the stream of c the last.
func (e *Engine) find(c *capture.Chunk) error {
	s := e.flows[c.Flow]
	if s == nil {
		if len(e.flows) >= e.o.Streams {
			if err := e.giveUp(); err != nil {
				return err
			}
		}
		f := c.Flow
		s = &stream{Stream: Stream{Number: f.Number, Transport: f.Transport, Client: f.Client, Server: f.Server, Joined: f.Joined}}
		s.top = &level{s: s, joined: f.Joined}
		e.flows[f] = s
	}
	e.flow, e.last = c.Flow, s
	return nil
}

// giveUp ends the half of the streams that have been silent for longest.
func (e *Engine) giveUp() error {
	flows := e.byAge()
	for _, f := range flows[:(len(flows)+1)/2] {
		s := e.flows[f]
		delete(e.flows, f)
		if err := e.finish(s); err != nil {
			return err
		}
	}
	e.last = nil
	return nil
}

// byAge returns the flows, those first that have been silent for longest.
func (e *Engine) byAge() []*capture.Flow {
	flows := make([]*capture.Flow, 0, len(e.flows))
	for f := range e.flows {
		flows = append(flows, f)
	}
	slices.SortFunc(flows, func(a, b *capture.Flow) int { return cmp.Compare(e.flows[a].heard, e.flows[b].heard) })
	return flows
}

// finish says that nothing more comes of s, and reads what has waited of it.
func (e *Engine) finish(s *stream) error {
	if err := e.ends(s); err != nil {
		return err
	}
	if err := e.settle(s); err != nil {
		return err
	}
	return e.note(Note{Kind: Ended, Stream: &s.Stream, Time: s.at})
}

// ends says that nothing more comes of s.
func (e *Engine) ends(s *stream) error {
	for _, dir := range []dissect.Direction{dissect.Unknown, dissect.FromClient, dissect.FromServer} {
		if s.ended[dir] {
			continue
		}
		s.ended[dir] = true
		if err := e.deliver(s.top, &piece{dir: dir, time: s.at, end: true}); err != nil {
			return err
		}
	}
	return nil
}

// Flush reads what has waited for more to be known, as far as it can be: who reads
// from a pipe calls it when nothing has come for a while.
func (e *Engine) Flush() error {
	return e.settle(nil)
}

// settle decides all that waits of s, or of all streams for nil.
func (e *Engine) settle(s *stream) error {
	return e.force(func(ev *event) bool { return s == nil || ev.level.s == s })
}

// force decides the levels of all events of which which is true.
func (e *Engine) force(which func(*event) bool) error {
	for {
		some := false
		for i := 0; i < len(e.queue); i++ {
			ev := &e.queue[i]
			if ev.level == nil || ev.level.state != undecided || !which(ev) {
				continue
			}
			some = true
			if err := e.decide(ev.level, true); err != nil {
				return err
			}
		}
		if !some {
			return nil
		}
		if err := e.replay(); err != nil {
			return err
		}
	}
}

// Close says that nothing more comes at all.
func (e *Engine) Close() error {
	flows := e.byAge()
	for _, f := range flows {
		if err := e.ends(e.flows[f]); err != nil {
			return err
		}
	}
	if err := e.Flush(); err != nil {
		return err
	}
	for _, f := range flows {
		if err := e.note(Note{Kind: Ended, Stream: &e.flows[f].Stream, Time: e.flows[f].at}); err != nil {
			return err
		}
	}
	clear(e.flows)
	e.last = nil
	if err := e.closePasted(); err != nil {
		return err
	}
	return e.Flush()
}

// deliver hands p to l, or has it wait.
func (e *Engine) deliver(l *level, p *piece) error {
	switch l.state {
	case wrapped:
		return l.wrap.take(e, p)
	case undecided:
		l.observe(p)
		e.wait(event{level: l, piece: p.clone()})
		if err := e.decide(l, false); err != nil {
			return err
		}
		if l.state == wrapped || l.state != undecided && !e.blocked() {
			return e.replay()
		}
	default:
		if len(e.queue) == 0 {
			return l.take(e, p)
		}
		e.wait(event{level: l, piece: p.clone()})
	}
	if e.held > e.o.Held || len(e.queue) > mostEvents {
		return e.Flush()
	}
	if e.o.Patience > 0 {
		return e.hurry()
	}
	return nil
}

// hurry decides what has held up the rest for too long.
func (e *Engine) hurry() error {
	late := e.o.Now().Add(-e.o.Patience)
	if len(e.queue) == 0 || !e.queue[0].since.Before(late) {
		return nil
	}
	return e.force(func(ev *event) bool { return ev.since.Before(late) })
}

func (p *piece) clone() piece {
	c := *p
	c.bytes, c.frames = slices.Clone(p.bytes), slices.Clone(p.frames)
	return c
}

// wait puts ev at the end of the queue.
func (e *Engine) wait(ev event) {
	if e.o.Patience > 0 && ev.since.IsZero() {
		ev.since = e.o.Now()
	}
	if ev.level != nil {
		ev.level.waits++
	}
	e.queue = append(e.queue, ev)
	e.held += len(ev.piece.bytes)
}

// blocked reports whether what is first in the queue has to go on waiting.
func (e *Engine) blocked() bool {
	return len(e.queue) > 0 && e.queue[0].level != nil && e.queue[0].level.state == undecided
}

// replay hands on what has waited for a level that is settled now.
func (e *Engine) replay() error {
	waited := e.queue
	e.queue, e.held = nil, 0
	for i := range waited {
		ev := &waited[i]
		l := ev.level
		if l != nil {
			l.waits--
		}
		var err error
		switch {
		case l != nil && l.state == wrapped:
			if err = e.tell(l); err == nil {
				err = l.wrap.take(e, &ev.piece)
			}
		case len(e.queue) > 0, l != nil && l.state == undecided:
			e.wait(*ev)
		case l == nil:
			err = e.sink.Note(ev.note)
		default:
			if err = e.tell(l); err == nil {
				err = l.take(e, &ev.piece)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noteBefore hands n on before what waits for l.
func (e *Engine) noteBefore(l *level, n Note) error {
	if l.waits == 0 {
		return e.note(n)
	}
	n.Frames = slices.Clone(n.Frames)
	l.notes = append(l.notes, &n)
	return nil
}

// tell hands on the notes of l.
func (e *Engine) tell(l *level) error {
	notes := l.notes
	l.notes = nil
	for _, n := range notes {
		if err := e.note(*n); err != nil {
			return err
		}
	}
	return nil
}

// note hands n on in its turn.
func (e *Engine) note(n Note) error {
	if len(e.queue) == 0 {
		return e.sink.Note(&n)
	}
	n.Frames = slices.Clone(n.Frames)
	e.wait(event{note: &n})
	return nil
}
