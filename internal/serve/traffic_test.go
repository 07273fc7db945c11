package serve_test

import (
	"bytes"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
)

// follow subscribes to filter and returns when every wanted "topic=payload" is
// the last word on its topic.
func (c *client) follow(filter string, want ...string) {
	c.t.Helper()
	c.send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: filter}}})
	last := map[string]string{}
	missing := func(w string) bool {
		topic, value, _ := strings.Cut(w, "=")
		got, has := last[topic]
		return !has || got != value
	}
	for slices.ContainsFunc(want, missing) {
		if p, ok := c.next().(mqtt.Publish); ok {
			last[string(p.Topic)] = string(p.Payload)
		}
	}
}

func TestListenerCountersAreInSys(t *testing.T) {
	s := servetest.Start(t, func(c *serve.Config) {
		c.Broker.SysInterval = 10 * time.Millisecond
		c.Listeners = append(c.Listeners, serve.Listener{URL: "mqtt://127.0.0.1:0"})
		c.Listeners[0].Name = "a/b+c#d%"
		c.Listeners[1].Access = []string{"deny all"}
		c.Listeners[1].Name = "shut"
	})
	mustConnect(t, s.URLs()[0], "", nil).Close()
	nc, err := net.Dial("tcp", strings.TrimPrefix(s.URLs()[1], "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	mustConnect(t, s.URLs()[0], "", nil).follow("$SYS/broker/listeners/#",
		"$SYS/broker/listeners/a%2Fb%2Bc%23d%25/accepted=2",
		"$SYS/broker/listeners/a%2Fb%2Bc%23d%25/open=1",
		"$SYS/broker/listeners/a%2Fb%2Bc%23d%25/closed/network=1",
		"$SYS/broker/listeners/shut/accepted=0",
		"$SYS/broker/listeners/shut/refused/rule=1",
	)
}

// counting is a gateway that counts something of its own.
type counting struct{ gateway.Gateway }

func (counting) Counters() map[string]uint64 { return map[string]uint64{"odd": 7} }

func TestCountersOfGatewaysAreInSys(t *testing.T) {
	s := servetest.Start(t, func(c *serve.Config) {
		c.Broker.SysInterval = 10 * time.Millisecond
		c.Builtin.Gateways = append(c.Builtin.Gateways, serve.NewGateway("x", nil, func(serve.Environment, struct{}) (gateway.Gateway, error) {
			return counting{}, nil
		}))
	})
	mustConnect(t, s.URLs()[0], "", nil).follow("$SYS/broker/gateways/#", "$SYS/broker/gateways/x/odd=7")
}

func TestCountersOfAClosedListenerLeaveSys(t *testing.T) {
	var c serve.Config
	s := servetest.Start(t, func(sc *serve.Config) {
		sc.Broker.SysInterval = 10 * time.Millisecond
		sc.Listeners = append(sc.Listeners, serve.Listener{URL: "mqtt://127.0.0.1:0"})
		sc.Listeners[1].Name = "second"
		c = *sc
	})
	a := mustConnect(t, s.URLs()[0], "", nil)
	a.follow("$SYS/broker/listeners/second/open", "$SYS/broker/listeners/second/open=0")
	c.Listeners = c.Listeners[:1]
	if _, err := s.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for {
		if p, ok := a.next().(mqtt.Publish); ok && len(p.Payload) == 0 {
			break
		}
	}
}

func TestTheEndLogsTheListenersCounters(t *testing.T) {
	var log bytes.Buffer
	s := servetest.Start(t, func(c *serve.Config) {
		c.Listeners[0].Name = "only"
		c.Logger = serve.NewLogger(&log, serve.Text, slog.LevelInfo)
	})
	c := mustConnect(t, s.URLs()[0], "", nil)
	c.send(mqtt.Disconnect{})
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("still connected after DISCONNECT")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := `msg="listener closed" listener=only accepted=1 open=0 refused=map[] closed=map[disconnect:1] accept_errors=0`
	if n := strings.Count(log.String(), want); n != 1 {
		t.Errorf("%d lines %q in\n%s", n, want, log.String())
	}
}
