package dissect

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// MQTTSN reads MQTT-SN 1.2, one datagram after the other.
type MQTTSN struct {
	Draft bool // reads the draft of 2.0 instead
}

// Name implements Dissector.
func (d MQTTSN) Name() string {
	if d.Draft {
		return "mqttsn2"
	}
	return "mqttsn"
}

func (d MQTTSN) version() mqttsn.Version {
	if d.Draft {
		return mqttsn.Version20
	}
	return mqttsn.Version12
}

// mqttsnPorts are those that gateways listen on.
var mqttsnPorts = []uint16{1883, 1884, 1885, 2442, 8883, 10000, 20000}

// Sniff implements Dissector: a CONNECT that fills its datagram is proof. Of the
// others a few fit anything. Several messages may fill one, too.
func (d MQTTSN) Sniff(b []byte, h Hint) (Confidence, string) {
	best, why, messages := No, "", 0
	for ; len(b) > 0; messages++ {
		head, _, n, err := mqttsn.Frame(b, d.version())
		if err != nil {
			return No, ""
		}
		if head.Type == mqttsn.TypeEncapsulated {
			n = len(b)
		}
		c, reason := d.sniffMessage(b[:n], h)
		if c == No {
			return No, ""
		}
		if c > best {
			best, why = c, reason
		}
		b = b[n:]
	}
	if messages > 1 {
		return min(best, Likely), strconv.Itoa(messages) + " messages fill it"
	}
	return best, why
}

// sniffMessage is Sniff for one message that is to fill b.
func (d MQTTSN) sniffMessage(b []byte, h Hint) (Confidence, string) {
	m, n, err := mqttsn.Parse(b, mqttsn.Options{Version: d.version(), EitherSide: true})
	if err != nil || n != len(b) {
		return No, ""
	}
	switch m := m.(type) {
	case mqttsn.Encapsulated:
		if c, _ := d.Sniff(m.Inner, h); c == No {
			return No, ""
		}
	case mqttsn.GWInfo:
		if len(m.Address) > 0 && !m.AddrPort().IsValid() {
			return No, ""
		}
	}
	why := "its length and its type are those of a message"
	switch t := m.Type(); {
	case !h.Datagram:
		return Possible, why
	case t == mqttsn.TypeConnect, t == mqttsn.TypeConnectV2:
		return Certain, "a CONNECT whose fields fill it"
	case d.Draft:
		return Possible, why
	case slices.Contains(mqttsnPorts, h.Port):
		return Likely, "its port, its length and its type"
	case n >= 7:
		return Likely, why
	}
	return Possible, why
}

// Dissect implements Dissector.
func (d MQTTSN) Dissect(b []byte, st *Stream) (Packet, int, error) {
	p, n, err := d.message(b, st, 0, "")
	if st != nil && st.Whole && n > 0 && n < len(b) {
		p.Problems = append(p.Problems, Problem{
			Off: n, Len: len(b) - n, Text: "something follows the message in its datagram", Rule: "SN-5.2.1",
			Advice: "A receiver reads one message of a datagram, and no more.",
		})
	}
	return p, n, err
}

// snEnvelopes is how many envelopes may lie in each other.
const snEnvelopes = 2

// message reads what lies in depth envelopes, and is of a node behind a forwarder,
// "" for none.
func (d MQTTSN) message(b []byte, st *Stream, depth int, node string) (Packet, int, error) {
	h, body, n, err := mqttsn.Frame(b, d.version())
	p := Packet{Protocol: d.Name(), Version: d.version().String(), Type: h.Type.String()}
	w := snWalk{walk: walk{b: b}, p: &p, d: d, st: st, depth: depth, node: node}
	if err == nil {
		w.b = b[:n]
	}
	w.header(h)
	if bad := (*mqttsn.Malformed)(nil); errors.As(err, &bad) {
		p.Fields = w.fields
		return p, 0, malformed(bad.Offset, "%s", bad.Reason)
	}
	if w.at == h.Bytes {
		w.body(h.Type)
	}
	if err == nil && h.Length == n {
		w.fields[h.Bytes/2-1].Of = Span{0, n} // behind the mark of the long form
	}
	w.hide()
	p.Fields = w.fields
	if err != nil {
		return p, 0, ErrShort
	}
	if h.Type == mqttsn.TypeEncapsulated {
		return d.envelope(b, n, &w)
	}
	return p, n, w.judge(b[:n], len(body))
}

// header takes the length and the type.
func (w *snWalk) header(h mqttsn.Header) {
	if h.Bytes == 4 {
		w.add(Field{Name: "long form", Kind: Structure, Len: 1, Value: uint64(w.b[0]), Form: Unsigned})
		w.number("length", Length, 2, "bytes with this")
	} else if len(w.b) > 0 {
		w.number("length", Length, 1, "bytes with this")
	}
	if w.at == h.Bytes-1 && len(w.b) >= h.Bytes {
		w.number("message type", Structure, 1, h.Type.String())
	}
}

// body takes the fields of a message of type t.
func (w *snWalk) body(t mqttsn.Type) {
	for _, take := range snLayout(t) {
		take(w)
	}
	w.rest("rest", "behind the last field")
}

