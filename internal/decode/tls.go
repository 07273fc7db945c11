package decode

import (
	"encoding/binary"
	"strings"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
)

// tlsLayer decrypts, if there are keys.
type tlsLayer struct {
	l, inner *level
	tls      *capture.TLS
	sides    [3]tlsSide
	named    bool // what it is, in the stream's layers
	plain    bool // something was decrypted
	failed   bool // nothing can be any more
	piece    piece
	err      error // of who takes what is inside
}

// tlsSide is one direction: which frames the record has come in that is not complete.
type tlsSide struct {
	frames []int
	head   [5]byte
	have   int // bytes of head
	left   int // bytes of the record's body still to come
	ended  bool
}

const tlsName = "tls"

// tlsBegins reports whether b begins with the hello of a client or a server.
func tlsBegins(b []byte) (yes, more bool) {
	if len(b) == 0 || b[0] != 0x16 || len(b) > 1 && b[1] != 3 || len(b) > 2 && b[2] > 4 {
		return false, false
	}
	if len(b) < 6 {
		return false, len(b) > 1
	}
	return b[5] == 1 || b[5] == 2, false
}

func newTLSLayer(e *Engine, l *level) *tlsLayer {
	l.s.Layers = append(l.s.Layers, tlsName)
	return &tlsLayer{l: l, inner: l.within(), tls: capture.NewTLS(e.o.Keys)}
}

// take implements wrapper.
func (w *tlsLayer) take(e *Engine, p *piece) error {
	if w.failed {
		return nil
	}
	side := &w.sides[p.dir]
	emit := func(dir dissect.Direction, b []byte) error {
		w.plain = true
		w.name()
		w.piece = piece{dir: dir, time: p.time, frames: p.frames, bytes: b}
		if kept := w.sides[dir].frames; len(kept) > 0 {
			w.piece.frames = append(kept[:len(kept):len(kept)], p.frames...)
		}
		w.err = e.deliver(w.inner, &w.piece)
		return w.err
	}
	err := w.tls.Feed(p.dir, p.bytes, p.gap != 0, emit)
	if side.cut(p.bytes) {
		side.frames = side.frames[:0]
	} else if len(p.bytes) > 0 {
		side.frames = append(side.frames, p.frames...)
	}
	side.ended = side.ended || p.end
	whole := p.dir == dissect.Unknown || w.sides[dissect.FromClient].ended && w.sides[dissect.FromServer].ended
	switch {
	case err != nil:
	case p.end && whole:
		err = w.tls.Close(emit)
	case w.tls.Waiting() && (e.o.Keys == nil || e.o.Keys.Len() == 0):
		err = capture.ErrNoSecret
	}
	if w.err != nil {
		return w.err
	}
	if err != nil {
		return w.fail(e, p, err)
	}
	if !p.end || w.tls.Waiting() && !whole {
		return nil
	}
	w.name()
	if !w.plain && whole {
		return w.fail(e, p, nil)
	}
	return e.deliver(w.inner, &piece{dir: p.dir, time: p.time, frames: p.frames, end: true})
}

// cut counts records, and reports whether b ends with one.
func (s *tlsSide) cut(b []byte) bool {
	for len(b) > 0 {
		if s.left > 0 {
			n := min(s.left, len(b))
			s.left, b = s.left-n, b[n:]
			continue
		}
		n := copy(s.head[s.have:], b)
		s.have, b = s.have+n, b[n:]
		if s.have == len(s.head) {
			s.have, s.left = 0, int(binary.BigEndian.Uint16(s.head[3:]))
		}
	}
	return s.left == 0 && s.have == 0
}

// name puts the version into the stream's layers.
func (w *tlsLayer) name() {
	if w.named {
		return
	}
	version, _, _ := strings.Cut(w.tls.Describe(), ",")
	w.named = version != ""
	w.l.s.layer(tlsName, strings.ToLower(version))
}

// fail says that the stream cannot be decrypted any more.
func (w *tlsLayer) fail(e *Engine, p *piece, err error) error {
	w.failed = true
	w.name()
	n := Note{Kind: Foreign, Stream: &w.l.s.Stream, Direction: p.dir, Time: p.time, Frames: p.frames, Text: "this is TLS"}
	if text := w.tls.Describe(); text != "" {
		n.Text = "this is " + text
	}
	if err != nil {
		n.Text += ": " + err.Error()
	}
	n.Hint = foreignHints["TLS"]
	if w.plain {
		n.Kind, n.Hint = Unreadable, ""
	}
	return e.note(n)
}
