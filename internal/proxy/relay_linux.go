package proxy

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// relays are the loops that share the sessions.
type relays struct {
	e     *Engine
	loops []*loop
	next  atomic.Uint32
	wg    sync.WaitGroup
}

// newRelays starts a loop for every two CPUs; the kernel's share of the work is the
// larger one.
func newRelays(e *Engine) (*relays, error) {
	r := &relays{e: e}
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		l, err := newLoop(e)
		if err != nil {
			r.close()
			return nil, err
		}
		r.loops = append(r.loops, l)
		r.wg.Go(l.run)
	}
	return r, nil
}

// close ends the loops. No session is left.
func (r *relays) close() {
	for _, l := range r.loops {
		l.post(nil)
	}
	r.wg.Wait()
}

// take gives s to a loop.
func (r *relays) take(s *session) bool {
	lk := &link{loop: r.loops[int(r.next.Add(1))%len(r.loops)], s: s}
	var ok [2]bool
	lk.fd[ToServer], ok[0] = transport.Detach(s.client)
	if !ok[0] {
		return false
	}
	lk.fd[ToClient], ok[1] = transport.Detach(s.server)
	var rest [2][]byte
	for d := range lk.half {
		p := s.state.pumps[d]
		lk.half[d].walk, rest[d] = p.walk, p.partial
	}
	st, server := s.state, s.server
	st.dialMu.Lock() // interrupt looks at it
	s.server = nil
	st.dialMu.Unlock()
	_ = server.Close()
	s.e.mu.Lock() // end looks at them
	s.state, s.relay = nil, lk
	s.e.mu.Unlock()
	lk.loop.post(func() {
		if !ok[1] {
			lk.fd[ToClient] = -1
			s.ending.CompareAndSwap(nil, &End{Why: "network", Err: errors.New("there is no file descriptor left")})
		}
		lk.loop.add(lk, rest)
	})
	return true
}

// loop moves what the sessions of its links say.
type loop struct {
	e     *Engine
	ep    int
	wake  [2]int // a pipe: read end, write end
	buf   []byte
	brief bool // there is a processor for others while this one waits briefly
	start time.Time
	now   time.Duration // since start, as of the last wait
	tick  time.Duration // when the links are looked at next
	links []*link
	free  []int32
	pipes []*pipe

	mu     sync.Mutex
	posted []func()
}

func newLoop(e *Engine) (*loop, error) {
	l := &loop{e: e, buf: make([]byte, readBytes), start: time.Now(), brief: runtime.GOMAXPROCS(0) > 1}
	var err error
	if l.ep, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.Pipe2(l.wake[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		_ = syscall.Close(l.ep)
		return nil, os.NewSyscallError("pipe2", err)
	}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: -1}
	if err := syscall.EpollCtl(l.ep, syscall.EPOLL_CTL_ADD, l.wake[0], &ev); err != nil {
		l.stop()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return l, nil
}

// post has fn called by the loop; nil ends it.
func (l *loop) post(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posted = append(l.posted, fn)
	if len(l.posted) == 1 {
		_, _ = syscall.Write(l.wake[1], []byte{0})
	}
}

// called works off what was posted; it reports whether the loop ends.
func (l *loop) called() (end bool) {
	var b [16]byte
	_, _ = syscall.Read(l.wake[0], b[:])
	l.mu.Lock()
	all := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, fn := range all {
		if fn == nil {
			end = true
			continue
		}
		fn()
	}
	return end
}

// tickTime is how often the links are looked at for what is late.
const tickTime = time.Second

func (l *loop) run() {
	runtime.LockOSThread() // a thread of its own wakes up fastest
	defer runtime.UnlockOSThread()
	defer l.stop()
	events := make([]syscall.EpollEvent, 256)
	for {
		n, err := l.wait(events)
		if err != nil {
			panic(err) // of a descriptor that is ours
		}
		l.now = time.Since(l.start)
		end := false
		for _, ev := range events[:n] {
			if ev.Fd < 0 {
				end = l.called()
				continue
			}
			lk := l.links[ev.Fd>>1]
			if lk != nil && lk.round == ev.Pad {
				lk.ready(Direction(ev.Fd&1), ev.Events)
			}
		}
		if l.now >= l.tick {
			l.tick = l.now + tickTime
			for _, lk := range l.links {
				if lk != nil {
					lk.check()
				}
			}
		}
		if end {
			return
		}
	}
}

// wait waits for events: briefly at first, and then for as long as it takes.
func (l *loop) wait(events []syscall.EpollEvent) (int, error) {
	if l.brief {
		if n, errno := rawWait(l.ep, events); n > 0 || errno == syscall.EINTR {
			return n, nil
		}
	}
	timeout := -1
	if len(l.links) > len(l.free) {
		timeout = int(tickTime / time.Millisecond)
	}
	n, err := syscall.EpollWait(l.ep, events, timeout)
	if err == syscall.EINTR {
		return 0, nil
	}
	return max(n, 0), os.NewSyscallError("epoll_wait", err)
}

func (l *loop) stop() {
	for _, p := range l.pipes {
		p.close()
	}
	_ = syscall.Close(l.ep)
	_ = syscall.Close(l.wake[0])
	_ = syscall.Close(l.wake[1])
}
