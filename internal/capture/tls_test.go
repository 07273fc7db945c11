package capture

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// said is what one side has sent at once.
type said struct {
	from  dissect.Direction
	bytes []byte
}

// tap is one end of a connection, whose writes are recorded.
type tap struct {
	net.Conn
	from dissect.Direction
	mu   *sync.Mutex
	log  *[]said
}

func (c *tap) Write(b []byte) (int, error) {
	c.mu.Lock()
	*c.log = append(*c.log, said{c.from, bytes.Clone(b)})
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// certificate makes one for "broker.example".
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"broker.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// converse records a TLS connection over which the client says hello, and the server
// good day, a number of times. It returns the key log, too.
func converse(t testing.TB, version, suite uint16, rounds int) (log []said, keys string) {
	t.Helper()
	var keyLog bytes.Buffer
	var mu sync.Mutex
	clientEnd, serverEnd := net.Pipe()
	var suites []uint16
	if suite != 0 {
		suites = []uint16{suite}
	}
	server := tls.Server(&tap{serverEnd, dissect.FromServer, &mu, &log}, &tls.Config{
		Certificates: []tls.Certificate{certificate(t)}, MinVersion: version, MaxVersion: version, CipherSuites: suites, NextProtos: []string{"mqtt"},
	})
	client := tls.Client(&tap{clientEnd, dissect.FromClient, &mu, &log}, &tls.Config{
		InsecureSkipVerify: true, ServerName: "broker.example", MinVersion: version, MaxVersion: version, CipherSuites: suites, //nolint:gosec // a test of its own
		KeyLogWriter: &keyLog, NextProtos: []string{"mqtt"},
	})
	done := make(chan error, 1)
	go func() {
		err := answer(server, rounds)
		server.Close()
		done <- err
	}()
	for range rounds {
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, len("good day"))); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	clientEnd.Close()
	mu.Lock()
	defer mu.Unlock()
	return log, keyLog.String()
}

