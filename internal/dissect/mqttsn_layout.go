package dissect

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// snWalk is a walk over one message of MQTT-SN.
type snWalk struct {
	walk
	p     *Packet
	d     MQTTSN
	st    *Stream
	depth int
	node  string // behind a forwarder
	topic string // that an identifier stands for, quoted
	flags byte
	named int // bytes of the name in the payload, -1 for none
}

// snPart takes one field off a body.
type snPart func(*snWalk)

// Names of fields that may hold a password.
const (
	snAuthData     = "authentication data"
	snOtherVersion = "fields of another version"
)

func snNumber(name string, size int, note string) snPart {
	return func(w *snWalk) { w.number(name, Number, size, note) }
}

func snRest(name string) snPart { return func(w *snWalk) { w.payload(name) } }

func snText(name string) snPart {
	return func(w *snWalk) {
		if n := len(w.b) - w.at; n > 0 && !w.ended {
			w.take(name, Text, n)
		}
	}
}

var (
	snGateway = snNumber("gateway identifier", 1, "")
	snMsgID   = snNumber("message identifier", 2, "")
	snTopicID = snNumber("topic identifier", 2, "")
)

func snCode(w *snWalk) {
	if n, ok := w.number("return code", Number, 1, ""); ok {
		w.last().Note = mqttsn.ReturnCode(n).String()
	}
}

// snBit is a part of flags.
type snBit struct {
	name string
	mask byte
}

var (
	snDup    = snBit{"duplicate", 0x80}
	snQoS    = snBit{"QoS", 0x60}
	snRetain = snBit{"retain", 0x10}
	snWill   = snBit{"will", 0x08}
	snClean  = snBit{"clean session", 0x04}
	snKind   = snBit{"topic type", 0x03}
)

// snFlags takes flags with the parts that mean something.
func snFlags(bits ...snBit) snPart {
	return func(w *snWalk) {
		n, ok := w.number("flags", Flags, 1, "")
		if !ok {
			return
		}
		w.flags = byte(n)
		f := w.last()
		for _, b := range bits {
			kid := Field{Name: b.name, Kind: Flags, Off: f.Off, Len: 1, Value: w.flags&b.mask != 0, Mask: uint64(b.mask), Form: Unsigned}
			shift := 0
			for b.mask>>shift&1 == 0 {
				shift++
			}
			if v := w.flags & b.mask >> shift; b.mask>>shift > 1 {
				kid.Kind, kid.Value, kid.Note = Number, uint64(v), w.bitNote(b, v)
			}
			f.Kids = append(f.Kids, kid)
		}
	}
}

func (w *snWalk) bitNote(b snBit, v byte) string {
	switch {
	case b.mask == snKind.mask && w.d.Draft:
		return mqttsn.TopicKindV2(v).String()
	case b == snKind:
		return mqttsn.TopicKind(v).String()
	case b == snQoS && v == 3 && !w.d.Draft:
		return "QoS -1, no connection needed"
	}
	return ""
}

// snPublishTopic takes the topic of a 1.2 PUBLISH. With QoS -1 a normal one is a
// name, and this its length.
func snPublishTopic(w *snWalk) {
	w.named = -1
	switch kind := mqttsn.TopicKind(w.flags & 3); {
	case kind == mqttsn.ShortTopic:
		snShort(w)
	case kind == mqttsn.NormalTopic && w.flags&0x60 == 0x60:
		if n, ok := w.number("topic name length", Length, 2, "bytes"); ok {
			w.named = n
		}
	default:
		w.number("topic identifier", Number, 2, kind.String())
	}
}

func snShort(w *snWalk) {
	if w.room("short topic", 2) {
		raw := hex.EncodeToString(w.b[w.at : w.at+2])
		w.take("short topic", Text, 2).Note = raw
	}
}

func snPayload(w *snWalk) {
	if w.named >= 0 && w.room("topic name", w.named) {
		for i := range w.fields {
			if w.fields[i].Name == "topic name length" {
				w.fields[i].Of = Span{w.at, w.named}
			}
		}
		w.take("topic name", Text, w.named)
	}
	w.payload("payload")
}

// snFilter takes what a 1.2 SUBSCRIBE or UNSUBSCRIBE is about.
func snFilter(w *snWalk) {
	switch mqttsn.TopicKind(w.flags & 3) {
	case mqttsn.PredefinedTopic:
		w.number("topic identifier", Number, 2, mqttsn.PredefinedTopic.String())
	case mqttsn.ShortTopic:
		snShort(w)
	default:
		snText("topic filter")(w)
	}
}

// snOptional takes a field if anything is left.
func snOptional(part snPart) snPart {
	return func(w *snWalk) {
		if w.at < len(w.b) {
			part(w)
		}
	}
}

