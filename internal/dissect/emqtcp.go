package dissect

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/iotctl/iotctl/internal/codec/emqtcp"
)

// EMQTCP reads the EMQ private TCP protocol.
type EMQTCP struct{}

// Name implements Dissector.
func (EMQTCP) Name() string { return "emqtcp" }

// Sniff implements Dissector: a CONNECT whose fields fill it is proof, a chain of
// frames that ends where the bytes do speaks for it.
func (EMQTCP) Sniff(b []byte, h Hint) (Confidence, string) {
	if len(b) == 0 || h.Datagram {
		return No, ""
	}
	o := emqtcp.Options{EitherSide: true, StrictFlags: true}
	if emqtcp.Type(b[0]>>4) == emqtcp.TypeConnect {
		switch _, _, err := emqtcp.Parse(b, o); {
		case err == nil:
			return Certain, "a CONNECT of version 1 whose fields fill it"
		case errors.Is(err, emqtcp.ErrShort) && b[0] == byte(emqtcp.TypeConnect)<<4|emqtcp.Version:
			return Possible, "it begins like a CONNECT of version 1"
		}
		return No, ""
	}
	frames, at := 0, 0
	for ; at < len(b); frames++ {
		p, n, err := emqtcp.Parse(b[at:], o)
		if errors.Is(err, emqtcp.ErrShort) {
			break
		}
		if err != nil {
			return No, ""
		}
		if a, ok := p.(emqtcp.Connack); ok && a.Code > emqtcp.IllegalVersion {
			return No, ""
		}
		at += n
	}
	switch {
	case h.Port == 8090 || h.Port == 8091:
		return Likely, "its port, and the types of its frames"
	case at == len(b) && frames > 1:
		return Likely, strconv.Itoa(frames) + " frames fill the bytes"
	}
	return Possible, "its first byte is that of a frame"
}

// Dissect implements Dissector.
func (d EMQTCP) Dissect(b []byte, st *Stream) (Packet, int, error) {
	h, _, n, err := emqtcp.Frame(b, 0)
	p := Packet{Protocol: d.Name(), Type: h.Type.String()}
	w := walk{b: b}
	if len(b) == 0 {
		return p, 0, ErrShort
	}
	if bad := (*emqtcp.Malformed)(nil); errors.As(err, &bad) {
		w.add(Field{Name: "type and flags", Kind: Structure, Len: 1, Value: uint64(b[0]), Note: h.Type.String(), Form: Unsigned})
		p.Fields = w.fields
		return p, 0, malformed(bad.Offset, "%s", bad.Reason)
	}
	short := err != nil
	if !short {
		w.b = b[:n]
	}
	head(&w, h)
	if h.Type.HasPayload() {
		if _, ok := w.number("length", Length, 2, "bytes follow"); ok {
			if !short {
				w.last().Of = Span{w.at, h.Length}
			}
			body(&w, &p, h)
		}
	}
	p.Fields = w.fields
	if short {
		return p, 0, ErrShort
	}
	relateEMQTCP(&p, h.Type, st)
	err = judge(b[:n], st.direction(), &p)
	return p, n, err
}

// Size implements Sizer.
func (EMQTCP) Size(b []byte) int {
	h, _, n, err := emqtcp.Frame(b, 0)
	if len(b) == 0 || err != nil && !errors.Is(err, emqtcp.ErrShort) || h.Type.HasPayload() && len(b) < headBytes {
		return 0
	}
	return n
}

// relateEMQTCP says what a frame answers: CONNACK and PONG come in the order of
// what asks for them, so that all of that must have been seen.
func relateEMQTCP(p *Packet, t emqtcp.Type, st *Stream) {
	if st == nil || st.Joined {
		return
	}
	asks := map[emqtcp.Type]string{emqtcp.TypeConnect: "CONNECT", emqtcp.TypePing: "PING"}
	answers := map[emqtcp.Type]string{emqtcp.TypeConnack: "CONNECT", emqtcp.TypePong: "PING"}
	w := waitersOf(st)
	if q := asks[t]; q != "" {
		w.ask(st.direction(), q, st)
	}
	if q := answers[t]; q != "" {
		p.answer(w.take(st.direction().peer(), q), st)
	}
}

