package transport

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// wsLayer makes a byte stream of a WebSocket. Each Write is a binary message
// of one frame; reads know no message boundaries.
type wsLayer struct {
	under       layer // a socket or TLS
	sock        *socket
	subprotocol string
	client      bool

	// Reading.
	in     wsReader
	early  []byte // came along with the opening handshake
	rerr   error  // to be returned by the next read
	lend   func() []byte
	borrow func() []byte
	held   []byte
	limit  *pause // charged for what reads do not return; nil without rate limits

	// Writing. wmu is held by whoever puts bytes on the wire.
	wmu       sync.Mutex
	owed      int    // payload bytes that the last frame header announced and that are still to come
	pending   []byte // rest of a header or control frame of which the kernel took a part
	closeSent bool

	// amu guards what waits for its turn and is taken inside wmu.
	amu      sync.Mutex
	waiting  []byte    // a control frame that could not be sent when it was due
	deadline time.Time // for writes, as set by the user
}

// controlTimeout is how long a control frame may block where the kernel cannot
// be asked.
const controlTimeout = 2 * time.Second

// takeTimeout lets reads go on after a deadline has been moved.
func (w *wsLayer) takeTimeout(err error) error {
	if isTimeout(err) {
		w.rerr = nil
	}
	return err
}

// Write implements net.Conn.
func (w *wsLayer) Write(b []byte) (int, error) {
	w.wmu.Lock()
	defer w.unlock()
	if err := w.flushPending(); err != nil {
		return 0, err
	}
	done := 0
	if w.owed > 0 {
		n, err := w.under.Write(b[:min(w.owed, len(b))])
		w.owed -= n
		done += n
		if err != nil || done == len(b) {
			return done, err
		}
	}
	if done == len(b) {
		return done, nil
	}
	if w.closeSent {
		return done, net.ErrClosed
	}
	n, err := w.writeFrame(b[done:])
	return done + n, err
}

// writeFrame sends b as one frame. The header and the first bytes leave in one
// write; a client's bytes are masked in a scratch buffer.
func (w *wsLayer) writeFrame(b []byte) (int, error) {
	s := scratch.Get().(*[scratchBytes]byte)
	defer scratch.Put(s)
	var mask [4]byte
	head := w.appendHeader(s[:0], ws.OpBinary, len(b), &mask)
	done := 0
	for {
		n := copy(s[len(head):], b[done:])
		if w.client {
			ws.Cipher(s[len(head):len(head)+n], mask, done)
		}
		if _, err := w.under.Write(s[:len(head)+n]); err != nil {
			w.closeSent = true // the frame is cut: nothing can follow
			return done, err
		}
		head = head[:0]
		if done += n; done == len(b) {
			return done, nil
		}
		if !w.client {
			n, err := w.under.Write(b[done:])
			w.closeSent = w.closeSent || err != nil
			return done + n, err
		}
	}
}

// TryWrite implements Conn. Only a server over a plain socket knows: a client
// has to mask, and TLS has records.
func (w *wsLayer) TryWrite(b []byte) (int, error) {
	if w.client || w.under != layer(w.sock) || w.sock.raw == nil || !w.wmu.TryLock() {
		return 0, nil
	}
	defer w.unlock()
	if ok, err := w.tryPending(); !ok || err != nil {
		return 0, err
	}
	done := 0
	if w.owed > 0 {
		part := b[:min(w.owed, len(b))]
		n, err := w.sock.TryWrite(part)
		w.owed -= n
		if err != nil || n < len(part) || n == len(b) {
			return n, err
		}
		done = n
	}
	if w.closeSent {
		return done, net.ErrClosed
	}
	n, err := w.tryFrame(b[done:])
	return done + n, err
}

// tryFrame begins a frame for all of b if the kernel takes a byte of it; the
// bytes that it does not take are owed.
func (w *wsLayer) tryFrame(b []byte) (int, error) {
	s := scratch.Get().(*[scratchBytes]byte)
	defer scratch.Put(s)
	head := w.appendHeader(s[:0], ws.OpBinary, len(b), nil)
	first := copy(s[len(head):], b)
	n, err := w.sock.TryWrite(s[:len(head)+first])
	if n == 0 {
		return 0, err
	}
	if n < len(head) {
		w.pending = slices.Clone(head[n:])
		w.owed = len(b)
		return 0, err
	}
	done := n - len(head)
	if err == nil && done == first && first < len(b) {
		n, err = w.sock.TryWrite(b[done:])
		done += n
	}
	w.owed = len(b) - done
	return done, err
}

// appendHeader writes the header of a final frame and, for a client, chooses
// its mask.
func (w *wsLayer) appendHeader(dst []byte, op ws.OpCode, n int, mask *[4]byte) []byte {
	bit := byte(0)
	if w.client {
		bit = 0x80
	}
	dst = append(dst, 0x80|byte(op))
	switch {
	case n <= 125:
		dst = append(dst, bit|byte(n))
	case n <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, bit|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, bit|127), uint64(n))
	}
	if w.client {
		_, _ = rand.Read(mask[:]) // never fails
		dst = append(dst, mask[:]...)
	}
	return dst
}

