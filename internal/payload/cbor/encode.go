package cbor

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/codec/diagnostic"
	wire "github.com/iotctl/iotctl/internal/codec/lwm2m/cbor"
	"github.com/iotctl/iotctl/internal/payload"
)

func (d codec) Encode(c *payload.Content) error {
	items, err := c.Notation()
	if err != nil {
		return err
	}
	if list, isList := c.Value.([]any); d.sequence && c.Text == nil && isList && len(items) == 1 && len(list) == len(items[0].Kids) {
		items = items[0].Kids // a value that was given, not typed
	}
	if !d.sequence && len(items) != 1 {
		return payload.Malformedf(0, "%d items, and one is to be; cbor:seq writes sequences", len(items))
	}
	out := []byte{}
	for i := range items {
		if out, err = appendItem(out, &items[i]); err != nil {
			return err
		}
	}
	c.Bytes = out
	return nil
}

func appendItem(dst []byte, it *diagnostic.Item) ([]byte, error) {
	switch it.Kind {
	case diagnostic.Int:
		if it.Negative {
			return appendHead(dst, wire.Negative, it.Arg, it.Width)
		}
		return appendHead(dst, wire.Unsigned, it.Arg, it.Width)
	case diagnostic.Big:
		return appendBig(dst, it.Big)
	case diagnostic.Float, diagnostic.NaN:
		return appendFloat(dst, it)
	case diagnostic.Bytes:
		return appendString(dst, wire.Bytes, it)
	case diagnostic.Text:
		return appendString(dst, wire.Text, it)
	case diagnostic.Embed:
		inner, err := appendKids(nil, it.Kids)
		if err != nil {
			return dst, err
		}
		return appendString(dst, wire.Bytes, &diagnostic.Item{Data: inner})
	case diagnostic.Array, diagnostic.Map:
		return appendList(dst, it)
	case diagnostic.Tag:
		dst, err := appendHead(dst, wire.Tag, it.Arg, it.Width)
		if err != nil {
			return dst, err
		}
		return appendItem(dst, &it.Kids[0])
	case diagnostic.Simple:
		return appendHead(dst, wire.Simple, it.Arg, it.Width)
	case diagnostic.App:
		return appendTime(dst, it)
	}
	return dst, fmt.Errorf("%s: CBOR has no extensions; use a tag, as in 100(h'00')", diagnostic.Append(nil, it))
}

// appendHead writes a head as wide as w says, or as short as can be.
func appendHead(dst []byte, m wire.Major, n uint64, w diagnostic.Width) ([]byte, error) {
	least := size(n)
	given := map[diagnostic.Width]int{
		diagnostic.Immediate: 1, diagnostic.OneByte: 2, diagnostic.TwoBytes: 3, diagnostic.FourBytes: 5, diagnostic.EightBytes: 9,
	}[w]
	if given == 0 {
		given = least
	}
	if given < least {
		return dst, fmt.Errorf("%d does not fit %d bytes", n, given-1)
	}
	first := byte(m) << 5
	switch given {
	case 1:
		return append(dst, first|byte(n)), nil
	case 2:
		return append(dst, first|24, byte(n)), nil
	case 3:
		return binary.BigEndian.AppendUint16(append(dst, first|25), uint16(n)), nil
	case 5:
		return binary.BigEndian.AppendUint32(append(dst, first|26), uint32(n)), nil
	}
	return binary.BigEndian.AppendUint64(append(dst, first|27), n), nil
}

func appendBig(dst []byte, n *big.Int) ([]byte, error) {
	tag := byte(0xc2)
	if n.Sign() < 0 {
		tag, n = 0xc3, new(big.Int).Not(n)
	}
	return appendString(append(dst, tag), wire.Bytes, &diagnostic.Item{Data: n.Bytes()})
}

func appendString(dst []byte, m wire.Major, it *diagnostic.Item) ([]byte, error) {
	if it.Width == diagnostic.Indefinite {
		dst = append(dst, byte(m)<<5|31)
		for i := range it.Kids {
			var err error
			if dst, err = appendString(dst, m, &it.Kids[i]); err != nil {
				return dst, err
			}
		}
		return append(dst, 0xff), nil
	}
	dst, err := appendHead(dst, m, uint64(len(it.Data)), it.Width)
	return append(dst, it.Data...), err
}

