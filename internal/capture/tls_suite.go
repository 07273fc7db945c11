package capture

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // of cipher suites that are in use
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// opener decrypts a record, with its header, and appends the plain bytes to dst. It
// counts the records.
type opener func(dst, record []byte) ([]byte, error)

// tlsSuite is how a cipher suite protects records.
type tlsSuite struct {
	cipher tlsCipher
	key    int // bytes
	sha384 bool
	mac    func() hash.Hash // of CBC
}

type tlsCipher uint8

const (
	cipherGCM tlsCipher = iota
	cipherChaCha
	cipherCBC
)

// suiteOf returns the cipher suite of a number in the registry of IANA.
func suiteOf(id uint16) (tlsSuite, bool) {
	switch id {
	case 0x1301, 0x009c, 0x009e, 0xc02b, 0xc02f, 0x00a8, 0x00aa, 0x00ac, 0xd001:
		return tlsSuite{cipher: cipherGCM, key: 16}, true
	case 0x1302, 0x009d, 0x009f, 0xc02c, 0xc030, 0x00a9, 0x00ab, 0x00ad, 0xd002:
		return tlsSuite{cipher: cipherGCM, key: 32, sha384: true}, true
	case 0x1303, 0xcca8, 0xcca9, 0xccaa, 0xccab, 0xccac, 0xccad, 0xccae:
		return tlsSuite{cipher: cipherChaCha, key: 32}, true
	case 0x002f, 0x0033, 0xc009, 0xc013, 0x008c, 0xc035:
		return tlsSuite{cipher: cipherCBC, key: 16, mac: sha1.New}, true
	case 0x0035, 0x0039, 0xc00a, 0xc014, 0x008d, 0xc036:
		return tlsSuite{cipher: cipherCBC, key: 32, mac: sha1.New}, true
	case 0x003c, 0x0067, 0xc023, 0xc027, 0x00ae, 0xc037:
		return tlsSuite{cipher: cipherCBC, key: 16, mac: sha256.New}, true
	case 0x003d, 0x006b:
		return tlsSuite{cipher: cipherCBC, key: 32, mac: sha256.New}, true
	case 0xc024, 0xc028, 0x00af, 0xc038:
		return tlsSuite{cipher: cipherCBC, key: 32, mac: sha512.New384, sha384: true}, true
	}
	return tlsSuite{}, false
}

// hash is that of the key schedule.
func (s tlsSuite) hash() func() hash.Hash {
	if s.sha384 {
		return sha512.New384
	}
	return sha256.New
}

func (s tlsSuite) hashSize() int { return s.hash()().Size() }

// expand is HKDF-Expand-Label without a context: RFC 8446 §7.1.
func (s tlsSuite) expand(secret []byte, label string, n int) ([]byte, error) {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	return hkdf.Expand(s.hash(), secret, string(append(info, 0)), n)
}

