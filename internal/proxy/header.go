package proxy

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/iotctl/iotctl/internal/transport"
)

// Types of the PROXY header's TLVs, version 2.
const (
	tlvALPN      = 0x01
	tlvAuthority = 0x02
	tlvSSL       = 0x20
	tlvVersion   = 0x21
	tlvCN        = 0x22
	tlvCipher    = 0x23
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// clientHeader is the PROXY header that names the client of info, which has come to
// the address to. Version 2 tells of the client's TLS, too, or passes on what a proxy
// before this one has told.
func clientHeader(version int, info transport.Info, to net.Addr) []byte {
	dst := netip.AddrPort{}
	if a, ok := to.(*net.TCPAddr); ok {
		dst = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	}
	src := info.Remote
	if src.IsValid() && dst.IsValid() && src.Addr().Is4() != dst.Addr().Is4() { // both are of one family
		src, dst = in6(src), in6(dst)
	}
	if version == 1 {
		return headerV1(src, dst)
	}
	return headerV2(src, dst, tlvs(info))
}

// ownHeader is that of a connection that the proxy makes for itself.
func ownHeader(version int) []byte {
	switch version {
	case 1:
		return []byte("PROXY UNKNOWN\r\n")
	case 2:
		return append([]byte(signature), 0x20, 0, 0, 0)
	}
	return nil
}

func in6(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

func headerV1(src, dst netip.AddrPort) []byte {
	if !src.IsValid() || !dst.IsValid() {
		return ownHeader(1)
	}
	family := "TCP6"
	if src.Addr().Is4() {
		family = "TCP4"
	}
	text := func(a netip.Addr) string {
		if a.Is4In6() {
			return "::ffff:" + a.Unmap().String()
		}
		return a.WithZone("").String()
	}
	return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, text(src.Addr()), text(dst.Addr()), src.Port(), dst.Port())
}

func headerV2(src, dst netip.AddrPort, tlvs []byte) []byte {
	b := append([]byte(signature), 0x21)
	var addrs []byte
	switch {
	case !src.IsValid() || !dst.IsValid():
		b = append(b, 0x00) // a Unix socket: the family is left open
	case src.Addr().Is4():
		b = append(b, 0x11)
		s, d := src.Addr().As4(), dst.Addr().As4()
		addrs = append(append(addrs, s[:]...), d[:]...)
	default:
		b = append(b, 0x21)
		s, d := src.Addr().As16(), dst.Addr().As16()
		addrs = append(append(addrs, s[:]...), d[:]...)
	}
	if len(addrs) > 0 {
		addrs = binary.BigEndian.AppendUint16(addrs, src.Port())
		addrs = binary.BigEndian.AppendUint16(addrs, dst.Port())
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(addrs)+len(tlvs)))
	return append(append(b, addrs...), tlvs...)
}

// tlvs tells of the client's TLS.
func tlvs(info transport.Info) []byte {
	if info.TLS == nil {
		return info.ProxyTLVs
	}
	t := info.TLS
	var b []byte
	if t.NegotiatedProtocol != "" {
		b = appendTLV(b, tlvALPN, t.NegotiatedProtocol)
	}
	if t.ServerName != "" {
		b = appendTLV(b, tlvAuthority, t.ServerName)
	}
	const overTLS, withCert = 0x01, 0x02
	client, verify := byte(overTLS), uint32(0)
	cn := ""
	if len(t.PeerCertificates) > 0 {
		client |= withCert
		cn = t.PeerCertificates[0].Subject.CommonName
		if len(t.VerifiedChains) == 0 {
			verify = 1
		}
	} else {
		verify = 1 // zero is a verified certificate
	}
	ssl := binary.BigEndian.AppendUint32([]byte{client}, verify)
	ssl = appendTLV(ssl, tlvVersion, map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}[t.Version])
	if cn != "" {
		ssl = appendTLV(ssl, tlvCN, cn)
	}
	ssl = appendTLV(ssl, tlvCipher, tls.CipherSuiteName(t.CipherSuite))
	return appendTLV(b, tlvSSL, string(ssl))
}

func appendTLV(b []byte, kind byte, value string) []byte {
	value = value[:min(len(value), 1024)]
	b = append(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}