// answer is the server's part.
func answer(server *tls.Conn, rounds int) error {
	for range rounds {
		if _, err := io.ReadFull(server, make([]byte, len("hello"))); err != nil {
			return err
		}
		if _, err := server.Write([]byte("good day")); err != nil {
			return err
		}
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// decrypt feeds what was said, in pieces of n bytes.
func decrypt(keys *KeyLog, log []said, n int) (client, server string, tl *TLS, err error) {
	tl = NewTLS(keys)
	emit := func(dir dissect.Direction, plain []byte) error {
		if dir == dissect.FromClient {
			client += string(plain)
		} else {
			server += string(plain)
		}
		return nil
	}
	for _, s := range log {
		for b := s.bytes; len(b) > 0; {
			k := min(n, len(b))
			if err = tl.Feed(s.from, b[:k], false, emit); err != nil {
				return client, server, tl, err
			}
			b = b[k:]
		}
	}
	return client, server, tl, tl.Close(emit)
}

func TestTLSIsDecrypted(t *testing.T) {
	for _, tt := range []struct {
		version, suite uint16
		name           string
	}{
		{tls.VersionTLS13, 0, "TLS 1.3, "},
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "TLS 1.2, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"},
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
	} {
		t.Run(fmt.Sprintf("%s/%s", tls.VersionName(tt.version), tls.CipherSuiteName(tt.suite)), func(t *testing.T) {
			log, secrets := converse(t, tt.version, tt.suite, 3)
			keys, err := ReadKeyLog(strings.NewReader(secrets))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{1, 7, 1 << 20} {
				client, server, tl, err := decrypt(keys, log, n)
				if err != nil || client != strings.Repeat("hello", 3) || server != strings.Repeat("good day", 3) {
					t.Errorf("pieces of %d: %q, %q, %v", n, client, server, err)
				}
				if got := tl.Describe(); !strings.HasPrefix(got, tt.name) || !strings.HasSuffix(got, `server name "broker.example", ALPN mqtt`) {
					t.Errorf("described as %s", got)
				}
			}
		})
	}
}

// TestKeysChange has a side update its keys, which Go does after many records only: the
// records are made here.
func TestKeysChange(t *testing.T) {
	log, secrets := converse(t, tls.VersionTLS13, 0, 1)
	keys, err := ReadKeyLog(strings.NewReader(secrets))
	if err != nil {
		t.Fatal(err)
	}
	var got string
	emit := func(dir dissect.Direction, plain []byte) error {
		if dir == dissect.FromServer {
			got += string(plain)
		}
		return nil
	}
	tl := NewTLS(keys)
	for _, s := range log {
		if bytes.HasPrefix(s.bytes, []byte{recordData}) && got == "good day" {
			break // close_notify
		}
		if err := tl.Feed(s.from, s.bytes, false, emit); err != nil {
			t.Fatal(err)
		}
	}
	suite, secret := tl.hello.suite, tl.side[1].secret
	seal := func(secret []byte, seq uint64, inner []byte) []byte {
		key, _ := suite.expand(secret, "key", suite.key)
		iv, _ := suite.expand(secret, "iv", 12)
		aead, err := suite.aead(key)
		if err != nil {
			t.Fatal(err)
		}
		nonce := make([]byte, 12)
		numbered(nonce, iv, seq)
		header := []byte{recordData, 3, 3, 0, byte(len(inner) + aead.Overhead())}
		return aead.Seal(bytes.Clone(header), nonce, inner, header)
	}
	// How many records the server has sent with these keys is tried: a wrong number
	// is not decrypted.
	next, err := suite.expand(secret, "traffic upd", suite.hashSize())
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(10) {
		update := seal(secret, seq, []byte{messageKeyUpdate, 0, 0, 1, 0, recordHandshake})
		if _, err := tl.open13(1, update); err != nil {
			continue
		}
		if err := tl.handshake(1, []byte{messageKeyUpdate, 0, 0, 1, 0}); err != nil {
			t.Fatal(err)
		}
		if err := tl.Feed(dissect.FromServer, seal(next, 0, append([]byte("again"), recordData, 0, 0)), false, emit); err != nil {
			t.Fatal(err)
		}
		if got != "good dayagain" {
			t.Errorf("got %q", got)
		}
		return
	}
	t.Error("no record was decrypted")
}

// TestSecretsThatComeLate has the secrets known only when the connection is over, and
// never.
func TestSecretsThatComeLate(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		log, secrets := converse(t, version, 0, 2)
		var keys KeyLog
		tl := NewTLS(&keys)
		var got string
		emit := func(_ dissect.Direction, plain []byte) error {
			got += string(plain)
			return nil
		}
		for _, s := range log {
			if err := tl.Feed(s.from, s.bytes, false, emit); err != nil {
				t.Fatal(err)
			}
		}
		if got != "" || !tl.Waiting() {
			t.Errorf("%q, waiting %v", got, tl.Waiting())
		}
		keys.Add([]byte(secrets))
		if err := tl.Close(emit); err != nil || len(got) != len("hellogood dayhellogood day") {
			t.Errorf("%q, %v", got, err)
		}
		if _, _, _, err := decrypt(nil, log, 100); !errors.Is(err, ErrNoSecret) {
			t.Errorf("without secrets: %v", err)
		}
		other := strings.NewReplacer(secrets[len(secrets)-20:len(secrets)-1], strings.Repeat("0", 19)).Replace(secrets)
		wrong, err := ReadKeyLog(strings.NewReader(other))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := decrypt(wrong, log, 100); err == nil || !strings.Contains(err.Error(), "is the secret that of another connection?") {
			t.Errorf("with a wrong secret: %v", err)
		}
	}
}

func TestTLSWithAGap(t *testing.T) {
	log, secrets := converse(t, tls.VersionTLS13, 0, 1)
	keys, err := ReadKeyLog(strings.NewReader(secrets))
	if err != nil {
		t.Fatal(err)
	}
	emit := func(dissect.Direction, []byte) error { return nil }
	tl := NewTLS(keys)
	if err := tl.Feed(log[0].from, log[0].bytes, false, emit); err != nil {
		t.Fatal(err)
	}
	if err := tl.Feed(log[1].from, log[1].bytes, true, emit); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("error %v", err)
	}
	// Joined in the middle.
	if _, _, _, err := decrypt(keys, log[1:], 1000); err == nil || !strings.Contains(err.Error(), "beginning of the TLS connection was not captured") {
		t.Errorf("error %v", err)
	}
	if _, _, _, err := decrypt(keys, []said{{dissect.FromClient, []byte("GET / HTTP/1.1\r\n")}}, 1000); err == nil || !strings.Contains(err.Error(), "no record of TLS") {
		t.Errorf("error %v", err)
	}
}

