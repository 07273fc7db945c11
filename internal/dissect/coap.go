package dissect

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/iotctl/iotctl/internal/codec/coap"
)

// COAP reads CoAP: datagrams, or what goes over TCP or WebSocket.
type COAP struct{ Over COAPTransport }

// COAPTransport is what carries CoAP.
type COAPTransport uint8

// Transports.
const (
	OverUDP COAPTransport = iota
	OverTCP
	OverWebSocket // a message of which is one of CoAP
)

// Name implements Dissector.
func (d COAP) Name() string { return [...]string{"coap", "coap-tcp", "coap-ws"}[d.Over] }

// parse reads b.
func (d COAP) parse(b []byte, mode *coap.Mode) (m coap.Message, n int, err error) {
	switch d.Over {
	case OverTCP:
		return coap.ParseTCP(b, mode)
	case OverWebSocket:
		m, err = coap.ParseWebSocket(b, mode)
	default:
		m, err = coap.Parse(b, mode)
	}
	return m, len(b), err
}

// Size implements Sizer.
func (d COAP) Size(b []byte) int {
	if d.Over != OverTCP {
		return 0
	}
	h, n, err := coap.FrameTCP(b, &coap.Mode{ExtendedTokens: true})
	if err != nil && !errors.Is(err, coap.ErrShort) || len(b) < max(h.Bytes, 1) {
		return 0
	}
	return n
}

// coapPorts are those that servers listen on.
var coapPorts = []uint16{5683, 5684}

// Sniff implements Dissector: the version, a code that is assigned, and options
// that are known and end where they should.
func (d COAP) Sniff(b []byte, h Hint) (Confidence, string) {
	if len(b) == 0 || h.Datagram && d.Over == OverTCP {
		return No, ""
	}
	if d.Over == OverTCP {
		return d.sniffStream(b, h)
	}
	m, _, err := d.parse(b, &coap.Mode{})
	if err != nil || !plausible(&m) {
		if _, ok := readDraft(b); ok && d.Over == OverUDP {
			return Likely, "it looks like CoAP of draft 12 or older"
		}
		return No, ""
	}
	why := "version 1, valid code and options"
	if d.Over == OverWebSocket {
		why = "valid code and options"
	}
	switch {
	case h.Datagram && d.Over == OverUDP && slices.Contains(coapPorts, h.Port):
		return Likely, why
	case m.Code == coap.Empty:
		return Possible, "an empty message of version 1"
	case len(b) < 7 || len(m.Options) == 0 && len(m.Payload) == 0:
		return Possible, why
	case d.Over == OverWebSocket && !h.Datagram:
		return Possible, why
	}
	return Likely, why
}

func (d COAP) sniffStream(b []byte, h Hint) (Confidence, string) {
	at, messages := 0, 0
	for ; at < len(b); messages++ {
		m, n, err := d.parse(b[at:], &coap.Mode{})
		if errors.Is(err, coap.ErrShort) {
			break
		}
		if err != nil || !plausible(&m) {
			return No, ""
		}
		if at == 0 && m.Code == coap.CSM && len(m.Token) == 0 {
			return Certain, "it begins with a CSM"
		}
		at += n
	}
	switch {
	case messages == 0 && len(b) >= 2 && coap.Code(b[1]) == coap.CSM:
		return Possible, "it begins like a CSM"
	case messages == 0:
		return No, ""
	case at == len(b) && (messages > 1 || slices.Contains(coapPorts, h.Port)):
		return Likely, fmt.Sprintf("%d messages with valid codes and options fill the bytes", messages)
	}
	return Possible, "valid codes and options"
}

// plausible reports whether a message that breaks no rule looks like one.
func plausible(m *coap.Message) bool {
	if !m.Code.Known() {
		return false
	}
	for n := range m.Options.All() {
		if _, ok := coap.Define(m.Code, n); !ok && n < 2000 {
			return false // those above are for experiments and vendors
		}
	}
	return true
}

