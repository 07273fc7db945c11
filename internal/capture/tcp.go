package capture

import "encoding/binary"

// TCP flags.
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

const (
	// plausible is how far from what is expected the bytes of a segment may be.
	plausible = 64 << 20
	// patience is how many more segments of its flow a missing one has to turn up,
	// after the receiver has said that it has it: the capture may have reordered them.
	patience = 8
	// strays is how many implausible segments in a row mean that this is another
	// connection, whose SYN was not captured.
	strays = 3
)

// half is one direction of a TCP connection: RFC 9293.
type half struct {
	next    uint32 // sequence number of what has to come
	start   uint32 // and of the first byte, if syn
	known   bool   // next is
	syn     bool   // the beginning was seen
	started bool   // something was emitted
	ended   bool
	finSeen bool
	fin     uint32 // sequence number of the FIN
	acked   uint32 // what the other side has acknowledged last
	heard   bool   // acked is valid
	strays  int
	gap     int // bytes missing before what comes

	// What came too early, in order, since when, and how many segments of the flow
	// came after the other side had acknowledged what is missing.
	held  []segment
	size  int
	since int64
	late  int
}

// segment is one that waits for those before it.
type segment struct {
	seq    uint32
	data   []byte // a buffer of holding
	cut    int
	number int   // of its frame
	more   []int // if it came in several
	time   int64

	comment string
}

func (s *segment) end() uint32 { return s.seq + uint32(len(s.data)+s.cut) }

// before is how far b is behind a: negative if it is in front of it.
func before(a, b uint32) int { return int(int32(b - a)) }

// tcp takes a segment.
func (r *Reader) tcp(p *packet) skipped {
	b := p.data
	if len(b) < 20 {
		return skipShort
	}
	header := int(b[12]>>4) * 4
	switch {
	case header < 20:
		return skipDamaged
	case header > len(b) && p.cut == 0:
		return skipDamaged
	case header > len(b):
		return skipShort
	}
	seq, ack, flags := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), b[13]
	c, side := r.flows.find(r, p, binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]))
	if flags&flagSYN != 0 {
		r.synchronize(c, side, seq, ack, flags&flagACK != 0)
		seq++
	}
	if c.closed {
		return taken
	}
	h := &c.half[side]
	if !h.known {
		h.next, h.known = seq, true
	}
	if c.client < 0 {
		c.client, c.joined = guessClient(c, side), true
	}
	s := segment{seq: seq, data: b[header:], cut: p.cut, number: r.frame.number, more: p.frames, time: r.frame.time, comment: r.frame.comment}
	r.told = r.frame.comment == ""
	switch {
	case flags&flagRST != 0:
		if d := before(h.next, seq); d >= 0 && d <= plausible || seq == 0 {
			r.end(c, true)
			c.closed = true
		}
	case flags&flagFIN != 0:
		r.segment(c, side, &s, true)
	case len(s.data)+s.cut > 0:
		r.segment(c, side, &s, false)
	}
	if flags&(flagACK|flagRST) == flagACK {
		r.acknowledge(c, 1-side, ack)
	}
	if !r.told && !(c.half[0].ended && c.half[1].ended) {
		// A segment without data: a proxy's note of what it has held back.
		r.emit(c, side, nil, r.number(r.frame.number), r.frame.time).Comment = r.frame.comment
	}
	return taken
}

// synchronize is told that side has sent a SYN.
func (r *Reader) synchronize(c *conn, side int, seq, ack uint32, acks bool) {
	h, other := &c.half[side], &c.half[1-side]
	start := seq + 1
	again := h.syn && h.start == start
	early := h.known && !h.syn && !h.started && before(h.next, start) <= 0 && before(h.next, start) > -plausible
	if h.known && !again && !early || c.closed && !again {
		r.end(c, true)
		r.flows.renew(c)
	}
	if again && !c.closed {
		return
	}
	h.next, h.start, h.known, h.syn = start, start, true, true
	if acks && !other.known {
		other.next, other.start, other.known, other.syn = ack, ack, true, true
	}
	if c.flow == nil {
		c.joined = false
		c.client = side
		if acks {
			c.client = 1 - side
		}
	}
}

