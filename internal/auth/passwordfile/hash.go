package passwordfile

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Bounds on what a file may ask for, so that a line cannot make a login take
// minutes or gigabytes.
const (
	maxIterations = 1_000_000
	maxTime       = 64
	maxMemoryKiB  = 1 << 20
	maxThreads    = 16
	minSaltBytes  = 8
	maxSaltBytes  = 256
	minKeyBytes   = 16
	maxKeyBytes   = 128
)

// What Put writes: the parameters of mosquitto 2.1.
const (
	argonTime      = 1
	argonMemoryKiB = 47104
	argonThreads   = 1
	argonSaltBytes = 16
	argonKeyBytes  = 32
)

// hash is a parsed password hash.
type hash struct {
	scheme scheme
	salt   []byte
	key    []byte

	iterations int // pbkdf2

	time, memory uint32 // argon2id; memory in KiB
	threads      uint8
}

type scheme uint8

const (
	salted   scheme = iota // $6$
	pbkdf                  // $7$
	argon2id               // $argon2id$
)

// matches reports whether password is the one. It takes as long as the
// parameters say, whatever password is.
func (h *hash) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.key) == 1
}

func (h *hash) derive(password []byte) []byte {
	switch h.scheme {
	case salted:
		d := sha512.New()
		d.Write(password)
		d.Write(h.salt)
		return d.Sum(nil)
	case pbkdf:
		key, err := pbkdf2.Key(sha512.New, string(password), h.salt, h.iterations, len(h.key))
		if err != nil {
			return nil // for FIPS mode's own limits; matches nothing
		}
		return key
	default:
		return argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	}
}

// newHash hashes password with a fresh salt.
func newHash(password []byte) *hash {
	h := &hash{scheme: argon2id, time: argonTime, memory: argonMemoryKiB, threads: argonThreads}
	h.salt = make([]byte, argonSaltBytes)
	rand.Read(h.salt) // never fails
	h.key = make([]byte, argonKeyBytes)
	h.key = h.derive(password)
	return h
}

// String is the encoded form as in the file.
func (h *hash) String() string {
	std, raw := base64.StdEncoding, base64.RawStdEncoding
	switch h.scheme {
	case salted:
		return "$6$" + std.EncodeToString(h.salt) + "$" + std.EncodeToString(h.key)
	case pbkdf:
		return fmt.Sprintf("$7$%d$%s$%s", h.iterations, std.EncodeToString(h.salt), std.EncodeToString(h.key))
	default:
		return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
			h.memory, h.time, h.threads, raw.EncodeToString(h.salt), raw.EncodeToString(h.key))
	}
}

// parseHash reads the encoded form. Errors never quote it.
func parseHash(s string) (*hash, error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, errors.New("the password is not hashed")
	}
	parts := strings.Split(rest, "$")
	h, std := new(hash), base64.StdEncoding.Strict()
	var salt, key string
	switch {
	case parts[0] == "6" && len(parts) == 3:
		h.scheme, salt, key = salted, parts[1], parts[2]
	case parts[0] == "7" && len(parts) == 4:
		h.scheme, salt, key = pbkdf, parts[2], parts[3]
		n, err := number(parts[1], 1, maxIterations)
		if err != nil {
			return nil, fmt.Errorf("iterations: %w", err)
		}
		h.iterations = int(n)
	case parts[0] == "argon2id" && len(parts) == 5:
		h.scheme, salt, key = argon2id, parts[3], parts[4]
		std = base64.RawStdEncoding.Strict()
		if err := h.parseArgon(parts[1], parts[2]); err != nil {
			return nil, err
		}
	case parts[0] == "6" || parts[0] == "7" || parts[0] == "argon2id":
		return nil, fmt.Errorf("a $%s$ hash with %d parts", parts[0], len(parts))
	default:
		return nil, errors.New("the hash is neither $6$ nor $7$ nor $argon2id$")
	}
	var err error
	if h.salt, err = decode(std, salt, minSaltBytes, maxSaltBytes); err != nil {
		return nil, fmt.Errorf("salt: %w", err)
	}
	low, high := sha512.Size, sha512.Size
	if h.scheme == argon2id {
		low, high = minKeyBytes, maxKeyBytes
	}
	if h.key, err = decode(std, key, low, high); err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	return h, nil
}

func (h *hash) parseArgon(version, params string) error {
	if version != "v="+strconv.Itoa(argon2.Version) {
		return fmt.Errorf("argon2id: version is not %d", argon2.Version)
	}
	p := strings.Split(params, ",")
	if len(p) != 3 {
		return errors.New("argon2id: parameters are not m, t and p")
	}
	var n [3]uint64
	for i, k := range []struct {
		name      string
		low, high uint64
	}{{"m=", 8, maxMemoryKiB}, {"t=", 1, maxTime}, {"p=", 1, maxThreads}} {
		value, ok := strings.CutPrefix(p[i], k.name)
		if !ok {
			return errors.New("argon2id: parameters are not m, t and p")
		}
		var err error
		if n[i], err = number(value, k.low, k.high); err != nil {
			return fmt.Errorf("argon2id: %s%w", k.name, err)
		}
	}
	if n[0] < 8*n[2] { // RFC 9106 §3.1
		return errors.New("argon2id: m is less than 8 times p")
	}
	h.memory, h.time, h.threads = uint32(n[0]), uint32(n[1]), uint8(n[2])
	return nil
}

// number reads decimal digits without sign or leading zero.
func number(s string, low, high uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < low || n > high || s[0] == '0' {
		return 0, fmt.Errorf("not a number from %d to %d", low, high)
	}
	return n, nil
}

func decode(enc *base64.Encoding, s string, low, high int) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder would pass over
		return nil, errors.New("not base64")
	}
	b, err := enc.DecodeString(s)
	switch {
	case err != nil:
		return nil, errors.New("not base64")
	case len(b) < low || len(b) > high:
		return nil, fmt.Errorf("%d bytes, want %d to %d", len(b), low, high)
	}
	return b, nil
}
