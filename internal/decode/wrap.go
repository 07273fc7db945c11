package decode

import (
	"bytes"

	"github.com/iotctl/iotctl/internal/dissect"
)

// wrapped returns what l is wrapped in, nil for nothing; more says that this can be
// told when more is there.
func (l *level) wrapped(e *Engine) (w wrapper, more bool) {
	if l.depth >= mostDepth {
		return nil, false
	}
	for _, dir := range []dissect.Direction{dissect.FromClient, dissect.Unknown} {
		h := &l.heads[dir]
		switch c, _ := (dissect.ProxyHeader{}).Sniff(h.bytes, dissect.Hint{Direction: dir, Datagram: h.whole}); c {
		case dissect.Certain:
			return newProxyLayer(l), false
		case dissect.Possible:
			return nil, !h.ended
		}
		if yes, more := tlsBegins(h.bytes); !h.whole && (yes || more) {
			if yes {
				return newTLSLayer(e, l), false
			}
			return nil, !h.ended
		}
		if !bytes.HasPrefix(h.bytes, []byte("GET ")) || h.whole {
			continue
		}
		if (dissect.WebSocket{}).Size(h.bytes) == 0 {
			return nil, !h.ended && len(h.bytes) < headBytes
		}
		if c, _ := (dissect.WebSocket{}).Sniff(h.bytes, dissect.Hint{}); c == dissect.Certain {
			return newWebSocketLayer(l), false
		}
	}
	if h := &l.heads[dissect.FromServer]; !h.whole {
		if yes, more := tlsBegins(h.bytes); yes {
			return newTLSLayer(e, l), false
		} else if more {
			return nil, !h.ended
		}
	}
	return nil, false
}

// aside is a level beside l for packets of what wraps l.
func (l *level) aside(d dissect.Dissector) *level {
	a := l.within()
	a.become(d)
	return a
}

// headBuffer collects bytes that are to be seen together, and the frames that they
// came in.
type headBuffer struct {
	bytes  []byte
	frames []int
}

// join returns p with what was kept before it.
func (h *headBuffer) join(p *piece) piece {
	q := *p
	if len(h.bytes) > 0 {
		h.keep(p.bytes, p.frames)
		q.bytes, q.frames = h.bytes, h.frames
		*h = headBuffer{}
	}
	return q
}

func (h *headBuffer) keep(b []byte, frames []int) {
	h.bytes, h.frames = append(h.bytes, b...), append(h.frames, frames...)
}

// proxyLayer takes away the header of the PROXY protocol.
type proxyLayer struct {
	header, inner *level
	kept          headBuffer
	done          bool
}

func newProxyLayer(l *level) *proxyLayer {
	w := &proxyLayer{header: l.aside(dissect.ProxyHeader{}), inner: l.within()}
	l.s.Layers = append(l.s.Layers, "proxy")
	return w
}

// take implements wrapper.
func (w *proxyLayer) take(e *Engine, p *piece) error {
	if w.done || p.dir == dissect.FromServer {
		return e.deliver(w.inner, p)
	}
	q := w.kept.join(p)
	size := (dissect.ProxyHeader{}).Size(q.bytes)
	if size == 0 || size > len(q.bytes) {
		if !p.end && len(q.bytes) < 1<<16+proxyHead {
			w.kept.keep(q.bytes, q.frames)
			return nil
		}
		size = len(q.bytes)
	}
	w.done = true
	head := q
	head.bytes, head.end = q.bytes[:size], true
	if version := 12; size > version {
		w.inner.s.layer("proxy", map[bool]string{true: "proxy v2", false: "proxy v1"}[q.bytes[0] == '\r'])
	}
	if err := e.deliver(w.header, &head); err != nil {
		return err
	}
	rest := q
	rest.bytes, rest.frames, rest.gap = q.bytes[size:], p.frames, 0
	if len(rest.bytes) == 0 && !rest.end {
		return nil
	}
	return e.deliver(w.inner, &rest)
}

// proxyHead is the size of what version 2 has before its addresses.
const proxyHead = 16

// layer gives a layer of s its full name.
func (s *Stream) layer(name, full string) {
	for i := len(s.Layers) - 1; i >= 0; i-- {
		if s.Layers[i] == name {
			s.Layers[i] = full
			return
		}
	}
}
