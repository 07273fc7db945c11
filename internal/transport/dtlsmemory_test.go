package transport

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// fragment is the beginning of a Certificate in a record without keys.
func fragment(number int, body string) string {
	b := appendMessageHeader(nil, 0xfd, uint64(1000+number), 11, len(body))
	binary.BigEndian.PutUint16(b[recordHeaderBytes+4:], uint16(number))
	b[recordHeaderBytes+1]++ // it is longer by 64 KB
	return string(b) + body
}

// Whoever knows the address of a client, and not its keys, makes the library
// remember next to nothing. Full of fragments, it would take no data any more.
func TestForgedFragmentsFillNothing(t *testing.T) {
	ca := newTestCA(t)
	ca.server.CIDBytes = -1 // with an identifier they do not find the association
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	url, inject := relay(t, l, nil)
	dialed := dialing(t, url, DialConfig{TLS: ca.client})
	srv := next(t, conns)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := dialed()
	_ = srv.SetReadDeadline(deadline())
	const (
		flood = 3 << 20
		each  = 8000
	)
	for i := range flood/each + 1 {
		inject(fragment(1000+i, strings.Repeat("x", each)))
		if i%5 == 4 { // the sockets have room again
			send(t, client, "still here")
			if got := receive(t, srv); got != "still here" {
				t.Fatalf("%q", got)
			}
		}
	}
	for i, n := 0, each; n > 0; i, n = i+1, n*3/4 { // to the brim
		inject(fragment(2000+i, strings.Repeat("x", n)))
	}
	send(t, client, strings.Repeat("d", 100))
	if got := receive(t, srv); len(got) != 100 {
		t.Errorf("%q", got)
	}
	if got := l.Counters().Dropped[DroppedGarbage]; got == 0 {
		t.Error("nothing was dropped")
	}
}

func TestHandshakeOfManyBytesFails(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server, HandshakeTimeout: time.Hour})
	raw := rawDial(t, l)
	halfOpen(t, raw)
	srv := next(t, conns)
	failed := make(chan error, 1)
	go func() { failed <- srv.Handshake(t.Context()) }()
	for i := range 2 * maxShakeBytes / 8000 {
		send(t, raw, fragment(100+i, strings.Repeat("x", 8000)))
	}
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "the handshake has more than") {
			t.Error(err)
		}
	case <-time.After(limit):
		t.Error("the handshake goes on")
	}
}
