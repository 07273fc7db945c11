// Package msgpack is the format msgpack, shown and typed in the notation that CBOR
// has, of which JSON is a part: h'…' are bytes, 1.5_2 is a float of 4 bytes,
// ext(type, h'…') an extension, and dt'…' its time stamp.
package msgpack

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/diagnostic"
	"github.com/iotctl/iotctl/internal/payload"
)

// Format is the format msgpack.
func Format() payload.Format {
	return payload.Format{
		Name: "msgpack", Example: "msgpack",
		About: "MessagePack in the same notation",
		Types: []string{"application/msgpack", "application/x-msgpack", "application/vnd.msgpack", "+msgpack"},
		Guess: func(c *payload.Content) bool { return plausible(c.Bytes) },
		New:   func(string) (payload.Codec, error) { return codec{}, nil },
	}
}

// plausible reports whether b is a map with names, or an array, and not empty.
func plausible(b []byte) bool {
	if len(b) < 2 || b[0]>>4 != 8 && b[0]>>4 != 9 && b[0] < 0xdc || b[0] >= 0xe0 {
		return false
	}
	r := reader{b: b}
	it, err := r.item(0)
	if err != nil || r.at < len(b) || len(it.Kids) == 0 {
		return false
	}
	if it.Kind == diagnostic.Map && it.Kids[0].Kind != diagnostic.Text && it.Kids[0].Kind != diagnostic.Int {
		return false
	}
	return !payload.ByChance(&it, len(b))
}

type codec struct{}

func (codec) Decode(c *payload.Content) error {
	r := reader{b: c.Bytes}
	it, err := r.item(0)
	if err != nil {
		return err
	}
	if r.at < len(r.b) {
		return payload.Malformedf(r.at, "%d bytes behind the value", len(r.b)-r.at)
	}
	c.Value, c.Text = payload.ValueOf(&it), diagnostic.Append(nil, &it)
	return nil
}

type reader struct {
	b     []byte
	at    int
	count int
	room  diagnostic.Room
}

// argument reads an integer of n bytes.
func (r *reader) argument(n int) (uint64, error) {
	if left := len(r.b) - r.at; left < n {
		return 0, payload.Malformedf(r.at, "%d of %d bytes of a number", left, n)
	}
	var v uint64
	for _, b := range r.b[r.at : r.at+n] {
		v = v<<8 | uint64(b)
	}
	r.at += n
	return v, nil
}

func (r *reader) data(n uint64, what string) ([]byte, error) {
	if left := uint64(len(r.b) - r.at); left < n {
		return nil, payload.Malformedf(r.at, "%d of %d bytes of %s", left, n, what)
	}
	b := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	return b, nil
}

func (r *reader) item(depth int) (it diagnostic.Item, err error) {
	off := r.at
	if r.count++; r.count > payload.MaxValues {
		return it, payload.Malformedf(off, "more than %d values", payload.MaxValues)
	}
	if depth > payload.MaxDepth {
		return it, payload.Malformedf(off, "more than %d levels", payload.MaxDepth)
	}
	if off >= len(r.b) {
		return it, payload.Malformedf(off, "a value is missing")
	}
	first := r.b[off]
	r.at++
	switch {
	case first < 0x80:
		return diagnostic.Item{Arg: uint64(first)}, nil
	case first < 0x90:
		return r.list(diagnostic.Map, uint64(first&15), off, depth)
	case first < 0xa0:
		return r.list(diagnostic.Array, uint64(first&15), off, depth)
	case first < 0xc0:
		return r.text(uint64(first & 31))
	case first >= 0xe0:
		return diagnostic.IntItem(int64(int8(first))), nil
	}
	return r.long(first, off, depth)
}

// long reads what is more than its first byte, and the simple values.
func (r *reader) long(first byte, off, depth int) (it diagnostic.Item, err error) {
	f := forms[first-0xc0]
	if f.what == unused {
		return it, payload.Malformedf(off, "0x%02x begins nothing", first)
	}
	n, err := r.argument(f.size)
	if err != nil {
		return it, err
	}
	switch f.what {
	case simple:
		return diagnostic.Item{Kind: diagnostic.Simple, Arg: f.value}, nil
	case unsigned:
		return diagnostic.Item{Arg: n}, nil
	case signed:
		return diagnostic.IntItem(int64(n<<(64-8*f.size)) >> (64 - 8*f.size)), nil
	case float:
		return floatOf(n, f.size), nil
	case text:
		return r.text(n)
	case bin:
		data, err := r.data(n, "bytes")
		return diagnostic.Item{Kind: diagnostic.Bytes, Data: data}, err
	case array:
		return r.list(diagnostic.Array, n, off, depth)
	case pairs:
		return r.list(diagnostic.Map, n, off, depth)
	}
	if f.size == 0 {
		n = f.value
	}
	return r.ext(n)
}

func floatOf(bits uint64, size int) diagnostic.Item {
	if size == 4 {
		it := diagnostic.Item{Kind: diagnostic.Float, Width: diagnostic.FourBytes, Float: float64(math.Float32frombits(uint32(bits)))}
		if math.IsNaN(it.Float) && bits != 0x7fc00000 {
			return diagnostic.Item{Kind: diagnostic.NaN, Width: diagnostic.FourBytes, Arg: bits}
		}
		return it
	}
	it := diagnostic.Item{Kind: diagnostic.Float, Float: math.Float64frombits(bits)}
	if math.IsNaN(it.Float) && bits != quietNaN {
		return diagnostic.Item{Kind: diagnostic.NaN, Width: diagnostic.EightBytes, Arg: bits}
	}
	return it
}

