// Package sparkplug reads and writes the payloads of Sparkplug B, version 3.0,
// and what 2.2 had instead. Births teach it the names and data types of aliases,
// node by node; gaps in sequence numbers and deaths of another session become
// notes. Times are milliseconds since 1970, as on the wire.
//
// The topic decides what a payload is: spBv1.0/GROUP/TYPE/NODE[/DEVICE], with
// levels in front of it where a bridge adds some, and STATE/HOST. Below any other
// topic payloads are read without regard to what came before.
package sparkplug

import (
	"bytes"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/payload"
)

// Format is the format "sparkplug".
func Format() payload.Format {
	return payload.Format{
		Name:    "sparkplug",
		About:   "Sparkplug B: aliases by name, gaps in seq reported; STATE too",
		Example: "spBv1.0/#=sparkplug",
		Guess: func(c *payload.Content) bool {
			to, _ := parseTopic(c.Topic)
			return to.kind != other
		},
		New: func(string) (payload.Codec, error) {
			return &codec{nodes: newNodes(maxNodes, maxEntries, maxBytes), now: time.Now}, nil
		},
	}
}

type codec struct {
	nodes *nodes
	now   func() time.Time
}

// Decode reads one payload, and learns from it if it is a birth or a death.
func (k *codec) Decode(c *payload.Content) error {
	to, err := parseTopic(c.Topic)
	if err != nil {
		c.Notes = append(c.Notes, err.Error())
	}
	if to.kind == state {
		return decodeState(c)
	}
	r := &reader{}
	p, err := r.payload(c.Bytes)
	if err != nil {
		return err
	}
	if to.kind != other {
		k.nodes.observe(to, p, &r.notes)
	}
	c.Value, err = r.object(p)
	c.Notes = append(c.Notes, r.notes.list()...)
	return err
}

// decodeState reads what a host application says of itself: JSON since 3.0,
// ONLINE or OFFLINE before.
func decodeState(c *payload.Content) error {
	text := bytes.TrimSpace(c.Bytes)
	if s := string(text); s == "ONLINE" || s == "OFFLINE" {
		c.Value = s
		return nil
	}
	v, err := payload.ParseJSON(c.Bytes)
	if err != nil {
		return fmt.Errorf("STATE is neither ONLINE, OFFLINE nor JSON: %w", err)
	}
	c.Value = v
	if o, ok := v.(payload.Object); ok {
		_, online := o.Get("online")
		_, timestamp := o.Get("timestamp")
		if online && timestamp {
			return nil
		}
	}
	c.Notes = append(c.Notes, "STATE has no members online and timestamp")
	return nil
}

// Encode goes the other way. In data and commands the name of a metric is left out
// if this codec has seen the birth with its alias (6.4.6).
func (k *codec) Encode(c *payload.Content) error {
	to, _ := parseTopic(c.Topic)
	if to.kind == state {
		return encodeState(c)
	}
	v, err := c.Typed()
	if err != nil {
		return err
	}
	w := &writer{now: k.now, data: to.kind.isData(), nodes: k.nodes, to: to}
	b, err := w.payload(v)
	if err != nil {
		return err
	}
	if to.kind.isBirth() {
		k.teach(to, b)
	}
	c.Bytes = b
	return nil
}

// teach learns the aliases of a birth that was written, for the data behind it.
func (k *codec) teach(to topic, b []byte) {
	r := &reader{}
	if p, err := r.payload(b); err == nil {
		k.nodes.learn(k.nodes.get(to, &r.notes), to, p, &r.notes)
	}
}

func encodeState(c *payload.Content) error {
	if text := bytes.TrimSpace(c.Text); string(text) == "ONLINE" || string(text) == "OFFLINE" {
		c.Bytes = text
		return nil
	}
	v, err := c.Typed()
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		if v == "ONLINE" || v == "OFFLINE" {
			c.Bytes = []byte(v)
			return nil
		}
	case payload.Object:
		c.Bytes = payload.AppendJSON(nil, v)
		return nil
	}
	return &payload.Malformed{Where: "STATE", Reason: `neither ONLINE, OFFLINE nor an object, as in {"online":true,"timestamp":1668114759262}`}
}
