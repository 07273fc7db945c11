package gateway

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
	nc      transport.Conn
	limit   int           // of pending, for deliveries
	timeout time.Duration // for the peer to take a chunk
	owner   writerOwner

	mu       sync.Mutex
	drained  *sync.Cond // signalled when pending has been written, or never will be; nil: nobody waits
	pending  *buffer    // nil when there is nothing to write
	writing  bool       // a goroutine is at it
	refused  bool       // a delivery was refused since
	closing  bool       // the last packet has been appended
	finished bool       // the sending direction is closed
	err      error      // the connection is beyond use
	shed     bool       // the owner knows of a datagram that was too long; of whoever writes
	wg       sync.WaitGroup
}

// writerOwner is told what becomes of deliveries.
type writerOwner interface {
	writable()         // there is room again, after one was refused
	tooLong(err error) // a datagram was dropped, for the first time
}

// chunkBytes is how much the peer has to take within the time-out.
const chunkBytes = 32 << 10

func (w *writer) init(nc transport.Conn, limit int, timeout time.Duration, owner writerOwner) {
	w.nc, w.limit, w.timeout, w.owner = nc, limit, timeout, owner
}

// append adds a frame that no limit refuses.
func (w *writer) append(frame []byte, datagram bool) {
	w.mu.Lock()
	if !w.closing && w.err == nil {
		w.add(frame, datagram)
	}
	w.mu.Unlock()
}

func (w *writer) add(frame []byte, datagram bool) {
	w.pending = borrow(w.pending)
	w.pending.b = append(w.pending.b, frame...)
	if datagram {
		w.pending.cut()
	}
}

// take adds the answers in b and gives it back. It returns how many bytes they
// are.
func (w *writer) take(b *buffer) int {
	n := b.len()
	w.mu.Lock()
	if !w.closing && w.err == nil {
		w.pending = borrow(w.pending)
		w.pending.add(b)
	}
	w.mu.Unlock()
	giveBack(b)
	return n
}

// begin returns where to append a delivery, with the lock held until done is
// called; or false, without, when too much waits already.
func (w *writer) begin() (dst []byte, ok bool) {
	w.mu.Lock()
	if w.closing || w.err != nil {
		w.mu.Unlock()
		return nil, false
	}
	if w.pending.len() > w.limit {
		w.refused = true
		w.mu.Unlock()
		return nil, false
	}
	w.pending = borrow(w.pending)
	return w.pending.b, true
}

// done takes what has been appended since begin, and says how much it is.
func (w *writer) done(dst []byte, datagram bool) int {
	n := len(dst) - len(w.pending.b)
	w.pending.b = dst
	if datagram {
		w.pending.cut()
	}
	w.mu.Unlock()
	return n
}

// finish appends a last packet; the sending direction is closed behind it.
// What the kernel does not take at once is left to a goroutine, so finish
// never blocks. false: somebody has said the last word already, or the
// connection is beyond use.
func (w *writer) finish(last []byte, datagram bool) bool {
	w.mu.Lock()
	if w.closing || w.err != nil {
		w.mu.Unlock()
		return false
	}
	if len(last) > 0 {
		w.add(last, datagram)
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
	n, err := w.try(w.pending)
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
		w.pending.drop(n)
	}
	w.writing = true // for the rest, or to call the owner without our locks
	w.wg.Go(w.drain)
}

// try writes what the kernel takes at once: of datagrams, whole ones.
func (w *writer) try(b *buffer) (int, error) {
	if len(b.ends) == 0 {
		return w.nc.TryWrite(b.b)
	}
	from := 0
	for _, end := range b.ends {
		n, err := w.nc.TryWrite(b.b[from:end])
		if !w.tooLong(err) && (err != nil || n == 0) {
			return from, err
		}
		from = end
	}
	return from, nil
}

// tooLong reports whether err is that a datagram cannot be sent because of its
// length alone: it is dropped, and the next one may fit.
func (w *writer) tooLong(err error) bool {
	if err == nil || !errors.Is(err, transport.ErrTooLong) {
		return false
	}
	if !w.shed {
		w.shed = true
		w.owner.tooLong(err)
	}
	return true
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
		err := w.write(b)
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
		w.owner.writable()
	}
}

// write writes all of b, in chunks or datagram by datagram.
func (w *writer) write(b *buffer) error {
	timeout := w.timeout
	ends := b.ends
	for from := 0; from < len(b.b); {
		end := min(len(b.b), from+chunkBytes)
		if len(ends) > 0 {
			end, ends = ends[0], ends[1:]
		}
		w.mu.Lock()
		if w.closing {
			timeout = min(timeout, goodbyeTimeout)
		}
		err := w.nc.SetWriteDeadline(time.Now().Add(timeout)) // not over that of finish
		w.mu.Unlock()
		if err != nil {
			return err
		}
		if _, err := w.nc.Write(b.b[from:end]); err != nil && !w.tooLong(err) {
			return err
		}
		from = end
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

// settle waits until the last words have been written, at most for d.
func (w *writer) settle(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	timer := time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fail(errClosing)
	})
	defer timer.Stop()
	for w.closing && w.writing && w.err == nil {
		if w.drained == nil {
			w.drained = sync.NewCond(&w.mu)
		}
		w.drained.Wait()
	}
}

// wake lets throttle and settle look again. Called with mu held.
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
