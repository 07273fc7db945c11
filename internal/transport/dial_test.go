package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestConnectErrorsInWords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	_ = l.Close()
	resolver := dnsServer(t, nil)
	for _, tc := range []struct {
		url, op, want, hint string
		is                  error
	}{
		{"mqtt://" + free, "connect", "connection refused", "broker running", syscall.ECONNREFUSED},
		{"mqtt://missing.example:1883", "resolve", "no such host", "spelling", nil},
		{"unix://" + t.TempDir() + "/none", "connect", "no such socket file", "broker running", os.ErrNotExist},
	} {
		_, err := Dial(t.Context(), tc.url, DialConfig{Resolver: resolver})
		e := asError(t, err)
		if e.Op != tc.op || !strings.Contains(e.Problem, tc.want) || !strings.Contains(e.Hint, tc.hint) {
			t.Errorf("%s: %v, %q", tc.url, e, e.Hint)
		}
		if tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%s: %v is not %v", tc.url, err, tc.is)
		}
	}
	for _, url := range []string{"mqtt://", "mqtt://127.0.0.1:0", "nothing"} {
		if _, err := Dial(t.Context(), url, DialConfig{}); err == nil {
			t.Errorf("%s: dialed", url)
		}
	}
	if _, err := Dial(t.Context(), "mqtt://127.0.0.1", DialConfig{LocalAddress: "eth0"}); err == nil {
		t.Error("a local address that is none was accepted")
	}
}

func TestDialTimeoutAndCancel(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, scheme := range []string{"mqtts", "ws"} {
		url := scheme + "://" + silent.Addr().String()
		_, err = Dial(t.Context(), url, DialConfig{Timeout: 20 * time.Millisecond})
		if e := asError(t, err); !e.Timeout || e.Problem != "not complete in time" {
			t.Errorf("%s: %v", scheme, e)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err = Dial(ctx, url, DialConfig{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestDialFromLocalAddress(t *testing.T) {
	l := server(t, "mqtt://127.0.0.1:0", ListenConfig{})
	_, srv := pair(t, l, DialConfig{LocalAddress: "127.0.0.2"})
	if a := srv.Info().Remote.Addr().String(); a != "127.0.0.2" {
		t.Errorf("came from %s", a)
	}
}

// socksServer is a SOCKS5 proxy that wants user "us:er" and password "p@ss%",
// knows one name and relays it to target.
func socksServer(t *testing.T, name, target string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	serve := func(c net.Conn) error {
		b := make([]byte, 512)
		if _, err := c.Read(b); err != nil { // version, methods
			return err
		}
		_, _ = c.Write([]byte{5, 2})
		n, err := c.Read(b)
		if err != nil {
			return err
		}
		if string(b[1:n]) != "\x05us:er\x05p@ss%" {
			_, err = c.Write([]byte{1, 1})
			return err
		}
		_, _ = c.Write([]byte{1, 0})
		if n, err = c.Read(b); err != nil {
			return err
		}
		if !bytes.Contains(b[:n], []byte(name)) || b[3] != 3 {
			_, err = c.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0}) // host unreachable
			return err
		}
		out, err := net.Dial("tcp", target)
		if err != nil {
			return err
		}
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		go func() {
			_, _ = io.Copy(out, c)
			_ = out.Close()
		}()
		_, err = io.Copy(c, out)
		return err
	}
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(deadline())
			go func() {
				_ = serve(c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestDialThroughSOCKS(t *testing.T) {
	l := server(t, "ws://127.0.0.1:0", ListenConfig{})
	proxy := socksServer(t, "hidden.example", l.Addr().String())
	dialed := make(chan Conn, 1)
	go func() {
		c, err := Dial(context.Background(), "ws://hidden.example:8083", DialConfig{Proxy: "socks5h://us%3Aer:p%40ss%25@" + proxy})
		if err != nil {
			t.Error(err)
		}
		dialed <- c
	}()
	srv := accepted(t, l)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := <-dialed
	defer c.Close()
	_, _ = srv.Write([]byte("through"))
	b, n, err := c.ReadWith(func() []byte { return make([]byte, 10) })
	if err != nil || string(b[:n]) != "through" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if c.(*conn).sock.(*socket).raw == nil {
		t.Error("the connection is no kernel socket any more")
	}

	for proxyURL, want := range map[string]string{
		"socks5h://us%3Aer:wrong@" + proxy:               "authentication",
		"socks5h://us%3Aer:p%40ss%25@" + proxy:           "host unreachable",
		"socks5h://127.0.0.1:1":                          "cannot reach the proxy",
		"http://127.0.0.1:1":                             "socks5h://",
		"socks5h://u:secret?@127.0.0.1:1":                "percent-encoded",
		"socks5h://u:" + strings.Repeat("x", 256) + "@h": "255 bytes",
	} {
		_, err := Dial(t.Context(), "mqtt://other.example", DialConfig{Proxy: proxyURL})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", proxyURL, err)
		}
	}
}

// dnsServer answers SRV questions from records and A questions with 127.0.0.1
// for the records' targets.
func dnsServer(t *testing.T, records map[string][]dnsmessage.SRVResource) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = pc.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		b := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Additionals = true, nil
			head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}
			for _, r := range records[strings.TrimSuffix(q.Name.String(), ".")] {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &r})
			}
			host := strings.HasSuffix(q.Name.String(), "host.example.")
			if q.Type == dnsmessage.TypeA && host {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}})
			}
			if len(m.Answers) == 0 && !host {
				m.RCode = dnsmessage.RCodeNameError
			}
			if out, err := m.Pack(); err == nil {
				_, _ = pc.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func TestDialBySRV(t *testing.T) {
	ca := newTestCA(t)
	l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{Certificates: certs(ca.Server(t, nil, "b.host.example"))}})
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := uint16(closed.Addr().(*net.TCPAddr).Port)
	_ = closed.Close()
	srv := func(priority, port uint16, target string) dnsmessage.SRVResource {
		return dnsmessage.SRVResource{Priority: priority, Port: port, Target: dnsmessage.MustNewName(target)}
	}
	resolver := dnsServer(t, map[string][]dnsmessage.SRVResource{
		"_secure-mqtt._tcp.host.example":   {srv(2, port, "b.host.example."), srv(1, dead, "a.host.example.")},
		"_secure-mqtt._tcp.other.example":  {srv(1, port, "b.host.example.")},
		"_secure-mqtt._tcp.absent.example": {srv(1, 0, ".")},
	})
	dial := func(url string) (Conn, error) {
		return Dial(context.Background(), url, DialConfig{SRV: true, Resolver: resolver, TLS: ca.client})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Handshake(context.Background())
			_ = c.Close()
		}
	}()
	defer func() {
		_ = l.Close()
		<-done
	}()
	c, err := dial("mqtts://host.example")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()

	_, err = dial("mqtts://other.example") // an answer that leads out of the domain
	if e := asError(t, err); e.Op != "tls" || !strings.Contains(e.Problem, `asked for "other.example"`) {
		t.Errorf("%v", err)
	}
	_, err = dial("mqtts://missing.example")
	if e := asError(t, err); e.Problem != "no such SRV record" {
		t.Errorf("%v", err)
	}
	_, err = dial("mqtts://absent.example")
	if e := asError(t, err); !strings.Contains(e.Problem, "does not offer") {
		t.Errorf("%v", err)
	}
	if _, err = dial("ws://host.example"); err == nil {
		t.Error("ws:// has no service name")
	}
}

