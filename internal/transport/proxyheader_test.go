package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// v2 is a PROXY v2 header; length < 0 means that of the body.
func v2(command, family byte, length int, body ...[]byte) string {
	b := bytes.Join(body, nil)
	if length < 0 {
		length = len(b)
	}
	h := append([]byte(proxySignature), command, family)
	return string(append(binary.BigEndian.AppendUint16(h, uint16(length)), b...))
}

var (
	v4Body = []byte{192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0x07, 0x5B} // 192.0.2.7:12345 to 198.51.100.1:1883
	v6Body = append(append(netip.MustParseAddr("2001:db8::7").AsSlice(), make([]byte, 16)...), 0x30, 0x39, 0x07, 0x5B)
)

func TestProxyHeader(t *testing.T) {
	const v4, v6 = "192.0.2.7:12345", "[2001:db8::7]:12345"
	tlv := []byte{0x02, 0, 3, 'a', 'b', 'c'}
	for _, tc := range []struct {
		name, header string
		want         string // "" is no address, "!" an error
	}{
		{"v1 TCP4", "PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\r\n", v4},
		{"v1 TCP6", "PROXY TCP6 2001:db8::7 2001:db8::1 12345 1883\r\n", v6},
		{"v1 TCP6, mapped", "PROXY TCP6 ::ffff:192.0.2.7 ::1 12345 1883\r\n", v4},
		{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", ""},
		{"v1 UNKNOWN with addresses", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ""},
		{"v1, 107 bytes", "PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n", ""},
		{"v1, 108 bytes", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", "!"},
		{"v1 without CRLF", "PROXY TCP4 " + strings.Repeat("1", 500), "!"},
		{"v1 with LF alone", "PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\n" + strings.Repeat("x", 100), "!"},
		{"v1 cut", "PROXY TCP4 192.0.2.7", "!"},
		{"v1 of another family", "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", "!"},
		{"v1 with a zone", "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "!"},
		{"v1 port too large", "PROXY TCP4 192.0.2.7 198.51.100.1 65536 1883\r\n", "!"},
		{"v1 port with leading zero", "PROXY TCP4 192.0.2.7 198.51.100.1 012 1883\r\n", "!"},
		{"v1 two spaces", "PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", "!"},
		{"v1 fields missing", "PROXY TCP4 192.0.2.7\r\n", "!"},
		{"v1 no family", "PROXY \r\nxxxxxx\r\n", "!"},
		{"v2 TCP4", v2(0x21, 0x11, -1, v4Body), v4},
		{"v2 TCP6", v2(0x21, 0x21, -1, v6Body), v6},
		{"v2 with TLVs", v2(0x21, 0x11, -1, v4Body, tlv, tlv), v4},
		{"v2 LOCAL", v2(0x20, 0x00, -1), ""},
		{"v2 LOCAL with a body", v2(0x20, 0x11, -1, v4Body), ""},
		{"v2 UNSPEC", v2(0x21, 0x00, -1, tlv), ""},
		{"v2 Unix", v2(0x21, 0x31, -1, make([]byte, 216)), ""},
		{"v2 UDP", v2(0x21, 0x12, -1, v4Body), "!"},
		{"v2 length 65,535", v2(0x21, 0x11, 65535, v4Body), "!"},
		{"v2 longer than our limit", v2(0x21, 0x11, 4097, v4Body, make([]byte, 4085)), "!"},
		{"v2 short for its addresses", v2(0x21, 0x21, -1, v4Body), "!"},
		{"v2 short TLV", v2(0x21, 0x11, -1, v4Body, []byte{2, 0, 9, 'a'}), "!"},
		{"v2 half a TLV", v2(0x21, 0x11, -1, v4Body, []byte{2, 0}), "!"},
		{"v2 cut", v2(0x21, 0x11, 12, v4Body[:5]), "!"},
		{"v2 of version 1", v2(0x11, 0x11, -1, v4Body), "!"},
		{"v2 unknown command", v2(0x22, 0x11, -1, v4Body), "!"},
		{"v2 unknown family", v2(0x21, 0x41, -1, v4Body), "!"},
		{"MQTT", "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "!"},
		{"nothing", "", "!"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const after = "what follows"
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
			} {
				r := strings.NewReader(tc.header + after)
				got, _, err := readProxyHeader(wrap(r))
				if tc.want == "!" {
					if cut := strings.HasSuffix(tc.name, "cut") || tc.name == "nothing"; err == nil && !cut {
						t.Errorf("%s: accepted as %s", name, got)
					}
					continue
				}
				text := ""
				if got.IsValid() {
					text = got.String()
				}
				if err != nil || text != tc.want {
					t.Errorf("%s: %q, %v", name, text, err)
				}
				if rest, _ := io.ReadAll(r); string(rest) != after {
					t.Errorf("%s: %q is left", name, rest)
				}
			}
			if tc.want == "!" {
				if _, _, err := readProxyHeader(strings.NewReader(tc.header)); err == nil {
					t.Error("accepted")
				}
			}
		})
	}
}

func TestItem17ProxyHeader(t *testing.T) {
	loopback := []string{"127.0.0.0/8"}
	header := "PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\r\n"
	for _, tc := range []struct {
		name, sent string
		cfg        ListenConfig
		op         string // of the error; "" is none
		remote     string
		counted    map[string]uint64 // refused
	}{
		{"client's address", header, ListenConfig{Proxies: loopback}, "", "192.0.2.7:12345", nil},
		{"v1 without CRLF", "PROXY TCP4 " + strings.Repeat("1", 200), ListenConfig{Proxies: loopback}, "proxy", "", nil},
		{"v2 length 65,535", v2(0x21, 0x11, 65535, v4Body), ListenConfig{Proxies: loopback}, "proxy", "", nil},
		{"v2 short TLV", v2(0x21, 0x11, -1, v4Body, []byte{2, 0, 9}), ListenConfig{Proxies: loopback}, "proxy", "", nil},
		{"no header", strings.Repeat("\x10", 20), ListenConfig{Proxies: loopback}, "proxy", "", nil},
		{"silence", "", ListenConfig{Proxies: loopback, ProxyTimeout: 20 * time.Millisecond}, "proxy", "", nil},
		{"half, then silence", header[:20], ListenConfig{Proxies: loopback, ProxyTimeout: 20 * time.Millisecond}, "proxy", "", nil},
		{
			"rule for the client", header,
			ListenConfig{Proxies: loopback, Access: []string{"deny 192.0.2.0/24"}},
			"access", "",
			map[string]uint64{RefusedRule: 1},
		},
		{
			"rule for the proxy does not concern the client", header,
			ListenConfig{Proxies: loopback, Access: []string{"deny 127.0.0.1"}},
			"", "192.0.2.7:12345", nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := server(t, "mqtt://127.0.0.1:0", tc.cfg)
			c := rawDial(t, l)
			_, _ = io.WriteString(c, tc.sent)
			srv := accepted(t, l)
			err := srv.Handshake(t.Context())
			if d := cmp.Diff(tc.counted, l.Counters().Refused); d != "" {
				t.Error(d)
			}
			if tc.op != "" {
				if e := asError(t, err); e.Op != tc.op || e.Timeout != (tc.cfg.ProxyTimeout != 0) {
					t.Errorf("%+v", e)
				}
				closedByPeer(t, c)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			i := srv.Info()
			if i.Peer() != tc.remote || srv.RemoteAddr().String() != tc.remote || i.Proxy.String() != c.LocalAddr().String() {
				t.Errorf("%+v", i)
			}
			_, _ = io.WriteString(c, "next")
			b := make([]byte, 4)
			if _, err := io.ReadFull(srv, b); err != nil || string(b) != "next" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

func TestSourceLimitCountsTheClientBehindTheProxy(t *testing.T) {
	l := server(t, "mqtt://127.0.0.1:0", ListenConfig{Proxies: []string{"127.0.0.1"}, MaxPerSource: 1})
	connect := func(client string) (Conn, error) {
		c := rawDial(t, l)
		_, _ = io.WriteString(c, "PROXY TCP4 "+client+" 198.51.100.1 12345 1883\r\n")
		srv := accepted(t, l)
		return srv, srv.Handshake(t.Context())
	}
	first, err := connect("192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = connect("192.0.2.8"); err != nil {
		t.Fatal(err)
	}
	if _, err = connect("192.0.2.7"); !errors.Is(err, errRefused) {
		t.Fatalf("a second connection of one client: %v", err)
	}
	_ = first.Close()
	if _, err = connect("192.0.2.7"); err != nil {
		t.Errorf("after the first has closed: %v", err)
	}
}

func TestProxyHeaderComesBeforeTLSAndWebSocket(t *testing.T) {
	ca := newTestCA(t)
	l := server(t, "wss://127.0.0.1:0", ListenConfig{TLS: ca.server, Proxies: []string{"127.0.0.1"}})

	// A proxy in miniature.
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	go func() {
		in, err := front.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			_ = in.Close()
			return
		}
		_, _ = io.WriteString(out, v2(0x21, 0x11, -1, v4Body))
		go func() {
			_, _ = io.Copy(out, in)
			_ = out.Close()
		}()
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}()
	dialed := make(chan Conn, 1)
	go func() {
		c, err := Dial(t.Context(), "wss://"+front.Addr().String(), DialConfig{TLS: ca.client})
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
	if i := srv.Info(); i.Peer() != "192.0.2.7:12345" || i.TLS == nil || i.Subprotocol != "mqtt" {
		t.Errorf("%+v", i)
	}
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 198.51.100.1 12345 1883\r\n"))
	f.Add([]byte(v2(0x21, 0x11, -1, v4Body, []byte{2, 0, 1, 'a'})))
	f.Add([]byte(v2(0x21, 0x21, -1, v6Body)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		a, _, err := readProxyHeader(r)
		if err != nil && a.IsValid() {
			t.Error("an address and an error")
		}
		if used := len(b) - r.Len(); used > 16+proxyV2Bytes {
			t.Errorf("%d bytes used", used)
		}
	})
}
