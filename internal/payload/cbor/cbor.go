// Package cbor is the format cbor: RFC 8949, shown and typed in diagnostic
// notation, of which JSON is a part. What is shown is what there is, with the
// widths that are not the shortest, so that it makes the same bytes again.
package cbor

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/diagnostic"
	wire "github.com/iotctl/iotctl/internal/codec/lwm2m/cbor"
	"github.com/iotctl/iotctl/internal/payload"
)

// Format is the format cbor.
func Format() payload.Format {
	return payload.Format{
		Name: "cbor", Args: "[:seq]", Example: "cbor",
		About: "CBOR (RFC 8949) in diagnostic notation; :seq for sequences",
		Types: []string{"application/cbor", "+cbor", "application/cose"},
		Guess: func(c *payload.Content) bool { return plausible(c.Bytes) },
		New: func(arg string) (payload.Codec, error) {
			if arg != "" && arg != "seq" {
				return nil, fmt.Errorf("%q is no kind of it: cbor or cbor:seq", arg)
			}
			return codec{sequence: arg == "seq"}, nil
		},
	}
}

// plausible reports whether b is a map or an array that is not empty, or tagged:
// nearly every byte is a number in CBOR.
func plausible(b []byte) bool {
	h, err := wire.ParseHead(b, 0)
	if err != nil || h.Major != wire.Array && h.Major != wire.Map && h.Major != wire.Tag || h.Bytes == len(b) {
		return false
	}
	it, err := read(b)
	if err != nil || len(it.Kids) == 0 {
		return false
	}
	switch it.Kind {
	case diagnostic.Map:
		if it.Kids[0].Kind != diagnostic.Text && it.Kids[0].Kind != diagnostic.Int {
			return false
		}
	case diagnostic.Tag:
		if it.Arg == selfDescribed {
			return true
		}
	case diagnostic.Array:
	}
	return !payload.ByChance(&it, len(b))
}

// selfDescribed is the tag that says that CBOR follows. RFC 8949 §3.4.6
const selfDescribed = 55799

type codec struct{ sequence bool }

func (d codec) Decode(c *payload.Content) error {
	r := reader{b: c.Bytes}
	if !d.sequence {
		it, err := r.item(0)
		if err != nil {
			return err
		}
		if r.at < len(r.b) {
			return payload.Malformedf(r.at, "%d bytes behind the item; cbor:seq reads sequences", len(r.b)-r.at)
		}
		c.Value, c.Text = payload.ValueOf(&it), diagnostic.Append(nil, &it)
		c.Notes = append(c.Notes, r.notes...)
		return nil
	}
	items, values := []diagnostic.Item{}, []any{}
	for r.at < len(r.b) {
		it, err := r.item(0)
		if err != nil {
			return err
		}
		items, values = append(items, it), append(values, payload.ValueOf(&it))
	}
	c.Value, c.Text = values, diagnostic.AppendSequence([]byte{}, items)
	c.Notes = append(c.Notes, r.notes...)
	return nil
}

// read is the one item that b is.
func read(b []byte) (diagnostic.Item, error) {
	r := reader{b: b}
	it, err := r.item(0)
	if err == nil && r.at < len(b) {
		err = errors.New("more than one item")
	}
	return it, err
}

type reader struct {
	b     []byte
	at    int
	count int
	room  diagnostic.Room
	notes []string
}

func (r *reader) head() (wire.Head, error) {
	h, err := wire.ParseHead(r.b, r.at)
	if wrong := (*wire.Malformed)(nil); errors.As(err, &wrong) {
		return h, &payload.Malformed{Offset: wrong.Offset, Reason: wrong.Reason}
	}
	r.at += h.Bytes
	return h, err
}

func (r *reader) item(depth int) (it diagnostic.Item, err error) {
	off := r.at
	if r.count++; r.count > payload.MaxValues {
		return it, payload.Malformedf(off, "more than %d items", payload.MaxValues)
	}
	if depth > payload.MaxDepth {
		return it, payload.Malformedf(off, "more than %d levels", payload.MaxDepth)
	}
	h, err := r.head()
	if err != nil {
		return it, err
	}
	if h.Break() {
		return it, payload.Malformedf(off, "a break where nothing is to be ended")
	}
	it = diagnostic.Item{Arg: h.Arg, Width: width(h)}
	switch h.Major {
	case wire.Unsigned, wire.Negative:
		it.Kind, it.Negative = diagnostic.Int, h.Major == wire.Negative
	case wire.Bytes, wire.Text:
		return r.text(h, off)
	case wire.Array, wire.Map:
		it.Kind = diagnostic.Array
		if h.Major == wire.Map {
			it.Kind = diagnostic.Map
		}
		it.Kids, err = r.kids(h, off, depth)
	case wire.Tag:
		kid, err := r.item(depth + 1)
		if n, ok := bignum(h, &kid); ok {
			return n, err
		}
		it.Kind, it.Kids = diagnostic.Tag, []diagnostic.Item{kid}
		return it, err
	default:
		return simple(h), nil
	}
	it.Arg = h.Arg
	return it, err
}

// width is how h is written, unless that is the shortest way.
func width(h wire.Head) diagnostic.Width {
	if h.Indefinite {
		return diagnostic.Indefinite
	}
	if h.Bytes == size(h.Arg) {
		return diagnostic.Shortest
	}
	return widthOf(h.Bytes)
}

// size is how many bytes the shortest head with n has.
func size(n uint64) int {
	switch {
	case n < 24:
		return 1
	case n <= math.MaxUint8:
		return 2
	case n <= math.MaxUint16:
		return 3
	case n <= math.MaxUint32:
		return 5
	}
	return 9
}

