//go:build !unix

package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

func openGroup(netip.AddrPort, *net.Interface) (*net.UDPConn, error) {
	return nil, fmt.Errorf("multicast groups on this system: %w", errors.ErrUnsupported)
}
