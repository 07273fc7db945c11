//go:build unix

package transport

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

const rawSupported = true

// rawRead is the state of one ReadWith. It lives in the socket, with its
// callback, so that a read allocates nothing.
type rawRead struct {
	ready  func(fd uintptr) bool // step as a value, made at the first read
	borrow func() []byte
	buf    []byte
	n      int
	err    error
	full   bool // the last read filled its buffer, so there is probably more
	waited bool // the poller said that the socket is readable
	only   bool // wait, and read nothing
	poll   [1]unix.PollFd
}

func (r *rawRead) read(raw syscall.RawConn, borrow func() []byte) ([]byte, int, error) {
	if r.ready == nil {
		r.ready = r.step
	}
	r.borrow, r.buf, r.n, r.err, r.waited = borrow, nil, 0, nil, false
	err := raw.Read(r.ready)
	b, n := r.buf, r.n
	if err == nil {
		err = r.err
	}
	r.borrow, r.buf, r.err = nil, nil, nil
	r.full = n > 0 && n == len(b)
	return b, n, err
}

// wait returns when read has something to return.
func (r *rawRead) wait(raw syscall.RawConn) {
	if r.ready == nil {
		r.ready = r.step
	}
	r.only, r.waited = true, false
	_ = raw.Read(r.ready) // whatever there is, read will find it
	r.only = false
}

// step is called until it returns true: first at once, then each time that the
// runtime's poller reports the socket readable. Before the first report it
// asks the kernel, because a buffer that is borrowed cannot be given back.
func (r *rawRead) step(fd uintptr) bool {
	if r.only {
		if r.waited || r.readable(fd) {
			return true
		}
		r.waited = true
		return false
	}
	return r.readInto(fd)
}

func (r *rawRead) readInto(fd uintptr) bool {
	if r.buf == nil {
		if !r.waited && !r.full && !r.readable(fd) {
			r.waited = true
			return false
		}
		r.buf = r.borrow()
		if len(r.buf) == 0 {
			r.err = io.ErrShortBuffer
			return true
		}
	}
	for {
		n, err := syscall.Read(int(fd), r.buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			r.err = err
		case n == 0:
			r.err = io.EOF
		}
		r.n = max(n, 0)
		return true
	}
}

// readable asks without waiting. When in doubt it says yes; the read finds out.
func (r *rawRead) readable(fd uintptr) bool {
	r.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	return pollNow(&r.poll)
}

// rawWrite is the state of one TryWrite, kept for the same reason.
type rawWrite struct {
	ready func(fd uintptr) bool
	buf   []byte
	n     int
	err   error
}

func (w *rawWrite) write(raw syscall.RawConn, b []byte) (int, error) {
	if w.ready == nil {
		w.ready = w.step
	}
	w.buf, w.n, w.err = b, 0, nil
	err := raw.Write(w.ready)
	n := w.n
	if err == nil {
		err = w.err
	}
	w.buf, w.err = nil, nil
	return n, err
}

func (w *rawWrite) step(fd uintptr) bool {
	for w.n < len(w.buf) {
		n, err := syscall.Write(int(fd), w.buf[w.n:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			w.err = err
			return true
		}
		w.n += n
	}
	return true
}
