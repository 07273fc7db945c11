package proxy

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// sink writes what goes out at the end of one direction. Its goroutine waits until
// the other side has taken it: that is the back-pressure.
type sink struct {
	s   *session
	dir Direction

	mu       sync.Mutex // held while writing
	nc       transport.Conn
	out      []byte // gathered; nil for nothing
	deadline time.Time
	err      error
	cut      bool // raw bytes were written: nothing is known of packets any more
	slice    int
	pause    time.Duration
	ended    bool
	busy     bool        // the pump of this direction gathers, and will flush
	gathers  atomic.Bool // out is not nil
}

// gatherBytes is how much is gathered before it is written; keptBytes how large a
// buffer is used again.
const (
	gatherBytes = 64 << 10
	keptBytes   = 256 << 10
)

var gathered = sync.Pool{New: func() any { return new([]byte) }}

func (k *sink) init(s *session, d Direction, nc transport.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s, k.dir, k.nc = s, d, nc
}

func (k *sink) conn() transport.Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.nc
}

// add gathers b.
func (k *sink) add(b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return k.err
	}
	if len(b) >= gatherBytes {
		if err := k.flushLocked(); err != nil {
			return err
		}
		return k.send(b) // a second copy would take as much room as the packet
	}
	if k.out == nil {
		k.out = (*gathered.Get().(*[]byte))[:0]
		k.gathers.Store(true)
	}
	if k.out = append(k.out, b...); len(k.out) >= gatherBytes {
		return k.flushLocked()
	}
	return nil
}

// flush writes what was gathered.
func (k *sink) flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.flushLocked()
}

// begin and finish frame what the pump of this direction gathers; finish writes it.
func (k *sink) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = true
}

func (k *sink) finish() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = false
	return k.flushLocked()
}

// flushOther is flush for the pump of the other direction, which must not wait for a
// side that does not read what this direction's own pump has for it.
func (k *sink) flushOther() error {
	for k.gathers.Load() { // false as soon as somebody writes it
		if !k.mu.TryLock() {
			runtime.Gosched()
			continue
		}
		defer k.mu.Unlock()
		if k.busy {
			return nil
		}
		return k.flushLocked()
	}
	return nil
}

func (k *sink) flushLocked() error {
	if k.out == nil {
		return k.err
	}
	out := k.out
	k.out = nil
	k.gathers.Store(false)
	err := k.send(out)
	if cap(out) <= keptBytes {
		gathered.Put(&out)
	}
	return err
}

// write writes what was gathered, and b.
func (k *sink) write(b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.flushLocked(); err != nil {
		return err
	}
	return k.send(b)
}

// raw is write for bytes that are no whole packets.
func (k *sink) raw(b []byte) error {
	k.mu.Lock()
	k.cut = true
	k.mu.Unlock()
	return k.write(b)
}

// send writes b, in slices where that is wanted. Called with mu held.
func (k *sink) send(b []byte) error {
	if k.nc == nil {
		return errors.New("there is no broker yet")
	}
	for k.err == nil && len(b) > 0 {
		part := b
		if k.slice > 0 && len(part) > k.slice {
			part = part[:k.slice]
		}
		k.push(part)
		b = b[len(part):]
		if k.slice > 0 && k.pause > 0 && len(b) > 0 && k.err == nil {
			k.rest()
		}
	}
	return k.err
}

// rest pauses between slices.
func (k *sink) rest() {
	t := time.NewTimer(k.pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-k.s.state.ctx.Done():
	}
}

// push writes b, waiting as long as the other side takes something now and then.
func (k *sink) push(b []byte) {
	n, err := k.nc.TryWrite(b)
	if err != nil || n == len(b) {
		k.fail(err)
		return
	}
	m, start := k.s.e.m, time.Now()
	m.stalled[k.dir].Add(1)
	for b = b[n:]; len(b) > 0 && err == nil; b = b[n:] {
		k.arm()
		n, err = k.nc.Write(b[:min(len(b), patientBytes)])
	}
	m.stalled[k.dir].Add(-1)
	if time.Since(start) > stallTime {
		m.stalls[k.dir].Add(1)
	}
	k.fail(err)
}

// patientBytes is how much the other side has to take within the time-out.
const patientBytes = 16 << 10

// arm moves the write deadline, but not for every write: it may lie up to an eighth of
// its span too early.
func (k *sink) arm() {
	now, limit, ctx := time.Now(), k.s.e.cfg.SendTimeout, k.s.state.ctx
	if ctx.Err() != nil || k.deadline.Sub(now) >= limit-limit/8 {
		return
	}
	k.deadline = now.Add(limit)
	_ = k.nc.SetWriteDeadline(k.deadline)
	if ctx.Err() != nil { // or it takes the place of the one that interrupts
		_ = k.nc.SetWriteDeadline(now.Add(farewellTime))
	}
}

// stallTime is how long a write takes at least that counts as a stall.
const stallTime = time.Millisecond

func (k *sink) fail(err error) {
	switch {
	case err == nil:
	case isTimeout(err) && k.s.state.ctx.Err() == nil:
		k.err = &End{Why: "send-timeout", Err: fmt.Errorf("the %s takes nothing", k.target())}
	default:
		k.err = &End{Why: "network", Err: fmt.Errorf("%s: %w", k.target(), err)}
	}
}

func (k *sink) target() string {
	if k.dir == ToServer {
		return "broker"
	}
	return "client"
}

// closeWrite passes the end of the stream on.
func (k *sink) closeWrite() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.flushLocked(); err != nil {
		return err
	}
	k.ended = true
	return k.nc.CloseWrite()
}

// last writes last words, where they would be understood.
func (k *sink) last(words []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.flushLocked() // what fails now is the end anyway
	if words == nil || k.cut || k.ended || k.nc == nil || k.err != nil || !k.s.boundary(k.dir) {
		return
	}
	_ = k.send(words)
}

// slices has whatever is written next cut into pieces.
func (k *sink) slices(n int, pause time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slice, k.pause = n, pause
}
