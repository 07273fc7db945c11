package dissect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// WebSocket reads the request and the answer that open a WebSocket, and its frames,
// one after the other. What the messages say is not for it.
type WebSocket struct{}

// Name implements Dissector.
func (WebSocket) Name() string { return "websocket" }

// Sniff implements Dissector: a request for WebSocket, or the answer to one, is proof.
func (d WebSocket) Sniff(b []byte, h Hint) (Confidence, string) {
	if len(b) < 2 || h.Datagram {
		return No, ""
	}
	if httpBegins(b) {
		if bytes.Contains(bytes.ToLower(b), []byte("\r\nupgrade: websocket")) {
			return Certain, "a request for WebSocket, or its answer"
		}
		return No, ""
	}
	for n := 0; n < len(b); {
		f := WebSocketHead(b[n:])
		if f.Head > 0 && f.Wrong(h.Direction) != "" {
			return No, ""
		}
		if f.Head == 0 || n+f.size > len(b) || f.size < f.Head {
			break
		}
		if n += f.size; n == len(b) {
			return Possible, "frames fill the bytes"
		}
	}
	return No, ""
}

// httpBegins reports whether b begins like the head of a message of HTTP.
func httpBegins(b []byte) bool {
	return bytes.HasPrefix(b, []byte("GET ")) || bytes.HasPrefix(b, []byte("HTTP/1."))
}

// mayBeHTTP reports whether b is too short to tell.
func mayBeHTTP(b []byte) bool {
	return bytes.HasPrefix([]byte("GET "), b) || bytes.HasPrefix([]byte("HTTP/1."), b)
}

// WebSocketFrame is the head of a frame. // RFC 6455 §5.2
type WebSocketFrame struct {
	Head    int // bytes; 0: it is cut short
	Payload int // bytes
	Mask    [4]byte

	first, second byte
	size          int // of all of the frame; -1: too long for memory
	minimal       bool
}

// Opcodes.
const (
	WebSocketContinuation = 0
	WebSocketText         = 1
	WebSocketBinary       = 2
	webSocketClose        = 8
)

var wsNames = map[byte]string{
	WebSocketContinuation: "CONTINUATION", WebSocketText: "TEXT", WebSocketBinary: "BINARY", webSocketClose: "CLOSE", 9: "PING", 10: "PONG",
}

// Opcode is what the frame is for.
func (f *WebSocketFrame) Opcode() byte { return f.first & 0x0f }

// Control reports whether the frame is none of a message's.
func (f *WebSocketFrame) Control() bool { return f.Opcode() >= webSocketClose }

// Final reports whether the message ends with the frame.
func (f *WebSocketFrame) Final() bool { return f.first&0x80 != 0 }

// Compressed reports whether the message is. // RFC 7692 §6
func (f *WebSocketFrame) Compressed() bool { return f.first&0x40 != 0 }

// Masked reports whether there is a mask.
func (f *WebSocketFrame) Masked() bool { return f.second&0x80 != 0 }

// WebSocketHead reads the head of the frame at the start of b.
func WebSocketHead(b []byte) WebSocketFrame {
	if len(b) < 2 {
		return WebSocketFrame{}
	}
	f := WebSocketFrame{first: b[0], second: b[1], Payload: int(b[1] & 0x7f), minimal: true}
	head := 2
	switch f.Payload {
	case 126:
		head += 2
	case 127:
		head += 8
	}
	long := head
	if f.Masked() {
		head += 4
	}
	if len(b) < head {
		return f
	}
	f.Head = head
	if f.Masked() {
		f.Mask = [4]byte(b[long:])
	}
	switch long {
	case 4:
		f.Payload = int(binary.BigEndian.Uint16(b[2:]))
		f.minimal = f.Payload > 125
	case 10:
		v := binary.BigEndian.Uint64(b[2:])
		f.minimal = v > 0xffff
		if v > 1<<40 {
			f.Payload, f.size = 0, -1
			return f
		}
		f.Payload = int(v)
	}
	f.size = f.Head + f.Payload
	return f
}

// Wrong says what rule a head breaks, "" if none.
func (f *WebSocketFrame) Wrong(from Direction) string {
	name, known := wsNames[f.Opcode()]
	switch {
	case !known:
		return fmt.Sprintf("opcode %d is reserved", f.Opcode())
	case f.first&0x30 != 0:
		return "reserved bits are set"
	case f.size < 0:
		return "the length is beyond all bounds"
	case f.Control() && !f.Final():
		return name + " in fragments"
	case f.Control() && f.Payload > 125:
		return name + " of more than 125 bytes"
	case from == FromClient && !f.Masked():
		return "a client's frame without a mask"
	case from == FromServer && f.Masked():
		return "a server's frame with a mask"
	case !f.minimal:
		return "the length is longer than it needs to be"
	}
	return ""
}

// Size implements Sizer.
func (WebSocket) Size(b []byte) int {
	if httpBegins(b) || len(b) < len("HTTP/1.") && (strings.HasPrefix("HTTP/1.", string(b)) || strings.HasPrefix("GET ", string(b))) {
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return i + 4
		}
		return 0
	}
	if mayBeHTTP(b) {
		return 0
	}
	f := WebSocketHead(b)
	return max(f.size, 0)
}

