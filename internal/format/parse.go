package format

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/router"
)

// Record is an object of AppendRecord that has been read back. Its slices may
// alias what it was read from.
type Record struct {
	Time       time.Time // zero: none
	Topic      string    // "" = none
	QoS        uint8
	HasQoS     bool
	Retain     bool
	HasRetain  bool
	PacketID   uint16 // 0: none
	Properties mqtt.Properties
	// Payload is what the message carried, byte for byte; nil: none is given.
	Payload []byte
	Decoded
	// Gap: it is a line of iotctl record that tells when it was not connected.
	Gap bool
}

// Decoded is what a codec has made of a payload.
type Decoded struct {
	Format   string          // the pipeline, as in "gzip|json"; "" = nothing was decoded
	Value    json.RawMessage // nil: none
	Notation string          // the value as people write it, where JSON cannot say it
	Notes    []string        // what is odd about it
	Problem  string          // why there is no value
}

// A RecordError tells what is wrong with a record.
type RecordError struct {
	Offset int // of the offending byte, from 0
	Reason string
}

func (e *RecordError) Error() string { return e.Reason }

// maxNesting bounds how deep the JSON of a record may be, and maxEmbedded what may
// stand in one: jq ends at 256 arrays or 128 objects within each other, and an
// expression may put a record into some more.
const (
	maxNesting  = 200
	maxEmbedded = 100
)

// ParseRecord reads one JSON object as AppendRecord writes it, whose members may
// come in any order, over several lines, or not at all. Members that it does not
// know are skipped. By hand a record may be written more simply: a payload
// without an encoding is text if it is a string and JSON otherwise, retain may be
// 0 or 1, user properties may be an object, and correlation data a string.
//
// The payload is raw, where there is one that says the same as payload: else
// somebody has changed payload, and JSON counts without blanks. The error is a *RecordError.
func ParseRecord(b []byte) (Record, error) {
	p := &recordParser{scanner: scanner{b: b}, payload: -1, raw: -1}
	if err := p.parse(); err != nil {
		return Record{}, err
	}
	return p.r, nil
}

// recordParser walks over JSON that has been found valid.
type recordParser struct {
	scanner
	r            Record
	encoding     string
	payload, raw int // where their values begin; -1: there is none
}

func (p *recordParser) parse() error {
	if !utf8.Valid(p.b) {
		return &RecordError{invalidUTF8(p.b), "not UTF-8"}
	}
	if err := checkJSON(p.b); err != nil {
		return err
	}
	if p.next() != '{' {
		return p.errorf(p.i, "must be an object: a record begins with {")
	}
	if err := p.members(p.member); err != nil {
		return err
	}
	return p.content()
}

// checkJSON finds where b is no JSON, or nested too deeply.
func checkJSON(b []byte) error {
	if json.Valid(b) {
		if deep, _ := inspect(b); deep > maxNesting {
			return &RecordError{0, fmt.Sprintf("more than %d levels deep", maxNesting)}
		}
		return nil
	}
	var v json.RawMessage
	syntax := (*json.SyntaxError)(nil)
	if err := json.Unmarshal(b, &v); errors.As(err, &syntax) {
		return &RecordError{max(int(syntax.Offset)-1, 0), syntax.Error()}
	}
	return &RecordError{0, "not JSON"}
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

func (p *recordParser) errorf(at int, format string, a ...any) error {
	return &RecordError{at, fmt.Sprintf(format, a...)}
}

// members calls each for the members of the object that begins here, with the
// scanner at the value, which each need not read.
func (p *recordParser) members(each func(name string, at int) error) error {
	p.i++
	for p.next() != '}' {
		if p.b[p.i] == ',' {
			p.i++
			p.next()
		}
		at := p.i
		name, err := p.text()
		if err != nil {
			return err
		}
		p.next()
		p.i++ // the colon
		p.next()
		value := p.i
		if err := each(name, at); err != nil {
			return err
		}
		p.i = value
		p.skip()
	}
	p.i++
	return nil
}

// elements calls each for the elements of the array that begins here, as members.
func (p *recordParser) elements(each func() error) error {
	p.i++
	for p.next() != ']' {
		if p.b[p.i] == ',' {
			p.i++
			p.next()
		}
		value := p.i
		if err := each(); err != nil {
			return err
		}
		p.i = value
		p.skip()
	}
	p.i++
	return nil
}

// skip steps over a value.
func (s *scanner) skip() {
	for depth := 0; ; {
		switch s.next() {
		case '{', '[':
			depth++
			s.i++
		case '}', ']':
			depth--
			s.i++
		case ',', ':':
			s.i++
		default:
			s.literal()
		}
		if depth == 0 {
			return
		}
	}
}

// text reads a string.
func (p *recordParser) text() (string, error) {
	at := p.i
	if p.b[at] != '"' {
		return "", p.errorf(at, "must be a string")
	}
	lit := p.literal()
	if plain := lit[1 : len(lit)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), nil
	}
	if i := halfPair(lit); i >= 0 {
		return "", p.errorf(at+i, "half of a surrogate pair is no text")
	}
	var s string
	_ = json.Unmarshal(lit, &s) // valid, so it cannot fail
	return s, nil
}

