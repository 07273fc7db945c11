// Package layout is the format struct: payloads of fields one behind the other,
// bits among them, as a line such as
//
//	>u16:temperature*0.1-40 u3:mode{0:off,1:heat} u5:fan f32[3]:axes
//
// says. JSON is on the other side, with the digits that scaling gives, and not
// those of a binary fraction.
package layout

import (
	"fmt"
	"math/big"
	"os"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

// Format is the format struct.
func Format() payload.Format {
	return payload.Format{
		Name: "struct", Args: ":FIELDS or :@FILE",
		About:   "fields of bits and bytes, as in >u16:temp*0.1 or Python's >HhI",
		Example: "struct:>i16:temperature*0.1 u8:humidity",
		New: func(arg string) (payload.Codec, error) {
			if file, ok := strings.CutPrefix(arg, "@"); ok {
				text, err := readFile(file)
				if err != nil {
					return nil, err
				}
				arg = text
			}
			g, err := parse(arg)
			if err != nil {
				return nil, err
			}
			return codec{g}, nil
		},
	}
}

// maxText bounds the description of a layout.
const maxText = 64 << 10

// readFile reads fields from a file, without what stands behind #.
func readFile(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		text.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	return text.String(), nil
}

type kind uint8

const (
	unsigned kind = iota
	signed
	float
	boolean
	text       // of count bytes
	terminated // text up to a zero
	bin
	digits // bytes as hex
	pad    // bytes that say nothing
	group
)

// field is one of a layout.
type field struct {
	name   string // "" = has none, "_" = nobody wants to know
	kind   kind
	little bool
	bits   int // of a number
	scale  *big.Rat
	offset *big.Rat
	places int // of decimals that scale and offset give; -1: no decimal says it
	names  []label
	kids   *fields // of a group

	repeat repeat
	count  int    // for repeatCount
	by     string // for repeatBy
	// counts is the field of the same group whose number of elements this one is.
	counts *field
}

// label is the name of a value.
type label struct {
	value int64
	name  string
}

type repeat uint8

const (
	once repeat = iota
	repeatCount
	repeatBy   // as often as the field by says
	repeatRest // up to the end
)

// fields stand one behind the other: all of them have names, or none has.
type fields struct {
	all   []field
	named bool
	least int // bits that they take at least
}

// isList tells that the count is of elements, not of bytes.
func (f *field) isList() bool {
	return f.repeat != once && f.kind != text && f.kind != bin && f.kind != digits && f.kind != pad
}

// hidden fields have no value.
func (f *field) hidden() bool { return f.kind == pad || f.name == "_" }

func (f *field) title() string {
	if f.name != "" {
		return f.name
	}
	return f.typeName()
}

func (f *field) typeName() string {
	switch f.kind {
	case unsigned:
		return fmt.Sprintf("u%d", f.bits)
	case signed:
		return fmt.Sprintf("i%d", f.bits)
	case float:
		return fmt.Sprintf("f%d", f.bits)
	case boolean:
		if f.bits == 1 {
			return "flag"
		}
		return "bool"
	}
	return map[kind]string{text: "str", terminated: "strz", bin: "bytes", digits: "hex", pad: "pad", group: "( )"}[f.kind]
}

type codec struct{ all *fields }
