package proxy

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// link is a session in a loop. The side that a direction comes from has that
// direction's number: fd[ToServer] is the client's socket.
type link struct {
	loop  *loop
	s     *session
	fd    [2]int
	half  [2]half // by direction
	watch [2]uint32
	slot  int32
	round int32 // of the slot, so that events of a former link are told apart
	added bool
	end   *End          // not nil: what still comes is thrown away
	late  time.Duration // until then
}

// half is one direction.
type half struct {
	walk  walker
	hold  []byte // what the other side has not taken; nil for nothing
	piped *pipe  // the same, in the kernel
	since time.Duration
	last  time.Duration // when something came
	burst int           // bytes that came without a pause
	eof   bool          // nothing more comes
	shut  bool          // and the other side has been told
}

func (h *half) waits() bool { return len(h.hold) > 0 || h.piped != nil }

// add takes a link in. rest was read before, and not worked off.
func (l *loop) add(lk *link, rest [2][]byte) {
	lk.added = true
	if n := len(l.free); n > 0 {
		lk.slot, l.free = l.free[n-1], l.free[:n-1]
		l.links[lk.slot] = lk
	} else {
		lk.slot = int32(len(l.links))
		l.links = append(l.links, lk)
	}
	lk.round = int32(lk.s.number)
	for d := range lk.half {
		lk.half[d].last = l.now
	}
	if e := lk.s.ending.Load(); e != nil {
		lk.finish(e)
		return
	}
	for d, b := range rest {
		if len(b) > 0 && lk.end == nil {
			lk.move(Direction(d), b)
		}
	}
	lk.settle()
}

// settle asks for the events that the link waits for.
func (lk *link) settle() {
	if lk.closed() {
		return
	}
	for side := range lk.fd {
		h, back := &lk.half[side], &lk.half[1-side]
		want := uint32(0)
		if !h.eof && (!h.waits() || lk.end != nil) {
			want |= syscall.EPOLLIN
		}
		if back.waits() && lk.end == nil {
			want |= syscall.EPOLLOUT
		}
		lk.ask(side, want)
	}
	if h := &lk.half; h[0].eof && h[1].eof && (lk.end != nil || h[0].shut && h[1].shut) {
		lk.close()
	}
}

// ask changes what a socket is watched for. One that nothing is wanted of is not
// watched at all: the kernel would tell about its end again and again.
func (lk *link) ask(side int, want uint32) {
	op := syscall.EPOLL_CTL_MOD
	switch {
	case lk.fd[side] < 0 || want == lk.watch[side]:
		return
	case lk.watch[side] == 0:
		op = syscall.EPOLL_CTL_ADD
	case want == 0:
		op = syscall.EPOLL_CTL_DEL
	}
	lk.watch[side] = want
	ev := syscall.EpollEvent{Events: want, Fd: lk.slot<<1 | int32(side), Pad: lk.round}
	if err := syscall.EpollCtl(lk.loop.ep, op, lk.fd[side], &ev); err != nil {
		lk.finish(&End{Why: "network", Err: os.NewSyscallError("epoll_ctl", err)})
	}
}

// ready handles an event of the socket of a side.
func (lk *link) ready(side Direction, events uint32) {
	if events&syscall.EPOLLOUT != 0 {
		lk.drain(side.Back())
	}
	if events&^syscall.EPOLLOUT != 0 && !lk.closed() {
		h := &lk.half[side]
		switch {
		case h.eof || h.waits() && lk.end == nil: // not asked for: an error, which a write will meet, or the end of both ways
			if lk.end == nil && events&syscall.EPOLLERR != 0 {
				lk.finish(&End{Why: "network", Err: fmt.Errorf("%s: connection reset", lk.side(side)), Manner: lk.manner()})
				return
			}
			lk.ask(int(side), 0)
			return
		case h.piped == nil && lk.end == nil && lk.splices(h):
			lk.splice(side)
		default:
			lk.pull(side)
		}
	}
	lk.settle()
}