const quietNaN = 0x7ff8000000000000

func (r *reader) text(n uint64) (it diagnostic.Item, err error) {
	off := r.at
	data, err := r.data(n, "text")
	if err == nil && !utf8.Valid(data) {
		err = payload.Malformedf(off, "text that is not UTF-8")
	}
	return diagnostic.Item{Kind: diagnostic.Text, Data: data}, err
}

func (r *reader) list(kind diagnostic.Kind, n uint64, off, depth int) (it diagnostic.Item, err error) {
	left := uint64(len(r.b) - r.at)
	if kind == diagnostic.Map {
		if n > left/2 {
			return it, payload.Malformedf(off, "a map of %d pairs in %d bytes", n, left)
		}
		n *= 2
	}
	if n > left {
		return it, payload.Malformedf(off, "an array of %d values in %d bytes", n, left)
	}
	it = diagnostic.Item{Kind: kind, Kids: r.room.Kids(n)}
	for uint64(len(it.Kids)) < n {
		kid, err := r.item(depth + 1)
		if err != nil {
			return it, err
		}
		it.Kids = append(it.Kids, kid)
	}
	return it, nil
}

// timestamp is the type of extensions that are times.
const timestamp = -1

func (r *reader) ext(n uint64) (it diagnostic.Item, err error) {
	kind, err := r.argument(1)
	if err != nil {
		return it, err
	}
	data, err := r.data(n, "an extension")
	if err != nil {
		return it, err
	}
	it = diagnostic.Item{Kind: diagnostic.Ext, Arg: uint64(int8(kind)), Data: data}
	if int8(kind) == timestamp {
		if at, ok := timeOf(data); ok {
			return diagnostic.Item{Kind: diagnostic.App, Name: "dt", Data: at.AppendFormat(nil, time.RFC3339Nano)}, nil
		}
	}
	return it, nil
}

// timeOf is the time of a time stamp that is as short as can be, in years that
// RFC 3339 has.
func timeOf(data []byte) (at time.Time, ok bool) {
	switch len(data) {
	case 4:
		at = time.Unix(int64(binary.BigEndian.Uint32(data)), 0)
	case 8:
		v := binary.BigEndian.Uint64(data)
		if v>>34 > 999_999_999 {
			return at, false
		}
		at = time.Unix(int64(v&(1<<34-1)), int64(v>>34))
	case 12:
		nanos := binary.BigEndian.Uint32(data)
		seconds := int64(binary.BigEndian.Uint64(data[4:]))
		if nanos > 999_999_999 || seconds < -62135596800 || seconds > 253402300799 {
			return at, false
		}
		at = time.Unix(seconds, int64(nanos))
	}
	at = at.UTC()
	return at, len(data) == len(stamp(at)) && at.Year() > 0
}

// stamp is the shortest time stamp of at.
func stamp(at time.Time) []byte {
	seconds, nanos := at.Unix(), uint64(at.Nanosecond())
	switch {
	case seconds >= 0 && seconds <= math.MaxUint32 && nanos == 0:
		return binary.BigEndian.AppendUint32(nil, uint32(seconds))
	case seconds >= 0 && seconds < 1<<34:
		return binary.BigEndian.AppendUint64(nil, nanos<<34|uint64(seconds))
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(nanos)), uint64(seconds))
}

type what uint8

const (
	unused what = iota
	simple
	unsigned
	signed
	float
	text
	bin
	array
	pairs
	ext
)

// forms are the first bytes from 0xc0 to 0xdf: what follows them, the size of
// their number, and the value or length of those that have none.
var forms = [32]struct {
	what  what
	size  int
	value uint64
}{
	{simple, 0, diagnostic.Null},
	{},
	{simple, 0, diagnostic.False},
	{simple, 0, diagnostic.True},
	{bin, 1, 0},
	{bin, 2, 0},
	{bin, 4, 0},
	{ext, 1, 0},
	{ext, 2, 0},
	{ext, 4, 0},
	{float, 4, 0},
	{float, 8, 0},
	{unsigned, 1, 0},
	{unsigned, 2, 0},
	{unsigned, 4, 0},
	{unsigned, 8, 0},
	{signed, 1, 0},
	{signed, 2, 0},
	{signed, 4, 0},
	{signed, 8, 0},
	{ext, 0, 1},
	{ext, 0, 2},
	{ext, 0, 4},
	{ext, 0, 8},
	{ext, 0, 16},
	{text, 1, 0},
	{text, 2, 0},
	{text, 4, 0},
	{array, 2, 0},
	{array, 4, 0},
	{pairs, 2, 0},
	{pairs, 4, 0},
}

func (codec) Encode(c *payload.Content) error {
	items, err := c.Notation()
	if err != nil {
		return err
	}
	if len(items) != 1 {
		return fmt.Errorf("%d values, and one is to be", len(items))
	}
	c.Bytes, err = appendItem([]byte{}, &items[0])
	return err
}