// Finish implements Finisher.
func (EMQTCP) Finish(st *Stream) []Open { return openWaiters(st) }

// head takes the first byte.
func head(w *walk, h emqtcp.Header) {
	flags := Field{Name: "flags", Kind: Flags, Len: 1, Value: uint64(h.Flags), Mask: 0x0f, Form: Unsigned}
	switch h.Type {
	case emqtcp.TypeConnect:
		flags.Name, flags.Kind = "version", Number
	case emqtcp.TypeConnack:
		flags.Name, flags.Kind, flags.Note = "code", Number, emqtcp.AckCode(h.Flags).String()
	default:
		flags.Note = "reserved"
	}
	w.add(Field{Name: "type and " + flags.Name, Kind: Structure, Len: 1, Value: uint64(w.b[0]), Note: h.Type.String(), Form: Unsigned, Kids: []Field{
		{Name: "type", Kind: Structure, Len: 1, Value: uint64(h.Type), Note: h.Type.String(), Mask: 0xf0, Form: Unsigned},
		flags,
	}})
}

// headBytes is the size of what stands before a payload.
const headBytes = 3

// body takes what follows the length, as far as it is there.
func body(w *walk, p *Packet, h emqtcp.Header) {
	switch h.Type {
	case emqtcp.TypeConnect:
		p.Version = strconv.Itoa(int(h.Flags))
		if h.Flags > emqtcp.Version {
			if f := w.rest("body", "of another version"); f != nil {
				f.Secret = true // it may hold a password
			}
			return
		}
		connect(w, p)
		if last := &w.fields[len(w.fields)-1]; w.ended && last.Kind == Bytes && len(w.b) == headBytes+h.Length {
			last.Secret = true // a length is wrong: it may hold the password
		}
	case emqtcp.TypeConnack:
		p.Summary = emqtcp.AckCode(h.Flags).String()
		w.payload("message")
	default:
		p.Summary = fmt.Sprintf("%d bytes", h.Length)
		w.payload("payload")
	}
}

func connect(w *walk, p *Packet) {
	if n, ok := w.number("keep alive", Number, 1, "s"); ok {
		p.Summary = fmt.Sprintf("keep alive %d s", n)
	}
	if f := w.prefixed("client identifier", Text, 2); f != nil {
		p.Summary = fmt.Sprintf("client %q, %s", f.Value, p.Summary)
	}
	if w.at < len(w.b) {
		w.prefixed("user name", Text, 2)
	}
	if w.at < len(w.b) {
		w.prefixed("password", Text, 2)
	}
	for i := range w.fields { // if it was cut short, too
		w.fields[i].Secret = w.fields[i].Name == "password"
	}
	w.rest("rest", "behind the last field")
}

// judge adds what the codec finds wrong with a whole frame. What it accepts all the
// same, such as reserved flags, is a warning.
func judge(frame []byte, from Direction, p *Packet) error {
	var notes []emqtcp.Malformed
	o := emqtcp.Options{FromServer: from == FromServer, EitherSide: from == Unknown}
	_, _, strict := emqtcp.Parse(frame, o)
	o.Lenient, o.Notes = true, &notes
	_, _, err := emqtcp.Parse(frame, o)
	problem := func(m *emqtcp.Malformed) Problem {
		q := Problem{Off: m.Offset, Len: lengthAt(p.Fields, m.Offset), Text: m.Reason, Warning: strict == nil}
		if !q.Warning {
			q.Advice = "A receiver closes the connection."
		}
		return q
	}
	for i := range notes {
		p.Problems = append(p.Problems, problem(&notes[i]))
	}
	if bad := (*emqtcp.Malformed)(nil); errors.As(err, &bad) {
		return &Malformed{problem(bad)}
	}
	return nil
}
