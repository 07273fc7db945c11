package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Limits of the PROXY protocol, version 1 and 2.
const (
	proxyV1Bytes = 107  // the longest line, CRLF included
	proxyV2Bytes = 4096 // our limit of addresses and TLVs together; the format allows 65,535
)

const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

var errNoProxyHeader = errors.New("the connection does not begin with a PROXY header")

// acceptProxy reads the header that a trusted proxy has to send, then applies
// the rules to the client that it names.
func (s *settings) acceptProxy(_ context.Context, c *conn) error {
	proxy := addrPort(c.sock.RemoteAddr())
	client, tlvs, err := readProxyHeader(c.sock)
	if err != nil {
		return &Error{Op: ClosedProxy, Target: c.sock.RemoteAddr().String(), Problem: err.Error(), Timeout: isTimeout(err), Err: err}
	}
	if client.IsValid() {
		c.remote, c.proxy, c.tlvs = client, proxy, tlvs
	}
	why := RefusedRule
	if from := c.remote.Addr(); !from.IsValid() || allowed(s.rules, from) {
		why = c.ln.tally.addSource(&c.entry, from, &s.cfg)
	}
	if why == "" {
		return nil
	}
	c.ln.tally.refused(why)
	return &Error{Op: "access", Target: c.remote.String(), Problem: "refused by " + why, Err: errRefused}
}

// readProxyHeader reads exactly the header and not a byte more. The address is
// not valid when the proxy speaks for itself (LOCAL, UNKNOWN, UNSPEC) or for a
// Unix socket. tlvs are what follows the addresses in version 2.
func readProxyHeader(r io.Reader) (client netip.AddrPort, tlvs []byte, err error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:12]); err != nil {
		return netip.AddrPort{}, nil, proxyReadError(err)
	}
	if string(head[:12]) == proxySignature {
		if _, err := io.ReadFull(r, head[12:]); err != nil {
			return netip.AddrPort{}, nil, proxyReadError(err)
		}
		return readProxyV2(r, head)
	}
	if string(head[:6]) != "PROXY " {
		return netip.AddrPort{}, nil, errNoProxyHeader
	}
	line := make([]byte, 12, proxyV1Bytes)
	copy(line, head[:])
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == proxyV1Bytes {
			return netip.AddrPort{}, nil, errors.New("PROXY v1 header: no end of line within 107 bytes")
		}
		if _, err := io.ReadFull(r, line[len(line):len(line)+1]); err != nil {
			return netip.AddrPort{}, nil, proxyReadError(err)
		}
		line = line[:len(line)+1]
	}
	client, err = parseProxyV1(string(line[:len(line)-2]))
	return client, nil, err
}

func proxyReadError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the connection ended within the PROXY header")
	}
	return err
}

// parseProxyV1 reads the line without its CRLF.
func parseProxyV1(line string) (netip.AddrPort, error) {
	bad := func(why string) (netip.AddrPort, error) {
		return netip.AddrPort{}, errors.New("PROXY v1 header: " + why)
	}
	f := strings.Split(line, " ")
	if f[1] == "UNKNOWN" {
		return netip.AddrPort{}, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return bad("want TCP4, TCP6 or UNKNOWN, two addresses and two ports")
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		a, err := netip.ParseAddr(f[2+i])
		if err != nil || a.Zone() != "" || a.Is4() != (f[1] == "TCP4") {
			return bad("an address is not of the family it names")
		}
		p, err := strconv.ParseUint(f[4+i], 10, 16)
		if err != nil || f[4+i][0] == '+' || len(f[4+i]) > 1 && f[4+i][0] == '0' {
			return bad("a port is not a number up to 65535")
		}
		ends[i] = netip.AddrPortFrom(a.Unmap(), uint16(p))
	}
	return ends[0], nil
}

// readProxyV2 reads what follows the 16 fixed bytes.
func readProxyV2(r io.Reader, head [16]byte) (client netip.AddrPort, tlvs []byte, err error) {
	bad := func(why string) (netip.AddrPort, []byte, error) {
		return netip.AddrPort{}, nil, errors.New("PROXY v2 header: " + why)
	}
	command, family, length := head[12], head[13], int(binary.BigEndian.Uint16(head[14:]))
	if command != 0x20 && command != 0x21 {
		return bad("unknown version or command")
	}
	if !slices.Contains([]byte{0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32}, family) {
		return bad("unknown address family or protocol")
	}
	if length > proxyV2Bytes {
		return bad("longer than 4096 bytes")
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return netip.AddrPort{}, nil, proxyReadError(err)
	}
	if command == 0x20 || family == 0x00 {
		return netip.AddrPort{}, nil, nil // the proxy itself, or a family without addresses
	}
	if family&0x0F != 1 {
		return bad("it is about datagrams")
	}
	size := map[byte]int{0x11: 12, 0x21: 36, 0x31: 216}[family]
	if length < size {
		return bad("too short for its addresses")
	}
	if !validTLVs(body[size:]) {
		return bad("a TLV is longer than what is left")
	}
	switch family {
	case 0x11:
		a := netip.AddrFrom4([4]byte(body[:4]))
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(body[8:])), body[size:], nil
	case 0x21:
		a := netip.AddrFrom16([16]byte(body[:16])).Unmap()
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(body[32:])), body[size:], nil
	}
	return netip.AddrPort{}, nil, nil
}

// validTLVs checks that type, length and value add up.
func validTLVs(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 3 {
			return false
		}
		n := 3 + int(binary.BigEndian.Uint16(b[1:]))
		if len(b) < n {
			return false
		}
		b = b[n:]
	}
	return true
}