// segment takes the bytes of s, and what is behind them: a FIN or nothing.
func (r *Reader) segment(c *conn, side int, s *segment, fin bool) {
	h := &c.half[side]
	if h.ended {
		return
	}
	d := before(h.next, s.seq)
	if d < 0 && !h.syn && !h.started && d > -plausible {
		h.next, d = s.seq, 0 // the first to come was not the first that was sent
	}
	if d > plausible || d < -plausible {
		if r.count.stray++; h.strays < strays-1 {
			h.strays++
			return
		}
		// Another connection between the same ports, whose beginning is not there.
		r.end(c, true)
		client := c.client
		r.flows.renew(c)
		c.client, c.joined = client, true
		h.next, h.known, d = s.seq, true, 0
	}
	h.strays = 0
	if fin {
		h.finSeen, h.fin = true, s.end()
	}
	if d > 0 {
		r.hold(c, h, s)
		return
	}
	r.deliver(c, side, s)
	if len(h.held) > 0 {
		r.drain(c, side)
	}
	if h.finSeen && before(h.next, h.fin) <= 0 {
		r.finish(c, side)
	}
}

// deliver emits what is new of s, which does not begin behind h.next.
func (r *Reader) deliver(c *conn, side int, s *segment) {
	h := &c.half[side]
	data, cut := s.data, s.cut
	if old := before(s.seq, h.next); old > 0 {
		n := min(old, len(data))
		data = data[n:]
		cut = max(0, cut-(old-n))
	}
	if len(data) > 0 {
		frames := s.more
		if frames == nil {
			frames = r.number(s.number)
		}
		e := r.emit(c, side, data, frames, s.time)
		e.Gap, h.gap = h.gap, 0
		e.Comment = s.comment
		r.told = r.told || s.number == r.frame.number
		h.started = true
	}
	h.next += uint32(len(data) + cut)
	if cut > 0 {
		r.miss(h, cut)
	}
}

// miss notes that n bytes will not come.
func (r *Reader) miss(h *half, n int) {
	h.gap += n
	r.count.gaps++
	r.count.missing += n
}

// drain emits what was held and is next.
func (r *Reader) drain(c *conn, side int) {
	h := &c.half[side]
	n := 0
	for ; n < len(h.held) && before(h.next, h.held[n].seq) <= 0; n++ {
		s := &h.held[n]
		h.size -= r.held.leave(s.data)
		r.deliver(c, side, s)
	}
	rest := copy(h.held, h.held[n:])
	clear(h.held[rest:])
	h.held = h.held[:rest]
	h.since, h.late = r.now, 0
}

// acknowledge is told that side's bytes before ack have arrived.
func (r *Reader) acknowledge(c *conn, side int, ack uint32) {
	h := &c.half[side]
	if !h.heard || before(h.acked, ack) > 0 {
		h.acked, h.heard = ack, true
	}
	for i := range c.half {
		h := &c.half[i]
		if len(h.held) > 0 && h.lost() {
			if h.late++; h.late > patience {
				r.release(c, i)
			}
		}
	}
}

// lost says that the receiver has what the capture has not.
func (h *half) lost() bool { return h.heard && before(h.held[0].seq, h.acked) >= 0 }

// release gives up what is missing before the first segment held.
func (r *Reader) release(c *conn, side int) {
	h := &c.half[side]
	r.miss(h, before(h.next, h.held[0].seq))
	h.next = h.held[0].seq
	r.drain(c, side)
	if h.finSeen && !h.ended && before(h.next, h.fin) <= 0 {
		r.finish(c, side)
	}
}

// finish ends a direction whose last byte was emitted.
func (r *Reader) finish(c *conn, side int) {
	c.half[side].ended = true
	r.emitEnd(c, side, false)
}

// end gives up everything that is missing, and ends both directions.
func (r *Reader) end(c *conn, broken bool) {
	r.giveUp(c)
	for side := range c.half {
		h := &c.half[side]
		if !h.ended {
			h.ended = true
			r.emitEnd(c, side, broken)
		}
	}
}

// emitEnd emits an End, if anything was heard of the flow.
func (r *Reader) emitEnd(c *conn, side int, broken bool) {
	if c.flow == nil {
		return
	}
	e := r.emit(c, side, nil, r.number(r.frame.number), r.frame.time)
	e.End, e.Broken, e.Gap = true, broken, c.half[side].gap
	c.half[side].gap = 0
	e.Datagram = c.key.proto() == protoUDP
	if !r.told {
		e.Comment, r.told = r.frame.comment, true
	}
}
