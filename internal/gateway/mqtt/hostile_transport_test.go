package mqtt_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// overTLS is an arena with a certificate.
func overTLS(t *testing.T, scheme string) arena {
	t.Helper()
	ca := transporttest.NewCA(t, "test authority")
	return arena{
		url:    scheme + "://127.0.0.1:0",
		listen: transport.ListenConfig{TLS: &transport.ServerTLS{Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}}},
		dial:   transport.DialConfig{TLS: &transport.ClientTLS{RootCAs: ca.Pool()}},
	}
}

// ended reads until the end of the connection, whatever comes before.
func ended(t *testing.T, nc net.Conn) []byte {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(nc)
	if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as net.Conn returns it
		t.Fatalf("the connection is still open after % x", b)
	}
	_ = nc.Close()
	return b
}

func TestHostile_14_HandshakesNeverFinished(t *testing.T) {
	const limit, n = 20, 500 // for 10,000: the file descriptors of a test
	from := strangers(t)
	a := overTLS(t, "mqtts")
	a.listen.MaxHandshakes, a.listen.HandshakeTimeout = limit, 500*time.Millisecond
	hostile(t, a, func(h *hall) {
		var all []net.Conn
		for range n {
			nc := h.socketFrom(from)
			_, _ = nc.Write([]byte{0x16, 3, 1}) // the beginning of a hello
			all = append(all, nc)
			if c := h.l.Counters(); c.Handshaking > limit {
				t.Fatalf("%d handshakes under way, the limit is %d", c.Handshaking, limit)
			}
		}
		for _, nc := range all {
			ended(t, nc)
		}
		if c := h.l.Counters(); c.Refused[transport.RefusedHandshakes] == 0 || c.Closed[transport.ClosedTimeout] == 0 {
			t.Errorf("counters: %+v", c)
		}
	})
}

func TestHostile_15_HelloThatIsNone(t *testing.T) {
	a := overTLS(t, "mqtts")
	a.listen.HandshakeTimeout = 500 * time.Millisecond
	hostile(t, a, func(h *hall) {
		for name, sent := range map[string]string{
			"16 KB of garbage":          strings.Repeat("\xde\xad", 8<<10),
			"16 KB of hello in garbage": "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + strings.Repeat("\xde\xad", 8<<10),
			"SSL 3":                     "\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00" + strings.Repeat("\x00", 41),
			"SSL 2":                     "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("\x00", 37),
			"record of 65,535 bytes":    "\x16\x03\x01\xff\xff" + strings.Repeat("\x01", 100),
			"data before the hello":     "\x17\x03\x03\x00\x05hello",
			"hello of 16 MB":            "\x16\x03\x01\x00\x10\x01\xff\xff\xff" + strings.Repeat("\x00", 12),
		} {
			nc := h.socket()
			_, _ = io.WriteString(nc, sent)
			if b := ended(t, nc); len(b) > 7 { // an alert, at most
				t.Errorf("%s: got % x", name, b)
			}
		}
		renegotiate(t, h)
	})
}

// renegotiate asks for a second handshake within TLS 1.2, which Go's client
// cannot do.
func renegotiate(t *testing.T, h *hall) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
			t.Fatal("openssl is missing")
		}
		t.Log("renegotiation is left out: openssl is missing")
		return
	}
	cmd := exec.CommandContext(t.Context(), path, "s_client", "-connect", h.addr, "-tls1_2", "-no_ign_eof")
	cmd.Stdin = strings.NewReader("R\n")
	done := make(chan []byte, 1)
	go func() {
		out, _ := cmd.CombinedOutput()
		done <- out
	}()
	select {
	case out := <-done:
		if !bytes.Contains(out, []byte("RENEGOTIATING")) || !bytes.Contains(out, []byte("alert")) {
			t.Errorf("openssl s_client: %.3000s", out)
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-done
		t.Error("renegotiation keeps the connection open")
	}
}

