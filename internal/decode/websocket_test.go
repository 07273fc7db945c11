package decode

import (
	"bytes"
	"compress/flate"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
)

// request and switched open a WebSocket.
const (
	request  = "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
	switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n"
)

// message is a frame of WebSocket, with a mask if it is a client's.
func message(first byte, masked bool, b []byte) []byte {
	f := []byte{first, byte(len(b))}
	if len(b) > 125 {
		f = []byte{first, 126, byte(len(b) >> 8), byte(len(b))}
	}
	if !masked {
		return append(f, b...)
	}
	f[1] |= 0x80
	mask := [4]byte{1, 0x80, 3, 4}
	f = append(f, mask[:]...)
	for i, c := range b {
		f = append(f, c^mask[i&3])
	}
	return f
}

// TestWebSocketMessages: one packet in many messages and fragments, and many in one,
// with control frames in between.
func TestWebSocketMessages(t *testing.T) {
	for _, size := range []int{1, 7, 1000} { // of chunks
		e, c := engine(t, Options{})
		k := newTalk(t, e, 1)
		up := []byte(request)
		connect := unhex(t, connect4)
		for i, b := range connect[:10] {
			first := byte(0x82)
			if i == 4 {
				first = 0x02 // begins a message of two fragments
			} else if i == 5 {
				first = 0x80
				up = append(up, message(0x89, true, []byte("hi"))...)
			}
			up = append(up, message(first, true, []byte{b})...)
		}
		up = append(up, message(0x82, true, append(connect[10:], unhex(t, publish4+publish4)...))...)
		for part := range slices.Chunk(up, size) {
			k.client(part)
		}
		k.server(append([]byte(switched+"\r\n"), message(0x82, false, unhex(t, connack4))...))
		k.server(message(0x88, false, unhex(t, "03e8")))
		k.end()
		if n := len(c.of("mqtt")); n != 4 {
			t.Errorf("chunks of %d: %d packets\n%s", size, n, c)
		}
		var aside []string
		for _, p := range c.of("websocket") {
			aside = append(aside, p.Type)
		}
		if got := strings.Join(aside, " "); got != "REQUEST PING ANSWER CLOSE" {
			t.Errorf("chunks of %d: %s", size, got)
		}
		for _, p := range c.packets {
			if p.Err != nil || len(p.Problems) > 0 {
				t.Errorf("%s: %v %v", p.Line, p.Err, p.Problems)
			}
		}
	}
}

// TestWebSocketCompression reads permessage-deflate, with and without a window that
// goes from message to message.
func TestWebSocketCompression(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		e, c := engine(t, Options{})
		k := newTalk(t, e, 1)
		extension := "Sec-WebSocket-Extensions: permessage-deflate"
		if fresh {
			extension += "; client_no_context_takeover"
		}
		k.client([]byte(request))
		k.server([]byte(switched + extension + "\r\n\r\n"))
		var out bytes.Buffer
		w, err := flate.NewWriter(&out, 9)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{connect4, publish4 + publish4, publish4} {
			if fresh {
				w.Reset(&out)
			}
			if _, err := w.Write(unhex(t, text)); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			k.client(message(0xc2, true, bytes.TrimSuffix(out.Bytes(), []byte("\x00\x00\xff\xff"))))
			out.Reset()
		}
		k.end()
		if n := len(c.of("mqtt")); n != 4 {
			t.Errorf("fresh %v: %d packets\n%s", fresh, n, c)
		}
	}
}

// TestCompressionIsBounded: a small message does not become a large one without end.
func TestCompressionIsBounded(t *testing.T) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, 9)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range mostInflated>>20 + 2 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var z inflater
	size := 0
	err = z.inflate(out.Bytes(), false, func(b []byte) error { size += len(b); return nil })
	if bad := (*inflateError)(nil); !errors.As(err, &bad) || size > mostInflated {
		t.Errorf("%v after %d bytes", err, size)
	}
}

// TestWebSocketRefused says what the server has said.
func TestWebSocketRefused(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.client([]byte(request))
	k.server([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
	k.end()
	if s := c.noted(Foreign); len(s) != 1 || !strings.Contains(s[0], "404") {
		t.Errorf("%q\n%s", s, c)
	}
}

// TestGapInWebSocket: packets are found again, within a frame and beyond.
func TestGapInWebSocket(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.client([]byte(request))
	k.server([]byte(switched + "\r\n"))
	k.client(message(0x82, true, unhex(t, connect4)))
	many := message(0x82, true, unhex(t, strings.Repeat(publish4, 10)))
	k.client(many[:10])
	k.chunk(capture.Chunk{Direction: dissect.FromClient, Gap: 20, Bytes: many[30:]})
	k.chunk(capture.Chunk{Direction: dissect.FromClient, Gap: -1, Bytes: many})
	k.end()
	if n := len(c.of("mqtt")); n < 1+6+10 {
		t.Errorf("%d packets\n%s", n, c)
	}
}

// TestWebSocketWithoutHandshake: a capture that began later, and one pasted frame.
func TestWebSocketWithoutHandshake(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.flow.Joined = true
	k.client(message(0x82, true, unhex(t, "82 06 0001 0001 61 01")))
	k.server(message(0x82, false, unhex(t, "90 03 0001 01")))
	k.end()
	if n := len(c.of("mqtt")); n != 2 {
		t.Errorf("%d packets\n%s", n, c)
	}
	c = paste(t, Options{}, message(0x82, true, unhex(t, connect5)))
	if p := c.packets[0]; p.Type != "CONNECT" || p.Stream.Layers[0] != "websocket (no handshake seen)" {
		t.Errorf("%s", c)
	}
}

// TestCoAPInWebSocket: each message is one of CoAP.
func TestCoAPInWebSocket(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.client([]byte(strings.Replace(request, "mqtt\r", "coap\r", 1)))
	k.server([]byte(strings.Replace(switched, "mqtt\r", "coap\r", 1) + "\r\n"))
	k.client(message(0x82, true, unhex(t, "01 01 aa b4 74 65 6d 70")))
	k.server(message(0x82, false, unhex(t, "01 45 aa ff 32 31")))
	k.end()
	if all := c.of("coap-ws"); len(all) != 2 || all[0].Type != "GET" || all[1].Type != "2.05" {
		t.Errorf("%s", c)
	}
}
