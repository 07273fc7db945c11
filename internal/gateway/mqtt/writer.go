package mqtt

import (
	"errors"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// goodbyeTimeout is how long a client may take for its last packet, and to
// close its side after it.
const goodbyeTimeout = 5 * time.Second

// errClosing: nothing more is written.
var errClosing = errors.New("connection is closing")

// writer is the outgoing half of a connection. Whoever has something to say
// appends to pending under the lock; flush writes what the kernel takes at
// once and leaves the rest to a goroutine that ends when nothing is left.
type writer struct {
	nc       transport.Conn
	limit    int           // of pending, for deliveries
	timeout  time.Duration // for the peer to take a chunk
	writable func()        // called after a refused delivery, when there is room

	mu       sync.Mutex
	drained  *sync.Cond // signalled when pending has been written, or never will be; nil: nobody waits
	pending  *buffer    // nil when there is nothing to write
	writing  bool       // a goroutine is at it
	refused  bool       // a delivery was refused since
	closing  bool       // the last packet has been appended
	finished bool       // the sending direction is closed
	err      error      // the connection is beyond use
	wg       sync.WaitGroup
}

// chunkBytes is how much the peer has to take within the time-out.
const chunkBytes = 32 << 10

func (w *writer) init(nc transport.Conn, limit int, timeout time.Duration, writable func()) {
	w.nc, w.limit, w.timeout, w.writable = nc, limit, timeout, writable
}

// append adds bytes that no limit refuses: answers to what the client sent.
func (w *writer) append(b []byte) {
	w.mu.Lock()
	if !w.closing && w.err == nil {
		w.add(b)
	}
	w.mu.Unlock()
}

func (w *writer) add(b []byte) {
	w.pending = borrow(w.pending)
	w.pending.b = append(w.pending.b, b...)
}

// finish appends a last packet; the sending direction is closed behind it.
// What the kernel does not take at once is left to a goroutine, so finish
// never blocks. false: somebody has said the last word already, or the
// connection is beyond use.
func (w *writer) finish(last []byte) bool {
	w.mu.Lock()
	if w.closing || w.err != nil {
		w.mu.Unlock()
		return false
	}
	if len(last) > 0 {
		w.add(last)
	}
	w.closing = true
	_ = w.nc.SetWriteDeadline(time.Now().Add(goodbyeTimeout)) // for a write under way
	w.wake()
	if !w.writing {
		w.writing = true
		w.wg.Go(w.drain)
	}
	w.mu.Unlock()
	return true
}

// flush writes without blocking.
func (w *writer) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writing || w.closing || w.pending == nil || w.err != nil {
		return
	}
	n, err := w.nc.TryWrite(w.pending.b)
	if err != nil {
		w.fail(err)
		return
	}
	if n == w.pending.len() {
		giveBack(w.pending)
		w.pending = nil
		if !w.refused {
			return
		}
	} else {
		w.pending.b = append(w.pending.b[:0], w.pending.b[n:]...)
	}
	w.writing = true // for the rest, or to call writable without our locks
	w.wg.Go(w.drain)
}

func (w *writer) fail(err error) {
	w.err = err
	giveBack(w.pending)
	w.pending = nil
	w.wake()
	// The reader wakes up and ends the connection.
	_ = w.nc.SetReadDeadline(time.Unix(1, 0))
}

// drain writes until nothing is left.
func (w *writer) drain() {
	w.mu.Lock()
	for w.pending != nil && w.err == nil {
		b := w.pending
		w.pending = nil
		w.mu.Unlock()
		err := w.write(b.b)
		giveBack(b)
		w.mu.Lock()
		if err != nil {
			w.fail(err)
		}
	}
	w.writing = false
	refused := w.refused
	w.refused = false
	finish := w.closing && !w.finished
	w.finished = w.finished || finish
	w.wake()
	w.mu.Unlock()
	if finish {
		_ = w.nc.CloseWrite()
	}
	if refused {
		w.writable()
	}
}

func (w *writer) write(b []byte) error {
	timeout := w.timeout
	for len(b) > 0 {
		chunk := b[:min(len(b), chunkBytes)]
		w.mu.Lock()
		if w.closing {
			timeout = min(timeout, goodbyeTimeout)
		}
		err := w.nc.SetWriteDeadline(time.Now().Add(timeout)) // not over that of finish
		w.mu.Unlock()
		if err != nil {
			return err
		}
		n, err := w.nc.Write(chunk)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// throttle waits until the client has taken enough of its answers: one that
// does not read is not read from either.
func (w *writer) throttle() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing && w.pending.len() > w.limit && w.err == nil && !w.closing {
		if w.drained == nil {
			w.drained = sync.NewCond(&w.mu)
		}
		w.drained.Wait()
	}
	return w.err
}

// wake lets throttle look again. Called with mu held.
func (w *writer) wake() {
	if w.drained != nil {
		w.drained.Broadcast()
	}
}

// stop ends writing for good and returns when the goroutine, if there is one,
// has ended.
func (w *writer) stop() {
	w.mu.Lock()
	w.fail(errClosing)
	w.mu.Unlock()
	w.wg.Wait()
}