func TestKeyLogLines(t *testing.T) {
	r, s := strings.Repeat("ab", 32), strings.Repeat("cd", 48)
	for _, tt := range []struct {
		text, problem string
		n             int
	}{
		{"", "", 0},
		{"# comment\n\nCLIENT_RANDOM " + r + " " + s + "\r\nOTHER " + r + " " + s, "", 1},
		{"CLIENT_RANDOM " + r + " " + s + "\nCLIENT_RANDOM " + r[2:] + " " + s, "line 2: CLIENT_RANDOM: the client random has not 64 hexadecimal digits", 0},
		{"CLIENT_RANDOM " + r + "ab " + s, "line 1: CLIENT_RANDOM: the client random", 0},
		{"SERVER_TRAFFIC_SECRET_0 " + r + " xyz", "line 1: SERVER_TRAFFIC_SECRET_0: the secret has not 64 to 128 hexadecimal digits", 0},
		{"SERVER_TRAFFIC_SECRET_0 " + r + " " + strings.Repeat("ab", 65), "the secret has not", 0},
		{"-----BEGIN-PRIVATE-KEY-----", "line 1: not of the form LABEL CLIENT-RANDOM SECRET", 0},
	} {
		k, err := ReadKeyLog(strings.NewReader(tt.text))
		if tt.problem != "" {
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%q: %v, want %s", tt.text, err, tt.problem)
			}
		} else if err != nil || k.Len() != tt.n {
			t.Errorf("%q: %d secrets, %v", tt.text, k.Len(), err)
		}
	}
}

// TestRecordedTLS decrypts a recording with the secrets that are in it.
func TestRecordedTLS(t *testing.T) {
	path := filepath.Join(dissecttest.Captures(t), "rec-tls12-v311.pcapng")
	raw, err := os.ReadFile(path + ".streams.json")
	if err != nil {
		t.Fatal(err)
	}
	var want recordedStreams
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	r := openFile(t, path)
	tl := NewTLS(r.KeyLog())
	var plain [2][]byte
	emit := func(dir dissect.Direction, b []byte) error {
		plain[sideOf(dir)] = append(plain[sideOf(dir)], b...)
		return nil
	}
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := tl.Feed(c.Direction, c.Bytes, c.Gap != 0, emit); err != nil {
			t.Fatal(err)
		}
	}
	if err := tl.Close(emit); err != nil {
		t.Fatal(err)
	}
	for i, side := range []*recordedSide{want.Streams[0].ClientToServer, want.Streams[0].ServerToClient} {
		sum := sha256.Sum256(plain[i])
		if len(plain[i]) != side.Bytes || hex.EncodeToString(sum[:]) != side.SHA256 {
			t.Errorf("%d bytes, recorded %d", len(plain[i]), side.Bytes)
		}
	}
	t.Log(tl.Describe())
}

// FuzzTLS feeds damaged connections: no panic, and memory in proportion.
func FuzzTLS(f *testing.F) {
	var secrets string
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		log, s := converse(f, version, 0, 1)
		secrets += s
		var all []byte
		for _, s := range log {
			for b := s.bytes; len(b) > 0; {
				n := min(len(b), 0x7f)
				all = append(append(all, byte(sideOf(s.from))<<7|byte(n)), b[:n]...)
				b = b[n:]
			}
		}
		f.Add(all, secrets)
	}
	f.Fuzz(func(t *testing.T, b []byte, secrets string) {
		n := allocated(func() {
			var keys KeyLog
			keys.Add([]byte(secrets))
			tl := NewTLS(&keys)
			plain := 0
			emit := func(_ dissect.Direction, p []byte) error {
				plain += len(p)
				return nil
			}
			for rest := b; len(rest) > 0; {
				n := min(int(rest[0]&0x7f), len(rest)-1)
				if tl.Feed(dissect.FromClient+dissect.Direction(rest[0]>>7), rest[1:1+n], false, emit) != nil {
					break
				}
				rest = rest[1+n:]
			}
			_ = tl.Close(emit)
			_ = tl.Describe()
			if plain > len(b) {
				t.Errorf("%d bytes of %d", plain, len(b))
			}
		})
		if limit := uint64(1<<20 + 1024*(len(b)+len(secrets))); n > limit {
			t.Errorf("%d bytes allocated for %d", n, len(b)+len(secrets))
		}
	})
}
