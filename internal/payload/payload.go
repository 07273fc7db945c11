// Package payload turns the payloads of messages into values that people and
// programs read, and values into payloads. What a payload is stands in no packet,
// so rules say it: topic filters with pipelines such as gzip|json. Values keep the
// order of members and every digit, which is why codecs are our own
// (internal/doc/adr/0018).
//
// To add a codec:
//
//  1. Write a package payload/x with a function that returns its Format.
//  2. Hold it to payloadtest.
//  3. Add a line to payloads in cmd/iotctl/builtin.go.
package payload

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/diagnostic"
)

// What a payload may cost. Codecs refuse what is beyond.
const (
	MaxBytes  = 64 << 20            // that come out of a step: what is packed may be far smaller
	MaxValues = diagnostic.MaxItems // 1,048,576 in one payload, those within each other counted
	MaxDepth  = diagnostic.MaxDepth // 128 arrays and maps in each other
)

// Content is a payload on its way through a pipeline: bytes, or the value they
// stand for.
type Content struct {
	Topic       string // of the message
	ContentType string // property of MQTT 5.0; "" = none
	Bytes       []byte // as the step at work finds them
	// Value is one of nil, bool, json.Number, string, Bin, []any and Object.
	Value any
	// Text is the value as people write it, where the codec has a notation of its
	// own: CBOR's diagnostic notation. nil where JSON says it all. Encode is given
	// what was typed.
	Text  []byte
	Label string   // what it has been taken for: "gzip|json"; of auto "gzip|json (guess)"
	Notes []string // what is odd about it, though it could be read: a gap in sequence numbers
}

// AppendText appends what people are shown: the notation of the codec, or
// compact JSON.
func (c *Content) AppendText(dst []byte) []byte {
	if c.Text != nil {
		return append(dst, c.Text...)
	}
	return AppendJSON(dst, c.Value)
}

// Typed is the value that Encode was given: Value, or what was typed, as JSON.
func (c *Content) Typed() (any, error) {
	if c.Text == nil {
		return c.Value, nil
	}
	return ParseJSON(c.Text)
}

// Bin is a string of bytes. In JSON it is base64.
type Bin []byte

// Object is a map whose members keep their order.
type Object []Member

// Member of an Object.
type Member struct {
	Name  string
	Value any
}

// Get finds the first member of that name.
func (o Object) Get(name string) (any, bool) {
	for _, m := range o {
		if m.Name == name {
			return m.Value, true
		}
	}
	return nil, false
}

// Codec is one step of a pipeline. Codecs may keep state from message to message,
// as Sparkplug needs it; they are used by one goroutine at a time.
type Codec interface {
	// Decode turns c.Bytes into c.Value, or into other bytes, or looks at
	// c.Value, by the kind of its format. Neither may be changed in place. An error
	// says what is wrong with the payload, and where: a *Malformed, best.
	Decode(c *Content) error
	// Encode goes the other way: c.Value, or what was typed in c.Text, becomes
	// c.Bytes, or bytes become other bytes. Formats that check are not asked:
	// they see what Decode makes of the bytes.
	Encode(c *Content) error
}

// Kind is what a step of a pipeline does.
type Kind uint8

// Kinds, in the order in which a pipeline has them: any number that pack, one
// that reads, any number that check.
const (
	Reads  Kind = iota // bytes are a value: json, cbor
	Packs              // bytes are other bytes, packed: gzip
	Checks             // the value is as it has to be: schema
)

// Format is a kind of codec, as a table lists it.
type Format struct {
	Name    string // "cbor"; what stands in a pipeline
	Kind    Kind
	Args    string // what may follow the name, as in ":FILE:MESSAGE"; "" = nothing
	About   string // what it is, in a line
	Example string // a pipeline with it
	// Types are the content types that tell it: "application/cbor", "text/*",
	// "+cbor". They are compared without case and parameters.
	Types []string
	// Guess reports whether all of c.Bytes may well be of this format, for auto:
	// the first format of the table that says so is tried. nil: only by content type.
	Guess func(c *Content) bool
	// Empty tells that a payload without bytes may be of this format. Others leave
	// it alone.
	Empty bool
	// New makes a codec. arg is what follows the first colon.
	New func(arg string) (Codec, error)
}

// Malformed is what is wrong with a payload, or with what was typed.
type Malformed struct {
	Offset int    // in bytes, from the start of what the step was given
	Where  string // member or path; "" = the offset says it
	Reason string
}

func (m *Malformed) Error() string {
	if m.Where != "" {
		return m.Where + ": " + m.Reason
	}
	return fmt.Sprintf("byte %d: %s", m.Offset, m.Reason)
}

// Wrong makes a *Malformed with the member that it is about; without one it is the
// payload.
func Wrong(where, format string, a ...any) error {
	if where == "" {
		where = "payload"
	}
	return &Malformed{Where: where, Reason: fmt.Sprintf(format, a...)}
}

// Inside is the path of a member of what is at where.
func Inside(where, name string) string {
	if where == "" {
		return name
	}
	return where + "." + name
}

// Shown is v as messages have it: 40 characters of it at most.
func Shown(v any) string {
	const enough = 40
	s := []rune(string(appendSome(nil, v, enough*utf8.UTFMax)))
	if len(s) > enough {
		return string(s[:enough]) + "…"
	}
	return string(s)
}

// appendSome appends v as AppendJSON does, but not much more than most bytes.
func appendSome(dst []byte, v any, most int) []byte {
	switch v := v.(type) {
	case string:
		return AppendString(dst, v[:min(len(v), most)])
	case json.Number:
		return append(dst, v[:min(len(v), most)]...)
	case Bin:
		return AppendJSON(dst, v[:min(len(v), most)])
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if len(dst) > most {
				break
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendSome(dst, e, most)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i, m := range v {
			if len(dst) > most {
				break
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendSome(append(appendSome(dst, m.Name, most), ':'), m.Value, most)
		}
		return append(dst, '}')
	}
	return AppendJSON(dst, v)
}

// Malformedf makes a *Malformed with an offset.
func Malformedf(offset int, format string, a ...any) error {
	return &Malformed{Offset: offset, Reason: fmt.Sprintf(format, a...)}
}
