package mqttsn

import (
	"encoding/binary"
	"net/netip"
)

// GWInfo answers SEARCHGW.
type GWInfo struct {
	GatewayID uint8
	Address   []byte // of the gateway, if somebody else sends this; aliases the parsed body
}

// ParseGWInfo reads the body of a GWINFO message.
func ParseGWInfo(body []byte, o *Options) (GWInfo, error) {
	return parseGWInfo(TypeGWInfo, body, o)
}

func parseGWInfo(t Type, body []byte, o *Options) (GWInfo, error) {
	r := newReader(t, body, o)
	m := GWInfo{GatewayID: r.uint8("gateway identifier")}
	if r.left() > 0 {
		if o.FromServer && !o.EitherSide {
			r.note(r.off, t.kind().clause, "an address from a gateway")
		}
		m.Address = r.rest()
	}
	return m, r.result()
}

// AddrPort is the address over IP, for which there are several forms: 4 or 16
// bytes, and 2 more of a port, which is 0 otherwise; all of it may stand behind
// a byte with its length. It is the zero value for anything else.
func (m GWInfo) AddrPort() netip.AddrPort {
	b := m.Address
	if len(b) > 0 && int(b[0]) == len(b)-1 {
		b = b[1:]
	}
	var port uint16
	if len(b) == 6 || len(b) == 18 {
		port = binary.BigEndian.Uint16(b[len(b)-2:])
		b = b[:len(b)-2]
	}
	if ip, ok := netip.AddrFromSlice(b); ok {
		return netip.AddrPortFrom(ip, port)
	}
	return netip.AddrPort{}
}

// GatewayAddress is a for [GWInfo].Address: 4 or 16 bytes, then the port.
func GatewayAddress(a netip.AddrPort) []byte {
	return appendUint16(a.Addr().Unmap().AsSlice(), a.Port())
}

// Type implements Message.
func (GWInfo) Type() Type { return TypeGWInfo }

// Size implements Message.
func (m GWInfo) Size() int { return messageSize(1 + len(m.Address)) }

// Append implements Message.
func (m GWInfo) Append(dst []byte) ([]byte, error) { return m.append(dst, TypeGWInfo) }

func (m GWInfo) append(dst []byte, t Type) ([]byte, error) {
	b, err := appendHeader(dst, t, 1+len(m.Address))
	if err != nil {
		return dst, err
	}
	return append(append(b, m.GatewayID), m.Address...), nil
}