// Dissect implements Dissector.
func (d COAP) Dissect(b []byte, st *Stream) (Packet, int, error) {
	p := Packet{Protocol: d.Name()}
	if len(b) == 0 {
		return p, 0, ErrShort
	}
	state := coapStateOf(st)
	var notes []coap.Malformed
	m, n, err := d.parse(b, &coap.Mode{Lenient: true, Notes: &notes, ExtendedTokens: state.extended})
	if errors.Is(err, coap.ErrShort) {
		_, size, _ := coap.FrameTCP(b, &coap.Mode{ExtendedTokens: state.extended})
		w := coapWalk{walk: walk{b: b}, d: d, code: m.Code}
		w.message(state.extended, min(size, len(b)))
		p.Type, p.Fields = w.typeName(), w.fields
		return p, 0, ErrShort
	}
	bad := (*coap.Malformed)(nil)
	if errors.As(err, &bad) && d.Over == OverUDP {
		if draft, ok := readDraft(b); ok {
			return draft.packet(b), len(b), nil
		}
	}
	w := coapWalk{walk: walk{b: b}, d: d, m: &m, state: state, st: st, p: &p}
	if bad == nil {
		w.b = b[:n]
	}
	w.message(state.extended, len(w.b))
	p.Type = w.typeName()
	for i := range notes {
		p.Problems = append(p.Problems, d.problem(&notes[i], &m))
	}
	switch {
	case bad != nil && bad.Missing > 0 && (st == nil || !st.Whole):
		p.Fields = w.fields
		return p, 0, ErrShort
	case bad != nil:
		w.rest("rest", "")
		p.Fields = w.fields
		if d.Over == OverTCP { // nobody knows where the next one begins
			n = 0
		}
		return p, n, &Malformed{d.problem(bad, &m)}
	}
	w.relate()
	w.payload()
	p.Fields = w.fields
	p.Summary = w.summary()
	return p, n, nil
}

// problem is a finding of the codec in m.
func (d COAP) problem(f *coap.Malformed, m *coap.Message) Problem {
	q := Problem{Off: f.Offset, Len: f.Len, Text: f.Reason, Rule: f.Clause, Warning: f.Class == coap.Advice}
	switch f.Class {
	case coap.FormatError:
		q.Advice = "A receiver answers a confirmable message with a Reset, and ignores others."
		if d.Over != OverUDP {
			q.Advice = "A receiver sends Abort and closes the connection."
		}
	case coap.Unknown:
		q.Advice = "A receiver ignores the message."
	case coap.BadOptions:
		q.Advice = "A receiver answers a confirmable request 4.02 Bad Option, and rejects others."
	case coap.BadContent:
		q.Advice = "A receiver answers a request 4.00 Bad Request."
	case coap.Ignored:
		q.Advice = "A receiver reads the message as if the option were not there."
	}
	if m.Code.Response() && f.Class == coap.BadOptions {
		q.Advice = "A receiver rejects the response."
	}
	return q
}

// coapWalk is a walk over one message.
type coapWalk struct {
	walk
	d     COAP
	m     *coap.Message
	code  coap.Code
	state *coapState
	st    *Stream
	p     *Packet
	// said are parts of the summary.
	said []string
	// about is what the message speaks of: its path, or that of its request.
	about coapAbout
}

// typeName is "GET", "2.05", "ACK" or "CSM".
func (w *coapWalk) typeName() string {
	switch {
	case w.d.Over == OverUDP && w.code == coap.Empty && len(w.b) >= coap.HeaderBytes:
		if t := coap.Type(w.b[0] >> 4 & 3); t != coap.Confirmable {
			return t.String()
		}
		return "ping"
	case w.code == coap.Empty:
		return "empty"
	case w.code.Known() && !w.code.Response():
		return w.code.Name()
	}
	return w.code.String()
}

// message takes header, token and options, and the marker, of the size bytes that
// are there.
func (w *coapWalk) message(extended bool, size int) {
	w.b = w.b[:size]
	tkl := int(w.b[0] & 15)
	if !w.header() {
		return
	}
	if !w.token(tkl, extended) {
		return
	}
	w.options()
	if w.ended || w.at == len(w.b) {
		return
	}
	w.add(Field{
		Name: "payload marker", Kind: Structure, Len: 1, Value: uint64(w.b[w.at]), Form: Unsigned,
		Note: fmt.Sprintf("%d bytes follow", len(w.b)-w.at-1),
	})
}

