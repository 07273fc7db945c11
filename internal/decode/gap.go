package decode

import (
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/dissect"
)

const (
	lostBytes = 64 << 10 // of a direction that are searched for a packet at a time
	tryBytes  = 2 << 10  // in which a packet is looked for at each place
	mostStray = 1 << 20  // of a direction in which a packet is looked for at all
)

// gap takes notice that bytes are missing before p: what is incomplete stays so, and
// where the next packet begins is to be found.
func (l *level) gap(e *Engine, h *half, p *piece) error {
	text := "bytes are missing, it is not known how many"
	if p.gap > 0 {
		text = plural(p.gap, "byte") + " missing"
	}
	inside := 0 // bytes of the incomplete packet that are behind the gap
	if len(h.buf) > 0 {
		if l.sizer != nil && p.gap > 0 {
			inside = l.sizer.Size(h.buf) - len(h.buf) - p.gap
		}
		cut := piece{dir: p.dir, time: p.time, frames: nil, end: true}
		text += ", from within a packet on"
		n, err := l.packets(e, h, &cut, h.buf)
		if err != nil {
			return err
		}
		h.off += int64(n)
		h.drop(len(h.buf))
	}
	h.buf, h.marks, h.frames, h.want = h.buf[:0], h.marks[:0], h.frames[:0], 0
	h.off += int64(max(p.gap, 0))
	l.st.Missed()
	h.lost, h.stray, h.tail = true, 0, max(inside, 0)
	h.exact = inside >= 0 && inside > 0
	return e.note(Note{Kind: Gap, Stream: &l.s.Stream, Direction: p.dir, Time: p.time, Frames: p.frames, Text: text})
}

// resync looks for the packet that follows, from the start of b on. It returns how
// many bytes cannot be its beginning.
func (l *level) resync(h *half, b []byte, p *piece) (skipped int, found bool) {
	if h.tail > 0 { // of the packet that the gap is in: its end is known
		n := min(h.tail, len(b))
		h.tail -= n
		h.stray += n
		if h.tail > 0 || n == len(b) {
			h.lost = h.tail > 0
			return n, false
		}
		return n, true
	}
	hint := dissect.Hint{Port: l.s.Server.Port(), Direction: p.dir}
	if h.stray == 0 && !h.failed && l.fits(b, p) {
		return 0, true
	}
	for i := range min(len(b), lostBytes) {
		if c, _ := l.d.Sniff(b[i:min(len(b), i+tryBytes)], hint); c >= dissect.Likely {
			h.stray += i
			return i, true
		}
	}
	// What is cut short may be a packet with what follows.
	keep := min(len(b), tryBytes)
	h.want = 2 * keep
	if p.end {
		return 0, false
	}
	h.stray += len(b) - keep
	return len(b) - keep, false
}

// fits reports whether packets without a mistake fill b.
func (l *level) fits(b []byte, p *piece) bool {
	st := dissect.Stream{Direction: p.dir, Version: l.st.Version, Joined: true}
	for n := 0; n < len(b); {
		q, k, err := l.d.Dissect(b[n:], &st)
		if errors.Is(err, dissect.ErrShort) {
			c, _ := l.d.Sniff(b[n:], dissect.Hint{Direction: p.dir})
			return n > 0 || c > dissect.No
		}
		if err != nil || len(q.Problems) > 0 {
			return false
		}
		n += k
	}
	return true
}

// resumed says that the next packet has been found.
func (l *level) resumed(e *Engine, h *half, p *piece) error {
	if h.joined && h.stray == 0 {
		h.lost, h.joined = false, false
		return nil
	}
	n := Note{Kind: Resumed, Stream: &l.s.Stream, Direction: p.dir, Time: p.time, Frames: p.frames}
	switch {
	case h.exact:
		n.Text = "the packet in the gap ends here: the next one follows " + plural(h.stray, "byte") + " further on"
	case h.stray == 0:
		n.Text = "a packet seems to begin right here: a guess"
	default:
		n.Text = fmt.Sprintf("a packet seems to begin %s further on: a guess", plural(h.stray, "byte"))
	}
	h.lost, h.stray, h.exact, h.failed, h.joined = false, 0, false, false, false
	return e.note(n)
}

// plural is "1 byte", "2 bytes".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
