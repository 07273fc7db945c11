package mqttsn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
	"unicode/utf8"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// Defaults of Config.
const (
	DefaultRetry       = 10 * time.Second
	DefaultRetries     = 4
	DefaultMaxDatagram = 65507 // of UDP
	DefaultMaxQueued   = 1000
)

// Config says who a client is. The zero value of every field is usable.
type Config struct {
	ClientID  string
	KeepAlive uint16 // seconds, 0 for none
	Will      *Will  // nil: none is spoken of

	// Forwarded wraps every message for a forwarder, as coming from the node
	// NodeID, and takes only such as are for that node.
	Forwarded bool
	NodeID    []byte

	Retry   time.Duration // T_retry
	Retries int           // N_retry; below 0 none
	Backoff float64       // what each wait is longer than the one before; below 1: as long
	// Farewell is T_retry of the DISCONNECT that ends a connection: who leaves does
	// not want to wait. 0: that of the others.
	Farewell time.Duration
	// Jitter is the part of every wait that is left to chance: 0.1 is 10 % either way.
	Jitter float64
	// Rand is for Jitter and the first message identifier; nil is no chance at all.
	Rand *rand.Rand
	// Congestion is how long a client waits that was told of one, T_WAIT. 0: not at
	// all, what was refused for it is refused.
	Congestion time.Duration

	MaxDatagram int // bytes, with all that is around a message
	MaxQueued   int // publications and requests that wait

	// Names of predefined topics.
	Names map[uint16]string
	// Nameless takes messages with predefined topics that are not in Names.
	Nameless bool
	// NamedMinusOne publishes a topic by its name at QoS -1, which is no part of
	// 1.2, but practice.
	NamedMinusOne bool
}

// Will is published by the gateway when it loses the client. Without a topic it
// deletes an earlier one.
type Will struct {
	Topic   string
	Payload []byte
	QoS     int8
	Retain  bool
}

func (w *Will) check() error {
	if w.Topic == "" {
		return nil
	}
	if err := Named(w.Topic).Check(false); err != nil {
		return fmt.Errorf("will: %w", err)
	}
	if w.QoS < 0 || w.QoS > 2 {
		return fmt.Errorf("will: %w: %d", ErrQoS, w.QoS)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Retry <= 0 {
		c.Retry = DefaultRetry
	}
	if c.Farewell <= 0 {
		c.Farewell = c.Retry
	}
	switch {
	case c.Retries == 0:
		c.Retries = DefaultRetries
	case c.Retries < 0:
		c.Retries = 0
	}
	if c.MaxDatagram <= 0 {
		c.MaxDatagram = DefaultMaxDatagram
	}
	if c.MaxQueued <= 0 {
		c.MaxQueued = DefaultMaxQueued
	}
	c.Backoff = max(c.Backoff, 1)
	return c
}

func (c *Config) check() error {
	switch {
	case !utf8.ValidString(c.ClientID):
		return errors.New("the client identifier is not UTF-8")
	case wire.Connect{ClientID: c.ClientID}.Size()+c.envelope() > c.MaxDatagram:
		return fmt.Errorf("client identifier of %d bytes: %w", len(c.ClientID), ErrTooLarge)
	case len(c.NodeID) > wire.MaxNodeID:
		return fmt.Errorf("node identifier of %d bytes: at most %d", len(c.NodeID), wire.MaxNodeID)
	case c.Jitter < 0 || c.Jitter >= 1:
		return fmt.Errorf("jitter %g: must be from 0 to below 1", c.Jitter)
	case c.Will == nil:
		return nil
	}
	if len(c.Will.Payload)+4+c.envelope() > c.MaxDatagram || len(c.Will.Topic)+5+c.envelope() > c.MaxDatagram {
		return fmt.Errorf("will: %w", ErrTooLarge)
	}
	return c.Will.check()
}

// envelope is how many bytes a forwarder's takes.
func (c *Config) envelope() int {
	if !c.Forwarded {
		return 0
	}
	return 3 + len(c.NodeID)
}
