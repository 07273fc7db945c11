package decode

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
)

// wire is a connection that tells what is written to it.
type wire struct {
	net.Conn
	wrote func([]byte)
}

func (w *wire) Write(b []byte) (int, error) {
	w.wrote(bytes.Clone(b))
	return w.Conn.Write(b)
}

// said is a piece of what two sides have said.
type said struct {
	dir   dissect.Direction
	bytes []byte
}

// overTLS has a client and a server say the bytes of turns, c: or s:, over TLS of that
// version, and returns what was on the wire, and the key log.
func overTLS(t *testing.T, version uint16, turns string) (all []said, keys []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	record := func(dir dissect.Direction) func([]byte) {
		return func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, said{dir, b})
		}
	}
	a, b := net.Pipe()
	var log bytes.Buffer
	client := tls.Client(&wire{a, record(dissect.FromClient)}, &tls.Config{
		ServerName: "broker.example", InsecureSkipVerify: true, KeyLogWriter: &log, MinVersion: version, MaxVersion: version,
	})
	server := tls.Server(&wire{b, record(dissect.FromServer)}, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}, MinVersion: version, MaxVersion: version,
	})
	done := make(chan error, 1)
	go func() { done <- talkTLS(server, turns, "s") }()
	if err := talkTLS(client, turns, "c"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return all, log.Bytes()
}

// talkTLS says what is of its side, and reads what is of the other.
func talkTLS(c *tls.Conn, turns, side string) error {
	for line := range strings.Lines(turns) {
		who, text, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return err
		}
		if who == side {
			if _, err := c.Write(b); err != nil {
				return err
			}
			continue
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
	}
	return nil
}

// TestTLS decrypts with a key log, however the bytes are cut; without one it says what
// it is, and to whom.
func TestTLS(t *testing.T) {
	turns := "c: " + connect4 + "\ns: " + connack4 + "\nc: " + publish4
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		all, keys := overTLS(t, version, turns)
		name := strings.ToLower(tls.VersionName(version))
		for _, size := range []int{1, 50, 1 << 20} {
			log, err := capture.ReadKeyLog(bytes.NewReader(keys))
			if err != nil {
				t.Fatal(err)
			}
			e, c := engine(t, Options{Keys: log})
			k := newTalk(t, e, 1)
			k.client([]byte("PROXY TCP4 192.0.2.1 192.0.2.9 40000 8883\r\n"))
			for _, s := range all {
				for part := range slices.Chunk(s.bytes, size) {
					k.chunk(capture.Chunk{Direction: s.dir, Bytes: part})
				}
			}
			k.end()
			var got []string
			for _, p := range c.packets {
				got = append(got, p.Type)
			}
			if text := strings.Join(got, " "); text != "HEADER CONNECT CONNACK PUBLISH" {
				t.Errorf("%s in chunks of %d: %s\n%s", name, size, text, c)
			} else if layers := strings.Join(c.packets[1].Stream.Layers, ", "); layers != "proxy v1, "+name {
				t.Errorf("layers %s", layers)
			} else if last := c.packets[3]; size > 1000 && len(last.Frames) != 1 || last.Offset != 15 {
				t.Errorf("the PUBLISH at %d came in frames %v", last.Offset, last.Frames)
			}
		}
		e, c := engine(t, Options{})
		k := newTalk(t, e, 1)
		for _, s := range all {
			k.chunk(capture.Chunk{Direction: s.dir, Bytes: s.bytes})
		}
		k.end()
		s := c.noted(Foreign)
		if len(s) != 1 || !strings.HasPrefix(strings.ToLower(s[0]), "this is "+name) || !strings.Contains(s[0], "broker.example") {
			t.Errorf("%s without keys: %q\n%s", name, s, c)
		}
	}
}