func snNodeID(w *snWalk) {
	if n := len(w.b) - w.at; !w.ended {
		w.take("node identifier", Bytes, n)
	}
}

func snControl(w *snWalk) {
	if n, ok := w.number("control", Flags, 1, ""); ok {
		f := w.last()
		f.Kids = []Field{{Name: "radius", Kind: Number, Off: f.Off, Len: 1, Value: uint64(n & 3), Note: "hops", Mask: 3, Form: Unsigned}}
	}
}

func snHex(b []byte) string {
	if len(b) == 0 {
		return "without identifier"
	}
	return hex.EncodeToString(b)
}

// snSummary is what matters most of a message whose body has n bytes. Its topic
// identifier stands for topic, if that is not empty.
func snSummary(m mqttsn.Message, n int, topic string) string {
	switch m := m.(type) {
	case mqttsn.Connect:
		return fmt.Sprintf("client %q, keep alive %d s", m.ClientID, m.KeepAlive)
	case mqttsn.Connack:
		return m.Code.String()
	case mqttsn.WillTopicResp:
		return m.Code.String()
	case mqttsn.WillMsgResp:
		return m.Code.String()
	case mqttsn.Advertise:
		return fmt.Sprintf("gateway %d, again in %d s", m.GatewayID, m.Duration)
	case mqttsn.GWInfo:
		if a := m.AddrPort(); a.IsValid() {
			return fmt.Sprintf("gateway %d at %v", m.GatewayID, a)
		}
		return fmt.Sprintf("gateway %d", m.GatewayID)
	case mqttsn.WillTopic:
		return snWillSummary(m.Topic, m.QoS)
	case mqttsn.WillTopicUpd:
		return snWillSummary(m.Topic, m.QoS)
	case mqttsn.WillMsg:
		return fmt.Sprintf("%d bytes", n)
	case mqttsn.WillMsgUpd:
		return fmt.Sprintf("%d bytes", n)
	case mqttsn.Register:
		return fmt.Sprintf("topic %q, identifier %d", m.Topic, m.TopicID)
	case mqttsn.Regack:
		return fmt.Sprintf("topic %s, %v", snNamed(m.TopicID, topic), m.Code)
	case mqttsn.Puback:
		return fmt.Sprintf("message %d, %v", m.MsgID, m.Code)
	case mqttsn.Publish:
		return fmt.Sprintf("topic %s, QoS %d, %d bytes", snTopic(m, topic), m.QoS, len(m.Payload))
	case mqttsn.Pubrec:
		return fmt.Sprintf("message %d", m.MsgID)
	case mqttsn.Pubrel:
		return fmt.Sprintf("message %d", m.MsgID)
	case mqttsn.Pubcomp:
		return fmt.Sprintf("message %d", m.MsgID)
	case mqttsn.Unsuback:
		return fmt.Sprintf("message %d", m.MsgID)
	case mqttsn.Subscribe:
		return fmt.Sprintf("%s, QoS %d", snAbout(m.Kind, m.TopicID, m.Filter), m.QoS)
	case mqttsn.Unsubscribe:
		return snAbout(m.Kind, m.TopicID, m.Filter)
	case mqttsn.Suback:
		return fmt.Sprintf("topic %s, QoS %d, %v", snNamed(m.TopicID, topic), m.QoS, m.Code)
	case mqttsn.Pingreq:
		if m.ClientID != "" {
			return fmt.Sprintf("client %q wakes up", m.ClientID)
		}
	case mqttsn.Disconnect:
		if m.Duration > 0 {
			return fmt.Sprintf("sleeps for %d s", m.Duration)
		}
	}
	return snDraftSummary(m, topic)
}

func snWillSummary(topic string, qos int8) string {
	if topic == "" {
		return "no will"
	}
	return fmt.Sprintf("topic %q, QoS %d", topic, qos)
}

func snTopic(m mqttsn.Publish, topic string) string {
	switch {
	case m.Name != nil:
		return fmt.Sprintf("%q", m.Name)
	case m.Kind == mqttsn.ShortTopic:
		return fmt.Sprintf("%q", mqttsn.ShortName(m.TopicID))
	}
	return snNamed(m.TopicID, topic)
}

// snNamed is an identifier, with the topic that it stands for, if that is known.
func snNamed(id uint16, topic string) string {
	if topic == "" {
		return strconv.Itoa(int(id))
	}
	return fmt.Sprintf("%s (%d)", topic, id)
}

func snAbout(k mqttsn.TopicKind, id uint16, filter string) string {
	if k == mqttsn.PredefinedTopic {
		return fmt.Sprintf("predefined topic %d", id)
	}
	return fmt.Sprintf("filter %q", filter)
}
