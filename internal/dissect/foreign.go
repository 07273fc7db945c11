package dissect

import (
	"bytes"
	"encoding/binary"
)

// Foreign names the protocol that a stream seems to be of, by its first bytes, if it
// is one that often stands on a port of another: "TLS", "HTTP", "SSH". "" when none is
// known. Nothing here reads it.
func Foreign(b []byte) string {
	for _, s := range signatures {
		if bytes.HasPrefix(b, []byte(s.begin)) {
			return s.name
		}
	}
	for _, v := range verbs {
		if bytes.HasPrefix(b, []byte(v)) || len(b) >= 4 && bytes.HasPrefix([]byte(v), b) {
			return "HTTP"
		}
	}
	switch {
	case len(b) >= 3 && b[0] >= 0x14 && b[0] <= 0x17 && b[1] == 3 && b[2] <= 4:
		return "TLS"
	case len(b) >= 13 && b[0] >= 0x14 && b[0] <= 0x19 && b[1] == 0xfe && b[2] >= 0xfd:
		return "DTLS"
	case kafka(b):
		return "Kafka"
	case resp(b):
		return "Redis"
	case len(b) >= 8 && binary.BigEndian.Uint32(b) == uint32(len(b)) && binary.BigEndian.Uint32(b[4:])>>16 == 3:
		return "PostgreSQL"
	}
	return ""
}

// verbs are what HTTP begins with.
var verbs = []string{"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "TRACE ", "CONNECT ", "HTTP/"}

// signatures are what streams of a protocol begin with.
var signatures = []struct{ begin, name string }{
	{"SSH-", "SSH"},
	{"CONNECT {", "NATS"},
	{"CONNECT\n", "STOMP"},
	{"CONNECT\r\n", "STOMP"},
	{"STOMP\n", "STOMP"},
	{"CONNECTED\n", "STOMP"},
	{"PRI * HTTP/2", "HTTP/2"},
	{"AMQP", "AMQP"},
	{"INFO {", "NATS"},
	{"RTSP/", "RTSP"},
	{"<?xml", "XML"},
	{"<stream:", "XMPP"},
	{"220 ", "SMTP or FTP"},
	{"220-", "SMTP or FTP"},
	{"EHLO ", "SMTP"},
	{"* OK ", "IMAP"},
	{"RFB 00", "VNC"},
	{"ZMQ", "ZeroMQ"},
	{"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f", "ZeroMQ"},
	{"\x03\x00\x00\x13\x0e", "RDP"},
}

// kafka reports whether b is the beginning of a request: its length, one of the known
// requests and versions, a number, and the client's name.
func kafka(b []byte) bool {
	if len(b) < 14 || b[0] != 0 {
		return false
	}
	size, key, version := binary.BigEndian.Uint32(b), binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	name := int(int16(binary.BigEndian.Uint16(b[12:])))
	if size < 10 || size < uint32(len(b)-4) || key > 100 || version > 20 || name < -1 || name > int(size)-10 {
		return false
	}
	return name < 1 || printable(b[14:min(len(b), 14+name)])
}

// resp reports whether b is what clients or servers of Redis say first.
func resp(b []byte) bool {
	for _, s := range []string{"+OK\r\n", "+PONG\r\n", "-ERR ", "-NOAUTH ", "-DENIED ", "PING\r\n"} {
		if bytes.HasPrefix(b, []byte(s)) {
			return true
		}
	}
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || len(line) < 2 || len(line) > 6 || line[0] != '*' {
		return false
	}
	for _, c := range line[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(rest) == 0 || rest[0] == '$'
}