func (lk *link) closed() bool { return lk.fd[0] < 0 && lk.fd[1] < 0 }

func (lk *link) side(d Direction) string {
	if d == ToServer {
		return "client"
	}
	return "broker"
}

// manner passes a reset on where nothing is known of what is said.
func (lk *link) manner() Manner {
	if lk.loop.e.cfg.Transparent {
		return Reset
	}
	return Polite
}

// pull reads once, and moves what has come.
func (lk *link) pull(d Direction) {
	h := &lk.half[d]
	n, err := rawRead(lk.fd[d], lk.loop.buf)
	switch {
	case n > 0:
		h.last = lk.loop.now
		h.burst = burstOf(h.burst, n, len(lk.loop.buf))
		if lk.end == nil {
			lk.move(d, lk.loop.buf[:n])
		}
	case err == 0:
		h.eof, lk.half[d.Back()].last = true, lk.loop.now
		lk.shut(d)
	case err == syscall.EAGAIN || err == syscall.EINTR:
	default:
		h.eof = true
		lk.broken(d, err)
	}
}

func burstOf(burst, n, room int) int {
	if n < room {
		return 0
	}
	return burst + n
}

// broken ends the link for an error of the socket that d comes from.
func (lk *link) broken(d Direction, err error) {
	if lk.end == nil {
		lk.finish(&End{Why: "network", Err: fmt.Errorf("%s: %w", lk.side(d), err), Manner: lk.manner()})
	}
}

// move passes b on, as far as the packets in it are right.
func (lk *link) move(d Direction, b []byte) {
	s, h := lk.s, &lk.half[d]
	if lk.loop.e.cfg.Transparent {
		s.e.m.bytes[d].Add(uint64(len(b)))
		lk.write(d, b)
		return
	}
	early, n, err := h.walk.walk(b, func(head mqtt.Header, size int, body []byte) {
		if d == ToServer && head.Type == mqtt.TypeDisconnect {
			s.left.Store(true)
		}
		s.traffic.passed(d, head, size, body)
	})
	if len(early) > 0 {
		lk.write(d, early)
	}
	if n > 0 && lk.end == nil {
		lk.write(d, b[:n])
	}
	if err != nil && lk.end == nil {
		lk.finish(endOf(err))
	}
}

// write gives b to the other side, and keeps what that does not take.
func (lk *link) write(d Direction, b []byte) {
	h := &lk.half[d]
	if len(h.hold) == 0 {
		n, err := rawWrite(lk.fd[d.Back()], b)
		switch {
		case n == len(b):
			return
		case err == 0:
			b = b[n:]
		case err != syscall.EAGAIN && err != syscall.EINTR:
			lk.broken(d.Back(), err)
			return
		}
		h.since = lk.loop.now
		lk.loop.e.m.stalls[d].Add(1)
		lk.loop.e.m.stalled[d].Add(1)
		h.hold = (*gathered.Get().(*[]byte))[:0]
	}
	h.hold = append(h.hold, b...)
}

// drain writes what was kept.
func (lk *link) drain(d Direction) {
	h := &lk.half[d]
	if h.piped != nil {
		lk.drainPipe(d)
		return
	}
	if len(h.hold) == 0 {
		return
	}
	n, err := rawWrite(lk.fd[d.Back()], h.hold)
	if n > 0 {
		h.since = lk.loop.now
		h.hold = h.hold[:copy(h.hold, h.hold[n:])]
	}
	if err != 0 && err != syscall.EAGAIN && err != syscall.EINTR {
		lk.broken(d.Back(), err)
		return
	}
	if len(h.hold) == 0 {
		lk.unhold(d)
		lk.shut(d)
	}
}

// unhold ends the use of what was kept.
func (lk *link) unhold(d Direction) {
	h := &lk.half[d]
	if h.hold == nil && h.piped == nil {
		return
	}
	lk.loop.e.m.stalled[d].Add(-1)
	if h.hold != nil && cap(h.hold) <= keptBytes {
		b := h.hold[:0]
		gathered.Put(&b)
	}
	h.hold = nil
	if h.piped != nil {
		h.piped.close() // with what is in it
		h.piped = nil
	}
	h.last = lk.loop.now // nothing was read meanwhile
}

