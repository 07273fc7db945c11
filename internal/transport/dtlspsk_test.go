package transport

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const testPSK = "0123456789abcdef0123456789abcdef"

// pskFile writes a file of pre-shared keys.
func pskFile(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "psk")
	writePSK(t, name, lines...)
	return name
}

func writePSK(t *testing.T, name string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPreSharedKeys(t *testing.T) {
	file := pskFile(t, "# devices", "", "device-1:"+testPSK, "gerät 2:00FF")
	for _, hint := range []string{"", "use your serial number"} {
		l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{PSKFile: file, PSKHint: hint}})
		for identity, key := range map[string]string{"device-1": testPSK, "gerät 2": "00ff"} {
			client, srv := dtlsPair(t, l, conns, &ClientTLS{PSKIdentity: identity, PSK: key})
			send(t, client, "ping")
			if got := receive(t, srv); got != "ping" {
				t.Errorf("%q", got)
			}
			send(t, srv, "pong")
			if got := receive(t, client); got != "pong" {
				t.Errorf("%q", got)
			}
			if i := srv.Info(); i.PSKIdentity != identity || i.TLS == nil || len(i.TLS.PeerCertificates) > 0 {
				t.Errorf("%+v", i)
			}
			if i := client.Info(); i.PSKIdentity != "" || i.TLS == nil {
				t.Errorf("%+v", i)
			}
			_ = srv.Close()
		}
	}
}

// A stranger learns nothing about which identities there are.
func TestWrongKeyAndUnknownIdentityFailAlike(t *testing.T) {
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{PSKFile: pskFile(t, "device-1:"+testPSK)}})
	for identity, logged := range map[string]string{"device-1": `does not have the key of "device-1"`, "device-2": `no key for the identity "device-2"`} {
		_, _, clientErr, serverErr := dtlsEnds(t, l, conns, &ClientTLS{PSKIdentity: identity, PSK: "ff" + testPSK})
		e := asError(t, clientErr)
		if want := `the server does not know the identity "` + identity + `", or its key is another one`; e.Problem != want || e.Hint == "" {
			t.Errorf("client: %v, hint %q", e, e.Hint)
		}
		if alert := alertText(clientErr); alert != "error decrypting message" {
			t.Errorf("alert %q: %v", alert, clientErr)
		}
		if e := asError(t, serverErr); e.Op != "tls" || !strings.Contains(e.Problem, logged) {
			t.Errorf("server: %v", serverErr)
		}
		if strings.Contains(clientErr.Error()+serverErr.Error(), testPSK) {
			t.Error("the key is in an error")
		}
	}
	if c := l.Counters(); c.Closed[ClosedTLS] != 2 || c.Open != 0 || c.Handshaking != 0 {
		t.Errorf("%+v", c)
	}
}

func TestPreSharedKeyOrCertificate(t *testing.T) {
	ca := newTestCA(t)
	ca.server.PSKFile = pskFile(t, "device-1:"+testPSK)
	ca.server.ClientAuth, ca.server.ClientCAs = ClientCertRequire, ca.Pool()
	ca.client.Certificates = certs(ca.Client(t, nil, "device-2"))
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	_, srv := dtlsPair(t, l, conns, &ClientTLS{PSKIdentity: "device-1", PSK: testPSK})
	if i := srv.Info(); i.PSKIdentity != "device-1" || len(i.TLS.PeerCertificates) > 0 {
		t.Errorf("%+v", i)
	}
	_, srv = dtlsPair(t, l, conns, ca.client)
	if i := srv.Info(); i.PSKIdentity != "" || len(i.TLS.VerifiedChains) != 1 {
		t.Errorf("%+v", i)
	}
	_, _, clientErr, serverErr := dtlsEnds(t, l, conns, &ClientTLS{RootCAs: ca.Pool()})
	if clientErr == nil || serverErr == nil {
		t.Errorf("without certificate: client %v, server %v", clientErr, serverErr)
	}
}

func TestServerWithoutPreSharedKeys(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	_, _, err, _ := dtlsEnds(t, l, conns, &ClientTLS{PSKIdentity: "device-1", PSK: testPSK})
	if e := asError(t, err); !strings.Contains(e.Problem, "no cipher suite with pre-shared keys") {
		t.Error(e)
	}
}

