package frame

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ErrShort says that the bytes end before the frame does: read more and call
// again with everything that was not consumed.
var ErrShort = errors.New("more bytes needed")

// ErrNotFramed ends a connection: what was received cannot be the codec's
// protocol. Errors of Next and Gap wrap it.
var ErrNotFramed = errors.New("not this protocol")

// wasteFactor bounds the work on bytes that look like long frames again and
// again and never are one: so many times max_skipped and max_frame.
const wasteFactor = 16

// keptPlain is the most that a connection without bytes keeps for unescaping.
const keptPlain = 256

// Frame is one frame of a stream. Its slices are valid until the next call of
// the Splitter that returned it, and as long as the bytes given to that.
type Frame struct {
	Raw         []byte // as received, markers included
	Data        []byte // after strip and unescape: what fields, ranges and offsets count in
	BadChecksum bool   // on_bad_checksum: accept let it pass

	variant *variant
	escapes []int32 // offsets in Data of bytes that took two in Raw, ascending
	front   int     // bytes stripped off the front of Raw
}

// Splitter cuts one direction of a connection into frames. The zero value is
// of no use: see [Codec.Splitter].
type Splitter struct {
	c       *Codec
	dir     Direction
	later   bool     // a frame has been seen
	discard *variant // whose frame is too long and being left out
	need    int
	skipped int
	before  int // of those, in front of the last frame
	dropped int
	wasted  int // bytes of checksums that were wrong, since the last frame
	wrong   wrong
	plain   []byte // the unescaped frame
	escapes []int32
}

// wrong is where the last frame with a wrong checksum was, in the bytes of the
// last call.
type wrong struct {
	at, n   int
	variant *variant
}

// Splitter returns a splitter for one direction of a new connection.
func (c *Codec) Splitter(dir Direction) Splitter { return Splitter{c: c, dir: dir} }

// Next returns the first frame in data and how many bytes of data are done
// with: those of the frame and those skipped before it. ErrShort comes with
// the bytes that could be skipped. Any other error wraps ErrNotFramed and is
// the end of the connection.
func (s *Splitter) Next(data []byte) (Frame, int, error) { return s.next(data, false) }

// Gap is Next for when nothing more belongs to data: the idle gap has passed,
// or the datagram ends there. It ends frames without an end of their own, and
// a line without its delimiter; any other unfinished frame is consumed and
// counted as skipped. ErrShort says that nothing is left. A connection that
// ends in the middle of a frame is no reason to call it.
func (s *Splitter) Gap(data []byte) (Frame, int, error) { return s.next(data, true) }

func (s *Splitter) next(data []byte, final bool) (Frame, int, error) {
	at := 0
	s.wrong = wrong{}
	for {
		if s.discard != nil {
			at += s.discardLine(data[at:], final)
		}
		if lost := s.skipped - s.before; lost > s.mostSkipped() {
			return Frame{}, at, fmt.Errorf("%w: %d bytes belong to no frame", ErrNotFramed, lost)
		}
		if s.wasted > wasteFactor*(s.mostSkipped()+s.c.framing.maxFrame) {
			return Frame{}, at, fmt.Errorf("%w: %d frames with a wrong checksum", ErrNotFramed, s.dropped)
		}
		if at == len(data) {
			s.need = 1
			if cap(s.plain) > keptPlain { // an idle connection holds no frame
				s.plain, s.escapes = nil, nil
			}
			return Frame{}, at, ErrShort
		}
		f, n, out := s.try(data[at:], final)
		if s.wrong.variant != nil && s.wrong.at < 0 {
			s.wrong.at = at
		}
		switch out {
		case fits:
			s.later, s.before, s.wasted = true, s.skipped, 0
			return f, at + n, nil
		case short:
			s.need = n
			return Frame{}, at, ErrShort
		case broken:
			_, why := s.Wrong(data)
			return Frame{}, at, fmt.Errorf("%w: wrong checksum: %s", ErrNotFramed, why)
		case empty: // nothing was lost
		case overlong, differs:
			if n == 0 { // not even a frame with a wrong checksum
				if !s.c.framing.resync && !final {
					return Frame{}, at, fmt.Errorf("%w: no frame begins with % x", ErrNotFramed, data[at:min(at+8, len(data))])
				}
				n = s.noise(data[at:])
			}
			if out == overlong && s.discard != nil {
				continue
			}
			s.skipped += n
		}
		at += n
	}
}

// mostSkipped is how many bytes in a row may belong to no frame. A stranger gets
// less than who has sent one.
func (s *Splitter) mostSkipped() int {
	if s.later {
		return s.c.framing.maxSkipped
	}
	return s.c.framing.maxAtFirst
}

// noise is how many bytes at the start of data, which begin no frame, can be
// left out at once: up to the next that may begin one, and not many more than
// are allowed.
func (s *Splitter) noise(data []byte) int {
	fr := &s.c.framing
	limit := min(len(data)-fr.anchor.at, s.mostSkipped()-(s.skipped-s.before)+1)
	n := 1
	for n < limit && !fr.anchor.may[data[n+fr.anchor.at]] {
		n++
	}
	return n
}

