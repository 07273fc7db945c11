package decode

import (
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/dissect"
)

// reader cuts the bytes of a level into packets.
type reader struct {
	d      dissect.Dissector
	name   string        // d's
	liner  dissect.Liner // nil: d has no quick way
	sizer  dissect.Sizer // nil: d cannot tell
	st     dissect.Stream
	halves [3]half
	ended  [3]bool
}

// mostPacket is the most that waits for the end of a packet: the longest of MQTT.
const mostPacket = 256<<20 + 5

// mostBad packets in a row that are malformed are none.
const mostBad = 16

// half is one direction of a reader.
type half struct {
	off    int64  // of the next byte that is no packet yet
	buf    []byte // from there, an incomplete packet
	want   int    // with fewer bytes it stays one
	frames []int  // of buf
	marks  []mark
	lost   bool // where the next packet begins is not known
	failed bool // not here, since a packet could not be read
	joined bool // but perhaps at once, where what is captured begins
	exact  bool // but after tail bytes, which belong to the packet before
	tail   int
	stray  int  // bytes passed over since
	bad    int  // malformed packets in a row
	given  bool // up: nothing more is looked for
}

// mark says where in a direction the bytes of a piece have ended, and how many of
// half.frames it and those before it have.
type mark struct {
	end    int64
	frames int
}

// read cuts p into packets.
func (l *level) read(e *Engine, p *piece) error {
	if err := l.cut(e, p); err != nil || !p.end {
		return err
	}
	l.ended[p.dir] = true
	if p.dir == dissect.Unknown || !l.ended[dissect.FromClient] || !l.ended[dissect.FromServer] {
		return nil
	}
	return l.open(e, p)
}

// open says what has not been answered.
func (l *level) open(e *Engine, p *piece) error {
	f, ok := l.d.(dissect.Finisher)
	if !ok {
		return nil
	}
	for _, o := range f.Finish(&l.st) {
		if err := e.note(Note{Kind: Open, Stream: &l.s.Stream, Time: p.time, Packet: o.Number, Text: o.Text, Hint: o.Advice}); err != nil {
			return err
		}
	}
	return nil
}

func (l *level) cut(e *Engine, p *piece) error {
	h := &l.halves[p.dir]
	if p.whole {
		return l.datagram(e, h, p)
	}
	if p.gap != 0 {
		if err := l.gap(e, h, p); err != nil {
			return err
		}
	}
	b := p.bytes
	buffered := len(h.buf) > 0
	if buffered {
		h.keep(p, b)
		b = h.buf
	}
	n := 0
	if len(b) >= h.want || p.end {
		var err error
		if n, err = l.packets(e, h, p, b); err != nil {
			return err
		}
	}
	h.off += int64(n)
	if p.end && n < len(b) {
		return l.rest(e, p, b[n:])
	}
	if buffered {
		h.drop(n)
	} else if n < len(b) {
		h.keep(p, b[n:])
	}
	if len(h.buf) <= mostPacket {
		return nil
	}
	h.lost, h.stray, h.off = true, len(h.buf), h.off+int64(len(h.buf))
	h.buf, h.frames, h.marks = nil, nil, nil
	return l.giveUp(e, h, p)
}

// giveUp says, once, that nothing more is looked for.
func (l *level) giveUp(e *Engine, h *half, p *piece) error {
	if h.given {
		return nil
	}
	h.given = true
	return e.note(Note{
		Kind: Unreadable, Stream: &l.s.Stream, Direction: p.dir, Time: p.time, Frames: p.frames,
		Text: fmt.Sprintf("no packet has begun in %s: the rest is passed over", plural(h.stray, "byte")),
	})
}

// rest says that b at the end of a direction is no packet.
func (l *level) rest(e *Engine, p *piece, b []byte) error {
	return e.note(Note{
		Kind: Unreadable, Stream: &l.s.Stream, Direction: p.dir, Time: p.time, Frames: p.frames,
		Text: fmt.Sprintf("the last %s cannot be read: % x", plural(len(b), "byte"), b[:min(len(b), 16)]),
	})
}

// keep adds b, which p has brought, to what is incomplete.
func (h *half) keep(p *piece, b []byte) {
	h.buf = append(h.buf, b...)
	h.frames = append(h.frames, p.frames...)
	h.marks = append(h.marks, mark{end: h.off + int64(len(h.buf)), frames: len(h.frames)})
}

// drop takes the first n bytes away.
func (h *half) drop(n int) {
	h.buf = h.buf[:copy(h.buf, h.buf[n:])]
	i := 0
	for i < len(h.marks) && h.marks[i].end <= h.off {
		i++
	}
	if i == 0 {
		return
	}
	gone := h.marks[i-1].frames
	h.frames = h.frames[:copy(h.frames, h.frames[gone:])]
	h.marks = h.marks[:copy(h.marks, h.marks[i:])]
	for i := range h.marks {
		h.marks[i].frames -= gone
	}
}