// Dissect implements Dissector.
func (d WebSocket) Dissect(b []byte, st *Stream) (Packet, int, error) {
	p := Packet{Protocol: d.Name(), Type: "FRAME"}
	if httpBegins(b) {
		return d.http(b, p)
	}
	f := WebSocketHead(b)
	w := walk{b: b}
	if len(b) > 0 {
		if name, ok := wsNames[b[0]&0x0f]; ok {
			p.Type = name
		}
		w.wsFirst(b[0])
	}
	if f.Head == 0 {
		w.rest("rest", "")
		p.Fields = w.fields
		return p, 0, ErrShort
	}
	w.b = b[:f.Head]
	w.wsLengths(&f)
	if f.size < 0 {
		p.Fields = w.fields
		return p, 0, &Malformed{Problem{Off: 2, Len: 8, Text: f.Wrong(st.direction()), Rule: "RFC 6455, 5.2"}}
	}
	w.b = b[:min(f.size, len(b))]
	w.wsPayload(&f, &p)
	p.Fields = w.fields
	if f.size > len(b) {
		return p, 0, ErrShort
	}
	if text := f.Wrong(st.direction()); text != "" {
		p.Problems = append(p.Problems, Problem{Len: f.Head, Text: text, Rule: "RFC 6455, 5.2", Advice: "the receiver must close the connection, 1002"})
	}
	return p, f.size, nil
}

// wsFirst takes the byte of flags and opcode.
func (w *walk) wsFirst(c byte) {
	bit := func(mask uint64) bool { return uint64(c)&mask != 0 }
	w.add(Field{Name: "flags and opcode", Kind: Structure, Len: 1, Value: uint64(c), Kids: []Field{
		{Name: "final", Kind: Flags, Len: 1, Mask: 0x80, Value: bit(0x80)},
		{Name: "compressed", Kind: Flags, Len: 1, Mask: 0x40, Value: bit(0x40)},
		{Name: "reserved", Kind: Flags, Len: 1, Mask: 0x30, Value: uint64(c >> 4 & 3)},
		{Name: "opcode", Kind: Structure, Len: 1, Mask: 0x0f, Value: uint64(c & 0x0f), Note: wsNames[c&0x0f]},
	}})
}

// wsLengths takes the rest of a head.
func (w *walk) wsLengths(f *WebSocketFrame) {
	off, end := w.at, f.Head
	short := Field{Name: "length", Kind: Length, Off: off, Len: 1, Mask: 0x7f, Value: uint64(f.second & 0x7f), Note: "bytes"}
	w.add(Field{Name: "mask and length", Kind: Length, Len: 1, Value: uint64(f.second), Kids: []Field{
		{Name: "masked", Kind: Flags, Off: off, Len: 1, Mask: 0x80, Value: f.Masked()}, short,
	}})
	if f.Masked() {
		end -= 4
	}
	if n := end - w.at; n > 0 {
		w.number("extended length", Length, n, "bytes")
		if l := w.last(); l.Value == uint64(f.Payload) {
			l.Of = Span{Off: f.Head, Len: f.Payload}
		}
	}
	if f.Masked() {
		w.take("mask", Bytes, 4)
	}
}

// wsPayload takes the payload as it is without its mask.
func (w *walk) wsPayload(f *WebSocketFrame, p *Packet) {
	raw := w.b[w.at:]
	if len(raw) == 0 {
		return
	}
	plain := bytes.Clone(raw)
	if f.Masked() {
		for i := range plain {
			plain[i] ^= f.Mask[i&3]
		}
	}
	field := Field{Name: "payload", Kind: Bytes, Len: len(raw), Value: plain}
	if f.Opcode() == webSocketClose && len(plain) >= 2 && len(raw) == f.Payload {
		p.Summary = strings.TrimSpace(fmt.Sprintf("%d %s", binary.BigEndian.Uint16(plain), printableOnly(plain[2:])))
		field.Note = p.Summary
	} else {
		p.Summary = fmt.Sprintf("%d bytes", f.Payload)
	}
	w.add(field)
}

func printableOnly(b []byte) string {
	if !printable(b) {
		return ""
	}
	return string(b)
}

// http reads the head of a request or an answer, a field for each line.
func (WebSocket) http(b []byte, p Packet) (Packet, int, error) {
	p.Type = "REQUEST"
	end := bytes.Index(b, []byte("\r\n\r\n"))
	w := walk{b: b}
	if end < 0 {
		w.rest("head", "")
		w.fields[0].Secret = true // it may hold a password
		p.Fields = w.fields
		return p, 0, ErrShort
	}
	for i, line := range bytes.Split(b[:end], []byte("\r\n")) {
		if i == 0 {
			w.httpFirst(line, &p)
		} else {
			w.httpLine(line, &p)
		}
		w.add(Field{Name: "line end", Kind: Structure, Len: 2})
	}
	w.add(Field{Name: "end of the head", Kind: Structure, Len: 2})
	p.Fields = w.fields
	return p, end + 4, nil
}

// httpFirst takes the first line.
func (w *walk) httpFirst(line []byte, p *Packet) {
	f := Field{Name: "request", Kind: Text, Len: len(line)}
	words := strings.SplitN(string(line), " ", 3)
	if bytes.HasPrefix(line, []byte("HTTP/")) {
		p.Type, f.Name = "ANSWER", "status"
		p.Summary = named(strings.Join(words[1:], " "))
	} else {
		path, query, secret := strings.Cut(words[1], "?")
		p.Summary = named(path)
		f.Secret = secret && query != "" // it may hold a signature
	}
	f.hold(line)
	w.add(f)
}

// httpLine takes a line of the head.
func (w *walk) httpLine(line []byte, p *Packet) {
	name, value, _ := strings.Cut(string(line), ":")
	value = strings.TrimSpace(value)
	f := Field{Name: named(strings.ToLower(name)), Kind: Text, Len: len(line)}
	f.hold([]byte(value))
	switch strings.ToLower(name) {
	case "authorization", "proxy-authorization", "cookie", "set-cookie":
		f.Secret = true
	case "sec-websocket-protocol":
		p.Summary += ", subprotocol " + named(value)
	case "sec-websocket-extensions":
		p.Summary += ", " + named(value)
	}
	w.add(f)
}