// try looks for a frame at the very start of data. A frame that is dropped
// comes back as differs, with the bytes to leave out.
func (s *Splitter) try(data []byte, final bool) (Frame, int, outcome) {
	fr := &s.c.framing
	var tooLong *variant
	drop, bad, wasted := 0, false, 0
	for _, v := range fr.variants {
		if v.first && s.later || v.later && !s.later || v.dir != Any && s.dir != Any && v.dir != s.dir {
			continue
		}
		matches, missing := v.begins(data)
		if missing > 0 && !final {
			return Frame{}, missing, short
		}
		if !matches {
			continue
		}
		n, out := v.measure(data, fr.maxFrame)
		switch {
		case final && out == short && (v.mode == byGap || v.mode == byDelimiter):
			n, out = len(data), fits
		case out == short && !final:
			return Frame{}, n, short
		case out == empty:
			return Frame{}, n, empty
		case out == overlong && fr.resync:
			tooLong = v
		}
		if out != fits || !v.ends(data[:n], final) {
			continue
		}
		f, ok := s.frame(v, data[:n])
		if !ok {
			continue
		}
		if v.sumsMatch(f.Data) {
			return f, n, fits
		}
		if fr.onBad == acceptBad {
			f.BadChecksum = true
			return f, n, fits
		}
		bad, wasted = true, wasted+n
		s.wrong = wrong{-1, n, v}
		if drop == 0 && (!fr.resync || v.mode == byDelimiter) {
			drop = n
		}
	}
	if bad {
		s.dropped++
		s.wasted += wasted
		if fr.onBad == closeBad {
			return Frame{}, 0, broken
		}
	}
	if tooLong != nil && !bad {
		s.discard = tooLong
		return Frame{}, 0, overlong
	}
	return Frame{}, drop, differs
}

// discardLine leaves out the rest of a line that is too long, and says how
// many bytes that was.
func (s *Splitter) discardLine(data []byte, final bool) int {
	end := s.discard.end
	n := max(len(data)-len(end)+1, 0)
	if i := bytes.Index(data, end); i >= 0 {
		n, s.discard = i+len(end), nil
	} else if final {
		n, s.discard = len(data), nil
	}
	s.skipped += n
	return n
}

// ends checks the bytes that a frame must end with. The end of a datagram ends
// a line as well as its delimiter does.
func (v *variant) ends(raw []byte, final bool) bool {
	if final && v.mode == byDelimiter {
		return true
	}
	return len(raw) >= v.head()+len(v.end) && bytes.HasSuffix(raw, v.end)
}

// sumsMatch checks every checksum of the frame.
func (v *variant) sumsMatch(data []byte) bool {
	for i := range v.sums {
		if !v.sums[i].matches(data) {
			return false
		}
	}
	return true
}

// frame applies unescape and strip; not ok if the frame is too short for that
// and for its body.
func (s *Splitter) frame(v *variant, raw []byte) (Frame, bool) {
	f := Frame{Raw: raw, Data: raw, variant: v}
	if v.escapes != nil {
		head, tail := v.head(), len(raw)-len(v.end)
		if v.escapes.has(raw[head:tail]) {
			s.plain = append(s.plain[:0], raw[:head]...)
			s.plain, s.escapes = v.escapes.undo(s.plain, raw[head:tail], s.escapes[:0])
			s.plain = append(s.plain, raw[tail:]...)
			f.Data, f.escapes = s.plain, s.escapes
		}
	}
	front, back := v.strip[0], v.strip[1]
	if !v.keep && bytes.HasSuffix(raw, v.end) {
		back += len(v.end)
	}
	if front+back+v.front+v.tail > len(f.Data) {
		return Frame{}, false
	}
	f.front, f.Data = front, f.Data[front:len(f.Data)-back]
	return f, true
}

// RawOffset turns an offset in Data into one in Raw.
func (f *Frame) RawOffset(off int) int {
	off += f.front
	n := 0
	for n < len(f.escapes) && int(f.escapes[n]) < off {
		n++
	}
	return off + n
}

// Need is how many bytes more, at least, the last ErrShort waits for: 1 or more.
func (s *Splitter) Need() int { return max(s.need, 1) }

// Wrong returns the last frame with a wrong checksum in data, which are the bytes
// of the last call, and what is wrong with it; nil if there was none.
func (s *Splitter) Wrong(data []byte) (raw []byte, why string) {
	w := s.wrong
	if w.variant == nil {
		return nil, ""
	}
	raw = data[w.at : w.at+w.n]
	other := s.c.Splitter(s.dir) // the bytes of s may be in use
	why = other.reason(w.variant, raw)
	return raw, strings.TrimPrefix(why, "checksum: ")
}

// Skipped counts the bytes that belonged to no frame.
func (s *Splitter) Skipped() int { return s.skipped }

// Dropped counts frames that were left out because of their checksum.
func (s *Splitter) Dropped() int { return s.dropped }
