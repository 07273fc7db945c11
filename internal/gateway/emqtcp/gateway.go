// Package emqtcp serves devices that speak the EMQ private TCP protocol,
// version 1: each is an ordinary client of the broker that publishes to one
// topic and receives from one.
//
//	CONNECT     logs in; the downlink topic is subscribed before the answer
//	DATATRANS   in: a message on the uplink topic, QoS 0, not retained
//	            out: a message on the downlink topic
//	PING        is answered by PONG
//	DISCONNECT  ends the connection, as do keep alive and take-over
//
// There are no sessions, no wills and no retained messages. A frame that the
// protocol does not know at this point ends the connection without an answer; only
// a login that is refused, and another version, have one. README.md has the
// settings, and what became of those of EMQX.
//
// Goroutines and memory are those of the parent package. What a device may
// not publish is dropped and counted, since the protocol cannot tell it.
package emqtcp

import (
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway"
)

// Protocol is the name of the protocol for listeners and authenticators.
const Protocol = "emqtcp"

// Gateway serves the protocol on any number of listeners.
type Gateway struct {
	*gateway.Server
	cfg      Config
	began    time.Time
	opts     emqtcp.Options
	accepted []byte // the CONNACK of success
	counts   *counts
}

// counts is what only this gateway sees.
type counts struct {
	flags, denied, tooLarge atomic.Uint64
}

// New returns a gateway to b.
func New(cfg Config, b *broker.Broker) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	accepted, err := emqtcp.Connack{Message: emqtcp.MessageSuccessful}.Append(nil)
	if err != nil {
		return nil, err
	}
	g := &Gateway{began: time.Now(), accepted: accepted, counts: &counts{}}
	g.Server = gateway.NewServer(g.settle(cfg, b))
	return g, nil
}

// settle takes the settings; it returns what they mean for connections.
func (g *Gateway) settle(cfg Config, b *broker.Broker) gateway.ServerConfig {
	g.cfg = cfg.withDefaults()
	g.opts = emqtcp.Options{AcceptVersion0: cfg.AcceptVersion0, StrictFlags: cfg.StrictFlags}
	return gateway.ServerConfig{
		Broker: b, Logger: g.cfg.Logger, Open: func() gateway.Client { return &client{g: g, heard: unheard} },
		ConnectTimeout: g.cfg.IdleTimeout, PendingBytes: g.cfg.PendingBytes, SendTimeout: g.cfg.SendTimeout,
	}
}

// Reload replaces the settings for devices to come. Authenticator and Logger
// stay.
func (g *Gateway) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg.Authenticator, cfg.Logger = g.cfg.Authenticator, g.cfg.Logger
	next := *g
	g.SetTerms(next.settle(cfg, g.Broker()))
	return nil
}

// Counters are for $SYS, by topic level.
func (g *Gateway) Counters() map[string]uint64 {
	return map[string]uint64{
		"reserved_flags":     g.counts.flags.Load(),    // frames with flags that mean nothing
		"denied":             g.counts.denied.Load(),   // uplinks and subscriptions that are not allowed
		"downlink_too_large": g.counts.tooLarge.Load(), // messages that no frame can hold
	}
}
