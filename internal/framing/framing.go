// Package framing cuts a stream of bytes into messages: at a byte, at what a
// regular expression matches, or by lengths that stand before them.
//
// A message and what stands between messages are bounded, so that no input makes
// a Reader keep more than twice its limit. Expressions are those of package
// regexp, whose time grows with the input only.
package framing

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
)

// Framing says how messages are told apart. The zero value is Lines.
type Framing struct {
	kind      kind
	delimiter []byte         // of delimited
	pattern   *regexp.Regexp // of matched
	ends      endings        // of pattern
	size      int            // of the length, in bytes, of prefixed; 0: varint
	order     binary.ByteOrder
}

type kind uint8

const (
	lines kind = iota
	delimited
	matched
	prefixed
)

// Names are the framings that need no expression, for messages and completion.
const Names = "newline, nul, u8, u16be, u16le, u32be, u32le, varint"

// Parse reads the name of a framing:
//
//	newline               a line feed behind each message
//	nul                   a zero byte behind each message
//	u8                    the length in one byte before each message
//	u16be u16le u32be u32le  in two or four, big or little endian
//	varint                in 7 bits a byte, the lowest first, as MQTT and protobuf have it
//	regex:EXPRESSION      what matches stands between messages; ^ and $ are the ends
//	                      of lines
func Parse(name string) (Framing, error) {
	if pattern, ok := strings.CutPrefix(name, "regex:"); ok {
		return parsePattern(pattern)
	}
	switch name {
	case "newline":
		return Framing{}, nil
	case "nul":
		return Framing{kind: delimited, delimiter: []byte{0}}, nil
	case "u8":
		return Framing{kind: prefixed, size: 1}, nil
	case "u16be":
		return Framing{kind: prefixed, size: 2, order: binary.BigEndian}, nil
	case "u16le":
		return Framing{kind: prefixed, size: 2, order: binary.LittleEndian}, nil
	case "u32be":
		return Framing{kind: prefixed, size: 4, order: binary.BigEndian}, nil
	case "u32le":
		return Framing{kind: prefixed, size: 4, order: binary.LittleEndian}, nil
	case "varint":
		return Framing{kind: prefixed}, nil
	}
	return Framing{}, fmt.Errorf("%q is none of %s and regex:EXPRESSION", name, Names)
}

// multiline makes ^ and $ the ends of lines in the expression behind it.
const multiline = "(?m)"

func parsePattern(pattern string) (Framing, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return Framing{}, fmt.Errorf("%q is no regular expression: %w", pattern, err)
	}
	if re.MatchString("") {
		return Framing{}, fmt.Errorf("%q matches nothing at all, so that it would cut everywhere", pattern)
	}
	if literal, whole := re.LiteralPrefix(); whole {
		return Framing{kind: delimited, delimiter: []byte(literal)}, nil
	}
	return Framing{kind: matched, pattern: regexp.MustCompile(multiline + pattern), ends: endingsOf(multiline + pattern)}, nil
}

// unit is what errors call a message.
func (f Framing) unit() string {
	if f.kind == lines {
		return "line"
	}
	return "message"
}

// An Error says which message cannot be read.
type Error struct {
	N       int // of the message, from 1
	TooLong bool
	Reason  string
}

func (e *Error) Error() string { return e.Reason }