// shut tells the other side that d has ended, when it has had everything.
func (lk *link) shut(d Direction) {
	h := &lk.half[d]
	if h.eof && !h.shut && !h.waits() && lk.end == nil {
		h.shut = true
		_ = syscall.Shutdown(lk.fd[d.Back()], syscall.SHUT_WR)
	}
}

// check looks for what is late.
func (lk *link) check() {
	now, cfg := lk.loop.now, &lk.loop.e.cfg
	if lk.end != nil {
		if now >= lk.late {
			lk.close()
		}
		return
	}
	for d := range lk.half {
		h := &lk.half[d]
		if h.waits() && now-h.since > cfg.SendTimeout {
			lk.finish(&End{Why: "send-timeout", Err: fmt.Errorf("the %s takes nothing", lk.side(Direction(d).Back()))})
			return
		}
		if lk.half[1-d].eof && !h.eof && !h.waits() && now-h.last > cfg.HalfClosed {
			lk.finish(&End{Why: "half-closed", Err: fmt.Errorf("the other side has ended, and the %s says nothing more", lk.side(Direction(d)))})
			return
		}
	}
	quiet := now - lk.half[ToServer].last
	if cfg.Transparent {
		quiet = min(quiet, now-lk.half[ToClient].last)
	}
	if h := &lk.half[ToServer]; lk.s.idle > 0 && quiet > lk.s.idle && !h.waits() && !h.eof {
		e := &End{Why: "keepalive", Err: fmt.Errorf("nothing came from the client for %s", lk.s.idle), Client: mqtt.KeepAliveTimeout}
		if cfg.Transparent {
			e = &End{Why: "idle", Err: fmt.Errorf("nothing came for %s", lk.s.idle)}
		}
		lk.finish(e)
	}
}

// finish says the last words, ends both streams, and closes when both sides have
// done the same, or soon.
func (lk *link) finish(e *End) {
	if !lk.added || lk.end != nil {
		return
	}
	if !lk.s.ending.CompareAndSwap(nil, e) {
		e = lk.s.ending.Load()
	}
	lk.end, lk.late = e, lk.loop.now+farewellTime
	if e.Manner == Reset || lk.fd[ToClient] < 0 {
		for _, fd := range lk.fd {
			if e.Manner == Reset && fd >= 0 {
				_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
			}
		}
		lk.close()
		return
	}
	words := [2][]byte{ToServer: lk.s.wordsForServer(e), ToClient: lk.s.wordsForClient(e, true)}
	for d := range lk.half {
		h := &lk.half[d]
		if len(h.hold) > 0 {
			n, _ := rawWrite(lk.fd[1-d], h.hold)
			h.hold = h.hold[:copy(h.hold, h.hold[n:])]
		}
		if words[d] != nil && !h.waits() && h.walk.whole() && !h.shut {
			_, _ = syscall.Write(lk.fd[1-d], words[d])
		}
		lk.unhold(Direction(d))
		_ = syscall.Shutdown(lk.fd[1-d], syscall.SHUT_WR)
	}
	lk.settle()
}

// close closes both sockets, and forgets the link.
func (lk *link) close() {
	if lk.closed() {
		return
	}
	if lk.end == nil {
		e := &End{Why: "closed", Err: io.EOF}
		if !lk.s.ending.CompareAndSwap(nil, e) {
			e = lk.s.ending.Load()
		}
		lk.end = e
	}
	for side, fd := range lk.fd {
		lk.unhold(Direction(side))
		if fd >= 0 {
			_ = syscall.Close(fd)
			lk.fd[side] = -1
		}
	}
	l := lk.loop
	l.links[lk.slot] = nil
	l.free = append(l.free, lk.slot)
	_ = lk.s.client.CloseReason(lk.end.Why)
	lk.s.over(lk.end)
}
