package dissect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// MQTT reads MQTT 3.1, 3.1.1 and 5.0. The version is that of the CONNECT in the
// stream, else Stream.Version, else what [Evidence] makes of the packets.
type MQTT struct{}

// Name implements Dissector.
func (MQTT) Name() string { return "mqtt" }

// mqttHeader is the fixed header, as far as it is there.
type mqttHeader struct {
	typ   mqtt.Type
	flags uint8
	// head is the size of the header; 0: its remaining length is cut short, -1:
	// that has more than 4 bytes.
	head int
	size int // of the whole packet
}

// mqttHead reads the header at the start of b, which is not empty.
func mqttHead(b []byte) mqttHeader {
	h := mqttHeader{typ: mqtt.Type(b[0] >> 4), flags: b[0] & 0x0f}
	v, n := mqttVarint(b[1:])
	switch {
	case n < 0:
		h.head = -1
	case n > 0:
		h.head = 1 + n
		h.size = h.head + v
	}
	return h
}

// mqttVarint reads a variable byte integer; n is 0 if b ends in it, -1 if it has
// more than four bytes.
func mqttVarint(b []byte) (v, n int) {
	for i, c := range b[:min(len(b), 4)] {
		v |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1
		}
	}
	if len(b) < 4 {
		return 0, 0
	}
	return 0, -1
}

// Size is how long the packet at the start of b is, 0 if its beginning does not
// tell yet.
func (MQTT) Size(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	return mqttHead(b).size
}

// Dissect implements Dissector.
func (d MQTT) Dissect(b []byte, st *Stream) (Packet, int, error) {
	if len(b) == 0 {
		return Packet{Protocol: d.Name()}, 0, ErrShort
	}
	h := mqttHead(b)
	w := mqttWalk{b: b, typ: h.typ}
	w.header(h)
	p := Packet{Protocol: d.Name(), Type: h.typ.String()}
	if h.head <= 0 {
		p.Fields = w.fields
		if h.head == 0 {
			return p, 0, ErrShort
		}
		return p, 0, &Malformed{Problem{
			Off: 1, Len: w.at - 1, Text: "the remaining length has more than 4 bytes", Rule: "MQTT-2.1.4",
			Advice: mqttAdvice(mqtt.MalformedPacket, h.typ, mqtt.V5),
		}}
	}
	w.b = b[:min(h.size, len(b))]
	s := mqttStateOf(st)
	w.v = s.versionOf(w.b, h, st)
	p.Version = w.v.String()
	w.v = min(max(w.v, mqtt.V31), mqtt.V5)
	w.body(h.flags)
	p.Fields = w.fields
	if h.size > len(b) {
		p.Problems = w.headerProblems(st.direction())
		if w.bad != nil {
			p.Problems = append(p.Problems, w.bad.Problem)
		}
		return p, 0, ErrShort
	}
	return p, h.size, d.judge(&p, &w, h, s, st)
}

// judge adds to a whole packet what the codec and the stream have to say, and the
// summary.
func (d MQTT) judge(p *Packet, w *mqttWalk, h mqttHeader, s *mqttState, st *Stream) error {
	if h.typ == 0 {
		return &Malformed{Problem{
			Len: 1, Text: "packet type 0 is reserved", Rule: "MQTT-2.1.2", Advice: mqttAdvice(mqtt.MalformedPacket, h.typ, w.v),
		}}
	}
	var notes []mqtt.Malformed
	from := st.direction()
	q, _, err := mqtt.Parse(w.b, mqtt.Options{
		Version: w.v, Lenient: true, Notes: &notes, FromServer: from == FromServer, EitherSide: from == Unknown,
	})
	bad := (*mqtt.Malformed)(nil)
	var broken *Malformed
	switch {
	case w.bad != nil:
		broken = w.bad
	case errors.As(err, &bad):
		broken = &Malformed{w.problem(*bad)}
	}
	for _, n := range notes {
		if w.bad == nil || n.Offset < w.bad.Off && n.Clause != w.bad.Rule {
			p.Problems = append(p.Problems, w.problem(n))
		}
	}
	p.Problems = append(p.Problems, w.problems...)
	x := &mqttContext{st: st, dir: from, v: w.v, size: h.size, w: w}
	p.Answers, p.After = s.take(x, q, broken != nil)
	p.Problems = append(p.Problems, x.problems...)
	slices.SortStableFunc(p.Problems, func(a, b Problem) int { return cmp.Compare(a.Off, b.Off) })
	if broken != nil {
		p.Summary = string(w.appendRead(nil))
		return broken
	}
	p.Summary = string(appendMQTT(nil, q, w.v, x.topic))
	return nil
}

// headerProblems are what the first byte alone breaks.
func (w *mqttWalk) headerProblems(from Direction) (all []Problem) {
	var notes []mqtt.Malformed
	_, _, _ = mqtt.Parse([]byte{w.b[0], 0}, mqtt.Options{
		Version: w.v, Lenient: true, Notes: &notes, FromServer: from == FromServer, EitherSide: from == Unknown,
	})
	for _, n := range notes {
		if n.Offset == 0 {
			all = append(all, w.problem(n))
		}
	}
	return all
}

// problem turns a finding of the codec into one of the field that it is about.
func (w *mqttWalk) problem(m mqtt.Malformed) Problem {
	p := Problem{Off: min(m.Offset, len(w.b)), Text: m.Reason, Rule: m.Clause}
	if f, text := fieldAt(w.fields, p.Off); text != nil {
		p.Off, p.Len = text.Off, text.Len
	} else if f != nil {
		p.Len = f.Len
	}
	if m.Code == mqtt.Success {
		p.Warning = true
	} else {
		p.Advice = mqttAdvice(m.Code, m.Packet, w.v)
	}
	return p
}

// fieldAt returns the largest field that begins at off; nil if none does. text is
// what it is the length of, if that is there.
func fieldAt(fields []Field, off int) (f, text *Field) {
	for i := range fields {
		f := &fields[i]
		switch {
		case f.Off == off && f.Len > 0:
			if f.Of.Off == f.End() && i+1 < len(fields) && fields[i+1].Name+mqttLength == f.Name && fields[i+1].Len == f.Of.Len && f.Of.Len > 0 {
				text = &fields[i+1]
			}
			return f, text
		case f.Off < off && off < f.End():
			return fieldAt(f.Kids, off)
		}
	}
	return nil, nil
}

// mqttAdvice is what a receiver of a packet of type t that breaks a rule does.
func mqttAdvice(c mqtt.ReasonCode, t mqtt.Type, v mqtt.Version) string {
	switch {
	case c == mqtt.UnsupportedProtocolVersion:
		return "A server may answer CONNACK 0x84, or 1 before 5.0, and must close the connection."
	case c == mqtt.ClientIdentifierNotValid:
		if v < mqtt.V5 {
			return "A server must answer CONNACK 2 and close the connection."
		}
		return "A server may answer CONNACK 0x85 and must close the connection."
	case v < mqtt.V5:
		return "A peer must close the connection." // [MQTT3-4.8.0-1]
	case t == mqtt.TypeConnect:
		return fmt.Sprintf("A server may answer CONNACK 0x%02X and must close the connection.", uint8(c))
	}
	return fmt.Sprintf("A peer may answer DISCONNECT 0x%02X and must close the connection.", uint8(c)) // [MQTT-4.13.1-1]
}
