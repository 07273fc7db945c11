// Package payload turns the payloads of messages into values that people and
// programs read, and values into payloads. What a payload is stands in no packet,
// so rules say it: topic filters with pipelines such as gzip|json.
//
// To add a codec:
//
//  1. Write a package payload/x with a function that returns its Format.
//  2. Hold it to payloadtest.
//  3. Add a line to payloads in cmd/iotctl/builtin.go.
package payload

// MaxBytes bounds what a codec may make of one payload: what is packed may be far
// smaller than what comes out.
const MaxBytes = 64 << 20

// Content is a payload on its way through a pipeline: bytes, or the value they
// stand for.
type Content struct {
	Topic       string // of the message
	ContentType string // property of MQTT 5.0; "" = none
	Bytes       []byte // nil once they have become Value
	// Value is one of nil, bool, json.Number, string, Bin, []any and Object.
	Value any
	// Text is the value as people write it, where the codec has a notation of its
	// own: CBOR's diagnostic notation. nil where JSON says it all. Encode is given
	// what was typed.
	Text  []byte
	Label string   // what it has been taken for, as in "gzip|json"; see auto
	Notes []string // what is odd about it, though it could be read: a gap in sequence numbers
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

// Codec is one step of a pipeline. Codecs may keep state from message to message,
// as Sparkplug needs it; they are used by one goroutine at a time.
type Codec interface {
	// Decode turns c.Bytes into c.Value, or into other bytes, or looks at
	// c.Value. Neither may be changed in place. An error says what is wrong with
	// the payload, and where: offset, member, line.
	Decode(c *Content) error
	// Encode goes the other way: c.Value, or what was typed in c.Text, becomes
	// c.Bytes, or bytes become other bytes.
	Encode(c *Content) error
}

// Format is a kind of codec, as a table lists it.
type Format struct {
	Name    string // "cbor"; what stands in a pipeline
	Args    string // what may follow the name, as in ":FILE:MESSAGE"; "" = nothing
	About   string // what it is, in a line
	Example string // a pipeline with it
	// Packs tells that it makes bytes of bytes, so that another has to follow.
	Packs bool
	// New makes a codec. arg is what follows the first colon.
	New func(arg string) (Codec, error)
}
