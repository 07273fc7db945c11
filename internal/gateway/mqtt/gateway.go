// Package mqtt serves MQTT 3.1, 3.1.1 and 5.0: it turns packets into broker
// calls and deliveries into packets.
//
// The strict parser judges. MQTT 5.0 clients hear why in DISCONNECT, earlier
// ones are cut off. QoS 0 messages that may not be published are dropped; a
// client before 5.0 has no way to be told and gets its PUBACK. Nothing is
// allocated from a length that a client announces.
package mqtt

import (
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
)

// Gateway serves MQTT on any number of listeners.
type Gateway struct {
	*gateway.Server
	cfg Config
	b   *broker.Broker
}

// New returns a gateway to b.
func New(cfg Config, b *broker.Broker) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg.withDefaults(), b: b}
	g.Server = gateway.NewServer(gateway.ServerConfig{
		Broker: b, Logger: g.cfg.Logger, Open: g.open,
		ConnectTimeout: g.cfg.ConnectTimeout, PendingBytes: g.cfg.PendingBytes, SendTimeout: g.cfg.SendTimeout,
	})
	return g, nil
}
