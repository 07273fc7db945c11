package transport

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a file of pre-shared keys. RFC 4279 §5.3 wants identities of 128
// bytes and keys of 64 to be possible.
const (
	maxPSKFileBytes     = 64 << 20
	maxPSKIdentityBytes = 256
	maxPSKBytes         = 64
	maxPSKProblems      = 20 // a file of another kind is wrong in every line
)

// pskTable is what a file of pre-shared keys says; immutable.
type pskTable struct {
	keys  map[string][]byte
	decoy [32]byte // makes the keys for identities that are not there
}

// key returns the key for an identity. One that is not in the file has a key
// that nobody knows, so that a client with that and a client with a wrong key
// fail alike: RFC 4279 §2.
func (t *pskTable) key(identity []byte) (key []byte, known bool) {
	mac := hmac.New(sha256.New, t.decoy[:])
	mac.Write(identity)
	decoy := mac.Sum(nil)[:16]
	if key, known = t.keys[string(identity)]; known {
		return key, true
	}
	return decoy, false
}

// loadPSK reads a file of lines "identity:key", the key in hexadecimal digits,
// as mosquitto has it. Blank lines and those that begin with "#" are skipped. Errors
// name lines and never a key.
func loadPSK(name string) (*pskTable, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPSKFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxPSKFileBytes {
		return nil, fmt.Errorf("%q is longer than %d bytes", name, maxPSKFileBytes)
	}
	t, err := parsePSK(b)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	rand.Read(t.decoy[:]) // never fails
	return t, nil
}

func parsePSK(b []byte) (*pskTable, error) {
	t := &pskTable{keys: map[string][]byte{}}
	var errs []error
	for i, line := range strings.Split(strings.TrimPrefix(string(b), "\ufeff"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		identity, key, err := parsePSKLine(line)
		if _, twice := t.keys[identity]; err == nil && twice {
			err = fmt.Errorf("identity %q stands twice", identity)
		}
		if err != nil {
			if errs = append(errs, fmt.Errorf("line %d: %w", i+1, err)); len(errs) == maxPSKProblems {
				break
			}
			continue
		}
		t.keys[identity] = key
	}
	if errs == nil && len(t.keys) == 0 {
		errs = append(errs, errors.New("no line has an identity and a key; one looks like device-1:0123456789abcdef0123456789abcdef"))
	}
	return t, errors.Join(errs...)
}

func parsePSKLine(line string) (identity string, key []byte, err error) {
	identity, digits, found := strings.Cut(line, ":")
	if !found {
		return "", nil, errors.New("no colon after the identity")
	}
	if err := validatePSKIdentity(identity); err != nil {
		return "", nil, err
	}
	if key, err = parsePSKey(digits); err != nil {
		return "", nil, err // without the identity: whoever confuses the two has the key there
	}
	return identity, key, nil
}

// validatePSKIdentity accepts what can be a user name: whoever proves the
// identity is that user.
func validatePSKIdentity(identity string) error {
	switch {
	case identity == "":
		return errors.New("the identity is empty")
	case len(identity) > maxPSKIdentityBytes:
		return fmt.Errorf("the identity is longer than %d bytes", maxPSKIdentityBytes)
	case !utf8.ValidString(identity):
		return fmt.Errorf("identity %q: not UTF-8", identity)
	case strings.ContainsFunc(identity, unicode.IsControl):
		return fmt.Errorf("identity %q: a control character in it", identity)
	}
	return nil
}

// parsePSKey does not quote what it cannot read.
func parsePSKey(digits string) ([]byte, error) {
	switch {
	case digits == "":
		return nil, errors.New("the key is empty")
	case len(digits) > 2*maxPSKBytes:
		return nil, fmt.Errorf("the key is longer than %d bytes", maxPSKBytes)
	case len(digits)%2 != 0:
		return nil, errors.New("the key has an odd number of hexadecimal digits")
	}
	key, err := hex.DecodeString(digits)
	if err != nil {
		return nil, errors.New("the key is not in hexadecimal digits")
	}
	return key, nil
}

// pskProof is how far a server is with the client's identity. The library's
// goroutines take turns with it.
type pskProof struct {
	table    *pskTable // nil: there are no pre-shared keys
	identity string    // that the client claims
	claimed  bool
	known    bool
	proved   bool // the client's Finished is right
}

// claim is called by the library for the key of an identity.
func (p *pskProof) claim(identity []byte) ([]byte, error) {
	key, known := p.table.key(identity)
	p.identity, p.claimed, p.known = string(identity), true, known
	return bytes.Clone(key), nil
}

// failure says in words for the log what the client is not told.
func (p *pskProof) failure() error {
	if p.known {
		return fmt.Errorf("the client does not have the key of %s", quoteName(p.identity))
	}
	return fmt.Errorf("there is no key for the identity %s", quoteName(p.identity))
}

// preShared is the client's key, nil when there is none.
func (t *ClientTLS) preShared() ([]byte, error) {
	switch {
	case t.PSK == "" && t.PSKIdentity == "":
		return nil, nil
	case t.PSKIdentity == "":
		return nil, errors.New("a pre-shared key without an identity")
	case t.PSK == "":
		return nil, errors.New("a pre-shared key is missing for the identity")
	case len(t.PSKIdentity) > maxPSKIdentityBytes:
		return nil, fmt.Errorf("the identity is longer than %d bytes", maxPSKIdentityBytes)
	}
	return parsePSKey(t.PSK)
}

// errKeysDiffer is what a client finds when its key is not the server's.
var errKeysDiffer = errors.New("the keys differ")

// explainPSK puts into words how a handshake with a pre-shared key failed;
// answered says that the server took part in it. A server that does not like the
// key says so or falls silent.
func explainPSK(target, identity string, answered bool, err error) error {
	e := explainServer(target, "", err).(*Error) //nolint:errorlint // it is one
	switch alert := alertText(err); {
	case alert == "error decrypting message", alert == "unknown PSK identity", alert == "bad record MAC", alert == "access denied", e.Timeout && answered:
		e.Err = fmt.Errorf("%w: %w", errKeysDiffer, err)
		e.Problem = fmt.Sprintf("the server does not know the identity %s, or its key is another one", quoteName(identity))
		e.Hint = "compare both with the server's file of keys"
	case alert == "handshake failure", alert == "insufficient security level":
		e.Problem = "the server finds no cipher suite with pre-shared keys to agree on"
		e.Hint = "does it have a file of keys?"
	}
	return e
}
