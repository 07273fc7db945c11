package exproto_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
)

// relay is between the gateway and its handler. What it has frozen passes nothing
// on any more, and nobody is told.
type relay struct {
	l      net.Listener
	mu     sync.Mutex
	frozen chan struct{} // closed by freeze, for the connections that are there
	dialed int
}

func newRelay(t *testing.T, to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, frozen: make(chan struct{})}
	end := make(chan struct{})
	var wg sync.WaitGroup
	t.Cleanup(func() { close(end); _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			r.mu.Lock()
			r.dialed++
			frozen := r.frozen
			r.mu.Unlock()
			wg.Go(func() { <-end; _ = in.Close(); _ = out.Close() })
			wg.Go(func() { pass(out, in, frozen) })
			wg.Go(func() { pass(in, out, frozen) })
		}
	})
	return r
}

func pass(to io.Writer, from io.Reader, frozen <-chan struct{}) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		select {
		case <-frozen:
		default:
			_, _ = to.Write(b[:n])
		}
	}
}

func (r *relay) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.frozen)
	r.frozen = make(chan struct{})
}

func (r *relay) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dialed
}

func TestAFrozenConnectionToTheHandlerIsReplaced(t *testing.T) {
	limit := 2 * time.Second
	h := &handler{do: func(h *handler, e told) error {
		if e.what == "bytes" {
			return h.send(e.conn, e.bytes)
		}
		return nil
	}}
	r := newRelay(t, h.serve(t, "127.0.0.1:0"))
	s := start(t, options{nobody: true, gateway: exproto.Config{Handler: exproto.HandlerConfig{
		Address: "http://" + r.l.Addr().String(), Timeout: &limit,
	}}})
	h.connect(t, s.g.AdapterURL())
	first := s.device()
	first.send("x")
	first.expect("x")
	r.freeze()
	served := false
	for range 3 { // who finds out is closed
		d := s.device()
		_, _ = io.WriteString(d.nc, "y")
		_ = d.nc.SetReadDeadline(time.Now().Add(patience))
		if n, _ := d.nc.Read(make([]byte, 1)); n == 1 {
			served = true
			break
		}
	}
	if !served {
		t.Error("nobody is served any more")
	}
	if n := r.connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// Calls that are late on a connection on which others are answered do not end it,
// and those under way on one that is replaced may still be answered.
func TestASlowHandlerKeepsItsConnection(t *testing.T) {
	limit := time.Second
	hang, done := make(chan struct{}), make(chan struct{})
	h := &handler{do: func(h *handler, e told) error {
		switch e.bytes {
		case "hang":
			<-hang
		case "x":
			return h.send(e.conn, e.bytes)
		}
		return nil
	}}
	r := newRelay(t, h.serve(t, "127.0.0.1:0"))
	s := start(t, options{nobody: true, gateway: exproto.Config{Handler: exproto.HandlerConfig{
		Address: "http://" + r.l.Addr().String(), Timeout: &limit,
	}}})
	defer close(hang)
	h.connect(t, s.g.AdapterURL())
	slow, busy := s.device(), s.device()
	slow.send("hang")
	go func() { defer close(done); slow.closed() }()
	for ended := false; !ended; {
		busy.send("x")
		busy.expect("x")
		select {
		case <-done:
			ended = true
		default:
		}
	}
	if n := r.connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
