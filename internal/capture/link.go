package capture

import (
	"encoding/binary"
	"fmt"
)

// Link layers, by the numbers of their headers in pcap and pcapng. Raw IP had other
// numbers before it got its own.
const (
	linkNull     = 0
	linkEthernet = 1
	linkRawBSD   = 12 // DLT_RAW of most systems
	linkRawOpen  = 14 // DLT_RAW of OpenBSD
	linkRaw      = 101
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

func linkName(link uint32) string {
	switch link {
	case linkNull:
		return "BSD loopback"
	case linkEthernet:
		return "Ethernet"
	case linkRawBSD, linkRawOpen, linkRaw:
		return "raw IP"
	case linkLoop:
		return "OpenBSD loopback"
	case linkSLL:
		return "Linux cooked"
	case linkSLL2:
		return "Linux cooked v2"
	case linkIPv4:
		return "raw IPv4"
	case linkIPv6:
		return "raw IPv6"
	}
	return fmt.Sprintf("link type %d", link)
}

// Ethernet types.
const (
	etherIPv4  = 0x0800
	etherARP   = 0x0806
	etherVLAN  = 0x8100
	etherIPv6  = 0x86dd
	etherQinQ  = 0x88a8
	etherQinQ2 = 0x9100 // before it was standardised
)

// network returns the IP packet of a frame. The reason is for a frame without one.
func network(link uint32, b []byte) (ip []byte, why skipped) {
	switch link {
	case linkEthernet:
		if len(b) < 14 {
			return nil, skipShort
		}
		return ethertype(binary.BigEndian.Uint16(b[12:]), b[14:])
	case linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		return b, taken
	case linkSLL:
		if len(b) < 16 {
			return nil, skipShort
		}
		return ethertype(binary.BigEndian.Uint16(b[14:]), b[16:])
	case linkSLL2:
		if len(b) < 20 {
			return nil, skipShort
		}
		return ethertype(binary.BigEndian.Uint16(b), b[20:])
	case linkNull, linkLoop:
		// A protocol family, in an order and with a number for IPv6 that depend on
		// the system. The version in the IP header says as much.
		if len(b) < 4 {
			return nil, skipShort
		}
		if b = b[4:]; len(b) > 0 && b[0]>>4 != 4 && b[0]>>4 != 6 {
			return nil, skipNotIP
		}
		return b, taken
	}
	return nil, skipLink
}

// ethertype returns the IP packet behind VLAN tags.
func ethertype(t uint16, b []byte) (ip []byte, why skipped) {
	for {
		switch t {
		case etherIPv4, etherIPv6:
			return b, taken
		case etherVLAN, etherQinQ, etherQinQ2:
			if len(b) < 4 {
				return nil, skipShort
			}
			t, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case etherARP:
			return nil, skipARP
		default:
			return nil, skipNotIP
		}
	}
}

// skipped says why a frame, or a part of it, is left out.
type skipped uint8

const (
	taken skipped = iota
	skipARP
	skipNotIP
	skipICMP
	skipTransport
	skipLink
	skipShort
	skipDamaged
	skipFragments
	skipReasons // how many there are
)

func (s skipped) String() string {
	return [...]string{
		"", "ARP", "not IP", "ICMP", "neither TCP nor UDP", "unknown link layer",
		"cut within the headers", "damaged headers", "incomplete IP fragments",
	}[s]
}

// linkKnown says that network can read frames of link.
func linkKnown(link uint32) bool {
	_, why := network(link, nil)
	return why != skipLink
}
