// Package servetest starts brokers for tests.
package servetest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway/frame"
	"github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/gateway/mqttsn"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
	"github.com/iotctl/iotctl/internal/transport"
)

// Builtin is a table with MQTT, emqtcp, frame, MQTT-SN and the store in memory.
func Builtin() serve.Builtin {
	return serve.Builtin{
		Gateways: []serve.Gateway{
			serve.NewGateway("mqtt", transport.MQTTSchemes(), func(e serve.Environment, c mqtt.Config) (gateway.Gateway, error) {
				c.Authenticator, c.Enhanced, c.Logger = e.Authenticator, e.Enhanced, e.Logger
				return mqtt.New(c, e.Broker)
			}),
			serve.NewGateway(emqtcp.Protocol, transport.EMQTCPSchemes(), func(e serve.Environment, c emqtcp.Config) (gateway.Gateway, error) {
				c.Authenticator, c.Logger = e.Authenticator, e.Logger
				return emqtcp.New(c, e.Broker)
			}),
			serve.NewGateway(frame.Protocol, frame.Schemes(), func(e serve.Environment, c frame.Config) (gateway.Gateway, error) {
				c.Authenticator, c.Logger = e.Authenticator, e.Logger
				return frame.New(c, e.Broker)
			}),
			serve.NewGateway(mqttsn.Protocol, transport.MQTTSNSchemes(), func(e serve.Environment, c mqttsn.Config) (gateway.Gateway, error) {
				c.Authenticator, c.Logger = e.Authenticator, e.Logger
				return mqttsn.New(c, e.Broker)
			}),
		},
		Stores: []serve.Store{
			serve.NewStore("mem", func(*slog.Logger, struct{}) (store.Store, error) { return mem.New(), nil }),
		},
	}
}

// Start starts a server that ends with the test. edit, if not nil, changes the
// configuration first, which is one listener, mqtt:// on a free port of the
// loopback interface that lets anonymous
// clients in. Clients connect
// to (*serve.Server).URLs. The log goes to the test's.
func Start(t testing.TB, edit func(*serve.Config)) *serve.Server {
	t.Helper()
	c := serve.Config{
		Builtin:   Builtin(),
		Listeners: []serve.Listener{{URL: "mqtt://127.0.0.1:0"}},
		Logger:    slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if edit != nil {
		edit(&c)
	}
	s, err := serve.Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("server:", err)
		}
	})
	return s
}
