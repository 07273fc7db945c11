package dissect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
)

// ProxyHeader reads the header of the PROXY protocol, version 1 or 2, that stands
// in front of what a proxy passes on.
type ProxyHeader struct{}

const (
	proxyV1      = "PROXY "
	proxyV2      = "\r\n\r\n\x00\r\nQUIT\n"
	proxyV1Bytes = 107 // the longest line, CRLF included
	proxyV2Head  = 16
	proxyRule    = "PROXY protocol, 2.1"
	proxyRule2   = "PROXY protocol, 2.2"
)

// Name implements Dissector.
func (ProxyHeader) Name() string { return "proxy" }

// Sniff implements Dissector: both versions have a signature.
func (ProxyHeader) Sniff(b []byte, h Hint) (Confidence, string) {
	if len(b) == 0 || h.Datagram || h.Direction == FromServer {
		return No, ""
	}
	for _, s := range []string{proxyV1, proxyV2} {
		switch {
		case bytes.HasPrefix(b, []byte(s)):
			return Certain, "the signature of a PROXY header"
		case len(b) >= 2 && bytes.HasPrefix([]byte(s), b):
			return Possible, "it begins like a PROXY header"
		}
	}
	return No, ""
}

// Size implements Sizer.
func (ProxyHeader) Size(b []byte) int {
	switch {
	case bytes.HasPrefix(b, []byte(proxyV1)):
		if i := bytes.Index(b, []byte("\r\n")); i >= 0 {
			return i + len("\r\n")
		}
	case bytes.HasPrefix(b, []byte(proxyV2)) && len(b) >= proxyV2Head:
		return proxyV2Head + int(binary.BigEndian.Uint16(b[14:]))
	}
	return 0
}

// Dissect implements Dissector.
func (d ProxyHeader) Dissect(b []byte, st *Stream) (Packet, int, error) {
	p := Packet{Protocol: d.Name(), Type: "HEADER"}
	switch {
	case bytes.HasPrefix(b, []byte(proxyV2)):
		return d.binary(b, p)
	case bytes.HasPrefix(b, []byte(proxyV1)):
		return d.line(b, p)
	}
	w := walk{b: b[:min(len(b), proxyV2Head)]}
	w.rest("bytes", "")
	p.Fields = w.fields
	if c, _ := d.Sniff(b, Hint{}); c != No || len(b) < 2 {
		return p, 0, ErrShort
	}
	return p, 0, malformed(0, "there is no PROXY header")
}

// line reads version 1.
func (ProxyHeader) line(b []byte, p Packet) (Packet, int, error) {
	p.Version = "1"
	end := bytes.Index(b[:min(len(b), proxyV1Bytes)], []byte("\r\n"))
	w := walk{b: b[:min(len(b), proxyV1Bytes)]}
	if end < 0 {
		w.take("signature", Structure, len(proxyV1))
		w.rest("line", "")
		p.Fields = w.fields
		if len(b) < proxyV1Bytes {
			return p, 0, ErrShort
		}
		return p, 0, &Malformed{Problem{Off: 0, Text: "there is no end of line within 107 bytes", Rule: proxyRule}}
	}
	words := strings.Split(string(b[:end]), " ")
	names := []string{"signature", "protocol", "source address", "destination address", "source port", "destination port"}
	for i, word := range words {
		if i > 0 {
			w.add(Field{Name: "space", Kind: Structure, Len: 1})
		}
		f := Field{Name: "word", Kind: Text, Len: len(word)}
		if i < len(names) {
			f.Name = names[i]
		}
		f.hold(b[w.at : w.at+len(word)])
		if f.Form = Raw; i == 0 {
			f.Kind = Structure
		}
		w.add(f)
	}
	w.add(Field{Name: "line end", Kind: Structure, Len: len("\r\n")})
	p.Fields = w.fields
	for i := range p.Fields {
		if f := &p.Fields[i]; f.Len == 0 {
			f.Kind = Structure
		}
	}
	n := end + len("\r\n")
	if err := proxyWords(words, &p); err != "" {
		return p, n, &Malformed{Problem{Off: len(proxyV1), Len: end - len(proxyV1), Text: err, Rule: proxyRule, Advice: "the receiver must close the connection"}}
	}
	return p, n, nil
}

