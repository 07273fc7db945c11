package decode

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/dissect"
)

// webSocketLayer takes the packets out of the messages of WebSocket: one may lie in
// many messages, and many in one. The opening handshake and control frames are
// packets of their own. // RFC 6455, MQTT 5.0, 6
type webSocketLayer struct {
	aside, inner *level
	halves       [3]webSocketHalf
	answered     bool
	closed       bool // there is no WebSocket
	compressed   bool // permessage-deflate is agreed on // RFC 7692
	messages     bool // a message is a whole, as in CoAP
	scratch      []byte
	piece        piece
}

// webSocketHalf is one direction.
type webSocketHalf struct {
	open  bool // the handshake is behind
	lost  bool
	kept  headBuffer // an incomplete handshake, head of a frame, or control frame
	frame dissect.WebSocketFrame
	left  int // bytes of its payload still to come
	at    int // bytes of its payload that were there
	text  bool
	// A message that is to be read whole: it is compressed, or of a protocol of
	// messages.
	message  headBuffer
	deflated bool
	inflater inflater
}

const webSocketName = "websocket"

func newWebSocketLayer(l *level) *webSocketLayer {
	l.s.Layers = append(l.s.Layers, webSocketName)
	return &webSocketLayer{aside: l.aside(dissect.WebSocket{}), inner: l.within()}
}

// bareWebSocket makes l one of WebSocket, if its bytes are frames whose payload can be
// read, though the handshake was not seen.
func (e *Engine) bareWebSocket(l *level) bool {
	if !l.joined && l.s.Transport != "" || l.depth >= mostDepth {
		return false
	}
	for i := range l.heads {
		h, dir := &l.heads[i], dissect.Direction(i)
		if c, _ := (dissect.WebSocket{}).Sniff(h.bytes, dissect.Hint{Direction: dir, Datagram: h.whole}); c != dissect.Possible {
			continue
		}
		payload := payloads(h.bytes)
		for _, d := range e.o.Dissectors {
			if c, _ := d.Sniff(payload, dissect.Hint{Direction: dir}); c < dissect.Likely {
				continue
			}
			w := newWebSocketLayer(l)
			w.inner.joined = true
			for i := range w.halves {
				w.halves[i].open = true
			}
			l.s.layer(webSocketName, webSocketName+" (no handshake seen)")
			l.state, l.wrap, l.heads = wrapped, w, [3]head{}
			return true
		}
	}
	return false
}

// payloads is what the frames of messages in b say.
func payloads(b []byte) []byte {
	var all []byte
	for len(b) > 0 {
		f := dissect.WebSocketHead(b)
		if f.Head == 0 || f.Head+f.Payload > len(b) {
			break
		}
		if !f.Control() {
			for i, c := range b[f.Head : f.Head+f.Payload] {
				if f.Masked() {
					c ^= f.Mask[i&3]
				}
				all = append(all, c)
			}
		}
		b = b[f.Head+f.Payload:]
	}
	return all
}

// take implements wrapper.
func (w *webSocketLayer) take(e *Engine, p *piece) error {
	h := &w.halves[p.dir]
	if w.closed {
		return nil
	}
	if p.gap != 0 {
		if err := w.gap(e, h, p); err != nil {
			return err
		}
	}
	q := h.kept.join(p)
	q.gap = 0
	for len(q.bytes) > 0 && !h.lost && !w.closed {
		n, err := w.next(e, h, &q)
		if err != nil {
			return err
		}
		if n == 0 {
			h.kept.keep(q.bytes, q.frames)
			break
		}
		if q.bytes = q.bytes[n:]; len(q.bytes) <= len(p.bytes) {
			q.frames = p.frames
		}
	}
	if !p.end {
		return nil
	}
	if len(h.kept.bytes) > 0 && !w.closed {
		last := *p
		last.bytes, last.frames, last.gap = h.kept.bytes, h.kept.frames, 0
		if err := e.deliver(w.aside, &last); err != nil {
			return err
		}
	}
	return e.deliver(w.inner, &piece{dir: p.dir, time: p.time, frames: p.frames, end: true})
}

