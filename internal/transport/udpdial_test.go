package transport

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestDialFromAnAddressOverUDP(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{})
	c := packetDial(t, l, DialConfig{LocalAddress: "127.0.0.2"})
	send(t, c, "x")
	if got := next(t, conns).Info().Remote.Addr().String(); got != "127.0.0.2" {
		t.Errorf("%s", got)
	}
}

func TestDialUDPWhereNobodyListens(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "frame+udp://" + pc.LocalAddr().String()
	_ = pc.Close()
	c, err := Dial(t.Context(), url, DialConfig{Schemes: packetSchemes()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(deadline())
	refused := func(err error) {
		t.Helper()
		e, want := asError(t, err), "connect "+c.RemoteAddr().String()+": connection refused"
		if !errors.Is(err, syscall.ECONNREFUSED) || e.Error() != want || !strings.Contains(e.Hint, "is the broker running") {
			t.Errorf("%v; hint: %s", err, e.Hint)
		}
	}
	buf := make([]byte, 9)
	for name, call := range map[string]func() error{
		"Read":     func() error { _, err := c.Read(buf); return err },
		"ReadWith": func() error { _, _, err := c.ReadWith(func() []byte { return buf }); return err },
		"Write":    func() error { _, err := c.Write(buf); return err },
		"TryWrite": func() error { _, err := c.TryWrite(buf); return err },
	} {
		send(t, c, "x") // is answered at once on this machine
		err := call()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		refused(err)
	}
	// Something listens there at last.
	srv, err := net.ListenPacket("udp", strings.TrimPrefix(url, "frame+udp://"))
	if err != nil {
		t.Skip(err) // another has the port
	}
	defer srv.Close()
	send(t, c, "hello")
	_ = srv.SetDeadline(deadline())
	n, from, err := srv.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	_, _ = srv.WriteTo([]byte("answer"), from)
	if got := receive(t, c); got != "answer" {
		t.Errorf("%q", got)
	}
}
