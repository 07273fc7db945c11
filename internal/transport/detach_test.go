//go:build unix

package transport

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"time"
)

func TestDetachedSocketBelongsToTheCaller(t *testing.T) {
	l := server(t, "mqtt://127.0.0.1:0", ListenConfig{})
	client, srv, _, _ := bothEnds(t, l, DialConfig{})
	fd, ok := Detach(srv)
	if !ok {
		t.Fatal("a plain socket cannot be detached")
	}
	if _, err := syscall.Write(fd, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "hello" {
		t.Fatalf("the client got %q, %v", b, err)
	}
	if _, err := syscall.Read(fd, b); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("a read with nothing there: %v, want EAGAIN", err)
	}
	if open := l.Counters().Open; open != 1 {
		t.Errorf("%d connections are open, want 1", open)
	}
	_ = srv.CloseReason("done")
	if open := l.Counters().Open; open != 0 {
		t.Errorf("%d connections are open after the end", open)
	}
	if err := syscall.Close(fd); err != nil {
		t.Error(err)
	}
	if _, err := client.Read(b); !errors.Is(err, io.EOF) {
		t.Errorf("the client got %v, want the end", err)
	}
}

func TestOnlyPlainSocketsAreDetached(t *testing.T) {
	l := server(t, "ws://127.0.0.1:0", ListenConfig{})
	_, srv, cerr, serr := bothEnds(t, l, DialConfig{})
	if cerr != nil || serr != nil {
		t.Fatal(cerr, serr)
	}
	if _, ok := Detach(srv); ok {
		t.Error("a WebSocket was detached")
	}
	limited := server(t, "mqtt://127.0.0.1:0", ListenConfig{ByteRate: Rate{Count: 10, Per: time.Second}})
	_, srv, _, _ = bothEnds(t, limited, DialConfig{})
	if _, ok := Detach(srv); ok {
		t.Error("a connection with a rate limit was detached")
	}
}

func TestAbortResetsThePeer(t *testing.T) {
	for _, url := range []string{"mqtt://127.0.0.1:0", "ws://127.0.0.1:0"} {
		l := server(t, url, ListenConfig{})
		client, srv, _, _ := bothEnds(t, l, DialConfig{})
		if err := srv.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = Abort(srv, "fault")
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the client got %v, want a reset", url, err)
		}
		if n := l.Counters().Closed["fault"]; n != 1 {
			t.Errorf("%s: counted %d times, want 1", url, n)
		}
	}
}

func TestPrefaceComesFirst(t *testing.T) {
	l := server(t, "ws://127.0.0.1:0", ListenConfig{Proxies: []string{"127.0.0.1"}})
	tlv := "\x02\x00\x01a"
	_, srv, cerr, serr := bothEnds(t, l, DialConfig{Preface: []byte(v2(0x21, 0x11, -1, v4Body, []byte(tlv)))})
	if cerr != nil || serr != nil {
		t.Fatal(cerr, serr)
	}
	if i := srv.Info(); i.Remote.String() != "192.0.2.7:12345" || string(i.ProxyTLVs) != tlv {
		t.Errorf("the header says %v and %q", i.Remote, i.ProxyTLVs)
	}
}
