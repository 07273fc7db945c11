package capture

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
)

// TestAnotherProgramsTLS decrypts what openssl says to openssl: cipher suites that Go
// does not let one choose, keys that are changed, and MACs outside of CBC.
func TestAnotherProgramsTLS(t *testing.T) {
	tool(t, nil, "openssl", "version")
	for _, tt := range []struct{ name, version, suite, option, want string }{
		{"AES-256", "-tls1_3", "TLS_AES_256_GCM_SHA384", "", "TLS 1.3, TLS_AES_256_GCM_SHA384"},
		{"ChaCha20", "-tls1_3", "TLS_CHACHA20_POLY1305_SHA256", "", "TLS 1.3, TLS_CHACHA20_POLY1305_SHA256"},
		{"another hello", "-tls1_3", "TLS_AES_128_GCM_SHA256", "-groups=P-521:P-256", "TLS 1.3, TLS_AES_128_GCM_SHA256"},
		{"GCM", "-tls1_2", "ECDHE-ECDSA-AES256-GCM-SHA384", "", "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
		{"CBC, MAC outside", "-tls1_2", "ECDHE-ECDSA-AES128-SHA256", "", "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
		{"CBC-SHA384", "-tls1_2", "ECDHE-ECDSA-AES256-SHA384", "", "TLS 1.2, "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log, secrets := opensslConversation(t, tt.version, tt.suite, tt.option)
			keys, err := ReadKeyLog(strings.NewReader(secrets))
			if err != nil {
				t.Fatal(err)
			}
			client, server, tl, err := decrypt(keys, log, 1<<20)
			if err != nil || client != "hello\nagain\n" || server != "olleh\nniaga\n" {
				t.Errorf("%q, %q, %v", client, server, err)
			}
			if got := tl.Describe(); !strings.HasPrefix(got, tt.want) {
				t.Errorf("described as %s", got)
			}
		})
	}
}

// opensslConversation records a connection of openssl's client with its server, which sends
// back what it gets, reversed. In TLS 1.3, both change their keys in between.
func opensslConversation(t *testing.T, version, suite, option string) (log []said, secrets string) {
	t.Helper()
	dir := t.TempDir()
	files := writeCertificate(t, dir)
	suites := "-cipher"
	if version == "-tls1_3" {
		suites = "-ciphersuites"
	}
	args := append([]string{"s_server", "-accept", "127.0.0.1:0", "-rev", version, suites, suite}, files...)
	if groups, ok := strings.CutPrefix(option, "-groups="); ok {
		_, second, _ := strings.Cut(groups, ":")
		args = append(args, "-groups", second)
	}
	_, out := openssl(t, args)
	addr := ""
	for addr == "" && out.Scan() {
		if rest, ok := strings.CutPrefix(out.Text(), "ACCEPT "); ok {
			addr = rest
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var mu sync.Mutex
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		forward(ln, addr, &mu, &log)
	}()
	keyLog := filepath.Join(dir, "keys")
	args = []string{"s_client", "-connect", ln.Addr().String(), "-keylogfile", keyLog, version, suites, suite}
	if groups, ok := strings.CutPrefix(option, "-groups="); ok {
		args = append(args, "-groups", groups)
	}
	stdin, out := openssl(t, args)
	say := func(line, answer string) {
		fmt.Fprintln(stdin, line)
		for out.Scan() {
			if out.Text() == answer {
				return
			}
		}
		t.Fatalf("openssl has not said %q", answer)
	}
	say("hello", "olleh")
	if version == "-tls1_3" {
		say("K", "KEYUPDATE")
	}
	say("again", "niaga")
	stdin.Close()
	<-ended
	b, err := os.ReadFile(keyLog)
	if err != nil {
		t.Fatal(err)
	}
	return log, string(b)
}

// forward takes one connection to addr, and records it.
func forward(ln net.Listener, addr string, mu *sync.Mutex, log *[]said) {
	client, err := ln.Accept()
	if err != nil {
		return
	}
	server, err := net.Dial("tcp", addr)
	if err != nil {
		client.Close()
		return
	}
	var wg sync.WaitGroup
	for _, way := range []struct {
		from, to net.Conn
		dir      dissect.Direction
	}{{client, server, dissect.FromClient}, {server, client, dissect.FromServer}} {
		wg.Go(func() {
			defer way.to.Close()
			_, _ = io.Copy(&tap{way.to, way.dir, mu, log}, way.from)
		})
	}
	wg.Wait()
}

// openssl starts openssl until the test ends.
func openssl(t *testing.T, args []string) (io.WriteCloser, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.WaitDelay = 5 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stdoutWriter := io.Pipe()
	cmd.Stdout, cmd.Stderr = stdoutWriter, stdoutWriter
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdout.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return stdin, bufio.NewScanner(stdout)
}

// writeCertificate returns the options of openssl for a certificate.
func writeCertificate(t *testing.T, dir string) []string {
	t.Helper()
	c := certificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	names := [2]string{filepath.Join(dir, "cert"), filepath.Join(dir, "key")}
	for i, b := range []*pem.Block{{Type: "CERTIFICATE", Bytes: c.Certificate[0]}, {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(names[i], pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"-cert", names[0], "-key", names[1]}
}
