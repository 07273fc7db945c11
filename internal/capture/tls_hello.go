package capture

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
)

// Extensions of hellos.
const (
	extServerName        = 0
	extALPN              = 16
	extEncryptThenMAC    = 22 // RFC 7366
	extEarlyData         = 42
	extSupportedVersions = 43
)

// retryRandom marks a server's hello that asks for another hello: RFC 8446 §4.1.3.
var retryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

var errHello = errors.New("a damaged hello of TLS")

// prefixed cuts what a length of n bytes in front of b tells of.
func prefixed(b []byte, n int) (value, rest []byte, ok bool) {
	if len(b) < n {
		return nil, nil, false
	}
	size := 0
	for _, c := range b[:n] {
		size = size<<8 | int(c)
	}
	if b = b[n:]; len(b) < size {
		return nil, nil, false
	}
	return b[:size], b[size:], true
}

// fromClient reads a ClientHello.
func (h *tlsHello) fromClient(b []byte) error {
	if len(b) < 34 {
		return errHello
	}
	random := [32]byte(b[2:34])
	*h = tlsHello{client: random, started: true, retried: h.retried && random == h.client}
	_, rest, ok := prefixed(b[34:], 1) // session
	if ok {
		_, rest, ok = prefixed(rest, 2) // cipher suites
	}
	if ok {
		_, rest, ok = prefixed(rest, 1) // compression
	}
	if !ok {
		return errHello
	}
	if len(rest) >= 2 {
		h.extensions(rest[2:], true)
	}
	return nil
}

// fromServer reads a ServerHello.
func (h *tlsHello) fromServer(b []byte) error {
	if len(b) < 38 {
		return errHello
	}
	if bytes.Equal(b[2:34], retryRandom[:]) {
		h.retried = true
		return nil
	}
	if !h.started {
		return errors.New("the beginning of the TLS connection was not captured")
	}
	h.version, h.server = binary.BigEndian.Uint16(b), [32]byte(b[2:34])
	_, rest, ok := prefixed(b[34:], 1)
	if !ok || len(rest) < 3 {
		return errHello
	}
	h.id = binary.BigEndian.Uint16(rest)
	h.encryptThenMAC = false
	if len(rest) >= 5 {
		h.extensions(rest[5:], false)
	}
	if h.version != tls.VersionTLS12 && h.version != tls.VersionTLS13 {
		return fmt.Errorf("%s is not decrypted, only TLS 1.2 and 1.3 are", tls.VersionName(h.version))
	}
	if h.suite, ok = suiteOf(h.id); !ok {
		return fmt.Errorf("the cipher suite %s is not decrypted", tls.CipherSuiteName(h.id))
	}
	h.agreed = true
	return nil
}

// extensions reads those of a hello that matter.
func (h *tlsHello) extensions(b []byte, client bool) {
	for len(b) >= 4 {
		kind := binary.BigEndian.Uint16(b)
		value, rest, ok := prefixed(b[2:], 2)
		if !ok {
			return
		}
		b = rest
		switch {
		case kind == extServerName && client && len(value) > 5:
			if name, _, ok := prefixed(value[3:], 2); ok {
				h.serverName = string(name)
			}
		case kind == extALPN && !client && len(value) > 3:
			if name, _, ok := prefixed(value[2:], 1); ok {
				h.alpn = fmt.Sprintf("%q", name)
				h.alpn = h.alpn[1 : len(h.alpn)-1]
			}
		case kind == extEncryptThenMAC && !client:
			h.encryptThenMAC = true
		case kind == extEarlyData && client:
			h.early = true
		case kind == extSupportedVersions && !client && len(value) == 2:
			h.version = binary.BigEndian.Uint16(value)
		}
	}
}
