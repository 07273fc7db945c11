package main

import (
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/format"
	"github.com/iotctl/iotctl/internal/jq"
	"github.com/iotctl/iotctl/internal/payload"
)

// sight is one message as it is looked at. What can be made of it is made when
// something asks for it.
type sight struct {
	m       client.Message
	arrived time.Time
	// unflagged: nobody knows whether it is retained.
	unflagged bool

	fits    bool // a payload rule is for it
	decoded format.Decoded

	line   []byte // the record, once tree is there
	values []byte // decoded.Value
	tree   any    // the record as jq has it; nil: not made yet
}

// look begins with another message. rules may be nil.
func (x *sight) look(m *client.Message, now time.Time, rules *payload.Rules) {
	x.m, x.arrived, x.fits, x.tree = *m, now, false, nil
	if rules != nil {
		x.decode(rules)
	}
}

func (x *sight) decode(rules *payload.Rules) {
	contentType, _ := x.m.Properties.Bytes(mqtt.PropContentType)
	c, fits, err := rules.Decode(x.m.Topic, string(contentType), x.m.Payload)
	if x.fits = fits; !fits {
		return
	}
	x.decoded = format.Decoded{Format: c.Label, Notes: c.Notes}
	if err != nil {
		x.decoded.Problem = err.Error()
		return
	}
	x.values = payload.AppendJSON(x.values[:0], c.Value)
	x.decoded.Value, x.decoded.Notation = x.values, string(c.Text)
}

// readable is what a rule has made of the payload, or the payload.
func (x *sight) readable() []byte {
	switch {
	case !x.fits || x.decoded.Problem != "":
		return x.m.Payload
	case x.decoded.Notation != "":
		return []byte(x.decoded.Notation)
	}
	return x.decoded.Value
}

// record is the object of -o jsonl, as jq, templates and columns see it.
func (x *sight) record() any {
	if x.tree == nil {
		shown := format.Message{
			Topic: x.m.Topic, Payload: x.m.Payload, QoS: x.m.QoS, Retain: x.m.Retain,
			PacketID: x.m.PacketID, Properties: x.m.Properties, Arrived: x.arrived, Unflagged: x.unflagged,
		}
		if x.fits {
			shown.Decoded = &x.decoded
		}
		if cap(x.line) > printBuffer {
			x.line = nil
		}
		x.line = format.AppendRecord(x.line[:0], &shown, false)
		x.tree, _ = jq.Parse(x.line) // we have written it, so it cannot fail
	}
	return x.tree
}