// Some servers say nothing to a client whose key is wrong.
func TestServerThatFallsSilent(t *testing.T) {
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{PSKFile: pskFile(t, "device-1:"+testPSK)}})
	n := newNAT(t, l)
	n.filter(func(b []byte) bool { return b[0] != recordAlert })
	shaken := make(chan struct{})
	go func() {
		defer close(shaken)
		if srv, ok := <-conns; ok {
			_ = srv.Handshake(context.Background())
		}
	}()
	_, err := Dial(t.Context(), n.url, DialConfig{Schemes: packetSchemes(), Timeout: 2 * time.Second, TLS: &ClientTLS{PSKIdentity: "device-1", PSK: "00"}})
	if e := asError(t, err); !strings.Contains(e.Problem, "another one") || e.Hint == "" || !e.Timeout {
		t.Error(e)
	}
	<-shaken
	n.filter(func([]byte) bool { return false })
	_, err = Dial(t.Context(), n.url, DialConfig{Schemes: packetSchemes(), Timeout: 20 * time.Millisecond, TLS: &ClientTLS{PSKIdentity: "device-1", PSK: "00"}})
	if e := asError(t, err); strings.Contains(e.Problem, "another one") || !e.Timeout {
		t.Error(e)
	}
}

func TestReloadPreSharedKeys(t *testing.T) {
	file := pskFile(t, "device-1:"+testPSK)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{PSKFile: file}})
	first, srv := dtlsPair(t, l, conns, &ClientTLS{PSKIdentity: "device-1", PSK: testPSK})

	writePSK(t, file, "device-1:aaaa", "device-2:zz")
	if err := l.Reload(); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}
	dtlsPair(t, l, conns, &ClientTLS{PSKIdentity: "device-1", PSK: testPSK}) // the old one stays in use

	writePSK(t, file, "device-1:aaaa")
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	dtlsPair(t, l, conns, &ClientTLS{PSKIdentity: "device-1", PSK: "aaaa"})
	if _, _, err, _ := dtlsEnds(t, l, conns, &ClientTLS{PSKIdentity: "device-1", PSK: testPSK}); err == nil {
		t.Error("the old key is still good")
	}
	send(t, first, "open connections stay")
	if got := receive(t, srv); got != "open connections stay" {
		t.Errorf("%q", got)
	}
}

