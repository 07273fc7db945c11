package transport

import (
	"errors"
	"net"
)

// singlePackets is a packetSocket of system calls for one datagram each.
type singlePackets struct {
	udp *net.UDPConn
	cut bool
}

func (s *singlePackets) receive(ds []Datagram) (int, error) {
	d := &ds[0]
	b := d.Data[:cap(d.Data)]
	n, _, flags, from, err := s.udp.ReadMsgUDPAddrPort(b, nil)
	s.cut = flags&msgTruncated != 0 || errors.Is(err, errnoTooLong)
	if err != nil && !s.cut {
		return 0, err
	}
	d.Addr, d.Data = unmapped(from), b[:n]
	return 1, nil
}

func (s *singlePackets) truncated(int) bool { return s.cut }

func (s *singlePackets) send(ds []Datagram) (int, error) {
	for i, d := range ds {
		if _, err := s.udp.WriteToUDPAddrPort(d.Data, d.Addr); err != nil {
			return i, err
		}
	}
	return len(ds), nil
}