// framesOf appends to dst the frames of the n bytes at off, which are in buf.
func (h *half) framesOf(dst []int, off int64, n int) []int {
	from := 0
	for _, m := range h.marks {
		if m.end > off {
			for _, f := range h.frames[from:m.frames] {
				if len(dst) == 0 || dst[len(dst)-1] != f {
					dst = append(dst, f)
				}
			}
		}
		if from = m.frames; m.end >= off+int64(n) {
			break
		}
	}
	return dst
}

// packets reads the packets at the start of b, and returns how many bytes are done
// with.
func (l *level) packets(e *Engine, h *half, p *piece, b []byte) (n int, err error) {
	h.want = 0
	for n < len(b) {
		if h.lost && h.stray >= mostStray {
			return len(b), l.giveUp(e, h, p)
		}
		if h.lost {
			skipped, found := l.resync(h, b[n:], p)
			n += skipped
			if !found {
				break
			}
			if err := l.resumed(e, h, p); err != nil {
				return n, err
			}
		}
		k, err := l.one(e, h, p, b[n:], n)
		if err != nil {
			return n, err
		}
		if k == 0 {
			break // it is short
		}
		n += k
	}
	return n, nil
}

// one reads the packet at the start of b, which is n bytes behind h.off. It returns 0
// if it is to wait for more, or h is lost.
func (l *level) one(e *Engine, h *half, p *piece, b []byte, n int) (int, error) {
	st := &l.st
	st.Direction, st.Time, st.Number, st.Whole = p.dir, p.time, e.number+1, p.end || p.whole
	pk := &e.packet
	pk.Direction, pk.Time, pk.Offset = p.dir, p.time, h.off+int64(n)
	pk.Stream, pk.Err, pk.Missing = &l.s.Stream, nil, 0
	if l.liner != nil && e.o.Lines {
		if line, what, ok := l.liner.Line(e.line[:0], b, st); ok {
			e.line = line
			if pk.Fields != nil || pk.Problems != nil || pk.Summary != "" {
				pk.Packet = dissect.Packet{}
			}
			pk.Protocol, pk.Version, pk.Type, pk.Answers, pk.After = l.name, what.Version, what.Type, what.Answers, what.After
			return what.Size, l.emit(e, h, p, b[:what.Size])
		}
	}
	size := 0
	if l.sizer != nil {
		size = l.sizer.Size(b)
		if size > len(b) && !st.Whole {
			h.want = size
			return 0, nil
		}
	}
	var k int
	var err error
	pk.Packet, k, err = l.d.Dissect(b, st)
	if errors.Is(err, dissect.ErrShort) && !st.Whole {
		h.want = len(b) + max(1, len(b)/16)
		return 0, nil
	}
	pk.Err = err
	e.line = append(e.line[:0], pk.Type...)
	if pk.Summary != "" {
		e.line = append(append(e.line, ' '), pk.Summary...)
	}
	if errors.Is(err, dissect.ErrShort) {
		pk.Missing = max(size-len(b), p.cut)
		return len(b), l.emit(e, h, p, b)
	}
	if h.bad++; err == nil {
		h.bad = 0
	}
	if k > 0 && h.bad == mostBad && !p.whole && l.s.Transport != "" {
		h.lost, h.failed, h.stray, h.bad = true, true, 0, 0
	}
	if k > 0 {
		return k, l.emit(e, h, p, b[:k])
	}
	h.lost, h.failed, h.stray = true, true, 0
	if p.whole || l.s.Transport == "" {
		return len(b), l.emit(e, h, p, b)
	}
	k = min(max(1, extent(pk.Fields)), len(b))
	return k, l.emit(e, h, p, b[:k])
}

// extent is where the last field ends.
func extent(fields []dissect.Field) int {
	end := 0
	for i := range fields {
		end = max(end, fields[i].End())
	}
	return end
}

// emit hands on the packet that e.packet has, whose bytes are b.
func (l *level) emit(e *Engine, h *half, p *piece, b []byte) error {
	e.number++
	pk := &e.packet
	pk.Number, pk.Bytes, pk.Line = e.number, b, e.line
	pk.Frames = p.frames
	if len(h.marks) > 0 {
		e.frames = h.framesOf(e.frames[:0], pk.Offset, len(b))
		pk.Frames = e.frames
	}
	if l.s.first == "" && pk.Protocol == l.s.Protocol {
		l.s.first, l.s.Version = pk.Type, pk.Version
	}
	return e.sink.Packet(pk)
}
