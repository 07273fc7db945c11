package mqttsn

import (
	"fmt"
)

// Publish carries an application message. Its slices alias the parsed body.
type Publish struct {
	Dup     bool
	QoS     int8 // from -1 to 2
	Retain  bool
	Kind    TopicKind
	TopicID uint16 // of a short topic, see ShortName
	MsgID   uint16 // 0 below QoS 1
	Name    []byte // in place of TopicID; see Options.NamedPublish
	Payload []byte
}

// ParsePublish reads the body of a PUBLISH message without allocating.
func ParsePublish(body []byte, o *Options) (Publish, error) {
	r := newReader(TypePublish, body, o)
	flags := r.flags(flagDup | flagQoS | flagRetain | flagTopic)
	p := Publish{
		Dup: flags&flagDup != 0, QoS: qosOf(flags), Retain: flags&flagRetain != 0, Kind: TopicKind(flags & flagTopic),
		TopicID: r.uint16("topic identifier"), MsgID: r.uint16("message identifier"),
	}
	if p.QoS == QoSMinusOne && p.Kind == NormalTopic && o.NamedPublish {
		p.Name = r.take(int(p.TopicID), "topic name")
		r.name(5, p.Name, "", "topic name")
		p.TopicID = 0
	}
	p.Payload = r.rest()
	if !r.ended {
		p.check(&r)
	}
	return p, r.result()
}

// check judges what has been read.
func (p *Publish) check(r *reader) {
	r.kind(0, p.Kind)
	switch {
	case p.Name != nil || p.Kind == reservedTopic:
	case p.Kind == ShortTopic:
		name := [2]byte{byte(p.TopicID >> 8), byte(p.TopicID)}
		r.name(1, name[:], "SN-6.7", "short topic")
	case p.QoS == QoSMinusOne && p.Kind == NormalTopic:
		r.flag(0, Violation, Accepted, "SN-6.8", "QoS -1 with a registered topic")
	default:
		r.topicID(1, p.TopicID)
	}
	switch {
	case p.QoS > 0 && p.MsgID == 0:
		r.flag(3, Violation, Accepted, "SN-5.3.7", fmt.Sprintf("QoS %d with message identifier 0", p.QoS))
	case p.QoS <= 0 && p.MsgID != 0 && r.o.Lenient:
		r.note(3, "SN-5.3.7", fmt.Sprintf("QoS %d with message identifier %d", p.QoS, p.MsgID))
	}
	if p.QoS == QoSMinusOne && r.o.FromServer && !r.o.EitherSide {
		r.flag(0, Violation, Accepted, "SN-6.8", "QoS -1 from a gateway")
	}
}

// Type implements Message.
func (Publish) Type() Type { return TypePublish }

// Size implements Message.
func (p Publish) Size() int { return messageSize(5 + len(p.Name) + len(p.Payload)) }

// Append implements Message. It allocates only to grow dst. A name goes with QoS
// -1 and a normal topic alone, and takes the place of the identifier.
func (p Publish) Append(dst []byte) ([]byte, error) {
	id := p.TopicID
	switch {
	case p.QoS < QoSMinusOne || p.QoS > 2 || p.Kind >= reservedTopic:
		return dst, unencodable(TypePublish, "QoS %d, topic identifier type %d", p.QoS, p.Kind)
	case len(p.Name) > MaxMessage:
		return dst, fmt.Errorf("append PUBLISH: topic name: %w", ErrTooLong)
	case len(p.Name) > 0 && (p.QoS != QoSMinusOne || p.Kind != NormalTopic):
		return dst, unencodable(TypePublish, "a topic name with QoS %d", p.QoS)
	case len(p.Name) > 0:
		id = uint16(len(p.Name))
	}
	b, err := appendHeader(dst, TypePublish, 5+len(p.Name)+len(p.Payload))
	if err != nil {
		return dst, err
	}
	b = append(b, bit(p.Dup, flagDup)|qosBits(p.QoS)|bit(p.Retain, flagRetain)|byte(p.Kind))
	b = appendUint16(b, id)
	b = appendUint16(b, p.MsgID)
	return append(append(b, p.Name...), p.Payload...), nil
}