// proxyWords judges the words of version 1, and makes the summary.
func proxyWords(words []string, p *Packet) string {
	if words[1] == "UNKNOWN" {
		p.Summary = "from an unknown client"
		return ""
	}
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return "want TCP4, TCP6 or UNKNOWN, two addresses and two ports"
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		a, err := netip.ParseAddr(words[2+i])
		if err != nil || a.Zone() != "" || a.Is4() != (words[1] == "TCP4") {
			return fmt.Sprintf("%q is no address of %s", words[2+i], words[1])
		}
		port, err := strconv.ParseUint(words[4+i], 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != words[4+i] {
			return fmt.Sprintf("%q is no port", words[4+i])
		}
		ends[i] = netip.AddrPortFrom(a, uint16(port))
	}
	p.Summary = fmt.Sprintf("%s → %s", ends[0], ends[1])
	return ""
}

// binary reads version 2.
func (ProxyHeader) binary(b []byte, p Packet) (Packet, int, error) {
	p.Version = "2"
	w := walk{b: b}
	w.take("signature", Structure, len(proxyV2))
	w.fields[0].Kind, w.fields[0].Value, w.fields[0].Form = Structure, nil, Opaque
	short := len(b) < proxyV2Head
	n := proxyV2Head
	if !short {
		if n += int(binary.BigEndian.Uint16(b[14:])); len(b) < n {
			short = true
		} else {
			w.b = b[:n]
		}
	}
	problem := w.proxyBody(&p)
	p.Fields = w.fields
	switch {
	case short:
		return p, 0, ErrShort
	case problem != nil:
		problem.Rule, problem.Advice = proxyRule2, "the receiver must close the connection"
		return p, n, &Malformed{*problem}
	}
	if p.Summary == "" {
		p.Summary = "from the proxy itself"
	}
	return p, n, nil
}

// proxyFamilies are the address families and protocols of version 2, and the bytes of
// an address.
var proxyFamilies = map[byte]struct {
	name    string
	address int
}{
	0x00: {"unspecified", 0},
	0x11: {"TCP over IPv4", 4},
	0x12: {"UDP over IPv4", 4},
	0x21: {"TCP over IPv6", 16},
	0x22: {"UDP over IPv6", 16},
	0x31: {"Unix stream", 108},
	0x32: {"Unix datagram", 108},
}

// proxyBody takes what follows the signature.
func (w *walk) proxyBody(p *Packet) *Problem {
	command, ok := w.number("version and command", Structure, 1, "")
	if !ok {
		return nil
	}
	f := &w.fields[len(w.fields)-1]
	what := map[int]string{0x20: "LOCAL", 0x21: "PROXY"}[command]
	f.Kids = []Field{
		{Name: "version", Kind: Number, Off: f.Off, Len: 1, Mask: 0xf0, Value: uint64(command >> 4)},
		{Name: "command", Kind: Structure, Off: f.Off, Len: 1, Mask: 0x0f, Value: uint64(command & 0x0f), Note: what},
	}
	family, ok := w.number("family", Structure, 1, "")
	if !ok {
		return nil
	}
	known, found := proxyFamilies[byte(family)]
	f = &w.fields[len(w.fields)-1]
	f.Note, f.Form = known.name, Unsigned
	size, ok := w.number("length", Length, 2, "bytes follow")
	if !ok {
		return nil
	}
	f = &w.fields[len(w.fields)-1]
	f.Form, f.Of = Unsigned, Span{Off: w.at, Len: size}
	switch {
	case what == "":
		w.rest("rest", "")
		return &Problem{Off: 12, Len: 1, Text: "unknown version or command"}
	case !found:
		w.rest("rest", "")
		return &Problem{Off: 13, Len: 1, Text: "unknown address family or protocol"}
	}
	if known.address > 0 && !w.proxyAddresses(p, known.address, family>>4 == 3) {
		return &Problem{Off: 14, Len: 2, Text: "the length is too short for the addresses"}
	}
	if what == "LOCAL" {
		p.Summary = ""
	}
	return w.proxyTLVs(p, len(w.b), false)
}

// proxyAddresses takes the two addresses and, but for Unix sockets, their ports.
func (w *walk) proxyAddresses(p *Packet, size int, unix bool) bool {
	var ends [2]string
	for i, name := range []string{"source address", "destination address"} {
		if !w.room(name, size) {
			return false
		}
		raw := w.b[w.at : w.at+size]
		if unix {
			path, _, _ := bytes.Cut(raw, []byte{0})
			ends[i] = strconv.Quote(string(path))
			f := Field{Name: name, Kind: Text, Len: size}
			f.hold(path)
			w.add(f)
			continue
		}
		a, _ := netip.AddrFromSlice(raw)
		ends[i] = a.String()
		w.add(Field{Name: name, Kind: Text, Len: size, Value: a.String()})
	}
	for i, name := range []string{"source port", "destination port"} {
		if unix {
			break
		}
		port, ok := w.number(name, Number, 2, "")
		if !ok {
			return false
		}
		w.fields[len(w.fields)-1].Form = Unsigned
		a, _ := netip.ParseAddr(ends[i])
		ends[i] = netip.AddrPortFrom(a, uint16(port)).String()
	}
	p.Summary = ends[0] + " → " + ends[1]
	return true
}

