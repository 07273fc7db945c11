package transport

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchPackets is a packetSocket over recvmmsg(2) and sendmmsg(2).
type batchPackets struct {
	raw   syscall.RawConn
	ip4   bool // the family of the socket
	zones zoneNames
	in    *mmsg
	out   sync.Pool // of *mmsg
}

// maxBatch is how many datagrams one system call takes.
const maxBatch = 64

// mmsg is the state of one system call, kept so that none allocates.
type mmsg struct {
	heads [maxBatch]mmsghdr
	parts [maxBatch]unix.Iovec
	names [maxBatch]unix.RawSockaddrInet6 // the larger one of both families

	from, to int // heads[from:to] are for the call
	errno    syscall.Errno
	full     bool               // send found no room
	read     func(uintptr) bool // receive as a value
	write    func(uintptr) bool // send as a value, to wait
	try      func(uintptr)      // send as a value, not to wait
}

// mmsghdr is struct mmsghdr of <sys/socket.h>.
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

func newPacketSocket(udp *net.UDPConn) (packetSocket, error) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &batchPackets{raw: raw, in: newMmsg()}
	s.out.New = func() any { return newMmsg() }
	if a, ok := udp.LocalAddr().(*net.UDPAddr); ok {
		s.ip4 = a.IP.To4() != nil
	}
	if err := raw.Control(shareWithGroups); err != nil {
		return nil, err
	}
	// A sandbox may know only the calls for one.
	if err := raw.Control(s.in.try); err != nil {
		return nil, err
	}
	if s.in.errno == unix.ENOSYS || s.in.errno == unix.EPERM {
		return &singlePackets{udp: udp}, nil
	}
	return s, nil
}

func newMmsg() *mmsg {
	m := &mmsg{}
	for i := range m.heads {
		h := &m.heads[i]
		h.Name = (*byte)(unsafe.Pointer(&m.names[i]))
		h.Iov = &m.parts[i]
		h.SetIovlen(1)
	}
	m.read = m.receive
	m.write = func(fd uintptr) bool { m.send(fd); return !m.full }
	m.try = m.send
	return m
}

// put makes b the buffer of message i.
func (m *mmsg) put(i int, b []byte) {
	m.parts[i].Base = unsafe.SliceData(b)
	m.parts[i].SetLen(len(b))
}

// drop lets the caller's buffers go.
func (m *mmsg) drop(n int) {
	for i := range n {
		m.parts[i].Base = nil
	}
}

func (m *mmsg) receive(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m.heads[0])), uintptr(m.to), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		case 0:
			m.to = int(n)
		}
		m.errno = errno
		return true
	}
}

func (s *batchPackets) receive(ds []Datagram) (int, error) {
	m := s.in
	m.to = min(len(ds), maxBatch)
	given := m.to
	for i := range given {
		d := &ds[i]
		m.put(i, d.Data[:cap(d.Data)])
		h := &m.heads[i]
		h.Namelen, h.Flags = unix.SizeofSockaddrInet6, 0
	}
	err := s.raw.Read(m.read)
	m.drop(given)
	if err == nil && m.errno != 0 {
		err = os.NewSyscallError("recvmmsg", m.errno)
	}
	if err != nil {
		return 0, err
	}
	for i := range m.to {
		d := &ds[i]
		d.Addr, d.Data = s.sender(&m.names[i]), d.Data[:m.heads[i].n]
	}
	return m.to, nil
}

func (s *batchPackets) truncated(i int) bool { return s.in.heads[i].Flags&unix.MSG_TRUNC != 0 }

func (s *batchPackets) sender(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&name.Port))
	var a netip.Addr
	if name.Family == unix.AF_INET {
		a = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	} else if a = netip.AddrFrom16(name.Addr).Unmap(); name.Scope_id != 0 {
		a = a.WithZone(s.zones.name(name.Scope_id))
	}
	return netip.AddrPortFrom(a, uint16(port[0])<<8|uint16(port[1]))
}

// address writes to into message i. It returns false for an address that sockets
// of this family cannot reach.
func (s *batchPackets) address(m *mmsg, i int, to netip.AddrPort) bool {
	a, name, h := to.Addr(), &m.names[i], &m.heads[i]
	*name = unix.RawSockaddrInet6{}
	port := (*[2]byte)(unsafe.Pointer(&name.Port))
	port[0], port[1] = byte(to.Port()>>8), byte(to.Port())
	switch {
	case !a.IsValid():
		return false
	case !s.ip4:
		name.Family, name.Addr = unix.AF_INET6, a.As16() // IPv4 becomes IPv4-mapped
		if zone := a.Zone(); zone != "" {
			name.Scope_id = s.zones.index(zone)
		}
		h.Namelen = unix.SizeofSockaddrInet6
		return true
	case a.Is4() || a.Is4In6():
		name.Family = unix.AF_INET
		(*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr = a.As4()
		h.Namelen = unix.SizeofSockaddrInet4
		return true
	}
	return false
}

func (s *batchPackets) send(ds []Datagram) (int, error) {
	m, _ := s.out.Get().(*mmsg)
	defer s.out.Put(m)
	m.from, m.to = 0, 0
	for m.to < min(len(ds), maxBatch) && s.address(m, m.to, ds[m.to].Addr) {
		m.put(m.to, ds[m.to].Data)
		m.to++
	}
	if m.to == 0 {
		return 0, &net.AddrError{Err: "no address that this socket can send to", Addr: ds[0].Addr.String()}
	}
	defer m.drop(m.to)
	err := s.raw.Control(m.try)
	if err == nil && m.full { // this waits, and makes others wait that find no room
		err = s.raw.Write(m.write)
	}
	if err == nil && m.errno != 0 {
		err = os.NewSyscallError("sendmmsg", m.errno)
	}
	return m.from, err
}

// send sends heads[from:to] and moves from to the first that was not taken.
func (m *mmsg) send(fd uintptr) {
	m.full, m.errno = false, 0
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m.heads[m.from])), uintptr(m.to-m.from), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case unix.EINTR:
			continue
		case 0:
			if m.from += int(n); m.from < m.to {
				continue // why it has stopped, the next one says
			}
		case unix.EAGAIN:
			m.full = true
		default:
			m.errno = errno
		}
		return
	}
}

// enlarge gives the socket a buffer of n bytes for reading where the limit for
// everybody (net.core.rmem_max) is lower, if the process may pass it: CAP_NET_ADMIN.
func enlarge(udp *net.UDPConn, n int) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		const twice = 2 // what the kernel tells: its own needs count
		if have, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil && have/twice < n {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n)
		}
	})
}

// kernelDrops is how many datagrams the kernel has received and not kept for the
// socket, modulo 2^32; nearly always for want of room.
func kernelDrops(udp *net.UDPConn) (n uint64, ok bool) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		var info [9]uint32 // of sock_diag(7)
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		n, ok = uint64(info[8]), errno == 0 && size == uint32(unsafe.Sizeof(info))
	})
	return n, ok && err == nil
}
