package dissect_test

import (
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

func TestWebSocket(t *testing.T) {
	dissecttest.Run(t, dissect.WebSocket{}, []dissecttest.Sample{
		{Name: "request", Bytes: []byte("GET /mqtt?sig=abc HTTP/1.1\r\nHost: broker.example\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")},
		{Name: "answer", Bytes: []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")},
		{Name: "binary", Bytes: unhex(t, "82 04 01020304")},
		{Name: "masked", Bytes: unhex(t, "82 82 aabbccdd aabb"), Direction: dissect.FromClient},
		{Name: "long", Bytes: append(unhex(t, "82 7e 0080"), make([]byte, 128)...)},
		{Name: "ping", Bytes: unhex(t, "89 00")},
		{Name: "close", Bytes: unhex(t, "88 02 03e8")},
	})
}

func TestWebSocketSays(t *testing.T) {
	for _, tt := range []struct {
		hex              string
		dir              dissect.Direction
		typ, summary     string
		problem, payload string
	}{
		{"88 05 03e8 627965", dissect.FromServer, "CLOSE", "1000 bye", "", "\x03\xe8bye"},
		{"82 82 00ff00ff 00ff", dissect.FromClient, "BINARY", "2 bytes", "", "\x00\x00"},
		{"82 02 0000", dissect.FromClient, "BINARY", "2 bytes", "a client's frame without a mask", "\x00\x00"},
		{"09 00", dissect.FromServer, "PING", "", "PING in fragments", ""},
		{"83 00", dissect.FromServer, "FRAME", "", "opcode 3 is reserved", ""},
		{"82 7e 0001 00", dissect.FromServer, "BINARY", "1 bytes", "the length is longer than it needs to be", "\x00"},
	} {
		p, _, err := dissecttest.Dissect(t, dissect.WebSocket{}, unhex(t, tt.hex), &dissect.Stream{Direction: tt.dir})
		problem := ""
		if len(p.Problems) > 0 {
			problem = p.Problems[0].Text
		}
		if err != nil || p.Type != tt.typ || p.Summary != tt.summary || problem != tt.problem {
			t.Errorf("%s: %s %q, %q, %v", tt.hex, p.Type, p.Summary, problem, err)
		}
		if last := p.Fields[len(p.Fields)-1]; tt.payload != "" && string(last.Value.([]byte)) != tt.payload {
			t.Errorf("%s: payload %q", tt.hex, last.Value)
		}
	}
}