func appendList(dst []byte, it *diagnostic.Item) ([]byte, error) {
	m, n := wire.Array, len(it.Kids)
	if it.Kind == diagnostic.Map {
		m, n = wire.Map, n/2
	}
	if it.Width == diagnostic.Indefinite {
		dst, err := appendKids(append(dst, byte(m)<<5|31), it.Kids)
		return append(dst, 0xff), err
	}
	dst, err := appendHead(dst, m, uint64(n), it.Width)
	if err != nil {
		return dst, err
	}
	return appendKids(dst, it.Kids)
}

func appendKids(dst []byte, kids []diagnostic.Item) (_ []byte, err error) {
	for i := range kids {
		if dst, err = appendItem(dst, &kids[i]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// appendFloat writes the shortest float that is the same number, or that of the
// width.
func appendFloat(dst []byte, it *diagnostic.Item) ([]byte, error) {
	w, bits := it.Width, it.Arg
	if it.Kind == diagnostic.Float {
		if w == diagnostic.Shortest {
			w = shortest(it.Float)
		}
		switch {
		case math.IsNaN(it.Float):
			bits = quiet[w]
		case w == diagnostic.TwoBytes:
			h, ok := half(it.Float)
			if !ok {
				return dst, fmt.Errorf("%s is no float of 2 bytes", strconv.FormatFloat(it.Float, 'g', -1, 64))
			}
			bits = uint64(h)
		case w == diagnostic.FourBytes:
			bits = uint64(math.Float32bits(float32(it.Float)))
		default:
			bits = math.Float64bits(it.Float)
		}
	}
	switch w {
	case diagnostic.TwoBytes:
		return binary.BigEndian.AppendUint16(append(dst, 0xf9), uint16(bits)), nil
	case diagnostic.FourBytes:
		return binary.BigEndian.AppendUint32(append(dst, 0xfa), uint32(bits)), nil
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xfb), bits), nil
}

// shortest is the width of the shortest float that is v.
func shortest(v float64) diagnostic.Width {
	if _, ok := half(v); ok || math.IsNaN(v) {
		return diagnostic.TwoBytes
	}
	if float64(float32(v)) == v {
		return diagnostic.FourBytes
	}
	return diagnostic.EightBytes
}

// half is v as a float of 16 bits, if it is one.
func half(v float64) (uint16, bool) {
	sign := uint16(math.Float64bits(v)>>48) & 0x8000
	abs := math.Abs(v)
	switch {
	case abs == 0:
		return sign, true
	case math.IsInf(v, 0):
		return sign | 0x7c00, true
	case abs < 0x1p-14: // subnormal: a multiple of 2^-24
		n := abs * 0x1p24
		return sign | uint16(n), n == math.Trunc(n)
	case abs > 65504 || math.IsNaN(v):
		return 0, false
	}
	fraction, exp := math.Frexp(abs) // 0.5 <= fraction < 1
	n := fraction * 0x1p11
	return sign | uint16(exp+14)<<10 | uint16(n)&0x3ff, n == math.Trunc(n)
}

// appendTime writes dt'…' as a number of seconds, and DT'…' as that with tag 1.
func appendTime(dst []byte, it *diagnostic.Item) ([]byte, error) {
	at, err := time.Parse(time.RFC3339Nano, string(it.Data))
	if err != nil {
		return dst, fmt.Errorf("%s'%s' is no time such as 2026-11-22T02:50:00Z", it.Name, it.Data)
	}
	if it.Name == "DT" {
		dst = append(dst, 0xc1)
	}
	if at.Nanosecond() == 0 {
		n := diagnostic.IntItem(at.Unix())
		return appendItem(dst, &n)
	}
	return appendFloat(dst, &diagnostic.Item{Kind: diagnostic.Float, Float: float64(at.Unix()) + float64(at.Nanosecond())/1e9})
}
