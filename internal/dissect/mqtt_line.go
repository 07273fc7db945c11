package dissect

import (
	"encoding/binary"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Line implements Liner, for PUBLISH, its acknowledgements and pings of a version
// that is known.
func (MQTT) Line(dst, b []byte, st *Stream) (line []byte, l Line, ok bool) {
	if st == nil || len(b) < 2 {
		return dst, Line{}, false
	}
	s, ok := st.shared.(*mqttState)
	if !ok || s.gaps != st.gaps || s.joined != st.Joined {
		return dst, Line{}, false
	}
	v, h := s.settled(st), mqttHead(b)
	if v == 0 || h.head <= 0 || h.size > len(b) || h.head > 2 && b[h.head-1] == 0 { // the last is a length that is too long
		return dst, Line{}, false
	}
	x := mqttContext{st: st, dir: st.Direction, now: stepOf(st), v: v, size: h.size}
	s.checkPhase(&x, h.typ)
	s.checkTime(&x)
	if x.broken {
		return dst, Line{}, false
	}
	body := b[h.head:h.size:h.size]
	var done mqttStep
	switch h.typ {
	case mqtt.TypePublish:
		line, ok = s.linePublish(dst, &x, h, body)
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		line, done, ok = s.lineAck(dst, &x, h, body)
	case mqtt.TypePingreq, mqtt.TypePingresp:
		line, done, ok = s.linePing(dst, &x, h, body)
	default:
		ok = false
	}
	if !ok {
		return dst, Line{}, false
	}
	s.note(&x)
	return line, Line{Size: h.size, Type: h.typ.String(), Version: v.String(), Answers: done.number, After: done.since(x.now)}, true
}

// options are those by which the codec finds no fault where there is none.
func (s *mqttState) options(x *mqttContext) *mqtt.Options {
	s.strict = mqtt.Options{Version: x.v, FromServer: x.dir == FromServer, EitherSide: x.dir == Unknown, CheckPayload: true}
	return &s.strict
}

func (s *mqttState) linePublish(dst []byte, x *mqttContext, h mqttHeader, body []byte) (line []byte, ok bool) {
	p, plain := simplePublish(body, h.flags, x.v)
	if !plain {
		var err error
		if p, err = mqtt.ParsePublish(body, h.flags, s.options(x)); err != nil {
			return dst, false
		}
	}
	if s.checkPublish(x, &p); x.broken {
		return dst, false
	}
	s.notePublish(x, &p)
	return appendPublish(append(dst, "PUBLISH "...), &p, x.topic, plain), true
}

// simplePublish reads a PUBLISH as most are: its topic is plain, and it has no
// properties, or an alias. ok is false for all others: the codec is to judge them.
func simplePublish(body []byte, flags uint8, v mqtt.Version) (p mqtt.Publish, ok bool) {
	p.QoS, p.Retain = flags>>1&3, flags&1 != 0
	if len(body) < 2 || p.QoS == 3 || flags&8 != 0 {
		return p, false
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	if at == 2 || at > 2+summaryBytes || at > len(body) {
		return p, false
	}
	p.Topic = body[2:at:at]
	for _, c := range p.Topic {
		if !plainTopic[c] {
			return p, false
		}
	}
	if p.QoS > 0 {
		if at += 2; at > len(body) {
			return p, false
		}
		if p.PacketID = binary.BigEndian.Uint16(body[at-2:]); p.PacketID == 0 {
			return p, false
		}
	}
	if v >= mqtt.V5 {
		switch rest := body[at:]; {
		case len(rest) > 0 && rest[0] == 0:
			at++
		case len(rest) > 3 && rest[0] == 3 && mqtt.PropertyID(rest[1]) == mqtt.PropTopicAlias && rest[2]|rest[3] != 0:
			p.Properties = mqtt.Properties(rest[1:4:4])
			at += 4
		default:
			return p, false
		}
	}
	p.Payload = body[at:]
	return p, true
}

// plainTopic are the bytes that make a topic that breaks no rule and stands by
// itself in a line.
var plainTopic = func() (plain [256]bool) {
	for c := '!'; c < 0x7f; c++ {
		plain[c] = c != '+' && c != '#' && c != '"' && c != ','
	}
	return plain
}()

func (s *mqttState) lineAck(dst []byte, x *mqttContext, h mqttHeader, body []byte) (line []byte, done mqttStep, ok bool) {
	var p mqtt.Puback
	if h.flags == h.typ.Flags() {
		switch {
		case len(body) == 2:
			p.PacketID = binary.BigEndian.Uint16(body)
		case len(body) == 3 && x.v >= mqtt.V5 && mqtt.ReasonCode(body[2]).AllowedIn(h.typ):
			p.PacketID, p.Code = binary.BigEndian.Uint16(body), mqtt.ReasonCode(body[2])
		}
	}
	if p.PacketID == 0 {
		var err error
		if p, err = parseAck(h, body, s.options(x)); err != nil {
			return dst, done, false
		}
	}
	s.checkWords(x, p.Properties)
	if s.checkAck(x, h.typ, p.PacketID, p.Code); x.broken {
		return dst, done, false
	}
	done = s.noteAck(x, h.typ, p.PacketID, p.Code)
	dst = append(append(dst, h.typ.String()...), ' ')
	return appendAck(dst, p.PacketID, p.Code, p.Properties, h.typ, x.v), done, true
}

// parseAck reads one of the four acknowledgements, which have the same fields.
func parseAck(h mqttHeader, body []byte, o *mqtt.Options) (mqtt.Puback, error) {
	switch h.typ {
	case mqtt.TypePubrec:
		p, err := mqtt.ParsePubrec(body, h.flags, o)
		return mqtt.Puback(p), err
	case mqtt.TypePubrel:
		p, err := mqtt.ParsePubrel(body, h.flags, o)
		return mqtt.Puback(p), err
	case mqtt.TypePubcomp:
		p, err := mqtt.ParsePubcomp(body, h.flags, o)
		return mqtt.Puback(p), err
	}
	return mqtt.ParsePuback(body, h.flags, o)
}

func (s *mqttState) linePing(dst []byte, x *mqttContext, h mqttHeader, body []byte) (line []byte, done mqttStep, ok bool) {
	if h.typ == mqtt.TypePingreq {
		if _, err := mqtt.ParsePingreq(body, h.flags, s.options(x)); err != nil {
			return dst, done, false
		}
		s.notePing(x)
		return append(dst, "PINGREQ"...), done, true
	}
	_, err := mqtt.ParsePingresp(body, h.flags, s.options(x))
	if s.checkPong(x); err != nil || x.broken {
		return dst, done, false
	}
	return append(dst, "PINGRESP"...), s.notePong(x), true
}