// header takes what precedes the token.
func (w *coapWalk) header() bool {
	b := w.b
	switch w.d.Over {
	case OverTCP:
		return w.streamHeader()
	case OverWebSocket:
		w.add(Field{Name: "length, token length", Kind: Flags, Len: 1, Value: uint64(b[0]), Form: Unsigned, Note: fmt.Sprintf("%d, %d", b[0]>>4, b[0]&15), Kids: []Field{
			{Name: "length", Kind: Length, Len: 1, Mask: 0xf0, Value: uint64(b[0] >> 4), Form: Unsigned},
			{Name: "token length", Kind: Length, Len: 1, Mask: 0x0f, Value: uint64(b[0] & 15), Form: Unsigned},
		}})
		return w.codeField()
	}
	t := coap.Type(b[0] >> 4 & 3)
	kinds := [...]string{"confirmable", "non-confirmable", "acknowledgement", "reset"}
	w.add(Field{
		Name: "version, type, tkl", Kind: Flags, Len: 1, Value: uint64(b[0]), Form: Unsigned,
		Note: fmt.Sprintf("%d, %s, %d", b[0]>>6, kinds[t], b[0]&15),
		Kids: []Field{
			{Name: "version", Kind: Number, Len: 1, Mask: 0xc0, Value: uint64(b[0] >> 6), Form: Unsigned},
			{Name: "delivery", Kind: Number, Len: 1, Mask: 0x30, Value: uint64(t), Note: t.String(), Form: Unsigned},
			{Name: "token length", Kind: Length, Len: 1, Mask: 0x0f, Value: uint64(b[0] & 15), Form: Unsigned},
		},
	})
	if !w.codeField() {
		return false
	}
	_, ok := w.number("message id", Number, 2, "")
	return ok
}

func (w *coapWalk) codeField() bool {
	if !w.room("code", 1) {
		return false
	}
	w.code = coap.Code(w.b[w.at])
	note := w.code.String()
	if name := w.code.Name(); name != "" {
		note += " " + name
	}
	w.add(Field{Name: "code", Kind: Number, Len: 1, Value: uint64(w.code), Form: Unsigned, Note: note})
	return true
}

func (w *coapWalk) streamHeader() bool {
	b := w.b
	w.add(Field{
		Name: "length, token length", Kind: Flags, Len: 1, Value: uint64(b[0]), Form: Unsigned,
		Note: fmt.Sprintf("%d, %d", b[0]>>4, b[0]&15),
		Kids: []Field{
			{Name: "length", Kind: Length, Len: 1, Mask: 0xf0, Value: uint64(b[0] >> 4), Form: Unsigned},
			{Name: "token length", Kind: Length, Len: 1, Mask: 0x0f, Value: uint64(b[0] & 15), Form: Unsigned},
		},
	})
	h, _, _ := coap.FrameTCP(b, &coap.Mode{ExtendedTokens: true})
	if h.LengthBytes > 0 {
		if _, ok := w.number(extendedLength, Length, h.LengthBytes, ""); !ok {
			return false
		}
		if h.Length > 0 {
			w.last().Note = fmt.Sprintf("%d bytes of options and payload", h.Length)
		}
	}
	return w.codeField()
}

// extendedLength is the name of what follows the first byte over TCP.
const extendedLength = "extended length"

// minLength is what an extended length over TCP is added to. RFC 8323 §3.2
func minLength(nibble byte) int {
	switch nibble {
	case 13:
		return 13
	case 14:
		return 269
	}
	return 65805
}

// counted notes what the length over TCP counts: what is there from off on.
func (w *coapWalk) counted(off int) {
	if w.d.Over != OverTCP {
		return
	}
	all := Span{off, max(len(w.b)-off, 0)}
	if f := &w.fields[0].Kids[0]; w.b[0]>>4 < 13 && f.Value == uint64(all.Len) {
		f.Of = all
	}
	if f := &w.fields[1]; f.Name == extendedLength && f.Value == uint64(all.Len-minLength(w.b[0]>>4)) {
		f.Value, f.Form, f.Of = uint64(all.Len), Opaque, all
		f.Note = fmt.Sprintf("bytes of options and payload, %d of them by the first byte", minLength(w.b[0]>>4))
	}
}

// token takes the token, whose length is tkl in the header.
func (w *coapWalk) token(tkl int, extended bool) bool {
	size := tkl
	if tkl > coap.MaxToken {
		if tkl < 13 || tkl == 15 || !extended {
			return false
		}
		n, ok := w.number("extended token length", Length, tkl-12, "")
		if !ok {
			return false
		}
		size = n + 13
		if tkl == 14 {
			size = n + 269
		}
	}
	w.counted(w.at + size)
	if size == 0 {
		return true
	}
	if !w.room("token", size) {
		return false
	}
	if f := w.last(); tkl > coap.MaxToken {
		f.Value, f.Form, f.Of = uint64(size), Opaque, Span{w.at, size}
	} else {
		kids := w.fields[0].Kids
		kids[len(kids)-1].Of = Span{w.at, size}
	}
	f := w.take("token", Bytes, size)
	f.Note = hex.EncodeToString(w.b[f.Off:f.End()][:min(size, 8)])
	return true
}
