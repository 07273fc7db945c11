package dissect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/lwm2m"
)

// senmlLabels are what labels mean. RFC 8428 §4.1, §4.2
var senmlLabels = map[string]string{
	"bn": "base name", "bt": "base time", "bu": "base unit", "bv": "base value", "bs": "base sum", "bver": "base version",
	"n": "name", "u": "unit", "v": "value", "vs": "string value", "vb": "boolean value", "vd": "data value", "vlo": "object link value",
	"s": "sum", "t": "time", "ut": "update time",
}

// largestPack is the largest that is taken apart.
const largestPack = 256 << 10

// senml reads body, which is a pack in JSON or CBOR.
func (w *coapWalk) senml(f *Field, body []byte, isJSON bool) {
	parse := lwm2m.ParseSenMLCBOR
	f.Kind, f.Form = Structure, Opaque
	if isJSON {
		parse = lwm2m.ParseSenMLJSON
		f.Kind = Text
		f.hold(body)
	}
	if len(body) > largestPack {
		f.Form, f.Note = Raw, "a pack that is too large to be taken apart"
		f.hold(body)
		w.say(bytesText(len(body)) + " of SenML")
		return
	}
	records, err := parse(body)
	if bad := (*lwm2m.Malformed)(nil); errors.As(err, &bad) {
		w.p.Problems = append(w.p.Problems, Problem{
			Off: f.Off + bad.Offset, Text: "the payload is no SenML: " + bad.Reason, Rule: bad.Clause,
			Advice: "A receiver answers a request 4.00 Bad Request.",
		})
	}
	all, notes := lwm2m.ResolveSenML(records)
	for _, n := range notes {
		w.p.Problems = append(w.p.Problems, Problem{Off: f.Off + n.Offset, Text: n.Reason, Rule: n.Clause})
	}
	next := 0
	for i := range records[:min(len(records), mostParts)] {
		var m *lwm2m.Measurement
		if next < len(all) && all[next].Record == i {
			m = &all[next]
			next++
		}
		k := senmlRecord(&records[i], m, f.Off)
		f.Kids = append(f.Kids, k)
	}
	if hidden := slices.IndexFunc(all, isSecret); hidden >= 0 {
		f.Value = nil                                  // what is hidden is in it
		f.Secret = all[len(all)-1].Record >= mostParts // and in what is no field
	}
	if len(f.Kids) == 0 {
		f.hold(body)
	}
	f.Secret = f.Secret || err != nil && w.about.hides()
	switch {
	case len(all) == 1 && !isSecret(all[0]):
		text := senmlText(&all[0])
		if w.about.known { // the path is there
			text = strings.TrimPrefix(text, plain(w.about.path)+" ")
		}
		w.say(text)
	default:
		w.say(strconv.Itoa(len(all)) + " values")
	}
}

// isSecret reports whether m is a key or a password.
func isSecret(m lwm2m.Measurement) bool {
	p, ok := lwm2m.ParsePath(m.Name)
	return ok && secretResource(p)
}

// mostPairs is how many pairs of a record are fields: more than there are labels.
const mostPairs = 64

// senmlRecord is rec, which means m, nil for nothing, in a payload at off.
func senmlRecord(rec *lwm2m.Record, m *lwm2m.Measurement, off int) Field {
	f := Field{Name: "record", Kind: Structure, Off: off + rec.Off, Len: rec.Len, Note: "base fields"}
	if m != nil {
		f.Note = senmlText(m)
		f.Secret = isSecret(*m)
		if p, ok := lwm2m.ParsePath(m.Name); ok {
			if r, ok := lwm2m.LookupResource(p.IDs[0], p.IDs[2]); ok && p.Depth >= 3 {
				f.Note += ", " + r.Name
			}
		}
	}
	for i := range rec.Pairs[:min(len(rec.Pairs), mostPairs)] {
		f.Kids = append(f.Kids, senmlPair(&rec.Pairs[i], off, f.Secret))
	}
	return f
}

func senmlPair(p *lwm2m.Pair, off int, secret bool) Field {
	f := Field{Name: senmlLabels[p.Label], Off: off + p.Off, Len: p.Len, Kind: Bytes, Secret: secret}
	if f.Name == "" {
		f.Name = named(p.Label)
	}
	switch v := p.Value.(type) {
	case string:
		f.Kind, f.Value = Text, v
	case []byte:
		f.Value = bytes.Clone(v)
	case bool:
		f.Kind, f.Value = Flags, v
	case int64, float64:
		f.Kind, f.Value = Number, v
	}
	return f
}

// senmlText is "/3303/0/5700 = 21.5 Cel at 2026-01-02T03:04:05Z".
func senmlText(m *lwm2m.Measurement) string {
	s := plain(m.Name)
	switch v := m.Value.(type) {
	case nil:
	case string:
		s += " = " + excerpt(v)
	case []byte:
		s += fmt.Sprintf(" = %d bytes", len(v))
	case float64:
		s += " = " + strconv.FormatFloat(v, 'g', -1, 64)
	default:
		s += fmt.Sprintf(" = %v", v)
	}
	if m.Unit != "" {
		s += " " + plain(m.Unit)
	}
	switch {
	case m.Time >= lwm2m.MinTime && m.Time < 1<<40:
		s += " at " + time.UnixMilli(int64(m.Time*1000)).UTC().Format(time.RFC3339Nano)
	case m.Time != 0:
		s += fmt.Sprintf(" at %v s from then", m.Time)
	}
	return s
}