// next takes what stands at the start of p: a handshake, the head of a frame, a
// control frame, or payload. It returns 0 for what is incomplete.
func (w *webSocketLayer) next(e *Engine, h *webSocketHalf, p *piece) (int, error) {
	switch {
	case h.left > 0:
		n := min(h.left, len(p.bytes))
		return n, w.payload(e, h, p, p.bytes[:n])
	case !h.open:
		return w.handshake(e, h, p)
	}
	f := dissect.WebSocketHead(p.bytes)
	if f.Head == 0 {
		return 0, nil
	}
	problem := f.Wrong(p.dir)
	if f.Control() {
		if len(p.bytes) < f.Head+f.Payload && f.Payload <= 125 {
			return 0, nil
		}
		n := min(len(p.bytes), f.Head+f.Payload)
		return n, w.show(e, p, p.bytes[:n])
	}
	if f.Opcode() > dissect.WebSocketBinary || f.Compressed() && !w.compressed || f.Payload == 0 && problem != "" {
		h.lost = true
		return 1, e.note(Note{
			Kind: Unreadable, Stream: &w.inner.s.Stream, Direction: p.dir, Time: p.time, Frames: p.frames,
			Text: "WebSocket cannot be read any more: " + cmp.Or(problem, "a compressed message, and compression was not agreed on"),
		})
	}
	if problem != "" {
		if err := w.breach(e, p, problem, "RFC 6455, 5.2"); err != nil {
			return 0, err
		}
	}
	if err := w.begin(e, h, p, &f); err != nil {
		return 0, err
	}
	return f.Head, nil
}

// begin takes the head of a frame of a message.
func (w *webSocketLayer) begin(e *Engine, h *webSocketHalf, p *piece, f *dissect.WebSocketFrame) error {
	h.frame, h.left, h.at = *f, f.Payload, 0
	if f.Opcode() != dissect.WebSocketContinuation {
		h.deflated = f.Compressed()
		if f.Opcode() == dissect.WebSocketText && !h.text && !w.messages {
			h.text = true
			if err := w.breach(e, p, "a text message: MQTT belongs into binary ones", "MQTT-6.0.0-1"); err != nil {
				return err
			}
		}
	}
	if h.left == 0 && f.Final() {
		return w.end(e, h, p)
	}
	return nil
}

// payload takes b, which is of a message.
func (w *webSocketLayer) payload(e *Engine, h *webSocketHalf, p *piece, b []byte) error {
	w.scratch = append(w.scratch[:0], b...)
	if h.frame.Masked() {
		for i := range w.scratch {
			w.scratch[i] ^= h.frame.Mask[(h.at+i)&3]
		}
	}
	h.left -= len(b)
	h.at += len(b)
	last := h.left == 0 && h.frame.Final()
	if h.deflated || w.messages {
		h.message.keep(w.scratch, p.frames)
		if last {
			return w.end(e, h, p)
		}
		return nil
	}
	return w.inside(e, p, w.scratch, p.frames)
}

// inside delivers b.
func (w *webSocketLayer) inside(e *Engine, p *piece, b []byte, frames []int) error {
	w.piece = piece{dir: p.dir, time: p.time, frames: frames, bytes: b, whole: w.messages}
	return e.deliver(w.inner, &w.piece)
}

// end takes the end of a message that is read whole.
func (w *webSocketLayer) end(e *Engine, h *webSocketHalf, p *piece) error {
	m := h.message
	h.message = headBuffer{}
	switch {
	case !h.deflated && !w.messages:
		return nil
	case !h.deflated:
		return w.inside(e, p, m.bytes, m.frames)
	}
	err := h.inflater.inflate(m.bytes, w.messages, func(b []byte) error { return w.inside(e, p, b, m.frames) })
	if bad := (*inflateError)(nil); asInflate(err, &bad) {
		h.lost = true
		return e.note(Note{
			Kind: Unreadable, Stream: &w.inner.s.Stream, Direction: p.dir, Time: p.time, Frames: m.frames,
			Text: "a compressed message cannot be read: " + bad.Error(),
		})
	}
	return err
}

// show delivers b, a handshake or a control frame, as a packet.
func (w *webSocketLayer) show(e *Engine, p *piece, b []byte) error {
	q := *p
	q.bytes, q.end = b, false
	return e.deliver(w.aside, &q)
}

