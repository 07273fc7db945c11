package transport

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// socket is the lowest storey. raw is nil when the connection is no kernel
// socket (net.Pipe); reads then borrow first and TryWrite takes nothing.
type socket struct {
	net.Conn
	raw syscall.RawConn
	// hasty makes Write take what the kernel takes and fail otherwise, so that
	// closing a TLS connection never waits for a peer that does not read.
	hasty atomic.Bool

	in  rawRead
	out rawWrite
	wmu sync.Mutex // held by whoever writes; TryWrite gives up instead of waiting for it
}

func newSocket(nc net.Conn) *socket {
	s := &socket{Conn: nc}
	if sc, ok := nc.(syscall.Conn); ok && rawSupported {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	return s
}

// Write implements net.Conn.
func (s *socket) Write(b []byte) (int, error) {
	if s.hasty.Load() && s.raw != nil {
		n, err := s.TryWrite(b)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		return n, err
	}
	s.wmu.Lock()
	defer s.wmu.Unlock()
	return s.Conn.Write(b)
}

// TryWrite implements Conn.
func (s *socket) TryWrite(b []byte) (int, error) {
	if s.raw == nil || !s.wmu.TryLock() {
		return 0, nil
	}
	defer s.wmu.Unlock()
	n, err := s.out.write(s.raw, b)
	return n, socketError("write", err, s)
}

// ReadWith implements Conn.
func (s *socket) ReadWith(borrow func() []byte) ([]byte, int, error) {
	if s.raw == nil {
		b := borrow()
		n, err := s.Conn.Read(b)
		return b, n, err
	}
	b, n, err := s.in.read(s.raw, borrow)
	return b, n, socketError("read", err, s)
}

// CloseWrite implements Conn. Connections without half-close are left open.
func (s *socket) CloseWrite() error {
	if h, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// socketError gives errors of system calls on c the form that package net gives
// them.
func socketError(op string, err error, c net.Conn) error {
	errno, ok := err.(syscall.Errno) //nolint:errorlint // as system calls return it, never wrapped
	if !ok {
		return err
	}
	a := c.LocalAddr()
	return &net.OpError{Op: op, Net: a.Network(), Source: a, Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// past is a deadline that has expired.
func past() time.Time { return time.Unix(1, 0) }