// hide marks what may hold a password, if it was cut short, too.
func (w *snWalk) hide() {
	for i := range w.fields {
		if f := &w.fields[i]; f.Name == snAuthData || f.Name == snOtherVersion {
			f.Secret = true
		}
	}
}

// judge adds what the codec finds wrong with a whole message, what it answers, and
// the summary.
func (w *snWalk) judge(b []byte, body int) error {
	var notes []mqttsn.Malformed
	from := w.st.direction()
	o := mqttsn.Options{Version: w.d.version(), NamedPublish: true, FromServer: from == FromServer, EitherSide: from == Unknown}
	_, _, strict := mqttsn.Parse(b, o)
	o.Lenient, o.Notes = true, &notes
	m, _, err := mqttsn.Parse(b, o)
	for i := range notes {
		w.p.Problems = append(w.p.Problems, w.problem(&notes[i], strict == nil))
	}
	if m != nil && err == nil {
		w.relate(m.Type(), m)
		if w.p.Summary == "" {
			w.p.Summary = snSummary(m, body, w.topic)
		}
	}
	if bad := (*mqttsn.Malformed)(nil); errors.As(err, &bad) {
		return &Malformed{w.problem(bad, false)}
	}
	return nil
}

// problem is a finding of the codec; what it accepts all the same is a warning.
func (w *snWalk) problem(m *mqttsn.Malformed, accepted bool) Problem {
	q := Problem{Off: m.Offset, Len: lengthAt(w.fields, m.Offset), Text: m.Reason, Rule: m.Clause, Warning: accepted}
	switch {
	case accepted:
	case m.Code != mqttsn.Accepted:
		q.Advice = "A receiver may answer with return code " + m.Code.String() + "."
	default:
		q.Advice = "A receiver drops the message."
	}
	return q
}

// envelope reads what follows the head of a 1.2 forwarder's envelope, which has n
// bytes.
func (d MQTTSN) envelope(b []byte, n int, w *snWalk) (Packet, int, error) {
	p := w.p
	if w.ended || n < 3 {
		return *p, 0, malformed(2, "the envelope has no control byte")
	}
	whole := w.st != nil && w.st.Whole
	if k := snSplit(b); whole && n == len(b) && k > 0 {
		p.Problems = append(p.Problems, Problem{
			Len: 1, Text: "the length is that of the envelope with the message", Rule: "SN-5.5", Advice: "A receiver drops the message.",
		})
		p.Fields[0].Of = Span{}
		p.Fields = p.Fields[:len(p.Fields)-1] // the node identifier was taken to the end
		w.walk = walk{b: b[:k], at: 3, fields: p.Fields}
		snNodeID(w)
		p.Fields, n = w.fields, k
	}
	inner := b[n:]
	if h, _, _, _ := mqttsn.Frame(inner, d.version()); h.Type == mqttsn.TypeEncapsulated || w.depth > 0 {
		return *p, 0, &Malformed{Problem{Off: n, Text: "an encapsulated message in another", Rule: "SN-5.5"}}
	}
	q, k, err := d.message(inner, w.st, w.depth+1, string(b[3:n]))
	w.enclose(q, n)
	p.Fields = w.fields
	p.Summary = strings.TrimSpace("node " + snHex(b[3:n]) + ": " + q.Type + " " + q.Summary)
	if bad := (*Malformed)(nil); errors.As(err, &bad) {
		bad.Off += n
	}
	if k == 0 {
		return *p, 0, err
	}
	right := slices.Clone(b[:n+k])
	right[0] = byte(n)
	if bad := w.judge(right, n); bad != nil {
		err = bad
	}
	return *p, n + k, err
}

// snSplit is where the message begins in an envelope whose length is that of
// both, 0 if nowhere.
func snSplit(b []byte) int {
	for k := 3; k+2 <= len(b); k++ {
		if b[k] != 1 && int(b[k]) != len(b)-k {
			continue
		}
		if _, n, err := mqttsn.Parse(b[k:], mqttsn.Options{EitherSide: true, NamedPublish: true}); err == nil && k+n == len(b) {
			return k
		}
	}
	return 0
}

// enclose adds the message q, which begins at off.
func (w *snWalk) enclose(q Packet, off int) {
	size := 0
	for i := range q.Fields {
		size = max(size, q.Fields[i].End())
	}
	if size == 0 {
		return
	}
	snShift(q.Fields, off)
	w.p.Answers, w.p.After = q.Answers, q.After
	w.at = off
	w.add(Field{Name: "message", Kind: Structure, Len: size, Note: strings.TrimSpace(q.Type + " " + q.Summary), Kids: q.Fields})
	for _, problem := range q.Problems {
		problem.Off += off
		w.p.Problems = append(w.p.Problems, problem)
	}
}

func snShift(fields []Field, by int) {
	for i := range fields {
		fields[i].Off += by
		if fields[i].Of != (Span{}) {
			fields[i].Of.Off += by
		}
		snShift(fields[i].Kids, by)
	}
}
