package capture

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Labels of NSS key logs: RFC 9850.
const (
	labelMaster          = "CLIENT_RANDOM"
	labelEarly           = "CLIENT_EARLY_TRAFFIC_SECRET"
	labelClientHandshake = "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
	labelServerHandshake = "SERVER_HANDSHAKE_TRAFFIC_SECRET"
	labelClientTraffic   = "CLIENT_TRAFFIC_SECRET_0"
	labelServerTraffic   = "SERVER_TRAFFIC_SECRET_0"
)

// labels are those that are used; a key log may have others.
var labels = []string{
	labelMaster, labelEarly, labelClientHandshake, labelServerHandshake, labelClientTraffic, labelServerTraffic,
}

// maxSecret is the longest secret: a hash of SHA-512, to be generous.
const maxSecret = 64

// KeyLog is a set of TLS secrets, in the form that browsers, and programs that heed
// SSLKEYLOGFILE, write. The zero value is empty. Secrets may be added while others are
// looked up.
type KeyLog struct {
	mu      sync.Mutex // secrets
	secrets map[secretKey][]byte
	held    int // bytes that all connections keep until their secrets are here
}

type secretKey struct {
	label  string
	random [32]byte // of the client
}

// ReadKeyLog reads a key log. Lines of which it does not know the label are left out, as
// are comments; the error names the first line that is damaged.
func ReadKeyLog(r io.Reader) (*KeyLog, error) {
	k := new(KeyLog)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if err := k.line(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("key log: line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("key log: %w", err)
	}
	return k, nil
}

// Add adds the secrets of a text, and leaves out what is damaged.
func (k *KeyLog) Add(text []byte) {
	for line := range bytes.Lines(text) {
		_ = k.line(line) // a line that is being written is not whole
	}
}

// Len is how many secrets there are.
func (k *KeyLog) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.secrets)
}

func (k *KeyLog) line(line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	label, rest, _ := bytes.Cut(line, []byte{' '})
	known := ""
	for _, l := range labels {
		if l == string(label) {
			known = l
		}
	}
	if known == "" {
		if len(rest) == 0 {
			return errors.New("not of the form LABEL CLIENT-RANDOM SECRET")
		}
		return nil
	}
	random, secret, _ := bytes.Cut(rest, []byte{' '})
	key := secretKey{label: known}
	if n, err := hex.Decode(key.random[:min(32, len(random)/2)], random[:min(64, len(random))]); err != nil || n != 32 || len(random) != 64 {
		return fmt.Errorf("%s: the client random has not 64 hexadecimal digits", known)
	}
	b, err := hex.DecodeString(string(secret[:min(2*maxSecret, len(secret))]))
	if err != nil || len(b) < 32 || len(secret) > 2*maxSecret {
		return fmt.Errorf("%s: the secret has not 64 to %d hexadecimal digits", known, 2*maxSecret)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.secrets == nil {
		k.secrets = make(map[secretKey][]byte)
	}
	k.secrets[key] = b
	return nil
}

// secret returns a secret, nil if it is not there.
func (k *KeyLog) secret(label string, random [32]byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.secrets[secretKey{label, random}]
}
