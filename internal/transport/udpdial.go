package transport

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// udpSocket is the lowest storey of a connection that was dialed over UDP.
type udpSocket struct {
	*socket
	udp      *net.UDPConn
	finished atomic.Bool // by CloseWrite
}

func newUDPSocket(udp *net.UDPConn) *udpSocket {
	return &udpSocket{socket: newSocket(udp), udp: udp}
}

// Read implements net.Conn.
func (s *udpSocket) Read(b []byte) (int, error) {
	for {
		n, _, flags, _, err := s.udp.ReadMsgUDPAddrPort(b, nil)
		switch {
		case s.finished.Load():
			return 0, io.EOF
		case err != nil:
			return 0, err
		case flags&msgTruncated != 0:
			return 0, io.ErrShortBuffer
		case n > 0:
			return n, nil
		}
	}
}

// ReadWith implements Conn.
func (s *udpSocket) ReadWith(borrow func() []byte) ([]byte, int, error) {
	if s.raw != nil {
		s.in.wait(s.raw)
	}
	b := borrow()
	n, err := s.Read(b)
	return b, n, err
}

// CloseWrite implements Conn.
func (s *udpSocket) CloseWrite() error {
	s.finished.Store(true)
	return s.SetReadDeadline(past())
}

// SetReadDeadline implements net.Conn.
func (s *udpSocket) SetReadDeadline(t time.Time) error {
	if s.finished.Load() {
		t = past()
	}
	return s.udp.SetReadDeadline(t)
}

// answered is the topmost storey of a plain connection that was dialed over UDP.
// It explains what a host says by ICMP about something that was sent, which comes
// out of a later call. The connection lives: something may listen there soon.
type answered struct {
	layer
	to Endpoint
}

// Read implements net.Conn.
func (a *answered) Read(b []byte) (int, error) {
	n, err := a.layer.Read(b)
	return n, a.explain(err)
}

// ReadWith implements Conn.
func (a *answered) ReadWith(borrow func() []byte) ([]byte, int, error) {
	b, n, err := a.layer.ReadWith(borrow)
	return b, n, a.explain(err)
}

// Write implements net.Conn.
func (a *answered) Write(b []byte) (int, error) {
	n, err := a.layer.Write(b)
	return n, a.explain(err)
}

// TryWrite implements Conn.
func (a *answered) TryWrite(b []byte) (int, error) {
	n, err := a.layer.TryWrite(b)
	return n, a.explain(err)
}

func (a *answered) explain(err error) error {
	if err == nil || !isPeerError(err) {
		return err
	}
	return explainConnect(a.to.Address(), a.to, err)
}