// proxyTypes are the types of TLVs.
var proxyTypes = map[byte]struct {
	name string
	kind Kind
}{
	0x01: {"ALPN", Text},
	0x02: {"authority", Text},
	0x03: {"CRC-32C", Number},
	0x04: {"padding", Bytes},
	0x05: {"unique id", Bytes},
	0x20: {"TLS", Structure},
	0x30: {"network namespace", Text},
}

// proxyTLSTypes are those within that of TLS.
var proxyTLSTypes = map[byte]string{
	0x21: "TLS version", 0x22: "common name", 0x23: "cipher", 0x24: "signature algorithm", 0x25: "key algorithm", 0x26: "group", 0x27: "signature scheme",
}

// proxyTLVs takes TLVs as far as end.
func (w *walk) proxyTLVs(p *Packet, end int, within bool) *Problem {
	for w.at < end {
		off := w.at
		if end-off < 3 || end-off-3 < int(binary.BigEndian.Uint16(w.b[off+1:])) {
			if !w.ended {
				w.ended = true
				w.add(Field{Name: "TLV", Kind: Bytes, Len: end - off, Value: bytes.Clone(w.b[off:end])})
			}
			return &Problem{Off: off, Len: end - off, Text: "a TLV is longer than what is left"}
		}
		typ, size := w.b[off], int(binary.BigEndian.Uint16(w.b[off+1:]))
		what := proxyTypes[typ]
		if name, ok := proxyTLSTypes[typ]; ok && within {
			what.name, what.kind = name, Text
		}
		note := what.name
		if note == "" {
			what.kind = Bytes
			note = fmt.Sprintf("type 0x%02x", typ)
			what.name = note
		}
		whole := w.fields
		w.fields = nil
		w.number("type", Structure, 1, note)
		w.number("length", Length, 2, "bytes")
		w.fields[1].Form, w.fields[1].Of = Unsigned, Span{Off: w.at, Len: size}
		problem := w.proxyValue(p, typ, what.kind, size, within)
		whole = append(whole, Field{Name: what.name, Kind: what.kind, Off: off, Len: w.at - off, Kids: w.fields})
		w.fields = whole
		if problem != nil {
			w.rest("rest", "")
			return problem
		}
	}
	return nil
}

// proxyValue takes the value of a TLV.
func (w *walk) proxyValue(p *Packet, typ byte, kind Kind, size int, within bool) *Problem {
	off := w.at
	switch {
	case typ == 0x20 && !within && size >= 5:
		w.number("client", Flags, 1, proxyClient(w.b[off]))
		w.number("verify", Number, 4, "0: the certificate is good")
		return w.proxyTLVs(p, off+size, true)
	case typ == 0x03 && size == 4:
		sum, _ := w.number("value", Number, 4, "")
		w.fields[len(w.fields)-1].Form = Unsigned
		if got := proxySum(w.b, off); got != uint32(sum) {
			p.Problems = append(p.Problems, Problem{Off: off, Len: 4, Text: fmt.Sprintf("the checksum is wrong: it should be %08x", got), Rule: "PROXY protocol, 2.2.3", Advice: "the receiver must close the connection"})
		}
	case size > 0:
		if kind == Text {
			p.Summary += fmt.Sprintf(", %s", strconv.QuoteToGraphic(string(w.b[off:off+size])))
		}
		w.take("value", kind, size)
		w.fields[len(w.fields)-1].Form = Raw
	}
	return nil
}

// proxyClient names the bits that say what the client has shown.
func proxyClient(bits byte) string {
	var parts []string
	for i, name := range []string{"TLS", "certificate in this connection", "certificate in this session"} {
		if bits&(1<<i) != 0 {
			parts = append(parts, name)
		}
	}
	return strings.Join(parts, ", ")
}

// proxySum is the CRC-32C of a header whose checksum at off counts as 0.
func proxySum(b []byte, off int) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, t, b[:off])
	sum = crc32.Update(sum, t, make([]byte, 4))
	return crc32.Update(sum, t, b[off+4:])
}
