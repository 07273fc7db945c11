package capture

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/dissect"
)

// ErrNoSecret says that a key log has no secret for a connection.
var ErrNoSecret = errors.New("no secret in the key log")

const (
	// maxRecord is the most that a record has: RFC 5246 §6.2.3.
	maxRecord = 1<<14 + 2048
	// maxUndecrypted is what a connection keeps until a secret is there, and all
	// connections of a key log.
	maxUndecrypted    = 4 << 20
	maxAllUndecrypted = 64 << 20
	// maxHello bounds the messages of the handshake that are looked into.
	maxHello = 64 << 10
)

// Types of records, and of messages of the handshake.
const (
	recordCipherSpec = 20
	recordAlert      = 21
	recordHandshake  = 22
	recordData       = 23

	messageClientHello         = 1
	messageServerHello         = 2
	messageEndOfEarlyData      = 5
	messageEncryptedExtensions = 8
	messageFinished            = 20
	messageKeyUpdate           = 24
)

// TLS decrypts one connection of TLS 1.2 or 1.3: RFC 5246, RFC 8446. It belongs to one
// goroutine.
type TLS struct {
	keys  *KeyLog
	side  [2]tlsSide
	hello tlsHello
	err   error
	plain []byte // buffer
	held  int    // of keys.held
}

// tlsHello is what both have agreed on.
type tlsHello struct {
	client, server   [32]byte // randoms
	started, agreed  bool     // the client's was seen, the server's was
	retried          bool     // the server has asked for another hello: this is TLS 1.3
	version          uint16
	id               uint16 // of the cipher suite
	suite            tlsSuite
	early            bool // the client may send data at once
	encryptThenMAC   bool
	serverName, alpn string
}

// tlsSide is one direction.
type tlsSide struct {
	waiting   []byte // what was not decrypted
	message   []byte // of the handshake, as far as it came
	skip      int    // bytes of a message that is not looked into
	protected bool   // by keys
	epoch     tlsEpoch
	open      opener
	secret    []byte // TLS 1.3: of the keys
	stuck     bool   // for want of a secret
}

// tlsEpoch says which keys a side uses.
type tlsEpoch uint8

const (
	epochNone tlsEpoch = iota
	epochEarly
	epochHandshake
	epochData
)

// NewTLS decrypts with secrets of keys, which may get more of them meanwhile.
func NewTLS(keys *KeyLog) *TLS {
	if keys == nil {
		keys = new(KeyLog)
	}
	return &TLS{keys: keys}
}

// Feed takes what one side has sent next; gap says that bytes are missing before b. emit
// is given the plain data, also of the other side, whose data may have waited for it;
// plain is valid until emit returns. The error says why nothing more can be decrypted; an
// error of emit is returned as it is.
func (t *TLS) Feed(dir dissect.Direction, b []byte, gap bool, emit func(dir dissect.Direction, plain []byte) error) error {
	if t.err != nil {
		return t.err
	}
	s := &t.side[sideOf(dir)]
	if gap {
		t.err = errors.New("a part of the TLS stream is missing: what follows cannot be decrypted")
		return t.err
	}
	s.waiting = append(s.waiting, b...)
	t.err = t.advance(emit)
	t.hold(len(t.side[0].waiting) + len(t.side[1].waiting))
	if t.err == nil && (t.held > maxUndecrypted || t.keys.held > maxAllUndecrypted) {
		t.err = t.noSecret()
	}
	if t.err != nil {
		t.drop()
	}
	return t.err
}

// hold notes that n bytes wait.
func (t *TLS) hold(n int) {
	t.keys.held += n - t.held
	t.held = n
}

// drop forgets what waits.
func (t *TLS) drop() {
	t.side[0].waiting, t.side[1].waiting = nil, nil
	t.hold(0)
}

// Close ends the stream: what was waiting is decrypted if its secret has come. Otherwise
// the error wraps ErrNoSecret. It does not repeat an error of Feed.
func (t *TLS) Close(emit func(dir dissect.Direction, plain []byte) error) error {
	if t.failed() {
		return nil
	}
	if t.err = t.advance(emit); t.Waiting() {
		t.err = t.noSecret()
	}
	t.drop()
	return t.err
}

func (t *TLS) failed() bool { return t.err != nil }

// Waiting says that data is there whose secret is not.
func (t *TLS) Waiting() bool { return t.err == nil && (t.side[0].stuck || t.side[1].stuck) }

