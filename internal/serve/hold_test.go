package serve_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// holding is a gateway with a port of its own.
type holding struct {
	*gateway.Server
	held, opened atomic.Int32
	taken        atomic.Bool
}

var errTaken = errors.New("taken")

func (h *holding) Hold(context.Context) (func(), error) {
	if h.taken.Load() {
		return nil, &namedError{errTaken}
	}
	h.opened.Add(1)
	h.held.Add(1)
	return func() { h.held.Add(-1) }, nil
}

type namedError struct{ err error }

func (e *namedError) Error() string { return "side.address: " + e.err.Error() }
func (e *namedError) Unwrap() error { return e.err }

// with adds h to the table as held://.
func (h *holding) with(urls ...string) func(*serve.Config) {
	return func(c *serve.Config) {
		c.Builtin = servetest.Builtin()
		schemes := []transport.Scheme{{Name: "held", Protocol: "held", Network: "tcp", Port: 1}}
		c.Builtin.Gateways = append(c.Builtin.Gateways, serve.NewGateway("held", schemes,
			func(e serve.Environment, _ struct{}) (gateway.Gateway, error) {
				h.Server = gateway.NewServer(gateway.ServerConfig{Broker: e.Broker})
				return h, nil
			}))
		listeners(urls...)(c)
	}
}

const (
	anyMQTT = "mqtt://127.0.0.1:0"
	anyHeld = "held://127.0.0.1:0"
)

func TestAGatewaysOwnPortIsOpenWhileItHasListeners(t *testing.T) {
	h := &holding{}
	s := servetest.Start(t, h.with(anyMQTT))
	if h.held.Load() != 0 {
		t.Fatal("it is open without a listener")
	}
	reload(t, s, h.with(anyMQTT, anyHeld))
	reload(t, s, h.with(anyMQTT, anyHeld, anyHeld))
	if h.held.Load() != 1 || h.opened.Load() != 1 {
		t.Fatalf("held %d times, opened %d times", h.held.Load(), h.opened.Load())
	}
	reload(t, s, h.with(anyMQTT))
	reload(t, s, h.with(anyMQTT, anyHeld))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if h.held.Load() != 0 || h.opened.Load() != 2 {
		t.Errorf("held %d times, opened %d times", h.held.Load(), h.opened.Load())
	}
}

func TestAGatewaysOwnPortThatIsTakenOpensNothing(t *testing.T) {
	h := &holding{}
	h.taken.Store(true)
	var c serve.Config
	h.with(anyMQTT, anyHeld)(&c)
	_, err := serve.Start(t.Context(), c)
	var p *serve.Problem
	if !errors.Is(err, errTaken) || !errors.As(err, &p) || p.Error() != "held.side.address: taken" {
		t.Fatalf("start: %v", err)
	}
	s := servetest.Start(t, h.with(anyMQTT))
	if _, err := s.Reload(t.Context(), c); !errors.Is(err, errTaken) || len(s.URLs()) != 1 {
		t.Errorf("reload: %v, %q", err, s.URLs())
	}
	// A listener that does not open lets go of the port again.
	h.taken.Store(false)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	h.with(anyMQTT, "held://"+busy.Addr().String())(&c)
	if _, err := s.Reload(t.Context(), c); !errors.Is(err, syscall.EADDRINUSE) || h.held.Load() != 0 || h.opened.Load() != 1 {
		t.Errorf("reload: %v, held %d times, opened %d times", err, h.held.Load(), h.opened.Load())
	}
}