func widthOf(headBytes int) diagnostic.Width {
	return map[int]diagnostic.Width{
		1: diagnostic.Immediate, 2: diagnostic.OneByte, 3: diagnostic.TwoBytes, 5: diagnostic.FourBytes, 9: diagnostic.EightBytes,
	}[headBytes]
}

// kids are the items of an array or a map.
func (r *reader) kids(h wire.Head, off, depth int) ([]diagnostic.Item, error) {
	n, left := h.Arg, uint64(len(r.b)-r.at)
	pairs := h.Major == wire.Map
	if pairs && !h.Indefinite {
		if n > left/2 {
			return nil, payload.Malformedf(off, "a map of %d pairs in %d bytes", n, left)
		}
		n *= 2
	}
	if n > left && !h.Indefinite {
		return nil, payload.Malformedf(off, "an array of %d items in %d bytes", n, left)
	}
	kids := []diagnostic.Item{}
	if !h.Indefinite {
		kids = r.room.Kids(n)
	}
	var seen map[string]bool
	for h.Indefinite || uint64(len(kids)) < n {
		if h.Indefinite && r.at < len(r.b) && r.b[r.at] == 0xff {
			if pairs && len(kids)%2 != 0 {
				return nil, payload.Malformedf(r.at, "a key of a map has no value")
			}
			r.at++
			break
		}
		kid, err := r.item(depth + 1)
		if err != nil {
			return nil, err
		}
		if pairs && len(kids)%2 == 0 {
			seen = r.note(seen, &kid)
		}
		kids = append(kids, kid)
	}
	return kids, nil
}

// note remembers a key, and notes if it was there before.
func (r *reader) note(seen map[string]bool, key *diagnostic.Item) map[string]bool {
	if seen == nil {
		seen = make(map[string]bool)
	}
	text := string(diagnostic.Append(nil, key))
	if seen[text] && len(r.notes) == 0 {
		r.notes = append(r.notes, fmt.Sprintf("the key %s is there more than once", text))
	}
	seen[text] = true
	return seen
}

func (r *reader) text(h wire.Head, off int) (it diagnostic.Item, err error) {
	it.Kind, it.Width = diagnostic.Bytes, width(h)
	if h.Major == wire.Text {
		it.Kind = diagnostic.Text
	}
	if !h.Indefinite {
		if left := uint64(len(r.b) - r.at); h.Arg > left {
			return it, payload.Malformedf(off, "%v: %d of %d bytes", h.Major, left, h.Arg)
		}
		it.Data = r.b[r.at : r.at+int(h.Arg)]
		r.at += int(h.Arg)
		if h.Major == wire.Text && !utf8.Valid(it.Data) {
			return it, payload.Malformedf(off, "text that is not UTF-8")
		}
		return it, nil
	}
	for {
		at := r.at
		chunk, err := r.head()
		switch {
		case err != nil:
			return it, err
		case chunk.Break():
			return it, nil
		case chunk.Major != h.Major || chunk.Indefinite:
			return it, payload.Malformedf(at, "%v within %v in parts", chunk.Major, h.Major)
		}
		if r.count++; r.count > payload.MaxValues {
			return it, payload.Malformedf(at, "more than %d items", payload.MaxValues)
		}
		part, err := r.text(chunk, at)
		if err != nil {
			return it, err
		}
		it.Kids = append(it.Kids, part)
	}
}

// bignum is the number of tags 2 and 3, where their bytes are as short as can be
// and no integer would do. RFC 8949 §3.4.3
func bignum(h wire.Head, kid *diagnostic.Item) (diagnostic.Item, bool) {
	const digits = 4000 // bytes that are written in decimal in a short time
	if h.Arg != 2 && h.Arg != 3 || h.Bytes != 1 || kid.Kind != diagnostic.Bytes || kid.Width != diagnostic.Shortest ||
		len(kid.Data) < 9 || len(kid.Data) > digits || kid.Data[0] == 0 {
		return diagnostic.Item{}, false
	}
	n := new(big.Int).SetBytes(kid.Data)
	if h.Arg == 3 {
		n.Not(n)
	}
	return diagnostic.Item{Kind: diagnostic.Big, Big: n}, true
}

func simple(h wire.Head) diagnostic.Item {
	v, ok := h.Float()
	if !ok {
		return diagnostic.Item{Kind: diagnostic.Simple, Arg: h.Arg}
	}
	w := widthOf(h.Bytes)
	it := diagnostic.Item{Kind: diagnostic.Float, Float: v, Width: w}
	switch {
	case math.IsNaN(v) && h.Arg != quiet[w]:
		return diagnostic.Item{Kind: diagnostic.NaN, Arg: h.Arg, Width: w}
	case shortest(v) == w && (w != diagnostic.FourBytes || float32Digits(v)):
		it.Width = diagnostic.Shortest
	}
	return it
}

// quiet are the bits of the usual NaN.
var quiet = [...]uint64{diagnostic.TwoBytes: 0x7e00, diagnostic.FourBytes: 0x7fc00000, diagnostic.EightBytes: 0x7ff8000000000000}

// float32Digits reports whether v has no more digits as a float64 than as a
// float32: 21.3 of 4 bytes is 21.299999237060547, and is written 21.3_2.
func float32Digits(v float64) bool {
	return string(diagnostic.AppendFloat(nil, v, diagnostic.FourBytes)) == string(diagnostic.AppendFloat(nil, v, diagnostic.EightBytes))
}
