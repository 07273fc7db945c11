package exproto_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/exproto"
	"github.com/iotctl/iotctl/internal/transport"
)

func listenTCP(t *testing.T) transport.Listener {
	t.Helper()
	l, err := transport.Listen(t.Context(), "exproto://127.0.0.1:0", transport.ListenConfig{Schemes: exproto.Schemes()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestTheAdapterIsOpenWhileAListenerIsServed(t *testing.T) {
	b, err := broker.New(t.Context(), broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := exproto.New(exproto.Config{
		Adapter: exproto.AdapterConfig{Address: "http://127.0.0.1:0"},
		Handler: exproto.HandlerConfig{ConnectTimeout: 10 * time.Millisecond},
	}, b)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it can be opened again
		first, second := listenTCP(t), listenTCP(t)
		done := make(chan error, 2)
		for _, l := range []transport.Listener{first, second} {
			go func() { done <- g.Serve(context.Background(), l) }()
		}
		for _, l := range []transport.Listener{first, second} { // who is told to go has been served
			nc, err := net.Dial("tcp", hostOf(t, l.URL()))
			if err != nil {
				t.Fatal(err)
			}
			until(t, "a device is accepted", func() bool { return l.Counters().Accepted == 1 })
			_ = nc.Close()
		}
		_ = first.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		nc, err := net.Dial("tcp", hostOf(t, g.AdapterURL()))
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.Close()
		_ = second.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if url := g.AdapterURL(); url != "" {
			t.Errorf("it is open at %s", url)
		}
	}
}

// Who holds the adapter has it before any listener is served, and after.
func TestTheAdapterIsOpenWhileItIsHeld(t *testing.T) {
	b, err := broker.New(t.Context(), broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := exproto.New(exproto.Config{Adapter: exproto.AdapterConfig{Address: "http://127.0.0.1:0"}}, b)
	if err != nil {
		t.Fatal(err)
	}
	release, err := g.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	url := g.AdapterURL()
	l := listenTCP(t)
	_ = l.Close()
	if err := g.Serve(t.Context(), l); err != nil || g.AdapterURL() != url || url == "" {
		t.Errorf("%v, %q after %q", err, g.AdapterURL(), url)
	}
	release()
	if g.AdapterURL() != "" {
		t.Error("it is still open")
	}
}

func TestAnAdapterWhosePortIsTakenIsAnError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	b, err := broker.New(t.Context(), broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := exproto.New(exproto.Config{Adapter: exproto.AdapterConfig{Address: "http://" + taken.Addr().String()}}, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Hold(t.Context()); !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), "adapter.address: ") {
		t.Errorf("%v", err)
	}
	l := listenTCP(t)
	if err := g.Serve(t.Context(), l); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}