func TestHostile_16_AnotherProtocolOnThePort(t *testing.T) {
	hello := clientHello(t)
	for _, c := range []struct {
		scheme, name, sent string
	}{
		{"mqtt", "TLS", hello},
		{"mqtt", "HTTP", "GET / HTTP/1.1\r\nHost: broker\r\n\r\n"},
		{"mqtt", "HTTP", "POST /mqtt HTTP/1.1\r\nHost: broker\r\nContent-Length: 3\r\n\r\nabc"},
		{"mqtt", "PROXY header", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"},
		{"mqtts", "MQTT", string(connectBytes(t, mqtt.V311))},
		{"mqtts", "HTTP", "GET / HTTP/1.1\r\nHost: broker\r\n\r\n"},
		{"ws", "MQTT", string(connectBytes(t, mqtt.V5))},
		{"ws", "TLS", hello},
	} {
		t.Run(c.scheme+" gets "+c.name, func(t *testing.T) {
			hostile(t, overTLS(t, c.scheme), func(h *hall) {
				nc := h.socket()
				from := nc.LocalAddr().String()
				_, _ = io.WriteString(nc, c.sent)
				ended(t, nc)
				h.eventually("the log tells", func() bool { return len(h.log.about(from)) > 0 })
				h.deserted()
				lines := h.log.about(from)
				if len(lines) != 1 || !strings.Contains(lines[0], c.name) {
					t.Errorf("log: %q, want one line that names %s", lines, c.name)
				}
			})
		})
	}
}

// clientHello is what a TLS client begins with.
func clientHello(t *testing.T) string {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(client, &tls.Config{ServerName: "broker"}).Handshake() //nolint:gosec // it never comes to that
	}()
	b := make([]byte, 8<<10)
	n, err := server.Read(b)
	_ = server.Close()
	_ = client.Close()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestHostile_17_ProxyHeaders(t *testing.T) {
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	a := arena{
		listen: transport.ListenConfig{Proxies: []string{"127.0.0.1"}, ProxyTimeout: 300 * time.Millisecond, Access: []string{"deny 192.0.2.66"}},
		header: "PROXY TCP4 192.0.2.1 192.0.2.2 1000 1883\r\n",
	}
	hostile(t, a, func(h *hall) {
		connect := string(connectBytes(t, mqtt.V5))
		for name, sent := range map[string]string{
			"version 1 without an end":            "PROXY TCP4 " + strings.Repeat("1", 200),
			"version 1, 108 bytes":                "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n" + connect,
			"version 1, a port too many":          "PROXY TCP4 192.0.2.1 192.0.2.2 1000 1883 5\r\n" + connect,
			"version 1, family does not fit":      "PROXY TCP6 192.0.2.1 192.0.2.2 1000 1883\r\n" + connect,
			"version 1, then silence":             "PROXY TCP4 192.0",
			"version 2, 65,535 bytes":             signature + "\x21\x11\xff\xff" + strings.Repeat("\x00", 4000),
			"version 2, 65,535 bytes are there":   signature + "\x21\x11\xff\xff" + strings.Repeat("\x00", 65535) + connect,
			"version 2, too short for addresses":  signature + "\x21\x11\x00\x04\x7f\x00\x00\x01" + connect,
			"version 2, TLV longer than the rest": signature + "\x21\x11\x00\x0f" + strings.Repeat("\x01", 12) + "\x04\xff\xff" + connect,
			"version 2, half a TLV":               signature + "\x21\x11\x00\x0e" + strings.Repeat("\x01", 12) + "\x04\x00" + connect,
			"version 2, unknown command":          signature + "\x25\x11\x00\x0c" + strings.Repeat("\x01", 12) + connect,
			"no header":                           connect,
			"nothing":                             "",
			"an address that is denied":           "PROXY TCP4 192.0.2.66 192.0.2.2 1000 1883\r\n" + connect,
		} {
			nc := h.socket()
			_, _ = io.WriteString(nc, sent)
			if b := ended(t, nc); len(b) > 0 {
				t.Errorf("%s: got % x", name, b)
			}
		}
		nc := h.socketFrom(strangers(t)) // a good header, but from nobody's proxy
		_, _ = io.WriteString(nc, a.header+connect)
		hungUp(t, nc)
		h.deserted()
		if c := h.l.Counters(); c.Refused[transport.RefusedProxy] != 1 || c.Refused[transport.RefusedRule] != 1 {
			t.Errorf("counters: %+v", c)
		}
	})
}

// page is a WebSocket client whose frames are made by the test.
type page struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
}

