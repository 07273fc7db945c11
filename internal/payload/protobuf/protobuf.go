// Package protobuf reads and writes Protocol Buffers: by .proto files with their
// imports, by descriptor sets as protoc --descriptor_set_out writes them, or
// without a schema, when names and types are guesses and marked so.
//
// Values follow the JSON mapping of protobuf, but for this: members stand in the
// order of the wire, only what is on the wire is shown, and integers of 64 bits
// are numbers. Fields that the schema does not know are members such as
// "17:varint", so that nothing is lost.
//
// The grammar of .proto files is that of protocompile's parser, which names line and
// column of a mistake. What it reads is resolved here: internal/doc/adr/0019 says why.
package protobuf

import (
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

// Format is the format "protobuf".
func Format() payload.Format {
	return payload.Format{
		Name:    "protobuf",
		Args:    "[:FILE[:MESSAGE[:DIRECTORY…]]]",
		About:   "Protocol Buffers by FILE.proto or a descriptor set; without one by guess",
		Example: "protobuf:reading.proto:acme.Reading",
		Types:   []string{"application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf"},
		Empty:   true,
		New:     New,
	}
}

// New makes a codec of FILE[:MESSAGE[:DIRECTORY…]]. FILE is source if it ends in
// .proto, and a descriptor set otherwise. Imports are looked for in the
// directories, in that of FILE and in those above it. MESSAGE may be left out if
// there is but one, and its package if no other message has that name.
func New(arg string) (payload.Codec, error) {
	if arg == "" {
		return &codec{}, nil
	}
	words := strings.Split(arg, ":")
	name := ""
	var directories []string
	if len(words) > 1 {
		name, directories = words[1], words[2:]
	}
	s, err := load(words[0], directories)
	if err != nil {
		return nil, err
	}
	m, err := s.find(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", words[0], err)
	}
	return &codec{schema: s, message: m}, nil
}

type codec struct {
	schema  *schema
	message *message // nil = no schema
}

func (k *codec) Decode(c *payload.Content) error {
	d := &decoder{schema: k.schema}
	var err error
	if k.message == nil {
		c.Value, err = d.untyped(c.Bytes, 0)
	} else {
		c.Value, err = d.message(k.message, c.Bytes, 0)
	}
	c.Notes = append(c.Notes, d.notes...)
	return err
}

func (k *codec) Encode(c *payload.Content) error {
	v, err := c.Typed()
	if err != nil {
		return err
	}
	e := &encoder{schema: k.schema}
	if k.message == nil {
		c.Bytes, err = e.untyped("", v)
	} else {
		c.Bytes, err = e.message("", k.message, v)
	}
	if c.Bytes == nil {
		c.Bytes = []byte{}
	}
	return err
}