func (t *TLS) noSecret() error {
	if !t.hello.agreed {
		return errors.New("the hello of the TLS server was not captured")
	}
	return fmt.Errorf("%w for the client random %x", ErrNoSecret, t.hello.client)
}

// Describe says what the connection is: "TLS 1.3, TLS_AES_128_GCM_SHA256, server name
// broker.example, ALPN mqtt", as far as it is known.
func (t *TLS) Describe() string {
	h := &t.hello
	parts := []string{"TLS"}
	if h.agreed {
		parts = []string{tls.VersionName(h.version), tls.CipherSuiteName(h.id)}
	}
	if h.serverName != "" {
		parts = append(parts, fmt.Sprintf("server name %q", h.serverName))
	}
	if h.alpn != "" {
		parts = append(parts, "ALPN "+h.alpn)
	}
	return strings.Join(parts, ", ")
}

// advance takes records until both sides wait for more.
func (t *TLS) advance(emit func(dissect.Direction, []byte) error) error {
	for progress := true; progress; {
		progress = false
		for i, dir := range []dissect.Direction{dissect.FromClient, dissect.FromServer} {
			n, err := t.records(i, func(plain []byte) error { return emit(dir, plain) })
			if err != nil {
				return err
			}
			progress = progress || n > 0
		}
	}
	return nil
}

// records takes what it can of one side, and returns how many records that was.
func (t *TLS) records(side int, emit func([]byte) error) (n int, err error) {
	s := &t.side[side]
	at := 0
	defer func() {
		if at > 0 {
			s.waiting = s.waiting[:copy(s.waiting, s.waiting[at:])]
		}
	}()
	for {
		b := s.waiting[at:]
		if len(b) < 5 {
			return n, nil
		}
		size := int(binary.BigEndian.Uint16(b[3:]))
		if b[0] < recordCipherSpec || b[0] > 24 || b[1] != 3 || size > maxRecord {
			return n, fmt.Errorf("no record of TLS: % x", b[:5])
		}
		if len(b) < 5+size {
			return n, nil
		}
		taken, err := t.record(side, b[:5+size], emit)
		if err != nil || !taken {
			return n, err
		}
		at += 5 + size
		n++
	}
}

// record takes a record. It returns false for one that has to wait.
func (t *TLS) record(side int, b []byte, emit func([]byte) error) (taken bool, err error) {
	s := &t.side[side]
	kind, body := b[0], b[5:]
	if t.hello.agreed && t.hello.version == tls.VersionTLS13 || side == 0 && s.epoch == epochNone && t.hello.early && kind == recordData {
		if kind != recordData {
			return true, t.clear13(side, kind, body)
		}
		return t.protected13(side, b, emit)
	}
	if s.protected {
		if kind, body, taken, err = t.open12(side, b); err != nil || !taken {
			return taken, err
		}
	}
	switch kind {
	case recordCipherSpec:
		if t.hello.retried && !t.hello.agreed {
			return true, nil // for the looks of it
		}
		if !t.hello.agreed {
			return false, nil // the server's hello comes in the other direction
		}
		s.protected, s.open = true, nil
	case recordHandshake:
		return true, t.handshake(side, body)
	case recordData:
		if !s.protected {
			if side == 0 && t.hello.started && !t.hello.agreed {
				return false, nil
			}
			return true, errors.New("the beginning of the TLS connection was not captured")
		}
		if len(body) > 0 {
			return true, emit(body)
		}
	}
	return true, nil
}

// clear13 takes a record of TLS 1.3 that is not encrypted.
func (t *TLS) clear13(side int, kind byte, body []byte) error {
	if kind == recordHandshake {
		return t.handshake(side, body)
	}
	return nil // for the looks of it: RFC 8446 §5
}