// upgrade asks for a WebSocket with these header lines.
func (h *hall) upgrade(lines ...string) (*page, *http.Response) {
	h.t.Helper()
	nc := h.socket()
	_ = nc.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(nc, "GET /mqtt HTTP/1.1\r\nHost: "+h.addr+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n")
	p := &page{h.t, nc, bufio.NewReader(nc)}
	resp, err := http.ReadResponse(p.br, nil)
	if err != nil {
		h.t.Fatalf("upgrade: %v", err)
	}
	_ = resp.Body.Close()
	return p, resp
}

// page opens a WebSocket as a browser does.
func (h *hall) page() *page {
	h.t.Helper()
	p, resp := h.upgrade("Sec-WebSocket-Protocol: mqtt")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		h.t.Fatalf("upgrade: %s", resp.Status)
	}
	return p
}

// masked is a frame as a client sends it.
func masked(op ws.OpCode, fin bool, payload []byte) []byte {
	return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, fin, payload), [4]byte{1, 2, 3, 4}))
}

func (p *page) send(frames ...[]byte) {
	p.t.Helper()
	_ = p.nc.SetDeadline(time.Now().Add(patience))
	_, _ = p.nc.Write(bytes.Join(frames, nil))
}

// frame reads one frame of the broker, which sends no long ones here.
func (p *page) frame() (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(p.br); err != nil {
		return f, err
	}
	if f.Header.Length > 64<<10 {
		p.t.Fatalf("a frame of %d bytes", f.Header.Length)
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(p.br, f.Payload)
	return f, err
}

// mqtt reads frames until their payload holds a packet that begins with first.
func (p *page) mqtt(first byte) {
	p.t.Helper()
	for {
		f, err := p.frame()
		if err != nil {
			p.t.Fatalf("waiting for a packet %#x: %v", first, err)
		}
		if f.Header.OpCode == ws.OpBinary && len(f.Payload) > 0 && f.Payload[0] == first {
			return
		}
	}
}

// closedWith expects a close frame of that code and the end; 0 is no frame.
func (p *page) closedWith(what string, code ws.StatusCode) {
	p.t.Helper()
	var got ws.StatusCode
	for {
		f, err := p.frame()
		if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as net.Conn returns it
			p.t.Fatalf("%s: the connection is still open", what)
		}
		if err != nil {
			break
		}
		if f.Header.OpCode == ws.OpClose && len(f.Payload) >= 2 {
			got = ws.StatusCode(binary.BigEndian.Uint16(f.Payload))
		}
	}
	_ = p.nc.Close()
	if got != code {
		p.t.Errorf("%s: close code %d, want %d", what, got, code)
	}
}