func TestPreSharedKeyFiles(t *testing.T) {
	for name, tc := range map[string]struct{ content, want string }{
		"no colon":      {"device-1:00\nsecret0\n", "line 2: no colon"},
		"no identity":   {":00", "line 1: the identity is empty"},
		"no key":        {"device-1:", "line 1: the key is empty"},
		"odd":           {"device-1:secret0", "odd number"},
		"no digits":     {"device-1:secret00", "hexadecimal"},
		"the wrong way": {"secret00:device-1", "line 1: the key is not in hexadecimal digits"},
		"key too long":  {"device-1:" + strings.Repeat("00", 65), "longer than 64 bytes"},
		"name too long": {strings.Repeat("x", 257) + ":00", "longer than 256 bytes"},
		"not UTF-8":     {"\xff:00", "not UTF-8"},
		"control":       {"a\x07:00", "control character"},
		"twice":         {"a:00\nb:00\na:01", `line 3: identity "a" stands twice`},
		"empty":         {"# nothing\n", "no line has"},
		"binary":        {strings.Repeat("\x00\n", 1000), "line 20"},
	} {
		_, err := parsePSK([]byte(tc.content))
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") || len(err.Error()) > 2000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	table, err := parsePSK([]byte("\ufeffa:00\r\n b :Ff\nlast:0a"))
	if err != nil || len(table.keys) != 3 || table.keys[" b "][0] != 0xff {
		t.Errorf("%v, %v", table, err)
	}
}

func TestPreSharedKeyOptions(t *testing.T) {
	ca, file := newTestCA(t), pskFile(t, "device-1:"+testPSK)
	both := *ca.server
	both.PSKFile = file
	for name, tc := range map[string]struct {
		url  string
		tls  ServerTLS
		want string
	}{
		"TLS":          {"mqtts://127.0.0.1:0", both, "tls.psk_file: mqtts:// is TLS"},
		"missing":      {"exproto+dtls://127.0.0.1:0", ServerTLS{PSKFile: file + "x"}, "psk_file"},
		"half a pair":  {"exproto+dtls://127.0.0.1:0", ServerTLS{PSKFile: file, CertFile: "x"}, "tls.key"},
		"hint alone":   {"exproto+dtls://127.0.0.1:0", ServerTLS{Certificates: both.Certificates, PSKHint: "x"}, "tls.psk_hint"},
		"long hint":    {"exproto+dtls://127.0.0.1:0", ServerTLS{PSKFile: file, PSKHint: strings.Repeat("x", 257)}, "tls.psk_hint"},
		"no cert":      {"exproto+dtls://127.0.0.1:0", ServerTLS{PSKFile: file, ClientAuth: ClientCertAny}, "tls.client_auth"},
		"nothing":      {"exproto+dtls://127.0.0.1:0", ServerTLS{}, "tls.cert"},
		"wrong suites": {"exproto+dtls://127.0.0.1:0", ServerTLS{PSKFile: file, Ciphers: []uint16{1}}, "tls.ciphers"},
	} {
		_, err := Listen(t.Context(), tc.url, ListenConfig{Schemes: append(packetSchemes(), MQTTSchemes()...), TLS: &tc.tls})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tc := range map[string]struct {
		url  string
		tls  ClientTLS
		want string
	}{
		"no key":      {"exproto+dtls://127.0.0.1:9", ClientTLS{PSKIdentity: "x"}, "missing"},
		"no identity": {"exproto+dtls://127.0.0.1:9", ClientTLS{PSK: "00"}, "without an identity"},
		"no digits":   {"exproto+dtls://127.0.0.1:9", ClientTLS{PSKIdentity: "x", PSK: "secret00"}, "hexadecimal"},
	} {
		_, err := Dial(t.Context(), tc.url, DialConfig{Schemes: packetSchemes(), TLS: &tc.tls})
		if e := asError(t, err); !strings.Contains(e.Problem, tc.want) || strings.Contains(e.Problem, "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if err := tc.tls.Check(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: ca.server})
	_, _, err, _ := bothEnds(t, l, DialConfig{TLS: &ClientTLS{PSKIdentity: "x", PSK: "00"}})
	if e := asError(t, err); !strings.Contains(e.Problem, "DTLS only") {
		t.Error(e)
	}
}

func TestOpenSSLClientsWithPreSharedKeys(t *testing.T) {
	for _, suite := range []string{
		"", "PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES256-CCM8", "PSK-AES128-GCM-SHA256", "PSK-CHACHA20-POLY1305",
		"ECDHE-PSK-CHACHA20-POLY1305", "ECDHE-PSK-AES128-CBC-SHA256", "PSK-AES128-CBC-SHA256",
	} {
		t.Run(suite, func(t *testing.T) {
			l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{PSKFile: pskFile(t, "device-1:"+testPSK)}})
			args := []string{"s_client", "-dtls1_2", "-connect", l.Addr().String(), "-quiet", "-psk", testPSK, "-psk_identity", "device-1"}
			if suite != "" {
				args = append(args, "-cipher", suite)
			}
			in, out := openssl(t, args...)
			srv := next(t, conns)
			if err := srv.Handshake(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := srv.Info().PSKIdentity; got != "device-1" {
				t.Errorf("%q", got)
			}
			send(t, in, "from openssl\n")
			if got := receive(t, srv); got != "from openssl\n" {
				t.Errorf("%q", got)
			}
			send(t, srv, "to openssl\n")
			if got, err := out.ReadString('\n'); got != "to openssl\n" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestOpenSSLClientWithWrongKey(t *testing.T) {
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{PSKFile: pskFile(t, "device-1:"+testPSK)}})
	_, out := openssl(t, "s_client", "-dtls1_2", "-connect", l.Addr().String(), "-quiet", "-psk", "00"+testPSK, "-psk_identity", "device-1")
	srv := next(t, conns)
	if e := asError(t, srv.Handshake(t.Context())); e.Timeout || !strings.Contains(e.Problem, "does not have the key") {
		t.Error(e)
	}
	if _, err := out.ReadString('\n'); err == nil { // the alert ends it
		t.Error("openssl has read something")
	}
}

func TestOpenSSLServerWithPreSharedKeys(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := pc.LocalAddr().String()
	_ = pc.Close()
	in, out := openssl(t, "s_server", "-dtls1_2", "-accept", address, "-quiet", "-nocert", "-psk", testPSK, "-psk_identity", "device-1", "-psk_hint", "hint")
	var c Conn
	eventually(t, "openssl listens", func() bool {
		c, err = Dial(t.Context(), "exproto+dtls://"+address, DialConfig{Schemes: packetSchemes(), Timeout: 2 * time.Second, TLS: &ClientTLS{PSKIdentity: "device-1", PSK: testPSK}})
		return err == nil
	})
	defer c.Close()
	_ = c.SetDeadline(deadline())
	send(t, c, "to openssl\n")
	if got, err := out.ReadString('\n'); got != "to openssl\n" {
		t.Errorf("%q, %v", got, err)
	}
	send(t, in, "from openssl\n")
	if got := receive(t, c); got != "from openssl\n" {
		t.Errorf("%q", got)
	}
}
