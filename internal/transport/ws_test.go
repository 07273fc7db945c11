package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

const upgradeRequest = "GET /mqtt HTTP/1.1\r\nHost: broker.example:8083\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// upgraded is a connection past its opening handshake, with the client's side raw.
func upgraded(t testing.TB) (client net.Conn, srv Conn, l Listener) {
	t.Helper()
	l = server(t, "ws://127.0.0.1:0", ListenConfig{})
	client = rawDial(t, l)
	_, _ = io.WriteString(client, upgradeRequest+"Sec-WebSocket-Protocol: mqtt\r\n\r\n")
	srv = accepted(t, l)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := readResponse(t, client); status != 101 {
		t.Fatalf("status %d", status)
	}
	return client, srv, l
}

func readResponse(t testing.TB, c net.Conn) int {
	t.Helper()
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); {
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatalf("response %q: %v", head, err)
		}
		head = append(head, one...)
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// masked is a frame as a client sends it.
func masked(op ws.OpCode, fin bool, payload []byte) []byte {
	f := ws.MaskFrameWith(ws.NewFrame(op, fin, payload), [4]byte{0x11, 0x22, 0x33, 0x44})
	return ws.MustCompileFrame(f)
}

// closeCode reads frames until a close frame comes.
func closeCode(t testing.TB, c net.Conn) ws.StatusCode {
	t.Helper()
	for {
		f, err := ws.ReadFrame(c)
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.OpCode == ws.OpClose {
			code, _ := ws.ParseCloseFrameData(f.Payload)
			return code
		}
	}
}

func TestItem91FragmentsMakeOneStream(t *testing.T) {
	payload := make([]byte, 100_000)
	for i := range payload {
		payload[i] = byte(i * 31 >> 2)
	}
	fragments := func(size int) []byte {
		var wire []byte
		for i := 0; i < len(payload); i += size {
			op := ws.OpContinuation
			if i == 0 {
				op = ws.OpBinary
			}
			end := min(i+size, len(payload))
			wire = append(wire, masked(op, end == len(payload), payload[i:end])...)
		}
		return wire
	}
	for _, tc := range []struct {
		name string
		wire []byte
	}{
		{"one frame", masked(ws.OpBinary, true, payload)},
		{"1,000 frames", fragments(100)},
		{"100,000 frames of one byte", fragments(1)},
		{"empty frames before", append(bytes.Repeat(masked(ws.OpBinary, true, nil), 10_000), fragments(40_000)...)},
		{"pings within a message", func() []byte {
			a := masked(ws.OpBinary, false, payload[:50_000])
			a = append(a, masked(ws.OpPing, true, []byte("are you there"))...)
			return append(a, masked(ws.OpContinuation, true, payload[50_000:])...)
		}()},
		{"many messages", func() (a []byte) {
			for part := range bytes.SplitAfterSeq(payload, []byte{7}) {
				a = append(a, masked(ws.OpBinary, true, part)...)
			}
			return a
		}()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, srv, _ := upgraded(t)
			go func() {
				_, _ = client.Write(tc.wire)
				_, _ = io.Copy(io.Discard, client)
			}()
			var got []byte
			buf := make([]byte, 4096)
			for len(got) < len(payload) {
				b, n, err := srv.ReadWith(func() []byte { return buf })
				if err != nil || n == 0 {
					t.Fatalf("%d bytes, %v", n, err)
				}
				got = append(got, b[:n]...)
			}
			if !bytes.Equal(got, payload) {
				t.Error("the bytes differ")
			}
		})
	}
}