// halfPair finds an escaped surrogate without its other half in a string
// literal or other valid JSON; -1: there is none.
func halfPair(lit []byte) int {
	for i := 0; i < len(lit); i++ {
		if lit[i] != '\\' {
			continue
		}
		if lit[i+1] != 'u' {
			i++
			continue
		}
		c, _ := strconv.ParseUint(string(lit[i+2:i+6]), 16, 16)
		if c < 0xD800 || c > 0xDFFF {
			i += 5
			continue
		}
		if c > 0xDBFF || len(lit) < i+13 || lit[i+6] != '\\' || lit[i+7] != 'u' {
			return i
		}
		if c, _ = strconv.ParseUint(string(lit[i+8:i+12]), 16, 16); c < 0xDC00 || c > 0xDFFF {
			return i
		}
		i += 11
	}
	return -1
}

// number reads a whole number up to limit.
func (p *recordParser) number(limit uint64) (uint64, error) {
	at := p.i
	n, err := strconv.ParseUint(string(p.literalOrNothing()), 10, 64)
	if err != nil || n > limit {
		return 0, p.errorf(at, "must be a whole number from 0 to %d", limit)
	}
	return n, nil
}

// literalOrNothing is literal, but of objects and arrays nothing.
func (p *recordParser) literalOrNothing() []byte {
	if c := p.b[p.i]; c == '{' || c == '[' {
		return nil
	}
	return p.literal()
}

func (p *recordParser) bool() (bool, error) {
	at := p.i
	switch string(p.literalOrNothing()) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, p.errorf(at, "must be true or false")
}

// member reads one member of the record.
func (p *recordParser) member(name string, at int) (err error) {
	var n uint64
	var again bool
	start := p.i
	switch name {
	case "time":
		again = !p.r.Time.IsZero()
		err = p.time()
	case "topic":
		again = p.r.Topic != ""
		if p.r.Topic, err = p.text(); err == nil && p.r.Topic != "" && router.ValidateName(p.r.Topic) != nil {
			err = p.errorf(start, "is no topic name: %v", router.ValidateName(p.r.Topic))
		}
	case "qos":
		again = p.r.HasQoS
		n, err = p.number(2)
		p.r.QoS, p.r.HasQoS = uint8(n), true
	case "retain":
		again = p.r.HasRetain
		p.r.Retain, err = p.bool()
		p.r.HasRetain = true
	case "mid":
		again = p.r.PacketID != 0
		n, err = p.number(0xFFFF)
		p.r.PacketID = uint16(n)
	case "properties":
		again = len(p.r.Properties) > 0
		err = p.properties()
	case "encoding":
		again = p.encoding != ""
		p.encoding, err = p.text()
		if err == nil && p.encoding != "text" && p.encoding != "json" && p.encoding != "base64" {
			err = p.errorf(start, `must be "text", "json" or "base64", not %q`, p.encoding)
		}
	case "payload":
		again, p.payload = p.payload >= 0, start
	case "raw":
		again, p.raw = p.raw >= 0, start
	default:
		return p.decodedMember(name, at)
	}
	if again {
		return p.errorf(at, "%s is there twice", name)
	}
	if e := (*RecordError)(nil); errors.As(err, &e) && e.Offset == start {
		return p.errorf(start, "%s %s", name, e.Reason)
	}
	return err
}

func (p *recordParser) decodedMember(name string, at int) (err error) {
	d := &p.r.Decoded
	switch name {
	case "gap":
		p.r.Gap = true
	case "format":
		d.Format, err = p.text()
	case "value":
		if d.Value != nil {
			return p.errorf(at, "value is there twice")
		}
		d.Value = p.json()
	case "notation":
		d.Notation, err = p.text()
	case "problem":
		d.Problem, err = p.text()
	case "notes":
		if p.b[p.i] != '[' {
			return p.errorf(p.i, "notes must be a list of strings")
		}
		err = p.elements(func() error {
			note, err := p.text()
			d.Notes = append(d.Notes, note)
			return err
		})
	}
	return err
}

func (p *recordParser) time() error {
	at := p.i
	s, err := p.text()
	if err != nil {
		return err
	}
	if p.r.Time, err = time.Parse(time.RFC3339Nano, s); err != nil {
		return p.errorf(at, "must be a time as in RFC 3339, not %q", s)
	}
	return nil
}

// content finds the payload, when all members are known.
func (p *recordParser) content() (err error) {
	if p.payload < 0 && p.raw < 0 {
		return nil
	}
	if p.payload < 0 {
		p.payload, p.encoding = p.raw, "text"
	}
	p.i = p.payload
	if p.b[p.i] != '"' && p.encoding != "base64" || p.encoding == "json" {
		return p.jsonPayload()
	}
	s, err := p.text()
	if err != nil {
		return err
	}
	p.r.Payload = []byte(s)
	if p.encoding != "base64" {
		return nil
	}
	if p.r.Payload, err = base64.StdEncoding.Strict().DecodeString(s); err != nil {
		return p.errorf(p.payload, "payload is not base64: %v", err)
	}
	return nil
}

// json is the value that begins here, without blanks between its parts: programs
// such as jq spread it over lines.
func (p *recordParser) json() []byte {
	start := p.i
	p.skip()
	b := p.b[start:p.i:p.i]
	if !bytes.ContainsAny(b, " \t\r\n") {
		return b
	}
	var out bytes.Buffer
	_ = json.Compact(&out, b) // valid, so it cannot fail
	return out.Bytes()
}

// jsonPayload takes a JSON payload from raw, or as it is written.
func (p *recordParser) jsonPayload() error {
	p.r.Payload = p.json()
	if p.raw < 0 {
		return nil
	}
	p.i = p.raw
	raw, err := p.text()
	if err != nil {
		return err
	}
	if json.Valid([]byte(raw)) && sameJSON([]byte(raw), p.r.Payload) {
		p.r.Payload = []byte(raw)
	}
	return nil
}
