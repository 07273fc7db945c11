package capture

import (
	"encoding/binary"
	"io"
)

// frameLinks are the link layers that dumps come from, the most usual first.
var frameLinks = []uint32{linkRaw, linkEthernet, linkSLL, linkSLL2, linkNull}

// recogniseFrames finds out whether all packets are frames, or IP packets, with TCP or
// UDP in them: lengths and checksums agree in ways that other bytes do not.
func (d *Pasted) recogniseFrames() {
	for _, link := range frameLinks {
		framed := true
		for _, b := range d.Packets {
			framed = framed && looksFramed(link, b, d.Form == "tcpdump")
		}
		if framed {
			d.Framed, d.Link = true, link
			d.Notes = append(d.Notes, linkName(link)+" headers are taken off: lengths and checksums are those of IP")
			return
		}
	}
	if d.Form == "tcpdump" {
		d.Notes = append(d.Notes, "no headers of IP are in front, as tcpdump has them: all is taken for data")
	}
}

// looksFramed says that b is an IP packet in a frame of link, padded at most to the
// length of the shortest frame. Dumps of tcpdump may be cut and have no checksum yet.
func looksFramed(link uint32, b []byte, dump bool) bool {
	ip, why := network(link, b)
	if why != taken || len(ip) < 28 {
		return false
	}
	padded := 0
	if link == linkEthernet && len(b) <= 64 {
		padded = len(b)
	}
	var size int
	var proto uint8
	switch ip[0] >> 4 {
	case 4:
		header := int(ip[0]&15) * 4
		if header < 20 || header > len(ip) || ip[8] == 0 {
			return false
		}
		if sum := checksum(0, ip[:header]); sum != 0 && !(dump && ip[10] == 0 && ip[11] == 0) {
			return false
		}
		size, proto = int(binary.BigEndian.Uint16(ip[2:])), ip[9]
		if dump && size == 0 {
			size = len(ip)
		}
		if binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
			return dump || size == len(ip) // a fragment
		}
	case 6:
		if len(ip) < 48 {
			return false
		}
		size, proto = 40+int(binary.BigEndian.Uint16(ip[4:])), ip[6]
		if !dump && (size != len(ip) || proto != protoTCP && proto != protoUDP) {
			return false
		}
	default:
		return false
	}
	if size > len(ip) && !dump || size < len(ip) && padded == 0 && len(ip)-size > 4 {
		return false
	}
	if proto == protoUDP && ip[0]>>4 == 6 && !dump {
		return int(binary.BigEndian.Uint16(ip[44:])) == size-40
	}
	return proto == protoTCP || proto == protoUDP || dump
}

// checksum is that of RFC 1071, over b and what was summed up before.
func checksum(sum uint32, b []byte) uint16 {
	sum = sumUp(sum, b)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// sumUp adds the 16-bit words of b.
func sumUp(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		if sum += uint32(b[0])<<8 | uint32(b[1]); sum > 1<<31 {
			sum = sum>>16 + sum&0xffff
		}
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// Reader reads the packets from their link layer on, as those of a capture without times.
func (d *Pasted) Reader(o Options) *Reader { return newReader(&pastedFrames{pasted: d}, o) }

// pastedFrames are frames from a text.
type pastedFrames struct {
	pasted *Pasted
	n      int
}

func (p *pastedFrames) next(f *frame) error {
	if p.n == len(p.pasted.Packets) {
		return io.EOF
	}
	b := p.pasted.Packets[p.n]
	p.n++
	*f = frame{number: p.n, time: noTime, link: p.pasted.Link, data: b, wire: len(b)}
	return nil
}

func (p *pastedFrames) describe() string {
	return "pasted, " + linkName(p.pasted.Link)
}
