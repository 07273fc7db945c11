package mqttsn

import (
	"errors"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/gateway"
)

// Codes of EMQX, which the specification reserves.
const (
	emqxNotAuthorized mqttsn.ReturnCode = 0x80
	emqxLimit         mqttsn.ReturnCode = 0x83
)

// denied is the code for what a client is not allowed.
func (g *Gateway) denied() mqttsn.ReturnCode {
	if g.terms.Load().Compat.ReturnCodes == codesEMQX {
		return emqxNotAuthorized
	}
	return mqttsn.NotSupported
}

// exhausted is the code for topic identifiers of which there are no more: the
// client is not to try again.
func (g *Gateway) exhausted() mqttsn.ReturnCode {
	if g.terms.Load().Compat.ReturnCodes == codesEMQX {
		return emqxLimit
	}
	return mqttsn.NotSupported
}

// answerTo is the return code for what a parser has said; Accepted is for nothing to
// answer, or no error.
func answerTo(err error) mqttsn.ReturnCode {
	if m := (*mqttsn.Malformed)(nil); errors.As(err, &m) {
		return m.Code
	}
	return mqttsn.Accepted
}

// isGarbled reports whether a message could not be read.
func isGarbled(err error) bool {
	m := (*mqttsn.Malformed)(nil)
	return errors.As(err, &m) && m.Class == mqttsn.Garbled
}

// isDropped reports whether a message is illegal and no code says so.
func isDropped(code mqttsn.ReturnCode, err error) bool {
	return isGarbled(err) || err != nil && code == mqttsn.Accepted
}

// dropped counts a message that is not answered because of what the parser says.
func (g *Gateway) dropped(err error) {
	if isGarbled(err) {
		g.counts.malformed.Add(1)
		return
	}
	g.counts.violation.Add(1)
}

// countRefusal counts a request that is answered with a code.
func (c *client) countRefusal(code mqttsn.ReturnCode) {
	if code != mqttsn.Accepted {
		c.g.counts.refused.Add(1)
	}
}

// tellRefused has the log tell what the client is refused, unless there is much of it.
func (c *client) tellRefused(w *work, what, topic string, err error) {
	if c.g.rates.refusal(w.now) {
		c.g.log.Info("request refused", "client", gateway.Clip(c.plainID()), "what", what, "topic", gateway.Clip(topic), "err", err)
	}
}

// garbled counts a message of the client that the parser does not like.
func (c *client) garbled(_ *work, err error) { c.g.dropped(err) }
