package transport

import (
	"net"

	"golang.org/x/sys/unix"
)

// limitToInterface keeps out what arrives on other interfaces, where other
// sockets may be members: IPv6 does not ask who. Kernels before 5.7 may refuse.
func limitToInterface(fd int, i *net.Interface) { _ = unix.BindToDevice(fd, i.Name) }

// shareWithGroups prepares a socket for groups on the same machine and port: it
// does not hear those that it has not joined itself, which a socket on all
// addresses otherwise does, and sockets of groups of this user may be bound to its
// port. Being set after bind, that lets no second listener have the port.
func shareWithGroups(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}
