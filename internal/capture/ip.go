package capture

import (
	"encoding/binary"
	"net/netip"
)

// Protocol numbers.
const (
	protoHops     = 0 // extension header: hop-by-hop options
	protoICMP     = 1
	protoIPv4     = 4 // a tunnel
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41 // a tunnel
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoICMPv6   = 58
	protoDest     = 60
	protoMobility = 135
	protoHIP      = 139
	protoShim6    = 140
)

// maxTunnels is how deep IP may be in IP.
const maxTunnels = 4

// address is an IP address; IPv4 is mapped into IPv6.
type address struct{ hi, lo uint64 }

func address4(b []byte) address {
	return address{0, 0xffff_0000_0000 | uint64(binary.BigEndian.Uint32(b))}
}

func address6(b []byte) address {
	return address{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (a address) netip() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return netip.AddrFrom16(b).Unmap()
}

// packet is what one IP packet carries.
type packet struct {
	src, dst address
	proto    uint8
	data     []byte
	cut      int // bytes behind data that were not captured
	// frames that it came in; nil for the one at hand.
	frames []int
}

// internet reads the IP packet b, of which cut bytes may be missing at the end.
func (r *Reader) internet(b []byte, cut int) skipped {
	var p packet
	for range maxTunnels {
		why := skipNotIP
		if len(b) == 0 {
			return skipShort
		}
		switch b[0] >> 4 {
		case 4:
			why = r.ipv4(&p, b, cut)
		case 6:
			why = r.ipv6(&p, b, cut)
		}
		if why != taken {
			return why
		}
		switch p.proto {
		case protoTCP:
			return r.tcp(&p)
		case protoUDP:
			return r.udp(&p)
		case protoICMP, protoICMPv6:
			return skipICMP
		case protoIPv4, protoIPv6:
			b, cut = p.data, p.cut
		case protoNothing:
			return taken // the first of several fragments
		default:
			return skipTransport
		}
	}
	return skipTransport
}

// protoNothing stands in packet.proto for a fragment that waits for others. The number
// is reserved.
const protoNothing = 255

// ipv4 reads the headers of RFC 791.
func (r *Reader) ipv4(p *packet, b []byte, cut int) skipped {
	if len(b) < 20 {
		return skipShort
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) + cut // segmentation is left to the network card
	}
	switch {
	case header < 20 || total < header:
		return skipDamaged
	case len(b) < header:
		return skipShort
	}
	p.src, p.dst, p.proto = address4(b[12:]), address4(b[16:]), b[9]
	p.data, p.cut = bounded(b[header:], total-header)
	fragment := binary.BigEndian.Uint16(b[6:])
	const moreFragments, offset = 0x2000, 0x1fff
	if fragment&(moreFragments|offset) == 0 {
		return taken
	}
	return r.fragment(p, piece{
		id: uint32(binary.BigEndian.Uint16(b[4:])), off: int(fragment&offset) * 8, last: fragment&moreFragments == 0,
	})
}

// ipv6 reads the headers of RFC 8200, as far as the transport's.
func (r *Reader) ipv6(p *packet, b []byte, cut int) skipped {
	if len(b) < 40 {
		return skipShort
	}
	total := int(binary.BigEndian.Uint16(b[4:]))
	if total == 0 {
		total = len(b) - 40 + cut // a jumbogram, or left to the network card
	}
	p.src, p.dst, p.proto = address6(b[8:]), address6(b[24:]), b[6]
	p.data, p.cut = bounded(b[40:], total)
	for {
		d := p.data
		size := 0
		switch p.proto {
		case protoHops, protoRouting, protoDest, protoMobility, protoHIP, protoShim6:
			if len(d) >= 8 {
				size = 8 + int(d[1])*8
			}
		case protoAH:
			if len(d) >= 8 {
				size = 8 + int(d[1])*4
			}
		case protoFragment:
			if len(d) < 8 {
				return skipShort
			}
			f := binary.BigEndian.Uint16(d[2:])
			id := binary.BigEndian.Uint32(d[4:])
			p.proto, p.data = d[0], d[8:]
			if f&^6 == 0 {
				continue // all of it, in one fragment: RFC 6946
			}
			if why := r.fragment(p, piece{id: id, off: int(f &^ 7), last: f&1 == 0, v6: true}); why != taken {
				return why
			}
			continue
		default:
			return taken
		}
		if size == 0 || size > len(d) {
			return skipShort
		}
		p.proto, p.data = d[0], d[size:]
	}
}

// bounded returns the n bytes of b that a header tells of, and how many of them are
// not there. What is behind them is padding.
func bounded(b []byte, n int) (data []byte, cut int) {
	if n <= len(b) {
		return b[:n], 0
	}
	return b, n - len(b)
}

// udp takes a datagram: RFC 768.
func (r *Reader) udp(p *packet) skipped {
	b := p.data
	if len(b) < 8 {
		return skipShort
	}
	if n := int(binary.BigEndian.Uint16(b[4:])); n >= 8 {
		whole := len(b) + p.cut
		b, p.cut = bounded(b, min(n, whole))
		p.cut += max(0, n-whole)
	} else if n != 0 {
		return skipDamaged
	}
	c, side := r.flows.find(r, p, binary.BigEndian.Uint16(p.data), binary.BigEndian.Uint16(p.data[2:]))
	if c.client < 0 {
		c.client = guessClient(c, side)
	}
	frames := p.frames
	if frames == nil {
		frames = r.number(r.frame.number)
	}
	e := r.emit(c, side, b[8:], frames, r.frame.time)
	e.Datagram, e.Cut, e.Comment = true, p.cut, r.frame.comment
	return taken
}
