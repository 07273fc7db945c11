package dissect

import (
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Line implements Liner, for PUBLISH, its acknowledgements and pings of a version
// that is known.
func (d MQTT) Line(dst, b []byte, st *Stream) (line []byte, l Line, ok bool) {
	if st == nil || len(b) < 2 {
		return dst, Line{}, false
	}
	s, ok := st.shared.(*mqttState)
	if !ok || s.gaps != st.gaps || s.joined != st.Joined {
		return dst, Line{}, false
	}
	v := s.settled(st)
	h, body, n, err := mqtt.Frame(b, 0)
	if err != nil || h.Overlong || v == 0 {
		return dst, Line{}, false
	}
	x := mqttContext{st: st, dir: st.Direction, now: stepOf(st), v: v, size: n}
	s.checkPhase(&x, h.Type)
	s.checkTime(&x)
	if x.broken {
		return dst, Line{}, false
	}
	s.strict = mqtt.Options{Version: v, FromServer: st.Direction == FromServer, EitherSide: st.Direction == Unknown, CheckPayload: true}
	line, done, ok := s.line(dst, h, body, &x, &s.strict)
	if !ok {
		return dst, Line{}, false
	}
	s.note(&x)
	return line, Line{Size: n, Type: h.Type.String(), Version: v.String(), Answers: done.number, After: done.since(x.now)}, true
}

// line reads, judges, notes and appends a packet without a fault.
func (s *mqttState) line(dst []byte, h mqtt.Header, body []byte, x *mqttContext, o *mqtt.Options) (line []byte, done mqttStep, ok bool) {
	switch h.Type {
	case mqtt.TypePublish:
		p, err := mqtt.ParsePublish(body, h.Flags, o)
		if err != nil {
			return dst, done, false
		}
		s.checkPublish(x, &p)
		if x.broken {
			return dst, done, false
		}
		s.notePublish(x, &p)
		return appendPublish(append(dst, "PUBLISH "...), &p, x.topic), done, true
	case mqtt.TypePuback:
		p, err := mqtt.ParsePuback(body, h.Flags, o)
		return s.lineAck(append(dst, "PUBACK "...), x, h.Type, p.PacketID, p.Code, p.Properties, err)
	case mqtt.TypePubrec:
		p, err := mqtt.ParsePubrec(body, h.Flags, o)
		return s.lineAck(append(dst, "PUBREC "...), x, h.Type, p.PacketID, p.Code, p.Properties, err)
	case mqtt.TypePubrel:
		p, err := mqtt.ParsePubrel(body, h.Flags, o)
		return s.lineAck(append(dst, "PUBREL "...), x, h.Type, p.PacketID, p.Code, p.Properties, err)
	case mqtt.TypePubcomp:
		p, err := mqtt.ParsePubcomp(body, h.Flags, o)
		return s.lineAck(append(dst, "PUBCOMP "...), x, h.Type, p.PacketID, p.Code, p.Properties, err)
	case mqtt.TypePingreq:
		if _, err := mqtt.ParsePingreq(body, h.Flags, o); err != nil {
			return dst, done, false
		}
		s.notePing(x)
		return append(dst, "PINGREQ"...), done, true
	case mqtt.TypePingresp:
		_, err := mqtt.ParsePingresp(body, h.Flags, o)
		s.checkPong(x)
		if err != nil || x.broken {
			return dst, done, false
		}
		done = s.notePong(x)
		return append(dst, "PINGRESP"...), done, true
	}
	return dst, done, false
}

func (s *mqttState) lineAck(
	dst []byte, x *mqttContext, t mqtt.Type, id uint16, c mqtt.ReasonCode, p mqtt.Properties, err error,
) (line []byte, done mqttStep, ok bool) {
	if err == nil {
		s.checkAck(x, t, id, c)
	}
	if err != nil || x.broken {
		return dst, done, false
	}
	done = s.noteAck(x, t, id, c)
	return appendAck(dst, id, c, p, t, x.v), done, true
}