// breach says that a rule is broken, beside packets.
func (w *webSocketLayer) breach(e *Engine, p *piece, text, rule string) error {
	return e.note(Note{
		Kind: Breach, Stream: &w.inner.s.Stream, Direction: p.dir, Time: p.time, Frames: p.frames, Text: fmt.Sprintf("WebSocket: %s [%s]", text, rule),
	})
}

// handshake takes the head of the request or of the answer.
func (w *webSocketLayer) handshake(e *Engine, h *webSocketHalf, p *piece) (int, error) {
	n := (dissect.WebSocket{}).Size(p.bytes)
	request := bytes.HasPrefix(p.bytes, []byte("GET "))
	switch {
	case n == 0 && len(p.bytes) >= headBytes, !request && len(p.bytes) >= 4 && !bytes.HasPrefix(p.bytes, []byte("HTTP")):
		w.closed = true
		return 1, e.note(Note{
			Kind: Unreadable, Stream: &w.inner.s.Stream, Direction: p.dir, Time: p.time, Frames: p.frames, Text: "the handshake of WebSocket does not end",
		})
	case n == 0 || n > len(p.bytes):
		return 0, nil
	}
	head := p.bytes[:n]
	if err := w.show(e, p, head); err != nil {
		return 0, err
	}
	// What was pasted has both sides in one direction.
	h.open = !request || p.dir != dissect.Unknown || !bytes.HasPrefix(p.bytes[n:], []byte("HTTP/1."))
	if request {
		return n, nil
	}
	status, _, _ := bytes.Cut(head, []byte("\r\n"))
	if words := bytes.Fields(status); len(words) < 2 || string(words[1]) != "101" {
		w.closed = true
		return n, e.note(Note{
			Kind: Foreign, Stream: &w.inner.s.Stream, Direction: p.dir, Time: p.time, Frames: p.frames,
			Text: fmt.Sprintf("the server has refused the upgrade to WebSocket: %q", status),
			Hint: "the path of the URL and the subprotocol (mqtt) have to be those that the server wants",
		})
	}
	w.answer(head)
	return n, nil
}

// answer takes what the server has agreed on.
func (w *webSocketLayer) answer(head []byte) {
	w.answered = true
	s := &w.inner.s.Stream
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.ToLower(strings.TrimSpace(value))
		switch strings.ToLower(name) {
		case "sec-websocket-protocol":
			s.layer(webSocketName, webSocketName+" ("+value+")")
			w.messages = value == "coap"
			w.inner.messages = w.messages
		case "sec-websocket-extensions":
			if !strings.Contains(value, "permessage-deflate") {
				continue
			}
			w.compressed = true
			w.halves[dissect.FromClient].inflater.fresh = strings.Contains(value, "client_no_context_takeover")
			w.halves[dissect.FromServer].inflater.fresh = strings.Contains(value, "server_no_context_takeover")
		}
	}
}

// gap takes notice that bytes are missing before p.
func (w *webSocketLayer) gap(e *Engine, h *webSocketHalf, p *piece) error {
	missing := piece{dir: p.dir, time: p.time, frames: p.frames, gap: -1}
	h.kept = headBuffer{}
	switch {
	case p.gap > 0 && h.left >= p.gap: // all of it is in one frame
		h.left -= p.gap
		h.at += p.gap
		if missing.gap = p.gap; h.deflated {
			h.lost = true
		}
	case h.lost, !h.open:
		h.lost = true
	default:
		h.left, h.message, h.deflated = 0, headBuffer{}, false
		if h.lost = w.compressed; !h.lost {
			p.bytes = framesIn(p)
		}
	}
	return e.deliver(w.inner, &missing)
}

// framesIn returns what is behind the first place in p from which on frames fill it;
// nil if there is none.
func framesIn(p *piece) []byte {
	for i := range min(len(p.bytes), tryBytes) {
		if c, _ := (dissect.WebSocket{}).Sniff(p.bytes[i:], dissect.Hint{Direction: p.dir}); c == dissect.Possible {
			return p.bytes[i:]
		}
	}
	return nil
}
