//go:build unix

package transport

import (
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// msgTruncated is the flag of a datagram that did not fit.
const msgTruncated = unix.MSG_TRUNC

// errnoTooLong refuses a datagram for its size.
const errnoTooLong = unix.EMSGSIZE

// sender is the state of one write of a peer, kept so that writing allocates
// nothing. It takes no lock of the socket, which a write that waits would hold.
type sender struct {
	call func(fd uintptr) // step as a value
	to   unix.Sockaddr
	buf  []byte
	full bool
	err  error
}

// try sends b, unless the kernel is full.
func (s *sender) try(p *peer, b []byte) (sent bool, err error) {
	if s.call == nil {
		s.call = s.step
		if s.to, err = sockaddr(p); err != nil {
			return false, err
		}
	}
	s.buf, s.full, s.err = b, false, nil
	err = p.in.raw.Control(s.call)
	if err == nil {
		err = s.err
	}
	s.buf = nil
	return err == nil && !s.full, err
}

// offer sends b if there is room at once: it may be lost, like any other datagram,
// and whoever reads for all does not wait until others have been answered.
func (p *peer) offer(b []byte) { _, _ = p.out.try(p, b) }

func (s *sender) step(fd uintptr) {
	for {
		switch err := unix.Sendto(int(fd), s.buf, 0, s.to); err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			s.full = true
		default:
			s.err = err
		}
		return
	}
}

// sockaddr is where the peer is, in the family of the socket.
func sockaddr(p *peer) (unix.Sockaddr, error) {
	a, port := p.to.Addr(), int(p.to.Port())
	if local, ok := p.in.addr.(*net.UDPAddr); ok && local.IP.To4() != nil && a.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: a.As4()}, nil
	}
	to := &unix.SockaddrInet6{Port: port, Addr: a.As16()} // IPv4 becomes IPv4-mapped
	if a.Zone() == "" {
		return to, nil
	}
	if i, err := net.InterfaceByName(a.Zone()); err == nil {
		to.ZoneId = uint32(i.Index)
		return to, nil
	}
	n, err := strconv.ParseUint(a.Zone(), 10, 32)
	to.ZoneId = uint32(n)
	return to, err
}
