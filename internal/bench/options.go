package bench

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// Options are what a run needs beside its Plan.
type Options struct {
	Plan Plan
	Spec Spec

	// Endpoint and Dial say where to connect to and how. Dial.TLS is read once
	// for all connections; Dial.LocalAddress, where set, is used by all of them.
	Endpoint transport.Endpoint
	Dial     transport.DialConfig

	// Devices is where the clients connect to that speak another protocol than
	// MQTT; the zero value is for scenarios without such.
	Devices transport.Endpoint
	// Codec is what devices of private protocols speak.
	Codec *frame.Codec

	Username *string // template
	Password []byte
	// Identities of the clients, by index; beyond their end they are used again
	// from the beginning. nil: all are made from the templates.
	Identities []Identity
	Properties mqtt.Properties // of CONNECT, 5.0
	Tool       string          // for the record
	Logger     *slog.Logger    // nil: silent

	Record io.Writer // gets the run as a stream of records; nil: nobody
	// Watch is called with each record as it is made, on one goroutine.
	Watch func(record any)
	// Asserts are evaluated at the end.
	Asserts []Assertion

	// Part and Company are for a run that shares its load with others. Its plan
	// is a [Share]'s.
	Part    Part
	Company Company
}

// Identity of one client. Empty fields take what is given for all.
type Identity struct {
	ClientID string `json:"client_id"`
	Username string `json:"username"`
	Password string `json:"password"`
	CertFile string `json:"cert"`
	KeyFile  string `json:"key"`
}

// ClientOptions are how one client connects.
type ClientOptions struct {
	Index      int    // for templates, identities and source addresses
	ID         string // "": by template or identity
	CleanStart bool
	Expiry     uint32
	Will       *mqtt.Will
	KeepAlive  int
	Due        int64 // when the connection should begin, 0: now
	// Receives: messages that arrive are accounted for, alone or, with Group,
	// together with others.
	Receives bool
	Group    *Group
	// Of an earlier connection of the same session.
	account *trackers
	held    map[uint16]bool
	// Unstamped: nothing that arrives has a stamp, and that is no fault.
	Unstamped bool
	// OnArrive is called with each message, while locks are held. Times in
	// nanoseconds of Session.Now; due is now where the payload has no stamp.
	OnArrive func(topic, payload []byte, due, now int64)
	// Dialect makes what a device speaks that connects to Options.Devices, out of
	// what CONNECT would say; nil is MQTT.
	Dialect func(*mqtt.Connect) (client.Dialect, error)
	// ReadRate, where above 0, is how many bytes per second are read.
	ReadRate int
}

// Group is the members of a shared subscription; see [Session.NewGroup].
type Group struct{ g group }

// brake slows a reader down.
type brake struct {
	rate  int // bytes per second
	read  int
	since time.Time
}

// wait lasts until what has been read is what may have been.
func (b *brake) wait(ctx context.Context) {
	if b.since.IsZero() {
		b.since = time.Now()
	}
	ahead := time.Duration(float64(b.read)/float64(b.rate)*float64(time.Second)) - time.Since(b.since)
	if ahead <= 0 {
		return
	}
	t := time.NewTimer(ahead)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