func TestSniff(t *testing.T) {
	for b, want := range map[string]string{
		"\x16\x03\x01\x02\x00": "TLS", "\x15\x03\x03": "TLS", "GET / HTTP/1.1": "HTTP", "HTTP/1.1 400": "HTTP", "PROXY TCP4": "a PROXY header",
		proxySignature: "a PROXY header", "\x10\x0c": "MQTT", "\x20\x02": "MQTT", "": "", "\x16": "", "hello": "",
		"SSH-2.0-x": "SSH", "DELET": "HTTP",
	} {
		if got := Sniff([]byte(b)); got != want {
			t.Errorf("%q: %q", b, got)
		}
	}
}

func benchPair(b *testing.B, scheme string) (client, srv Conn) {
	ca := newTestCA(b)
	cfg := ListenConfig{}
	if strings.HasSuffix(scheme, "s") && scheme != "ws" {
		cfg.TLS = ca.server
	}
	client, srv = pair(b, server(b, scheme+"://127.0.0.1:0", cfg), DialConfig{TLS: ca.client})
	_ = client.SetDeadline(time.Time{})
	_ = srv.SetDeadline(time.Time{})
	return client, srv
}

func BenchmarkReadWith(b *testing.B) {
	for _, scheme := range []string{"mqtt", "mqtts", "ws", "wss"} {
		for _, size := range []int{64, 16 << 10} {
			b.Run(fmt.Sprintf("scheme=%s/bytes=%d", scheme, size), func(b *testing.B) {
				client, srv := benchPair(b, scheme)
				msg, buf := make([]byte, size), make([]byte, 64<<10)
				borrow := func() []byte { return buf }
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := client.Write(msg); err != nil {
						b.Fatal(err)
					}
					for got := 0; got < size; {
						_, n, err := srv.ReadWith(borrow)
						if err != nil {
							b.Fatal(err)
						}
						got += n
					}
				}
			})
		}
	}
}

// BenchmarkRead is what BenchmarkReadWith is compared with.
func BenchmarkRead(b *testing.B) {
	client, srv := benchPair(b, "mqtt")
	msg, buf := make([]byte, 64), make([]byte, 64<<10)
	b.SetBytes(64)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = client.Write(msg)
		if _, err := io.ReadFull(srv, buf[:64]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTryWrite(b *testing.B) {
	for _, scheme := range []string{"mqtt", "ws"} {
		b.Run("scheme="+scheme, func(b *testing.B) {
			client, srv := benchPair(b, scheme)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = io.Copy(io.Discard, client)
			}()
			msg := binary.BigEndian.AppendUint64(make([]byte, 56), 1)
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				n, err := srv.TryWrite(msg)
				if err == nil && n < len(msg) {
					_, err = srv.Write(msg[n:])
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			_ = srv.Close()
			<-done
		})
	}
}