func TestHostile_91_WebSocket(t *testing.T) {
	connect := connectBytes(t, mqtt.V5)
	ping := []byte{0xC0, 0}
	online := func(h *hall) *page {
		p := h.page()
		p.send(masked(ws.OpBinary, true, connect))
		p.mqtt(0x20)
		return p
	}
	t.Run("broken frames", func(t *testing.T) {
		hostile(t, arena{url: "ws://127.0.0.1:0"}, func(h *hall) {
			longPing := append([]byte{0x89, 0xFE, 0, 126, 0, 0, 0, 0}, make([]byte, 126)...)
			for _, c := range []struct {
				what string
				sent []byte
				code ws.StatusCode
			}{
				{"text frame", masked(ws.OpText, true, connect), 1003},
				{"unmasked frame", ws.MustCompileFrame(ws.NewBinaryFrame(connect)), 1002},
				{"control frame of 126 bytes", longPing, 1002},
				{"control frame in fragments", masked(ws.OpPing, false, nil), 1002},
				{"RSV1, as a compressed bomb has", []byte{0xC2, 0x84, 0, 0, 0, 0, 0xED, 0xC1, 1, 1}, 1002},
				{"RSV2", []byte{0xA2, 0x80, 0, 0, 0, 0}, 1002},
				{"RSV3", []byte{0x92, 0x80, 0, 0, 0, 0}, 1002},
				{"unknown opcode", []byte{0x83, 0x80, 0, 0, 0, 0}, 1002},
				{"continuation of nothing", masked(ws.OpContinuation, true, connect), 1002},
				{"length with the top bit", []byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, 1002},
				{"close frame of one byte", []byte{0x88, 0x81, 0, 0, 0, 0, 3}, 1002},
			} {
				p := online(h)
				p.send(c.sent)
				p.closedWith(c.what, c.code)
			}
			p := online(h) // a close frame may have no reason; it is answered
			p.send(masked(ws.OpClose, true, nil))
			p.closedWith("close without reason", 0)
			p = online(h) // more than any packet may be, announced as one frame
			p.send([]byte{0x82, 0xFF, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}, ping)
			p.mqtt(0xD0)
			h.atMost(1<<20, "for a frame of 2^47 bytes")
		})
	})
	t.Run("upgrades", func(t *testing.T) {
		hostile(t, arena{url: "ws://127.0.0.1:0", gw: gw.Config{ConnectTimeout: time.Second}}, func(h *hall) {
			for want, lines := range map[int][][]string{
				101: {{"Sec-WebSocket-Protocol: chat, mqtt"}, {"Sec-WebSocket-Protocol: mqtt", "Origin: http://127.0.0.1"}},
				400: {nil, {"Sec-WebSocket-Protocol: chat"}},
				403: {{"Sec-WebSocket-Protocol: mqtt", "Origin: http://evil.example"}, {"Sec-WebSocket-Protocol: mqtt", "Origin: null"}},
				431: {{"X: " + strings.Repeat("x", 20<<10)}},
			} {
				for _, l := range lines {
					p, resp := h.upgrade(l...)
					if resp.StatusCode != want {
						t.Errorf("%.100q: %s, want %d", l, resp.Status, want)
					}
					if e := resp.Header.Get("Sec-WebSocket-Extensions"); e != "" {
						t.Errorf("extension %q", e)
					}
					_ = p.nc.Close()
				}
			}
			// An offered compression is not accepted, so nothing is ever inflated.
			p, resp := h.upgrade("Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
			if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
				t.Errorf("%s with extensions %q", resp.Status, resp.Header.Get("Sec-WebSocket-Extensions"))
			}
			p.closedWith("nothing after the upgrade", 1000) // at the CONNECT deadline
		})
	})
	t.Run("packets and frames", func(t *testing.T) {
		hostile(t, arena{url: "ws://127.0.0.1:0"}, func(h *hall) {
			// Several packets in a frame, CONNECT and half of the next among them.
			p := h.page()
			p.send(masked(ws.OpBinary, true, append(append([]byte(nil), connect...), 0xC0, 0, 0xC0)), masked(ws.OpBinary, true, []byte{0}))
			p.mqtt(0x20)
			// One packet over 1,000 fragments of a message, with a ping in between.
			fragments := func(packet []byte, n int) [][]byte {
				var all [][]byte
				op := ws.OpBinary
				for i := range n {
					from, to := i*len(packet)/n, (i+1)*len(packet)/n
					all = append(all, masked(op, i == n-1, packet[from:to]))
					op = ws.OpContinuation
				}
				return all
			}
			packet := func(size int) []byte {
				b, err := mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1, Payload: make([]byte, size)}.Append(nil, mqtt.V5)
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			all := fragments(packet(10_000), 1000)
			p.send(append(all[:500:500], append([][]byte{masked(ws.OpPing, true, []byte("x"))}, all[500:]...)...)...)
			p.mqtt(0x40)
			// 10^6 fragments of one byte.
			big := packet(1_000_000)
			flood := bytes.Join(fragments(big, len(big)), nil)
			p.send(flood)
			p.mqtt(0x40)
			h.atMost(len(flood)+2<<20, "for a packet in fragments of one byte") // flood is the test's own
		})
	})
	t.Run("empty frames", func(t *testing.T) {
		hostile(t, arena{url: "ws://127.0.0.1:0", gw: gw.Config{ConnectTimeout: time.Second}}, func(h *hall) {
			// They are no sign of life: the CONNECT deadline ends them.
			p := h.page()
			empty := bytes.Repeat(masked(ws.OpBinary, true, nil), 1000)
			began := time.Now()
			for time.Since(began) < patience {
				if _, err := p.nc.Write(empty); err != nil {
					break
				}
			}
			if took := time.Since(began); took > patience/2 {
				t.Errorf("empty frames are taken for %v", took)
			}
			// A flood of pings that are never read: the pongs are bounded.
			p = h.page()
			pings := bytes.Repeat(masked(ws.OpPing, true, make([]byte, 125)), 1000)
			for began = time.Now(); time.Since(began) < 200*time.Millisecond; {
				_ = p.nc.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
				_, _ = p.nc.Write(pings)
			}
			h.atMost(1<<20, fmt.Sprintf("for pings of %d bytes", len(pings)))
		})
	})
}
