package pairing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/auth"
)

// maxNameBytes bounds client identifiers and user names: requests stay in
// memory.
const maxNameBytes = 256

// Proof is what an approval is bound to beside the names.
type Proof uint8

// Values of Proof.
const (
	Key    Proof = iota + 1 // of a TLS certificate, which the handshake has proved
	Secret                  // a password or token
	Bare                    // nothing
)

var proofs = [...]string{Key: "key", Secret: "secret", Bare: "id"}

// String is the proof in lower case.
func (p Proof) String() string {
	if p == 0 || int(p) >= len(proofs) {
		return fmt.Sprintf("proof %d", uint8(p))
	}
	return proofs[p]
}

// MarshalText implements encoding.TextMarshaler.
func (p Proof) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Proof) UnmarshalText(b []byte) error {
	for i, word := range proofs {
		if word != "" && word == string(b) {
			*p = Proof(i)
			return nil
		}
	}
	return fmt.Errorf("%q is none of key, secret, id", b)
}

// candidate is who may be approved: what a client has presented.
type candidate struct {
	device
	proof       Proof
	fingerprint string // of the key: SHA-256 of its SubjectPublicKeyInfo
	hasUsername bool
	username    string
	secret      []byte // valid as long as the credentials
}

// device is what at most one approval is for.
type device struct{ listener, client string }

// candidateOf reads credentials. why is what keeps them from being bound to,
// "" for nothing.
func (a *Authenticator) candidateOf(c auth.Credentials) (k candidate, why string) {
	k = candidate{
		device: device{c.Listener, c.ClientID}, hasUsername: c.HasUsername, username: c.Username, secret: c.Password,
	}
	switch {
	case c.ClientID == "":
		return k, "it has no client identifier"
	case len(c.ClientID) > maxNameBytes || len(c.Username) > maxNameBytes:
		return k, fmt.Sprintf("its client identifier or user name is longer than %d bytes", maxNameBytes)
	case !utf8.ValidString(c.ClientID) || !utf8.ValidString(c.Username):
		return k, "its client identifier or user name is no text"
	case c.TLS != nil && len(c.TLS.PeerCertificates) > 0:
		sum := sha256.Sum256(c.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo)
		k.proof, k.fingerprint = Key, hex.EncodeToString(sum[:])
	case c.HasPassword && len(c.Password) > 0:
		k.proof = Secret
	case a.cfg.trusts(addrOf(c.Remote)):
		k.proof = Bare
	default:
		return k, "it presents nothing that an approval could be bound to"
	}
	return k, ""
}

// digest identifies what has been presented. The parts have their lengths
// before them, so that no two candidates look the same.
func (k *candidate) digest(key []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	part := func(b []byte) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	part([]byte(k.listener))
	part([]byte(k.client))
	part([]byte{byte(k.proof)})
	if k.proof == Key {
		part([]byte(k.fingerprint)) // the user name proves nothing beside it
	} else {
		if k.hasUsername {
			part([]byte(k.username))
		}
		if k.proof == Secret {
			part(k.secret)
		}
	}
	h.Sum(sum[:0])
	return sum
}

// addrOf is the address of a peer, the zero Addr for a Unix socket.
func addrOf(remote net.Addr) netip.Addr {
	switch r := remote.(type) {
	case *net.TCPAddr:
		return r.AddrPort().Addr().Unmap()
	case *net.UDPAddr:
		return r.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// sourceOf is what counts as one address.
func sourceOf(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // the zero Prefix without an address
	return p
}
