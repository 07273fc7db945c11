package transport

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/gobwas/ws"
)

// WebSocketError is a violation of RFC 6455 by the peer. A close frame with
// Code has been sent.
type WebSocketError struct {
	Code   uint16 // of the close frame: 1002, 1003
	Reason string
}

// Error implements error.
func (e *WebSocketError) Error() string {
	return fmt.Sprintf("websocket: %s (close code %d)", e.Reason, e.Code)
}

// maxControl is the longest payload of a control frame. // RFC 6455 §5.5
const maxControl = 125

// wsReader takes the frames away from around a byte stream, in place. Between
// calls it holds at most a partial header and a partial control frame, so the
// length of frames and messages needs no limit.
type wsReader struct {
	fromServer bool // frames carry no mask; otherwise they must

	header    [ws.MaxHeaderSize]byte
	headerLen int
	inFrame   bool
	inMessage bool // the next data frame continues a message
	op        ws.OpCode
	fin       bool
	masked    bool
	mask      [4]byte
	maskPos   int
	left      uint64 // payload bytes still to come
	control   []byte // payload of a control frame so far
}

// decode moves the payload bytes in b to its front and returns how many there
// are. handle gets each control frame; what it returns ends decoding, as a
// violation does.
func (r *wsReader) decode(b []byte, handle func(ws.OpCode, []byte) error) (n int, err error) {
	for i := 0; i < len(b); {
		if !r.inFrame {
			r.header[r.headerLen] = b[i]
			r.headerLen++
			i++
			if r.headerLen < 2 || r.headerLen < r.headerSize() {
				continue
			}
			if err := r.begin(); err != nil {
				return n, err
			}
		} else {
			k := int(min(r.left, uint64(len(b)-i)))
			part := b[i : i+k]
			if r.masked {
				ws.Cipher(part, r.mask, r.maskPos)
				r.maskPos = (r.maskPos + k) & 3
			}
			if r.op.IsControl() {
				r.control = append(r.control, part...)
			} else {
				n += copy(b[n:], part)
			}
			i += k
			r.left -= uint64(k)
		}
		if r.left > 0 {
			continue
		}
		r.inFrame = false
		if r.op.IsControl() {
			payload := r.control
			r.control = nil
			if err := handle(r.op, payload); err != nil {
				return n, err
			}
			continue
		}
		r.inMessage = !r.fin
	}
	return n, nil
}