// flushPending sends the rest of a partly sent header or control frame.
func (w *wsLayer) flushPending() error {
	for len(w.pending) > 0 {
		n, err := w.under.Write(w.pending)
		w.pending = w.pending[n:]
		if err != nil {
			return err
		}
	}
	w.pending = nil
	return nil
}

func (w *wsLayer) tryPending() (ok bool, err error) {
	if len(w.pending) == 0 {
		return true, nil
	}
	n, err := w.sock.TryWrite(w.pending)
	if w.pending = w.pending[n:]; len(w.pending) == 0 {
		w.pending = nil
	}
	return w.pending == nil, err
}

// unlock sends what has been waiting and releases wmu. It looks again
// afterwards, because a frame may begin to wait in between.
func (w *wsLayer) unlock() {
	for {
		if w.owed == 0 && len(w.pending) == 0 {
			if f := w.takeWaiting(); f != nil {
				w.send(f)
			}
		}
		stuck := w.owed > 0 || len(w.pending) > 0
		w.wmu.Unlock()
		if stuck || !w.hasWaiting() || !w.wmu.TryLock() {
			return
		}
	}
}

func (w *wsLayer) takeWaiting() []byte {
	w.amu.Lock()
	defer w.amu.Unlock()
	f := w.waiting
	w.waiting = nil
	return f
}

func (w *wsLayer) hasWaiting() bool {
	w.amu.Lock()
	defer w.amu.Unlock()
	return w.waiting != nil
}

// answer sends a control frame from the reading side without ever waiting for
// the writing side. A newer frame replaces one that still waits, which is what
// RFC 6455 §5.5.3 allows for pongs.
func (w *wsLayer) answer(op ws.OpCode, payload []byte) {
	w.amu.Lock()
	w.waiting = w.controlFrame(op, payload)
	w.amu.Unlock()
	if w.wmu.TryLock() {
		w.unlock()
	}
}

func (w *wsLayer) controlFrame(op ws.OpCode, payload []byte) []byte {
	var mask [4]byte
	f := w.appendHeader(make([]byte, 0, 6+len(payload)), op, len(payload), &mask)
	at := len(f)
	f = append(f, payload...)
	if w.client {
		ws.Cipher(f[at:], mask, 0)
	}
	return f
}

// send puts a control frame on the wire, with wmu held and no frame begun.
// When the peer does not read, the frame is dropped.
func (w *wsLayer) send(f []byte) {
	if w.closeSent {
		return
	}
	w.closeSent = ws.OpCode(f[0]&0x0F) == ws.OpClose
	if w.under == layer(w.sock) && w.sock.raw != nil {
		if n, _ := w.sock.TryWrite(f); n > 0 && n < len(f) {
			w.pending = f[n:]
		}
		return
	}
	_ = w.under.SetWriteDeadline(time.Now().Add(controlTimeout))
	_, err := w.under.Write(f)
	w.closeSent = w.closeSent || err != nil
	w.amu.Lock()
	defer w.amu.Unlock()
	_ = w.under.SetWriteDeadline(w.deadline)
}

func (w *wsLayer) sendClose(code uint16) {
	w.answer(ws.OpClose, binary.BigEndian.AppendUint16(nil, code))
}

// CloseWrite sends a close frame. The peer answers with one, which ends reads,
// and then the server closes. // RFC 6455 §7.1.2
func (w *wsLayer) CloseWrite() error {
	w.wmu.Lock()
	defer w.unlock()
	if w.closeSent {
		return nil
	}
	if err := w.flushPending(); err != nil {
		return err
	}
	w.closeSent = true
	if w.owed > 0 {
		return w.under.CloseWrite() // within a frame there is no room for another
	}
	_, err := w.under.Write(w.controlFrame(ws.OpClose, binary.BigEndian.AppendUint16(nil, 1000)))
	return err
}

// Close sends a close frame if that is possible at once.
func (w *wsLayer) Close() error {
	w.sock.hasty.Store(true)
	w.sendClose(1000)
	return w.under.Close()
}

// SetWriteDeadline implements net.Conn.
func (w *wsLayer) SetWriteDeadline(t time.Time) error {
	w.amu.Lock()
	defer w.amu.Unlock()
	w.deadline = t
	return w.under.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (w *wsLayer) SetReadDeadline(t time.Time) error { return w.under.SetReadDeadline(t) }

// SetDeadline implements net.Conn.
func (w *wsLayer) SetDeadline(t time.Time) error {
	if err := w.SetReadDeadline(t); err != nil {
		return err
	}
	return w.SetWriteDeadline(t)
}

// LocalAddr implements net.Conn.
func (w *wsLayer) LocalAddr() net.Addr { return w.under.LocalAddr() }

// RemoteAddr implements net.Conn.
func (w *wsLayer) RemoteAddr() net.Addr { return w.under.RemoteAddr() }
