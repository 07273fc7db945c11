package serve_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// packetEcho is a gateway without connections.
type packetEcho struct{}

func (packetEcho) Serve(ctx context.Context, l transport.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	p, ok := l.(transport.PacketListener)
	if !ok {
		return errors.New("this is no PacketListener")
	}
	ds := transport.NewDatagrams(8, 100)
	for {
		n, err := p.ReadBatch(ds)
		if err != nil {
			return nil
		}
		_ = p.WriteBatch(ds[:n])
	}
}

// withPackets adds the gateway and listeners on the URLs.
func withPackets(urls ...string) func(*serve.Config) {
	return func(c *serve.Config) {
		c.Builtin = servetest.Builtin()
		c.Builtin.Gateways = append(c.Builtin.Gateways, serve.NewGateway("echo", packetSchemes(),
			func(serve.Environment, struct{}) (gateway.Gateway, error) { return packetEcho{}, nil }))
		listeners(urls...)(c)
	}
}

func packetSchemes() []transport.Scheme {
	return []transport.Scheme{{Name: "echo+udp", Protocol: "echo", Network: "udp", Packets: true}}
}

func TestPortsOfPacketListeners(t *testing.T) {
	s := servetest.Start(t, func(c *serve.Config) {
		withPackets("echo+udp://:0", "echo+udp://[::1]:0")(c)
		yes := true
		c.AllowAnonymous = &yes
	})
	for _, p := range s.Ports() {
		if p.Protocol != "echo" || p.Transport != "udp" {
			t.Errorf("%+v", p)
		}
	}
	for _, url := range s.URLs() { // that of all addresses, too
		echoed(t, url, nil)
	}
}

func TestExposedPacketListener(t *testing.T) {
	for url, want := range map[string]bool{"echo+udp://127.0.0.1:0": false, "echo+udp://[::1]:0": false, "echo+udp://:0": true} {
		var c serve.Config
		withPackets(url)(&c)
		exposed := (*serve.ExposedError)(nil)
		if err := c.Check(); errors.As(err, &exposed) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestCountersOfPacketListenersAreInSys(t *testing.T) {
	s := servetest.Start(t, func(c *serve.Config) {
		withPackets("mqtt://127.0.0.1:0", "echo+udp://127.0.0.1:0", "echo+udp://127.0.0.1:0")(c)
		c.Broker.SysInterval = 10 * time.Millisecond
		c.Listeners[1].Name, c.Listeners[2].Name = "packets", "shut"
		c.Listeners[2].Access = []string{"deny all"}
	})
	echoed(t, s.URLs()[1], nil)
	c, err := transport.Dial(t.Context(), s.URLs()[2], transport.DialConfig{Schemes: packetSchemes()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("hello"))
	at := "$SYS/broker/listeners/packets/"
	mustConnect(t, s.URLs()[0], "", nil).follow("$SYS/broker/listeners/#",
		at+"open=0", at+"datagrams/received=1", at+"bytes/received=5", at+"datagrams/sent=1", at+"bytes/sent=5",
		"$SYS/broker/listeners/shut/refused/rule=1", "$SYS/broker/listeners/shut/datagrams/received=0")
}

func TestTheEndLogsWhatAPacketListenerHasPassedOn(t *testing.T) {
	var log bytes.Buffer
	s := servetest.Start(t, func(c *serve.Config) {
		withPackets("echo+udp://127.0.0.1:0")(c)
		c.Listeners[0].Name = "only"
		c.Logger = serve.NewLogger(&log, serve.Text, slog.LevelInfo)
	})
	echoed(t, s.URLs()[0], nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if want := `msg="listener closed" listener=only received=1 sent=1 refused=map[] dropped=map[]`; strings.Count(log.String(), want) != 1 {
		t.Errorf("no line %q in\n%s", want, log.String())
	}
}

// The socket of a packet listener is there for a second after its end; a reload
// waits for the port.
func TestReloadRenamesAPacketListener(t *testing.T) {
	s := servetest.Start(t, withPackets("echo+udp://127.0.0.1:0"))
	url := s.URLs()[0]
	echoed(t, url, nil)
	var c serve.Config
	withPackets(url)(&c)
	c.Listeners[0].Name = "renamed"
	if _, err := s.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := s.Ports()[0]; got.Name != "renamed" || got.URL != url {
		t.Errorf("%+v", got)
	}
	echoed(t, url, nil)
}
