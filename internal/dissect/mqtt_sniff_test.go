package dissect_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
)

func TestMQTTSniff(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		datagram  bool
		want      dissect.Confidence
	}{
		{"CONNECT", "10 0d 0004 4d515454 04 02 003c 0001 63", false, dissect.Certain},
		{"CONNECT of 3.1", "10 13 0006 4d5149736470 03 02 003c 0005 6970616431", false, dissect.Certain},
		{"name and level of a CONNECT", "10 0d 0004 4d515454 04", false, dissect.Certain},
		{"beginning of a CONNECT", "10 0d 0004 4d51", false, dissect.Likely},
		{"CONNECT with wrong flags", "11 0d 0004 4d515454 04 02 003c 0001 63", false, dissect.Certain},
		{"CONNECT of an unknown protocol", "10 0d 0004 4d515458 04 02 003c 0001 63", false, dissect.Possible},
		{"a datagram", "10 0d 0004 4d515454 04 02 003c 0001 63", true, dissect.No},
		{"a PUBACK, which may be CoAP, too", "40 02 0001", false, dissect.Likely},
		{"a PUBACK of 5.0", "40 03 0001 10", false, dissect.Likely},
		{"several", "c0 00 30 03 0001 61 40 02 0001", false, dissect.Likely},
		{"several, the last cut short", "c0 00 30 03 0001 61 32 10 0003 612f", false, dissect.Likely},
		{"one with a fault", "82 06 0001 0001 61 04", false, dissect.Possible},
		{"one cut short", "30 10 0003 612f", false, dissect.Possible},
		{"a type", "c0", false, dissect.Possible},
		{"type 0", "00 00", false, dissect.No},
		{"a length that does not end", "30 80808080", false, dissect.No},
		{"rubbish behind a packet", "c0 00 ff ff ff ff", false, dissect.Possible},
		{"a topic longer than its packet", "30 05 0040 612f62", false, dissect.No},
	} {
		got, why := dissect.MQTT{}.Sniff(unhex(t, c.hex), dissect.Hint{Datagram: c.datagram})
		if got != c.want || (why == "") != (got == dissect.No) {
			t.Errorf("%s: %v, because of %q; want %v", c.name, got, why, c.want)
		}
	}
	for _, text := range []string{
		"GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\n\r\n", "PUT /a HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n", "PATCH /a HTTP/1.1\r\n",
		"OPTIONS * HTTP/1.1\r\n", "DELETE /a HTTP/1.1\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", "AMQP\x00\x00\x09\x01", "*1\r\n$4\r\nPING\r\n", "+PONG\r\n",
		"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", "220 mail ESMTP ready\r\n", "INFO {\"server_id\":\"a\"}\r\n",
		"EHLO localhost\r\n", "CONNECT\naccept-version:1.2\n\n\x00", "RFB 003.008\n", "\x00\x00\x00\x01kafka",
	} {
		for i := 5; i <= len(text); i++ {
			if got, why := (dissect.MQTT{}).Sniff([]byte(text[:i]), dissect.Hint{}); got != dissect.No {
				t.Errorf("%q: %v, because of %q", text[:i], got, why)
			}
		}
	}
}

// Wherever a connection is joined on the border of a packet, it is recognised.
func TestMQTTSniffsCaptures(t *testing.T) {
	for _, path := range plain(t) {
		for _, stream := range recordings(t, path) {
			for _, from := range []dissect.Direction{fromClient, fromServer} {
				var all []byte
				var borders []int
				for _, r := range stream {
					if r.from == from {
						borders = append(borders, len(all))
						all = append(all, r.bytes...)
					}
				}
				for _, at := range borders {
					b := all[at:]
					if c, why := (dissect.MQTT{}).Sniff(b, dissect.Hint{Direction: from}); c < dissect.Likely && b[0]&0xf6 != 0x36 { // QoS 3 is a fault
						t.Errorf("%s, from byte %d: %v, because of %q", filepath.Base(path), at, c, why)
					}
					for n := 1; n < min(len(b), 200); n++ {
						if c, _ := (dissect.MQTT{}).Sniff(b[:n], dissect.Hint{Direction: from}); c == dissect.No && b[0]&0xf6 != 0x36 {
							t.Errorf("%s, %d from byte %d: %x", filepath.Base(path), n, at, b[:n])
						}
					}
				}
			}
		}
	}
}

// BenchmarkMQTTSniff looks for a packet where there is none.
func BenchmarkMQTTSniff(b *testing.B) {
	random := make([]byte, 64<<10)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	at := 0
	for b.Loop() {
		dissect.MQTT{}.Sniff(random[at:at+16<<10], dissect.Hint{Direction: fromServer})
		at = (at + 1) % (48 << 10)
	}
}
