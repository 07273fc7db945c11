package dissect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/codec/coap"
	"github.com/iotctl/iotctl/internal/codec/lwm2m"
	"github.com/iotctl/iotctl/internal/codec/lwm2m/cbor"
)

// payload takes the payload as its content format says.
func (w *coapWalk) payload() {
	n := len(w.b) - w.at
	if n == 0 {
		return
	}
	body := w.b[w.at:]
	v, stated := w.m.Options.Uint(coap.ContentFormat)
	format := coap.MediaType(v)
	f := Field{Name: "payload", Kind: Bytes, Len: n, Form: Raw, Off: w.at}
	switch {
	case w.m.Code == coap.Empty:
		f.hold(body)
	case stated && v > 0xffff:
		f.hold(body)
	case stated:
		f.Note = format.String()
		w.typed(&f, body, format)
	case !w.m.Code.Request() && w.m.Code.Class() != 2:
		f.Kind, f.Note = Text, "diagnostic payload" // RFC 7252 §5.5.2
		f.hold(body)
		w.sayText(&f)
	default:
		if printable(body) {
			f.Kind = Text
		}
		f.hold(body)
		w.sayText(&f)
	}
	w.add(f)
}

// typed reads body, which is of a format.
func (w *coapWalk) typed(f *Field, body []byte, format coap.MediaType) {
	if w.inBlocks() {
		w.ofBlock(f, body, format)
		return
	}
	switch format {
	case coap.LwM2MTLV, coap.OldTLV:
		w.tlv(f, body)
		return
	case coap.SenMLCBOR, coap.SenMLJSON, coap.SensMLCBOR, coap.SensMLJSON:
		w.senml(f, body, format == coap.SenMLJSON || format == coap.SensMLJSON)
		return
	case coap.CBOR, coap.LwM2MCBOR, coap.CWT, coap.ProblemDetails, 10000:
		w.cbor(f, body)
	case coap.JSON, coap.LwM2MJSON, coap.OldJSON, coap.JSONPatch, coap.MergePatch:
		f.Kind = Text
		f.hold(body)
		w.json(f, body)
	case coap.LinkFormat:
		f.Kind = Text
		f.hold(body)
		f.Kids = links(body, f.Off)
		w.sayText(f)
	case coap.TextPlain, coap.OldText, coap.XML:
		f.Kind = Text
		f.hold(body)
		if _, ok := f.Value.(string); !ok {
			w.warn(f.Off, f.Len, "the payload is no text in UTF-8")
		}
		w.sayText(f)
	default:
		f.hold(body)
		w.sayText(f)
	}
	f.Secret = f.Secret || w.about.hides()
	w.resource(f)
}

// resource notes which one a payload without structure is the value of.
func (w *coapWalk) resource(f *Field) {
	p := w.about.object
	if !w.about.lwm2m || p.Depth < 3 {
		return
	}
	r, ok := lwm2m.LookupResource(p.IDs[0], p.IDs[2])
	if !ok {
		return
	}
	f.Note += "; " + r.Name
	if r.Units != "" {
		f.Note += " in " + r.Units
	}
}

// inBlocks reports whether the payload is not all of the body. RFC 7959 §2.2
func (w *coapWalk) inBlocks() bool {
	n := coap.Block2
	if w.m.Code.Request() {
		n = coap.Block1
	}
	for _, n := range []coap.Number{n, coap.QBlock1, coap.QBlock2} {
		if v, ok := w.m.Options.Get(n); ok {
			if b, ok := coap.ParseBlock(v); ok && (b.More || b.Number > 0) {
				return true
			}
		}
	}
	return false
}

// ofBlock takes a part of a body.
func (w *coapWalk) ofBlock(f *Field, body []byte, format coap.MediaType) {
	f.Note = "part of " + format.String()
	if printable(body) {
		f.Kind = Text
	}
	f.hold(body)
	f.Secret = w.about.hides()
	w.say(bytesText(len(body)) + " of " + format.String())
}

func (w *coapWalk) warn(off, size int, format string, args ...any) {
	w.p.Problems = append(w.p.Problems, Problem{Off: off, Len: size, Text: fmt.Sprintf(format, args...), Warning: true})
}

// mostDiagnostic is how much of CBOR is written as text.
const mostDiagnostic = 4096

// cbor reads body as one item.
func (w *coapWalk) cbor(f *Field, body []byte) {
	text, n, err := cbor.Diagnostic(body, mostDiagnostic)
	f.Value = bytes.Clone(body)
	if bad := (*cbor.Malformed)(nil); errors.As(err, &bad) {
		w.p.Problems = append(w.p.Problems, Problem{Off: min(f.Off+bad.Offset, len(w.b)), Text: "the payload is no CBOR: " + bad.Reason, Rule: "RFC 8949 §3"})
		return
	}
	f.Kids = []Field{{Name: "diagnostic notation", Kind: Text, Off: f.Off, Len: n, Value: text}}
	if n < len(body) {
		w.warn(f.Off+n, len(body)-n, "%d bytes follow the item", len(body)-n)
	}
	if len(text) <= mostShown && !w.about.hides() {
		w.say("= " + text)
		return
	}
	w.say(bytesText(len(body)) + " of CBOR")
}

// json checks that body is JSON.
func (w *coapWalk) json(f *Field, body []byte) {
	bad := (*json.SyntaxError)(nil)
	if err := json.Unmarshal(body, new(json.RawMessage)); errors.As(err, &bad) {
		off := min(max(int(bad.Offset)-1, 0), len(body))
		w.p.Problems = append(w.p.Problems, Problem{Off: f.Off + off, Text: "the payload is no JSON: " + bad.Error(), Rule: "RFC 8259 §2"})
	}
	w.sayText(f)
}

// sayText adds a short payload to the summary, or its size.
func (w *coapWalk) sayText(f *Field) {
	if w.about.hides() {
		f.Secret = true
	}
	s, ok := f.Value.(string)
	if ok && printable([]byte(s)) && !f.Secret {
		w.say(excerpt(s))
		return
	}
	w.say(bytesText(f.Len))
}

// mostLinks is how many links of a list are fields of their own.
const mostLinks = 1000

// links are those of a list at off. RFC 6690 §2
func links(body []byte, off int) (all []Field) {
	from, quoted, angled := 0, false, false
	end := func(at int) {
		if link := bytes.TrimSpace(body[from:at]); len(link) > 0 && len(all) < mostLinks {
			f := Field{Name: "link", Kind: Text, Off: off + from, Len: at - from}
			f.hold(body[from:at])
			all = append(all, f)
		}
		from = at + 1
	}
	for at, c := range body {
		switch {
		case c == '"' && !angled:
			quoted = !quoted
		case c == '<' && !quoted:
			angled = true
		case c == '>':
			angled = false
		case c == ',' && !quoted && !angled:
			end(at)
		}
	}
	end(len(body))
	return all
}