func TestItem91Violations(t *testing.T) {
	flip := func(b []byte, at int, bits byte) []byte { b[at] ^= bits; return b }
	data := []byte("data")
	for _, tc := range []struct {
		name string
		wire []byte
		code ws.StatusCode
	}{
		{"text", masked(ws.OpText, true, data), 1003},
		{"unmasked", ws.MustCompileFrame(ws.NewBinaryFrame(data)), 1002},
		{"reserved bit 1 (compressed)", flip(masked(ws.OpBinary, true, data), 0, 0x40), 1002},
		{"reserved bit 2", flip(masked(ws.OpBinary, true, data), 0, 0x20), 1002},
		{"reserved bit 3", flip(masked(ws.OpBinary, true, data), 0, 0x10), 1002},
		{"unknown data opcode", masked(3, true, data), 1002},
		{"unknown control opcode", masked(11, true, data), 1002},
		{"ping of 126 bytes", masked(ws.OpPing, true, make([]byte, 126)), 1002},
		{"ping of 65,536 bytes", masked(ws.OpPing, true, make([]byte, 65_536)), 1002},
		{"fragmented ping", masked(ws.OpPing, false, data), 1002},
		{"continuation of nothing", masked(ws.OpContinuation, true, data), 1002},
		{"message within a message", append(masked(ws.OpBinary, false, nil), masked(ws.OpBinary, true, data)...), 1002},
		{"length not minimal", []byte{0x82, 0x80 | 126, 0, 5, 0, 0, 0, 0}, 1002},
		{"length not minimal, 64 bits", []byte{0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0}, 1002},
		{"length of 64 bits", []byte{0x82, 0x80 | 127, 0xFF, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0}, 1002},
		{"close with half a code", masked(ws.OpClose, true, []byte{3}), 1002},
		{"close with code 0", masked(ws.OpClose, true, ws.NewCloseFrameBody(0, "")), 1002},
		{"close with code 999", masked(ws.OpClose, true, ws.NewCloseFrameBody(999, "")), 1002},
		{"close with the code of none", masked(ws.OpClose, true, ws.NewCloseFrameBody(1005, "")), 1002},
		{"close with the code of a cut connection", masked(ws.OpClose, true, ws.NewCloseFrameBody(1006, "x")), 1002},
		{"close with the code of a failed TLS handshake", masked(ws.OpClose, true, ws.NewCloseFrameBody(1015, "")), 1002},
		{"close with code 5000", masked(ws.OpClose, true, ws.NewCloseFrameBody(5000, "")), 1002},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, srv, _ := upgraded(t)
			_, _ = client.Write(append(masked(ws.OpBinary, true, []byte("ok")), tc.wire...))
			got, err := io.ReadAll(srv)
			violation := (*WebSocketError)(nil)
			if string(got) != "ok" || !errors.As(err, &violation) || violation.Code != uint16(tc.code) {
				t.Errorf("read %q, %v", got, err)
			}
			if code := closeCode(t, client); code != tc.code {
				t.Errorf("close code %d", code)
			}
			if _, err := srv.Write(data); !errors.Is(err, net.ErrClosed) {
				t.Errorf("write after the close frame: %v", err)
			}
		})
	}
}

func TestHugeFrameAllocatesNothingUpFront(t *testing.T) {
	client, srv, _ := upgraded(t)
	head := binary.BigEndian.AppendUint64([]byte{0x82, 0x80 | 127}, 1<<62)
	_, _ = client.Write(append(head, 0, 0, 0, 0))
	_, _ = client.Write([]byte("begin"))
	buf := make([]byte, 100)
	if b, n, err := srv.ReadWith(func() []byte { return buf }); err != nil || string(b[:n]) != "begin" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	_ = client.(*net.TCPConn).CloseWrite()
	if _, err := srv.Read(buf); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut within a frame: %v", err)
	}
}