// protected13 decrypts a record of TLS 1.3.
func (t *TLS) protected13(side int, b []byte, emit func([]byte) error) (taken bool, err error) {
	s := &t.side[side]
	if s.epoch == epochNone {
		s.epoch = epochHandshake
		if side == 0 && t.hello.early {
			s.epoch = epochEarly
		}
	}
	plain, err := t.open13(side, b)
	if err != nil && s.epoch == epochEarly && t.hello.agreed {
		// The server has refused the early data, or its secret was not logged.
		s.epoch, s.open = epochHandshake, nil
		if plain, err = t.open13(side, b); err != nil && s.open != nil {
			s.epoch, s.open = epochEarly, nil
			return true, nil // data that nobody has taken
		}
	}
	if s.stuck = errors.Is(err, errWait); s.stuck {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	end := len(plain)
	for end > 0 && plain[end-1] == 0 {
		end--
	}
	if end == 0 {
		return false, errors.New("a TLS record without a type")
	}
	switch body := plain[:end-1]; plain[end-1] {
	case recordHandshake:
		return true, t.handshake(side, body)
	case recordData:
		if len(body) > 0 {
			return true, emit(body)
		}
	}
	return true, nil
}

// errWait says that a secret, or the other side's hello, is not there.
var errWait = errors.New("not yet")

// open13 decrypts a record with the keys of the side's epoch.
func (t *TLS) open13(side int, b []byte) ([]byte, error) {
	s, h := &t.side[side], &t.hello
	if !h.agreed {
		return nil, errWait
	}
	if s.open == nil {
		label := [4][2]string{
			epochEarly:     {labelEarly, labelEarly},
			epochHandshake: {labelClientHandshake, labelServerHandshake},
			epochData:      {labelClientTraffic, labelServerTraffic},
		}[s.epoch][side]
		secret := t.keys.secret(label, h.client)
		if secret == nil && s.epoch == epochEarly {
			return nil, ErrNoSecret
		}
		if secret == nil {
			return nil, errWait
		}
		if err := t.use(s, secret); err != nil {
			return nil, err
		}
	}
	plain, err := s.open(t.plain[:0], b)
	if err != nil {
		return nil, fmt.Errorf("decrypt TLS: %w: is the secret that of another connection?", err)
	}
	t.plain = plain
	return plain, nil
}

// use makes the keys of a secret of TLS 1.3.
func (t *TLS) use(s *tlsSide, secret []byte) (err error) {
	s.secret = secret
	s.open, err = t.hello.suite.open13(secret)
	return err
}

// open12 decrypts a record of TLS 1.2.
func (t *TLS) open12(side int, b []byte) (kind byte, body []byte, taken bool, err error) {
	s, h := &t.side[side], &t.hello
	if s.open == nil {
		master := t.keys.secret(labelMaster, h.client)
		if s.stuck = master == nil; s.stuck {
			return 0, nil, false, nil
		}
		if s.open, err = h.suite.open12(master, h, side); err != nil {
			return 0, nil, false, err
		}
	}
	plain, err := s.open(t.plain[:0], b)
	if err != nil {
		return 0, nil, false, fmt.Errorf("decrypt TLS: %w: is the secret that of another connection?", err)
	}
	t.plain = plain
	return b[0], plain, true, nil
}

// handshake takes messages of the handshake, which records may divide anywhere.
func (t *TLS) handshake(side int, b []byte) error {
	s := &t.side[side]
	n := min(s.skip, len(b))
	s.skip -= n
	s.message = append(s.message, b[n:]...)
	for len(s.message) >= 4 {
		kind := s.message[0]
		size := 4 + int(s.message[1])<<16 + int(s.message[2])<<8 + int(s.message[3])
		if len(s.message) < size {
			if size > maxHello || !looked(kind) {
				s.skip = size - len(s.message)
				s.message = s.message[:0]
			}
			return nil
		}
		if err := t.message(side, kind, s.message[4:size]); err != nil {
			return err
		}
		s.message = s.message[:copy(s.message, s.message[size:])]
	}
	return nil
}

// looked says that messages of kind are looked into.
func looked(kind byte) bool {
	switch kind {
	case messageClientHello, messageServerHello, messageEndOfEarlyData, messageEncryptedExtensions, messageFinished, messageKeyUpdate:
		return true
	}
	return false
}

// message takes one message of the handshake.
func (t *TLS) message(side int, kind byte, body []byte) error {
	s := &t.side[side]
	is13 := t.hello.agreed && t.hello.version == tls.VersionTLS13
	switch {
	case kind == messageClientHello && side == 0:
		return t.hello.fromClient(body)
	case kind == messageServerHello && side == 1:
		return t.hello.fromServer(body)
	case !is13:
	case kind == messageEncryptedExtensions && len(body) >= 2:
		t.hello.extensions(body[2:], false)
	case kind == messageFinished:
		s.epoch, s.open = epochData, nil
	case kind == messageEndOfEarlyData && side == 0:
		s.epoch, s.open = epochHandshake, nil
	case kind == messageKeyUpdate && s.secret != nil:
		next, err := t.hello.suite.expand(s.secret, "traffic upd", t.hello.suite.hashSize())
		if err != nil {
			return err
		}
		return t.use(s, next)
	}
	return nil
}
