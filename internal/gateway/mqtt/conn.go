package mqtt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/transport"
)

// conn is one network connection.
type conn struct {
	gateway.Conn
	g     *Gateway
	opts  mqtt.Options
	creds *auth.Credentials // nil when nobody needs them any more

	version  mqtt.Version
	clientID string

	qos1    int      // QoS 1 messages of this batch
	aliases [][]byte // by topic alias, from 1
	session sessionState

	pending *mqtt.Connect // waits for its enhanced authentication
	out     outbound
}

// sessionState is what CONNECT has settled.
type sessionState struct {
	expiry      time.Duration // as requested or granted
	problemInfo bool          // the client wants reason strings
	method      string        // of the enhanced authentication
	exchange    auth.Exchange // re-authentication under way
	rounds      int
}

func (g *Gateway) open() gateway.Client {
	c := &conn{g: g}
	c.opts.CheckPayload = true
	return c
}

// Data implements gateway.Client.
func (c *conn) Data(ctx context.Context, data []byte) (rest []byte, want int, err error) {
	c.qos1 = 0
	for len(data) > 0 {
		if c.version == 0 { // Before looking at the length. // [MQTT-3.1.0-1]
			if what := describe(data); what != mqtt.TypeConnect.String() {
				return nil, 0, &gateway.End{Why: "protocol", Err: fmt.Errorf("first packet is not CONNECT but %s", what), Mute: true}
			}
		}
		h, body, n, err := mqtt.Frame(data, c.g.cfg.MaxPacketBytes)
		if errors.Is(err, mqtt.ErrShort) {
			return data, n, nil
		}
		if err != nil {
			return nil, 0, c.malformed(err)
		}
		c.g.b.Stats().PacketsReceived[h.Type].Add(1)
		if err := c.handle(ctx, h, body); err != nil {
			return nil, 0, err
		}
		data = data[n:]
	}
	return nil, 0, nil
}

// describe names what a stranger seems to speak.
func describe(data []byte) string {
	if other := transport.Sniff(data); other != "" && other != "MQTT" {
		return other
	}
	return mqtt.Type(data[0] >> 4).String()
}

// ended ends a connection with a reason code.
func ended(code mqtt.ReasonCode, why string, err error) *gateway.End {
	return &gateway.End{Code: uint8(code), Why: why, Err: err}
}

// malformed is the end of a connection for a packet that breaks a rule.
func (c *conn) malformed(err error) error { return ended(reasonOf(err), "protocol", err) }

// protocolError is malformed for rules that need memory of earlier packets.
func (c *conn) protocolError(code mqtt.ReasonCode, format string, args ...any) error {
	return ended(code, "protocol", fmt.Errorf(format, args...))
}

// answer adds a packet to the answers of the batch, as in
// c.answer(p.Append(c.Answers(), c.version)).
func (c *conn) answer(b []byte, err error) {
	if err != nil { // our own packet
		c.Log().Error("packet not sent", "err", err)
		return
	}
	c.g.count(b[len(c.Answers()):])
	c.Answered(b)
}

// count adds a packet to what has been sent.
func (g *Gateway) count(packet []byte) {
	g.b.Stats().PacketsSent[packet[0]>>4].Add(1)
}

// LastWords implements gateway.Client.
func (c *conn) LastWords(e *gateway.End) []byte {
	if c.version < mqtt.V5 || c.Link() == nil { // it has not heard that it is connected
		return nil
	}
	code := mqtt.ReasonCode(e.Code)
	if code == mqtt.NormalDisconnection {
		code = reasonOf(e.Err)
	}
	d := mqtt.Disconnect{Code: code}
	if c.session.problemInfo && e.Err != nil {
		d.Properties = d.Properties.AppendString(mqtt.PropReasonString, gateway.Clip(e.Err.Error()))
	}
	b, err := d.Append(nil, c.version)
	if err != nil || c.out.tooLarge(len(b)) {
		b, err = mqtt.Disconnect{Code: code}.Append(nil, c.version)
	}
	if err != nil || c.out.tooLarge(len(b)) {
		return nil
	}
	return b
}

// Said implements gateway.Teller.
func (c *conn) Said(last []byte) { c.g.count(last) }
