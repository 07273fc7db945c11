package dissect_test

import (
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
)

func TestForeign(t *testing.T) {
	for b, want := range map[string]string{
		"": "", "\x16": "", "hello": "", "\x10\x0c\x00\x04MQTT": "", "\x00\x00\x00\x00": "",
		"\x16\x03\x01\x02\x00": "TLS", "\x17\x03\x03\x00\x10": "TLS", "\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10": "DTLS",
		"GET / HTTP/1.1\r\n": "HTTP", "DELET": "HTTP", "HTTP/1.1 400 Bad": "HTTP", "CONNECT a:1 HTTP/1.1": "HTTP", "PRI * HTTP/2.0": "HTTP/2",
		"CONNECT {\"verbose\":false": "NATS", "INFO {\"server_id\"": "NATS", "CONNECT\naccept-version:1.2": "STOMP",
		"SSH-2.0-OpenSSH": "SSH", "AMQP\x00\x00\x09\x01": "AMQP", "220 mail.example ESMTP": "SMTP or FTP", "EHLO a\r\n": "SMTP",
		"*1\r\n$4\r\nPING\r\n": "Redis", "+PONG\r\n": "Redis", "-ERR unknown": "Redis", "*x\r\n": "",
		"\x00\x00\x00\x1d\x00\x12\x00\x03\x00\x00\x00\x01\x00\x05admin\x00": "Kafka",
		"\x00\x00\x00\x08\x00\x03\x00\x00":                                  "PostgreSQL",
		"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f":                          "ZeroMQ",
	} {
		if got := dissect.Foreign([]byte(b)); got != want {
			t.Errorf("%q: %q, want %q", b, got, want)
		}
	}
}
