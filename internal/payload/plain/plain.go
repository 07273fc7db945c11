// Package plain has the formats that need no library: JSON, text, and bytes as
// hex or Base64.
package plain

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"unicode"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/payload"
)

// JSON is the format json: RFC 8259. What is sent is what was typed, once it is
// known to be JSON.
func JSON() payload.Format {
	return payload.Format{
		Name:    "json",
		About:   "JSON, every digit and the order of members kept",
		Example: "json",
		Types:   []string{"application/json", "+json", "text/json"},
		Guess: func(c *payload.Content) bool {
			b := bytes.TrimLeft(c.Bytes, " \t\r\n")
			return len(b) > 0 && bytes.IndexByte([]byte(`{["-0123456789tfn`), b[0]) >= 0
		},
		New: noArgument(jsonCodec{}),
	}
}

type jsonCodec struct{}

func (jsonCodec) Decode(c *payload.Content) (err error) {
	c.Value, err = payload.ParseJSON(c.Bytes)
	return err
}

func (jsonCodec) Encode(c *payload.Content) error {
	if c.Text == nil {
		c.Bytes = payload.AppendJSON(nil, c.Value)
		return nil
	}
	c.Bytes = c.Text
	_, err := payload.ParseJSON(c.Text)
	return err
}

// Text is the format text: UTF-8.
func Text() payload.Format {
	return payload.Format{
		Name:    "text",
		About:   "text in UTF-8",
		Example: "gzip|text",
		Types:   []string{"text/*"},
		Guess:   func(c *payload.Content) bool { return printable(c.Bytes) },
		Empty:   true,
		New:     noArgument(textCodec{}),
	}
}

// printable tells text from bytes that are UTF-8 by chance.
func printable(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool {
		return !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t' && r != '\u00a0'
	})
}

type textCodec struct{}

func (textCodec) Decode(c *payload.Content) error {
	if err := validText(c.Bytes); err != nil {
		return err
	}
	c.Value, c.Text = string(c.Bytes), bytes.Clone(c.Bytes)
	if c.Text == nil {
		c.Text = []byte{}
	}
	return nil
}

func (textCodec) Encode(c *payload.Content) error {
	typed, err := text(c)
	if err != nil {
		return err
	}
	c.Bytes = typed
	return validText(typed)
}

func validText(b []byte) error {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return payload.Malformedf(i, "0x%02x is no UTF-8", b[i])
		}
		i += n
	}
	return nil
}

// text is what was typed, or the string that was given as a value.
func text(c *payload.Content) ([]byte, error) {
	if c.Text != nil {
		return c.Text, nil
	}
	s, ok := c.Value.(string)
	if !ok {
		return nil, errors.New("the value is no string")
	}
	return []byte(s), nil
}

// Hex is the format hex: bytes that people see as hex.
func Hex() payload.Format {
	return payload.Format{
		Name: "hex", About: "any bytes, shown and typed as hex", Example: "hex",
		Types: []string{"application/octet-stream"},
		Guess: func(*payload.Content) bool { return true },
		Empty: true,
		New:   noArgument(shown{hex.AppendEncode, unhex}),
	}
}

// Base64 is the format base64: bytes that people see as Base64.
func Base64() payload.Format {
	return payload.Format{
		Name: "base64", About: "any bytes, shown and typed as Base64", Example: "zstd|base64",
		Empty: true,
		New:   noArgument(shown{base64.StdEncoding.AppendEncode, unbase64}),
	}
}

// UnHex is the format unhex: a payload that is itself hex.
func UnHex() payload.Format {
	return payload.Format{
		Name: "unhex", About: "a payload that is itself hex digits", Example: "unhex|cbor",
		Kind: payload.Packs,
		New:  noArgument(packed{hex.AppendEncode, unhex}),
	}
}

// UnBase64 is the format unbase64: a payload that is itself Base64.
func UnBase64() payload.Format {
	return payload.Format{
		Name: "unbase64", About: "a payload that is itself Base64", Example: "unbase64|msgpack",
		Kind: payload.Packs,
		New:  noArgument(packed{base64.StdEncoding.AppendEncode, unbase64}),
	}
}

// shown are bytes that people see in another form.
type shown struct {
	encode func(dst, src []byte) []byte
	decode func(src []byte) ([]byte, error)
}

func (s shown) Decode(c *payload.Content) error {
	if len(c.Bytes) > payload.MaxBytes/2 {
		return payload.Malformedf(0, "%d bytes are more than the %d that are shown", len(c.Bytes), payload.MaxBytes/2)
	}
	c.Text = s.encode([]byte{}, c.Bytes)
	c.Value = string(c.Text)
	return nil
}

func (s shown) Encode(c *payload.Content) error {
	typed, err := text(c)
	if err != nil {
		return err
	}
	c.Bytes, err = s.decode(typed)
	return err
}

// packed are payloads that are digits themselves.
type packed shown

func (p packed) Decode(c *payload.Content) (err error) {
	c.Bytes, err = p.decode(c.Bytes)
	return err
}

func (p packed) Encode(c *payload.Content) error {
	c.Bytes = p.encode(nil, c.Bytes)
	return nil
}

// unhex reads hex digits, with blanks, newlines, colons and dashes between bytes.
func unhex(src []byte) ([]byte, error) {
	out := make([]byte, 0, len(src)/2)
	high := -1
	for i, b := range src {
		n := digit(b)
		switch {
		case n >= 0 && high >= 0:
			out, high = append(out, byte(high<<4|n)), -1
		case n >= 0:
			high = n
		case high < 0 && bytes.IndexByte([]byte(" \t\r\n:-"), b) >= 0:
		default:
			return nil, payload.Malformedf(i, "%q is no hex digit", b)
		}
	}
	if high >= 0 {
		return nil, payload.Malformedf(len(src), "the second digit of a byte is missing")
	}
	return out, nil
}

func digit(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return int(b|0x20-'a') + 10
	}
	return -1
}

// unbase64 reads Base64 in the usual and in the URL alphabet, with or without
// padding, and over several lines.
func unbase64(src []byte) ([]byte, error) {
	plain := make([]byte, 0, len(src))
	for i, b := range src {
		switch {
		case b == ' ' || b == '\t' || b == '\n' || b == '\r':
			continue
		case b == '-':
			b = '+'
		case b == '_':
			b = '/'
		case b == '=' && len(bytes.Trim(src[i:], "= \t\r\n")) == 0:
			continue
		}
		plain = append(plain, b)
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(plain)))
	n, err := base64.RawStdEncoding.Decode(out, plain)
	if wrong := base64.CorruptInputError(0); errors.As(err, &wrong) {
		return nil, payload.Malformedf(offset(src, int(wrong)), "no Base64")
	}
	return out[:n], err
}

// offset is where the nth byte that is no blank stands.
func offset(src []byte, n int) int {
	for i, b := range src {
		if b == ' ' || b == '\t' || b == '\n' || b == '\r' {
			continue
		}
		if n == 0 {
			return i
		}
		n--
	}
	return len(src)
}

func noArgument(c payload.Codec) func(string) (payload.Codec, error) {
	return func(string) (payload.Codec, error) { return c, nil }
}
