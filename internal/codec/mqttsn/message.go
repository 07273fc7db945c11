package mqttsn

import (
	"errors"
	"fmt"
)

// Message is any message of either version. The concrete types are values; the
// functions per message avoid the allocation that the interface costs.
type Message interface {
	Type() Type
	// Append appends the whole message, with the shorter form of its length. On
	// error dst is returned as it was given.
	Append(dst []byte) ([]byte, error)
	// Size is the exact number of bytes that Append adds.
	Size() int
}

// Parse reads the message at the start of a datagram and returns its size. That
// of an [Encapsulated] is all of b. Whatever else follows a message is a
// violation. An error comes with the size, where that is known, and with the
// fields that were read.
func Parse(b []byte, o Options) (Message, int, error) {
	h, body, n, err := Frame(b, o.Version)
	if errors.Is(err, ErrShort) {
		return nil, 0, lengthError(h, o.Version, fmt.Sprintf("%d of %d bytes", len(b), n))
	}
	if err != nil {
		return nil, 0, err
	}
	before := 0
	if o.Notes != nil {
		before = len(*o.Notes)
	}
	var m Message
	inner := b[n:]
	switch {
	case h.Type == TypeAuth && o.AuthExtension:
		m, err = message(ParseAuth(body, &o))
	case !h.Type.Known():
		return nil, n, &Malformed{h.Type, UnknownType, Accepted, h.Bytes - 1, o.Version.section("SN-5.2.2"), "there is no such message"}
	case h.Type == TypeEncapsulated && h.Bytes > 2:
		return nil, 0, &Malformed{Message: h.Type, Clause: "SN-5.5", Reason: "a length in the long form"}
	case h.Type == TypeEncapsulated:
		m, err = message(ParseEncapsulated(body, inner, &o))
		n, inner = len(b), nil
	case o.Version == Version20:
		m, err = parseV2(h.Type, body, &o)
	default:
		m, err = parseBody(h.Type, body, &o)
	}
	if bad := (*Malformed)(nil); errors.As(err, &bad) {
		bad.Offset += h.Bytes
	}
	if o.Notes != nil {
		for i := range (*o.Notes)[before:] {
			(*o.Notes)[before+i].Offset += h.Bytes
		}
	}
	if len(inner) > 0 && err == nil {
		r := reader{typ: h.Type, o: &o}
		r.flag(n, Garbled, Accepted, o.Version.section("SN-5.2.1"), fmt.Sprintf("%d bytes after the message", len(inner)))
		err = r.result()
	}
	return m, n, err
}

func parseBody(t Type, body []byte, o *Options) (Message, error) {
	switch t {
	case TypeAdvertise:
		return message(ParseAdvertise(body, o))
	case TypeSearchGW:
		return message(ParseSearchGW(body, o))
	case TypeGWInfo:
		return message(ParseGWInfo(body, o))
	case TypeConnect:
		return message(ParseConnect(body, o))
	case TypeConnack:
		return message(ParseConnack(body, o))
	case TypeWillTopicReq:
		return message(ParseWillTopicReq(body, o))
	case TypeWillTopic:
		return message(ParseWillTopic(body, o))
	case TypeWillMsgReq:
		return message(ParseWillMsgReq(body, o))
	case TypeWillMsg:
		return message(ParseWillMsg(body, o))
	case TypeRegister:
		return message(ParseRegister(body, o))
	case TypeRegack:
		return message(ParseRegack(body, o))
	case TypePublish:
		return message(ParsePublish(body, o))
	case TypePuback:
		return message(ParsePuback(body, o))
	case TypePubcomp:
		return message(ParsePubcomp(body, o))
	case TypePubrec:
		return message(ParsePubrec(body, o))
	case TypePubrel:
		return message(ParsePubrel(body, o))
	case TypeSubscribe:
		return message(ParseSubscribe(body, o))
	case TypeSuback:
		return message(ParseSuback(body, o))
	case TypeUnsubscribe:
		return message(ParseUnsubscribe(body, o))
	case TypeUnsuback:
		return message(ParseUnsuback(body, o))
	case TypePingreq:
		return message(ParsePingreq(body, o))
	case TypePingresp:
		return message(ParsePingresp(body, o))
	case TypeDisconnect:
		return message(ParseDisconnect(body, o))
	case TypeWillTopicUpd:
		return message(ParseWillTopicUpd(body, o))
	case TypeWillTopicResp:
		return message(ParseWillTopicResp(body, o))
	case TypeWillMsgUpd:
		return message(ParseWillMsgUpd(body, o))
	default: // Parse refuses the others
		return message(ParseWillMsgResp(body, o))
	}
}

func message[M Message](m M, err error) (Message, error) { return m, err }
