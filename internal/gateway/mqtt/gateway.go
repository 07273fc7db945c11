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
	g.Server = gateway.NewServer(g.terms())
	return g, nil
}

func (g *Gateway) terms() gateway.ServerConfig {
	return gateway.ServerConfig{
		Broker: g.b, Logger: g.cfg.Logger, Open: g.open,
		ConnectTimeout: g.cfg.ConnectTimeout, PendingBytes: g.cfg.PendingBytes, SendTimeout: g.cfg.SendTimeout,
	}
}

// Reload replaces the settings for clients to come. Authenticator, Enhanced and
// Logger stay.
func (g *Gateway) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg.Authenticator, cfg.Enhanced, cfg.Logger = g.cfg.Authenticator, g.cfg.Enhanced, g.cfg.Logger
	next := &Gateway{Server: g.Server, cfg: cfg.withDefaults(), b: g.b}
	g.SetTerms(next.terms())
	return nil
}
