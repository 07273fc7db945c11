package main

import (
	"log/slog"

	"github.com/iotctl/iotctl/internal/gateway"
	gatewaymqtt "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
	"github.com/iotctl/iotctl/internal/transport"
)

// builtin is the table of what this program is made of: one line per gateway,
// per method of authentication and per store.
func builtin() serve.Builtin {
	return serve.Builtin{
		Gateways: []serve.Gateway{
			serve.NewGateway("mqtt", transport.MQTTSchemes(), newMQTT),
		},
		Stores: []serve.Store{
			serve.NewStore("mem", openMem),
		},
	}
}

func newMQTT(e serve.Environment, c gatewaymqtt.Config) (gateway.Gateway, error) {
	c.Authenticator, c.Enhanced, c.Logger = e.Authenticator, e.Enhanced, e.Logger
	return gatewaymqtt.New(c, e.Broker)
}

func openMem(*slog.Logger, struct{}) (store.Store, error) { return mem.New(), nil }
