package exproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/gateway"
)

// preface is how an HTTP/2 connection begins. // RFC 9113 §3.4
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

var errPreface = errors.New("this is gRPC, and a port for devices")

// strange looks at the first bytes of a connection: a program that has mistaken
// a port for devices for the adapter is told so. more means that they may be the
// beginning of that.
func (c *client) strange(data []byte) (e *gateway.End, more bool) {
	switch {
	case c.datagrams || !bytes.HasPrefix(data, []byte(preface[:min(len(data), len(preface))])):
		return nil, false
	case len(data) < len(preface):
		return nil, strings.HasPrefix(string(data), "PRI * ")
	}
	adapter := c.g.AdapterURL()
	c.Log().Warn("exproto: a gRPC client has connected to a port for devices; the adapter is elsewhere", "adapter", adapter)
	words := fmt.Sprintf("this port is for devices; handlers call the adapter at %s", adapter)
	return &gateway.End{Why: reasonFraming, Err: errPreface, Last: goAway(words)}, false
}

// goAway is what an HTTP/2 client shows to its user: an empty SETTINGS frame, and
// a GOAWAY with a text. // RFC 9113 §6.5, §6.8
func goAway(text string) []byte {
	const (
		typeSettings, typeGoAway = 4, 7
		protocolError            = 1
	)
	b := []byte{0, 0, 0, typeSettings, 0, 0, 0, 0, 0}
	n := 8 + len(text)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), typeGoAway, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, 0) // no stream
	b = binary.BigEndian.AppendUint32(b, protocolError)
	return append(b, text...)
}