// prf is the function of RFC 5246 §5.
func (s tlsSuite) prf(secret []byte, label string, seed []byte, n int) []byte {
	seed = append([]byte(label), seed...)
	mac := hmac.New(s.hash(), secret)
	sum := func(parts ...[]byte) []byte {
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// aead makes the cipher of a key.
func (s tlsSuite) aead(key []byte) (cipher.AEAD, error) {
	if s.cipher == cipherChaCha {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// open13 makes the keys of a secret of TLS 1.3.
func (s tlsSuite) open13(secret []byte) (opener, error) {
	key, err := s.expand(secret, "key", s.key)
	if err != nil {
		return nil, err
	}
	iv, err := s.expand(secret, "iv", 12)
	if err != nil {
		return nil, err
	}
	aead, err := s.aead(key)
	if err != nil {
		return nil, err
	}
	var seq uint64
	nonce := make([]byte, 12)
	return func(dst, record []byte) ([]byte, error) {
		numbered(nonce, iv, seq)
		plain, err := aead.Open(dst, nonce, record[5:], record[:5])
		if err == nil {
			seq++
		}
		return plain, err
	}, nil
}

// open12 makes the keys of one side from the master secret of TLS 1.2.
func (s tlsSuite) open12(master []byte, h *tlsHello, side int) (opener, error) {
	mac, iv := 0, 4
	switch s.cipher {
	case cipherChaCha:
		iv = 12
	case cipherCBC:
		mac, iv = s.mac().Size(), 0 // the IV is in each record
	}
	seed := append(append([]byte(nil), h.server[:]...), h.client[:]...)
	keys := s.prf(master, "key expansion", seed, 2*(mac+s.key+iv))
	macKey, keys := keys[side*mac:][:mac], keys[2*mac:]
	key, ivs := keys[side*s.key:][:s.key], keys[2*s.key:]
	if s.cipher == cipherCBC {
		return s.openCBC(key, macKey, h.encryptThenMAC)
	}
	aead, err := s.aead(key)
	if err != nil {
		return nil, err
	}
	return openAEAD12(aead, ivs[side*iv:][:iv]), nil
}

var errRecord = errors.New("a damaged record")

// openAEAD12 is GCM (RFC 5288), whose nonce is partly in the record, and ChaCha20-Poly1305
// (RFC 7905), where it is not.
func openAEAD12(aead cipher.AEAD, iv []byte) opener {
	var seq uint64
	nonce := make([]byte, 12)
	return func(dst, record []byte) ([]byte, error) {
		body := record[5:]
		if len(iv) == 4 {
			if len(body) < 8 {
				return nil, errRecord
			}
			copy(nonce, iv)
			copy(nonce[4:], body[:8])
			body = body[8:]
		} else {
			numbered(nonce, iv, seq)
		}
		if len(body) < aead.Overhead() {
			return nil, errRecord
		}
		plain, err := aead.Open(dst, nonce, body, header12(seq, record, len(body)-aead.Overhead()))
		seq++
		return plain, err
	}
}

// header12 is what a MAC covers beside the data: RFC 5246 §6.2.3.1.
func header12(seq uint64, record []byte, n int) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 13), seq)
	b = append(b, record[:3]...)
	return binary.BigEndian.AppendUint16(b, uint16(n))
}

// numbered makes the nonce of a record: its number, over the IV.
func numbered(nonce, iv []byte, seq uint64) {
	copy(nonce, iv)
	for i := range 8 {
		nonce[4+i] ^= byte(seq >> (56 - 8*i))
	}
}

// openCBC is RFC 5246 §6.2.3.2 or, with the MAC outside, RFC 7366.
func (s tlsSuite) openCBC(key, macKey []byte, outside bool) (opener, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(s.mac, macKey)
	var seq uint64
	return func(dst, record []byte) ([]byte, error) {
		body := record[5:]
		check := func(data, want []byte) bool {
			mac.Reset()
			mac.Write(header12(seq, record, len(data)))
			mac.Write(data)
			return hmac.Equal(mac.Sum(nil), want)
		}
		if outside {
			n := len(body) - mac.Size()
			if n < 0 || !check(body[:n], body[n:]) {
				return nil, errRecord
			}
			body = body[:n]
		}
		if len(body) < 2*aes.BlockSize || len(body)%aes.BlockSize != 0 {
			return nil, errRecord
		}
		plain := append(dst, body[aes.BlockSize:]...)
		cipher.NewCBCDecrypter(block, body[:aes.BlockSize]).CryptBlocks(plain, plain)
		padding := int(plain[len(plain)-1]) + 1
		if !outside {
			padding += mac.Size()
		}
		if padding > len(plain) {
			return nil, errRecord
		}
		data := plain[:len(plain)-padding]
		if !outside && !check(data, plain[len(data):][:mac.Size()]) {
			return nil, errRecord
		}
		seq++
		return data, nil
	}, nil
}