func TestPingIsAnswered(t *testing.T) {
	client, srv, _ := upgraded(t)
	_, _ = client.Write(append(masked(ws.OpPing, true, []byte("are you there")), masked(ws.OpBinary, true, []byte("x"))...))
	if _, err := srv.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	f, err := ws.ReadFrame(client)
	if err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestCloseHandshake(t *testing.T) {
	for _, tc := range []struct {
		name    string
		payload []byte
		want    ws.StatusCode
	}{
		{"with a code", ws.NewCloseFrameBody(1001, "going away"), 1001},
		{"with a code of an application", ws.NewCloseFrameBody(4999, ""), 4999},
		{"without a code", nil, ws.StatusCode(0)},
	} {
		t.Run("by the client "+tc.name, func(t *testing.T) {
			client, srv, _ := upgraded(t)
			_, _ = client.Write(masked(ws.OpClose, true, tc.payload))
			if _, err := srv.Read(make([]byte, 10)); err != io.EOF {
				t.Errorf("%v", err)
			}
			if code := closeCode(t, client); code != tc.want && code != ws.StatusNoStatusRcvd {
				t.Errorf("close code %d", code)
			}
		})
	}
	t.Run("by the server", func(t *testing.T) {
		client, srv, _ := upgraded(t)
		if err := srv.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if code := closeCode(t, client); code != 1000 {
			t.Errorf("close code %d", code)
		}
		_, _ = client.Write(append(masked(ws.OpBinary, true, []byte("late")), masked(ws.OpClose, true, nil)...))
		if b, err := io.ReadAll(srv); string(b) != "late" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("Close", func(t *testing.T) {
		client, srv, _ := upgraded(t)
		_ = srv.Close()
		if code := closeCode(t, client); code != 1000 {
			t.Errorf("close code %d", code)
		}
	})
}

func TestOpeningHandshake(t *testing.T) {
	long := strings.Repeat("a", maxUpgradeBytes)
	with := func(lines ...string) string { return upgradeRequest + strings.Join(lines, "\r\n") + "\r\n\r\n" }
	at := func(host string, lines ...string) string {
		return strings.Replace(with(lines...), "broker.example:8083", host, 1)
	}
	mqtt := "Sec-WebSocket-Protocol: mqtt"
	for _, tc := range []struct {
		name, request string
		cfg           WebSocketConfig
		status        int
		sub           string
	}{
		{"mqtt", with(mqtt), WebSocketConfig{}, 101, "mqtt"},
		{"first known one", with("Sec-WebSocket-Protocol: stomp, mqttv3.1, mqtt"), WebSocketConfig{}, 101, "mqttv3.1"},
		{"first known one in a second line", with("Sec-WebSocket-Protocol: stomp", "Sec-WebSocket-Protocol: mqttv3.1.1"), WebSocketConfig{}, 101, "mqttv3.1.1"},
		{"unknown one", with("Sec-WebSocket-Protocol: stomp"), WebSocketConfig{}, 400, ""},
		{"none", with("X: y"), WebSocketConfig{}, 400, ""},
		{"none, allowed", with("X: y"), WebSocketConfig{AnySubprotocol: true}, 101, ""},
		{"own list", with("Sec-WebSocket-Protocol: mqtt"), WebSocketConfig{Subprotocols: []string{"other"}}, 400, ""},
		{"same host, other port", at("127.0.0.1:8083", mqtt, "Origin: https://127.0.0.1"), WebSocketConfig{}, 101, "mqtt"},
		{"this machine by name", at("app.localhost.", mqtt, "Origin: http://App.localhost.:3000"), WebSocketConfig{}, 101, "mqtt"},
		{"foreign name that resolves to this machine", with(mqtt, "Origin: https://broker.example"), WebSocketConfig{}, 403, ""},
		{"foreign name, listed", with(mqtt, "Origin: https://broker.example"), WebSocketConfig{Origins: []string{"https://broker.example"}}, 101, "mqtt"},
		{"foreign page", at("localhost", mqtt, "Origin: https://evil.example"), WebSocketConfig{}, 403, ""},
		{"foreign page with our name in its own", at("localhost", mqtt, "Origin: https://localhost.evil"), WebSocketConfig{}, 403, ""},
		{"opaque origin", with(mqtt, "Origin: null"), WebSocketConfig{}, 403, ""},
		{"listed page", with(mqtt, "Origin: https://app.example"), WebSocketConfig{Origins: []string{"https://app.example"}}, 101, "mqtt"},
		{"page not listed", with(mqtt, "Origin: https://broker.example"), WebSocketConfig{Origins: []string{"https://app.example"}}, 403, ""},
		{"listed domain", with(mqtt, "Origin: https://a.b.example"), WebSocketConfig{Origins: []string{"https://*.b.example"}}, 101, "mqtt"},
		{"listed domain by http", with(mqtt, "Origin: http://a.b.example"), WebSocketConfig{Origins: []string{"https://*.b.example"}}, 403, ""},
		{"domain that ends alike", with(mqtt, "Origin: https://evilb.example"), WebSocketConfig{Origins: []string{"https://*.b.example"}}, 403, ""},
		{"any page", with(mqtt, "Origin: null"), WebSocketConfig{Origins: []string{"*"}}, 101, "mqtt"},
		{"two origins", with(mqtt, "Origin: https://broker.example", "Origin: https://evil.example"), WebSocketConfig{}, 400, ""},
		{"compression offered is not taken", with(mqtt, "Sec-WebSocket-Extensions: permessage-deflate"), WebSocketConfig{}, 101, "mqtt"},
		{"query", strings.Replace(with(mqtt), "/mqtt", "/mqtt?token=1", 1), WebSocketConfig{}, 101, "mqtt"},
		{"other path", strings.Replace(with(mqtt), "/mqtt", "/other", 1), WebSocketConfig{}, 404, ""},
		{"other version", strings.Replace(with(mqtt), "Version: 13", "Version: 8", 1), WebSocketConfig{}, 426, ""},
		{"plain web page", "GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n", WebSocketConfig{}, 400, ""},
		{"long header", with("Cookie: " + long), WebSocketConfig{}, 431, ""},
		{"header without end", strings.Repeat("GET ", maxUpgradeBytes), WebSocketConfig{}, 431, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := server(t, "ws://127.0.0.1:0", ListenConfig{WebSocket: tc.cfg})
			c := rawDial(t, l)
			go func() { _, _ = io.WriteString(c, tc.request) }()
			srv := accepted(t, l)
			err := srv.Handshake(t.Context())
			if (err == nil) != (tc.status == 101) {
				t.Fatal(err)
			}
			if tc.status == 431 {
				return // unread input resets the connection, and the response may be lost
			}
			if status := readResponse(t, c); status != tc.status {
				t.Errorf("status %d, want %d (%v)", status, tc.status, err)
			}
			if sub := srv.Info().Subprotocol; sub != tc.sub {
				t.Errorf("subprotocol %q", sub)
			}
			if tc.status != 101 && l.Counters().Closed[ClosedWebSocket] != 1 {
				t.Errorf("%+v", l.Counters())
			}
		})
	}
}

func TestFramesThatCameWithTheRequest(t *testing.T) {
	l := server(t, "ws://127.0.0.1:0", ListenConfig{})
	c := rawDial(t, l)
	request := upgradeRequest + "Sec-WebSocket-Protocol: mqtt\r\n\r\n" + string(masked(ws.OpBinary, true, []byte("early"))) +
		string(masked(ws.OpBinary, true, bytes.Repeat([]byte("x"), 300)))
	_, _ = io.WriteString(c, request)
	srv := accepted(t, l)
	buf := make([]byte, 7)
	var got []byte
	for len(got) < 305 {
		b, n, err := srv.ReadWith(func() []byte { return buf })
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if want := "early" + strings.Repeat("x", 300); string(got) != want {
		t.Errorf("%q", got)
	}
}

func TestDialSendsHeadersAndSubprotocol(t *testing.T) {
	requests := make(chan *http.Request, 1)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	go func() {
		c, err := inner.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r, _ := http.ReadRequest(bufio.NewReader(c))
		requests <- r
		_, _ = fmt.Fprintf(c, "HTTP/1.1 403 Go away\r\nContent-Length: 0\r\n\r\n")
	}()
	header := http.Header{"Authorization": {"Bearer x"}, "Host": {"virtual.example"}}
	url := "ws://user:pw@" + inner.Addr().String() + "/a%20path?token=1"
	_, err = Dial(t.Context(), url, DialConfig{Header: header, Subprotocols: []string{"mqttv3.1", "mqtt"}})
	e := asError(t, err)
	if !strings.Contains(e.Problem, `403 "Go away"`) || e.Hint == "" {
		t.Errorf("%v, %q", e, e.Hint)
	}
	r := <-requests
	got := map[string]string{
		"uri": r.RequestURI, "host": r.Host, "auth": r.Header.Get("Authorization"), "sub": r.Header.Get("Sec-Websocket-Protocol"),
	}
	want := map[string]string{"uri": "/a%20path?token=1", "host": "virtual.example", "auth": "Bearer x", "sub": "mqttv3.1, mqtt"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if header.Get("Host") == "" {
		t.Error("the caller's header was changed")
	}
}

func TestDialReadsFramesThatCameWithTheResponse(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	go func() {
		c, err := inner.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var b bytes.Buffer
		rw := struct {
			io.Reader
			io.Writer
		}{c, &b}
		u := ws.Upgrader{Protocol: func([]byte) bool { return true }}
		_, _ = u.Upgrade(rw)
		_ = ws.WriteFrame(&b, ws.NewBinaryFrame([]byte("early")))
		_, _ = c.Write(b.Bytes())
		_, _ = io.Copy(io.Discard, c)
	}()
	c, err := Dial(context.Background(), "ws://"+inner.Addr().String(), DialConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "early" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestClientRefusesMaskedFrames(t *testing.T) {
	r := wsReader{fromServer: true}
	_, err := r.decode(masked(ws.OpBinary, true, []byte("x")), func(ws.OpCode, []byte) error { return nil })
	if v := (*WebSocketError)(nil); !errors.As(err, &v) || v.Code != 1002 {
		t.Error(err)
	}
}
