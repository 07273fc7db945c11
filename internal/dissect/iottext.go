package dissect

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/iottext"
)

// IOTText reads the text protocol of "Custom IoT".
type IOTText struct{}

// Name implements Dissector.
func (IOTText) Name() string { return "iottext" }

// Sniff implements Dissector: every line begins with START and a bar.
func (IOTText) Sniff(b []byte, _ Hint) (Confidence, string) {
	const word = "START"
	b = bytes.TrimLeft(b, " \t\r\n")
	n := min(len(b), len(word))
	if n == 0 || !strings.EqualFold(string(b[:n]), word[:n]) {
		return No, ""
	}
	switch rest := bytes.TrimLeft(b[n:], " \t"); {
	case len(rest) > 0 && rest[0] == '|':
		return Certain, "a line begins with START and a bar"
	case len(rest) == 0:
		return Possible, "it may go on as START and a bar"
	}
	return No, ""
}

// Dissect implements Dissector. A packet is a line.
func (d IOTText) Dissect(b []byte, st *Stream) (Packet, int, error) {
	p := Packet{Protocol: d.Name(), Type: "line"}
	line, n, err := iottext.Frame(b, 0)
	w := walk{b: b}
	if bad := (*iottext.Malformed)(nil); errors.As(err, &bad) {
		w.rest("line", "")
		p.Fields = w.fields
		return p, 0, malformed(bad.Offset, "%s", bad.Reason)
	}
	if err != nil {
		line = b
	}
	pieces(&w, line)
	if err != nil {
		p.Fields = w.fields
		return p, 0, ErrShort
	}
	w.add(Field{Name: "line end", Kind: Structure, Len: n - w.at})
	p.Fields = w.fields
	if iottext.Blank(line) {
		p.Type = "blank line"
		return p, n, nil
	}
	from := iottext.Either
	switch st.direction() {
	case FromClient:
		from = iottext.Client
	case FromServer:
		from = iottext.Server
	}
	l, err := iottext.Parse(line, from)
	if l.Command != 0 {
		p.Type = l.Command.String()
	}
	p.Summary = lineSummary(&l)
	relateIOTText(&p, &l, st)
	if bad := (*iottext.Malformed)(nil); errors.As(err, &bad) {
		return p, n, &Malformed{Problem{
			Off: bad.Offset, Len: min(lengthAt(p.Fields, bad.Offset), n-bad.Offset), Text: bad.Reason, Advice: "A server answers BAD and does nothing else.",
		}}
	}
	return p, n, nil
}

// relateIOTText says what a line answers: a server answers every line but CLOSE,
// in order, and a client HELLO? with HELLO!. All of them must have been seen.
func relateIOTText(p *Packet, l *iottext.Line, st *Stream) {
	if st == nil || st.Joined {
		return
	}
	w, d := waitersOf(st), st.direction()
	const line, greeting = "the line", "HELLO?"
	switch l.Command {
	case iottext.OK, iottext.Bad:
		p.answer(w.take(d.peer(), line), st)
	case iottext.Ask:
		w.ask(d, greeting, st)
	case iottext.Hello:
		if a := w.take(d.peer(), greeting); a != (asked{}) {
			p.answer(a, st)
			return
		}
		w.ask(d, line, st)
	case iottext.Close:
	default:
		if d == FromClient { // SUB and MSG of a server need none
			w.ask(d, line, st)
		}
	}
}

// Finish implements Finisher.
func (IOTText) Finish(st *Stream) []Open { return openWaiters(st) }

// pieces takes what stands between the bars, and the bars with the spaces around
// them.
func pieces(w *walk, line []byte) {
	for at, piece := range iottext.Pieces(line) {
		if at > w.at {
			w.add(Field{Name: "bar", Kind: Structure, Len: at - w.at})
		}
		key, text, ok := bytes.Cut(piece, []byte{'='})
		switch {
		case len(piece) == 0:
		case ok:
			w.add(assignment(at, piece, key, text))
		case strings.EqualFold(string(piece), "START"), strings.EqualFold(string(piece), "END"):
			w.add(Field{Name: strings.ToLower(string(piece)), Kind: Structure, Len: len(piece), Value: string(piece), Form: Raw})
		default:
			w.take("word", Text, len(piece))
		}
	}
	if left := len(line) - w.at; left > 0 {
		w.add(Field{Name: "bar", Kind: Structure, Len: left})
	}
}

// assignment is one KEY=VALUE.
func assignment(at int, piece, key, text []byte) Field {
	name := string(bytes.ToUpper(bytes.Trim(key, " \t")))
	text = bytes.TrimLeft(text, " \t") // at the right, pieces have none
	from := at + len(piece) - len(text)
	plain := iottext.Value(text)
	value := Field{Name: "value", Kind: Text, Off: from, Len: len(text)}
	if name == "COMMAND" {
		value.Kind = Structure
	}
	value.hold(plain)
	if len(plain) != len(text) {
		value.Note = "with escapes"
	} else {
		value.Form = Raw
	}
	value.Secret = name == "PASSWORD"
	f := Field{Name: named(name), Kind: value.Kind, Len: len(piece), Value: value.Value, Note: value.Note, Secret: value.Secret}
	word := Field{Name: "key", Kind: Structure, Off: at, Len: len(key), Form: Raw}
	word.hold(key)
	f.Kids = []Field{word, value}
	return f
}

func lineSummary(l *iottext.Line) string {
	var parts []string
	for _, f := range []struct {
		name  string
		value []byte
	}{{"variable", l.Variable}, {"device", l.Device}, {"id", l.ID}, {"value", l.Value}, {"reason", l.Reason}} {
		if len(f.value) > 0 {
			parts = append(parts, fmt.Sprintf("%s %q", f.name, f.value))
		}
	}
	return strings.Join(parts, ", ")
}
