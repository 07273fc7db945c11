package dissect

import (
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

var (
	snPacketID  = snNumber("packet identifier", 2, "")
	snAlias     = snNumber("topic alias", 2, "")
	snExpiry    = snNumber("session expiry", 4, "s")
	snKeepAlive = snNumber("keep alive", 2, "s")
	snSleep     = snNumber("sleep duration", 4, "s")
	snTopicKind = snBit{"topic kind", 0x03}
)

func snReason(w *snWalk) {
	if n, ok := w.number("reason code", Number, 1, ""); ok {
		w.last().Note = mqttsn.ReasonCode(n).String()
	}
}

// snIf takes a field if a flag says so.
func snIf(mask byte, part snPart) snPart {
	return func(w *snWalk) {
		if w.flags&mask != 0 {
			part(w)
		}
	}
}

// snPrefixed takes a value behind its length, which has size bytes.
func snPrefixed(name string, size int, kind Kind) snPart {
	return func(w *snWalk) { w.prefixed(name, kind, size) }
}

// snDraftTopic takes an alias, or a name with a length before it.
func snDraftTopic(w *snWalk) {
	if w.flags&3 == 3 {
		snPrefixed("topic", 2, Text)(w)
	} else {
		snAlias(w)
	}
}

// snDraftFilter takes an alias, or a name that is all that is left.
func snDraftFilter(w *snWalk) {
	if w.flags&3 == 3 {
		snText("topic filter")(w)
	} else {
		snAlias(w)
	}
}

func snAuth(w *snWalk) {
	snPrefixed("authentication method", 1, Text)(w)
	snPrefixed(snAuthData, 2, Bytes)(w)
}

// snDraftConnect takes a CONNECT, of another version than 2 only the head.
func snDraftConnect(w *snWalk) {
	snFlags(
		snBit{"other values accepted", 0x40}, snBit{"address may change", 0x20}, snBit{"default awake messages", 0x10},
		snBit{"session expiry", 0x08}, snBit{"authentication", 0x04}, snBit{"will", 0x02}, snBit{"clean start", 0x01},
	)(w)
	flags := w.flags
	if flags&2 != 0 {
		snFlags(snRetain, snBit{"QoS", 0x0c}, snTopicKind)(w)
	}
	will := w.flags
	w.flags = flags
	snPacketID(w)
	if v, ok := w.number("protocol version", Number, 1, ""); ok && v != 2 {
		w.rest(snOtherVersion, "")
		return
	}
	snKeepAlive(w)
	snNumber("maximum packet size", 2, "bytes")(w)
	snIf(0x10, snNumber("default awake messages", 1, ""))(w)
	snIf(0x08, snExpiry)(w)
	if flags&2 != 0 {
		w.flags = will
		snDraftTopic(w)
		snPrefixed("will payload", 2, Bytes)(w)
		w.flags = flags
	}
	snIf(0x04, snAuth)(w)
	snText("client identifier")(w)
}

// snInner takes the message in an envelope that says where that ends.
func snInner(w *snWalk) {
	if w.ended || w.at == len(w.b) {
		return
	}
	off := w.at
	if w.depth >= snEnvelopes {
		w.rest("message", "in too many envelopes")
		return
	}
	node := w.last()
	q, n, err := w.d.message(w.b[off:], w.st, w.depth+1, string(w.b[node.Off:node.End()]))
	w.enclose(q, off)
	w.p.Summary = q.Type + " " + q.Summary
	if bad := (*Malformed)(nil); errors.As(err, &bad) {
		w.p.Problems = append(w.p.Problems, Problem{Off: off + bad.Off, Len: bad.Len, Text: bad.Text, Rule: bad.Rule, Advice: bad.Advice})
	} else if err != nil && len(q.Fields) > 0 {
		w.p.Problems = append(w.p.Problems, Problem{Off: off, Text: "the message in the envelope is cut short"})
	}
	if n > 0 {
		w.rest("rest", "behind the message")
	}
}

func snProtected(w *snWalk) {
	snFlags(snBit{"tag length code", 0xf0}, snBit{"material length code", 0x0c}, snBit{"counter length code", 0x03})(w)
	flags := w.flags
	snNumber("protection scheme", 1, "")(w)
	for _, f := range []struct {
		name string
		size int
	}{
		{"sender identifier", 8},
		{"random", 4},
		{"cryptographic material", [...]int{0, 2, 4, 12}[flags>>2&3]},
		{"counter", [...]int{0, 2, 4, 0}[flags&3]},
	} {
		if f.size > 0 && w.room(f.name, f.size) {
			w.take(f.name, Bytes, f.size)
		}
	}
	if !w.ended {
		w.rest("protected message and tag", "")
	}
}

// snDraftSummary is what matters most of a message of 2.0.
func snDraftSummary(m mqttsn.Message, topic string) string {
	switch m := m.(type) {
	case mqttsn.ConnectV2:
		if m.Version != 2 {
			return fmt.Sprintf("of version %d", m.Version)
		}
		return fmt.Sprintf("client %q, keep alive %d s", m.ClientID, m.KeepAlive)
	case mqttsn.ConnackV2:
		return m.Code.String()
	case mqttsn.PublishV2:
		return fmt.Sprintf("topic %s, QoS %d, %d bytes", snName(m.Topic, topic), m.QoS, len(m.Payload))
	case mqttsn.PubwosV2:
		return fmt.Sprintf("topic %s, %d bytes", snName(m.Topic, topic), len(m.Payload))
	case mqttsn.SubscribeV2:
		return fmt.Sprintf("topic %s, QoS %d", snName(m.Topic, topic), m.QoS)
	case mqttsn.UnsubscribeV2:
		return "topic " + snName(m.Topic, topic)
	case mqttsn.SubackV2:
		return m.Code.String()
	case mqttsn.RegisterV2:
		return fmt.Sprintf("topic %q", m.Topic)
	case mqttsn.RegackV2:
		return fmt.Sprintf("alias %d, %v", m.Alias, m.Code)
	case mqttsn.PubackV2:
		return m.Code.String()
	case mqttsn.SleepreqV2:
		return fmt.Sprintf("sleeps for %d s", m.Duration)
	case mqttsn.DisconnectV2:
		return m.Code.String()
	case mqttsn.AdvertiseV2:
		return fmt.Sprintf("gateway %d, again in %d s", m.GatewayID, m.Duration)
	case mqttsn.GWInfoV2:
		return fmt.Sprintf("gateway %d", m.GatewayID)
	}
	return ""
}

// snName is a topic, whose alias stands for topic if that is not empty.
func snName(t mqttsn.TopicV2, topic string) string {
	switch {
	case t.Kind == mqttsn.TopicNameV2:
		return fmt.Sprintf("%q", t.Name)
	case topic != "":
		return fmt.Sprintf("%s (%v %d)", topic, t.Kind, t.Alias)
	}
	return fmt.Sprintf("%v %d", t.Kind, t.Alias)
}
