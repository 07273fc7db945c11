package proxy

import "syscall"

// Where much comes at once between plain sockets, and nobody looks at it, the kernel
// moves it from one to the other by way of a pipe. The pipe belongs to the loop, which
// empties it before it goes on; a session keeps one only while its other side does not
// take what is in it.

const (
	spliceMove     = 0x1
	spliceNonblock = 0x2
	spliceBytes    = 1 << 20
	// spliceFrom is how much has to come without a pause before SpliceAuto begins.
	spliceFrom = 256 << 10
	// keptPipes is how many a loop keeps that are not in use.
	keptPipes = 4
)

type pipe struct {
	r, w int
	n    int // bytes in it
}

func newPipe() (*pipe, error) {
	var fd [2]int
	if err := syscall.Pipe2(fd[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return nil, err
	}
	const setPipeSize = 1031 // F_SETPIPE_SZ; what is refused is done with less
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd[1]), setPipeSize, spliceBytes)
	return &pipe{r: fd[0], w: fd[1]}, nil
}

func (p *pipe) close() {
	_ = syscall.Close(p.r)
	_ = syscall.Close(p.w)
}

// splices reports whether the kernel is to move what comes next.
func (lk *link) splices(h *half) bool {
	cfg := &lk.loop.e.cfg
	return cfg.Transparent && len(h.hold) == 0 &&
		(cfg.Splice == SpliceAlways || cfg.Splice == SpliceAuto && h.burst >= spliceFrom)
}

// splice moves what there is.
func (lk *link) splice(d Direction) {
	l, h := lk.loop, &lk.half[d]
	p, err := l.takePipe()
	if err != nil {
		lk.pull(d)
		return
	}
	n, err := syscall.Splice(lk.fd[d], nil, p.w, nil, spliceBytes, spliceMove|spliceNonblock)
	switch {
	case n > 0:
		h.last, p.n, h.piped = l.now, int(n), p
		if n < readBytes {
			h.burst = 0
		}
		l.e.m.bytes[d].Add(uint64(n))
		h.since = l.now
		l.e.m.stalled[d].Add(1)
		lk.drainPipe(d)
		if h.piped != nil {
			l.e.m.stalls[d].Add(1)
		}
		return
	case err == nil:
		h.eof, lk.half[d.Back()].last = true, l.now
		lk.shut(d)
	case err == syscall.EAGAIN || err == syscall.EINTR: //nolint:errorlint // as system calls return it
	default:
		h.eof = true
		lk.broken(d, err)
	}
	l.givePipe(p)
}

// drainPipe moves what is in the pipe of d to the other side.
func (lk *link) drainPipe(d Direction) {
	l, h := lk.loop, &lk.half[d]
	p := h.piped
	for p.n > 0 {
		n, err := syscall.Splice(p.r, nil, lk.fd[d.Back()], nil, p.n, spliceMove|spliceNonblock)
		if n > 0 {
			p.n -= int(n)
			h.since = l.now
			continue
		}
		if err == syscall.EAGAIN || err == syscall.EINTR {
			return
		}
		lk.broken(d.Back(), err)
		return
	}
	h.piped = nil
	l.e.m.stalled[d].Add(-1)
	h.last = l.now
	l.givePipe(p)
	lk.shut(d)
}

func (l *loop) takePipe() (*pipe, error) {
	if n := len(l.pipes); n > 0 {
		p := l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return p, nil
	}
	return newPipe()
}

// givePipe takes back an empty pipe.
func (l *loop) givePipe(p *pipe) {
	if len(l.pipes) < keptPipes {
		l.pipes = append(l.pipes, p)
		return
	}
	p.close()
}