// headerSize is the length of the header that begins with two known bytes.
func (r *wsReader) headerSize() int {
	n := 2
	switch r.header[1] & 0x7F {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if r.header[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// begin reads a complete header. // RFC 6455 §5.2
func (r *wsReader) begin() error {
	h := r.header[:r.headerLen]
	r.headerLen = 0
	r.inFrame = true
	r.fin, r.op = h[0]&0x80 != 0, ws.OpCode(h[0]&0x0F)
	r.masked, r.left = h[1]&0x80 != 0, uint64(h[1]&0x7F)
	minimal := true
	switch r.left {
	case 126:
		r.left = uint64(binary.BigEndian.Uint16(h[2:]))
		minimal = r.left > 125
	case 127:
		r.left = binary.BigEndian.Uint64(h[2:])
		minimal = r.left > 0xFFFF
	}
	if r.masked {
		r.mask, r.maskPos = [4]byte(h[len(h)-4:]), 0
	}
	violation := ""
	switch {
	case h[0]&0x70 != 0:
		violation = "reserved bits set without an extension"
	case r.masked == r.fromServer && r.fromServer:
		violation = "masked frame from a server" // RFC 6455 §5.1
	case r.masked == r.fromServer:
		violation = "unmasked frame from a client" // RFC 6455 §5.1
	case r.op == ws.OpText:
		return &WebSocketError{Code: 1003, Reason: "text frame; only binary frames are understood"} // [MQTT-6.0.0-1]
	case r.op.IsReserved():
		violation = fmt.Sprintf("unknown opcode %d", r.op)
	case r.op.IsControl() && !r.fin:
		violation = "fragmented control frame" // RFC 6455 §5.4
	case r.op.IsControl() && r.left > maxControl:
		violation = "control frame longer than 125 bytes" // RFC 6455 §5.5
	case r.op == ws.OpContinuation && !r.inMessage:
		violation = "continuation of no message"
	case r.op == ws.OpBinary && r.inMessage:
		violation = "message within a message"
	case !minimal || r.left>>63 != 0:
		violation = "payload length not in its shortest form"
	case r.op == ws.OpClose && r.left == 1:
		violation = "close frame with half a code"
	}
	if violation != "" {
		return &WebSocketError{Code: 1002, Reason: violation}
	}
	return nil
}

// betweenFrames says whether the stream may end here without being cut.
func (r *wsReader) betweenFrames() bool { return !r.inFrame && r.headerLen == 0 && !r.inMessage }

// Read implements net.Conn.
func (w *wsLayer) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if err := w.rerr; err != nil {
			return 0, w.takeTimeout(err)
		}
		n, err := w.fill(b)
		if n = w.strip(b[:n], err); n > 0 {
			return n, nil
		}
		w.wait()
	}
}

// ReadWith implements Conn. A buffer in which only headers and control frames
// arrived is used for the next attempt.
func (w *wsLayer) ReadWith(borrow func() []byte) ([]byte, int, error) {
	if w.lend == nil {
		w.lend = w.lendHeld
	}
	w.held, w.borrow = nil, borrow
	defer func() { w.held, w.borrow = nil, nil }()
	for {
		if err := w.rerr; err != nil {
			return w.held, 0, w.takeTimeout(err)
		}
		var (
			b   []byte
			n   int
			err error
		)
		if len(w.early) > 0 {
			b = w.lend()
			n, err = w.fill(b)
		} else {
			b, n, err = w.under.ReadWith(w.lend)
		}
		if n = w.strip(b[:n], err); n > 0 {
			return b, n, nil
		}
		w.wait()
	}
}

// wait holds a flood of frames without payload to the rate limit.
func (w *wsLayer) wait() {
	if w.limit != nil && w.rerr == nil {
		w.rerr = w.limit.wait()
	}
}

func (w *wsLayer) lendHeld() []byte {
	if w.held == nil {
		w.held = w.borrow()
	}
	return w.held
}

// fill reads raw bytes: first those that came along with the opening handshake.
func (w *wsLayer) fill(b []byte) (int, error) {
	if len(w.early) == 0 {
		return w.under.Read(b)
	}
	n := copy(b, w.early)
	if w.early = w.early[n:]; len(w.early) == 0 {
		w.early = nil
	}
	return n, nil
}

// strip decodes what was read and keeps the error for the read after the
// payload has been returned.
func (w *wsLayer) strip(b []byte, readErr error) int {
	n, err := w.in.decode(b, w.onControl)
	if w.limit != nil {
		w.limit.bytesRead(len(b) - n)
	}
	switch {
	case err != nil:
		w.rerr = err
		if v, ok := err.(*WebSocketError); ok { //nolint:errorlint // decode returns it as it is
			w.sendClose(v.Code)
		}
	case readErr == io.EOF && !w.in.betweenFrames(): //nolint:errorlint // as net.Conn returns it
		w.rerr = io.ErrUnexpectedEOF
	default:
		w.rerr = readErr
	}
	return n
}

// onControl answers a control frame. // RFC 6455 §5.5
func (w *wsLayer) onControl(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		w.answer(ws.OpPong, payload)
	case ws.OpClose:
		if len(payload) >= 2 && !isCloseCode(binary.BigEndian.Uint16(payload)) {
			return &WebSocketError{Code: 1002, Reason: fmt.Sprintf("close frame with code %d", binary.BigEndian.Uint16(payload))}
		}
		w.answer(ws.OpClose, payload[:min(2, len(payload))])
		return io.EOF
	}
	return nil
}

// isCloseCode reports whether a close frame may hold code. // RFC 6455 §7.4
func isCloseCode(code uint16) bool {
	switch code {
	case 1004, 1005, 1006, 1015:
		return false
	}
	return code >= 1000 && code < 5000
}
