package lwm2m

import (
	"errors"
	"fmt"
	"math"

	"github.com/iotctl/iotctl/internal/codec/lwm2m/cbor"
)

// clauseCBOR is where SenML in CBOR is laid down.
const clauseCBOR = "RFC 8428 §6"

// labels of CBOR. RFC 8428 §6, table 4
var labels = map[int64]string{
	-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
	0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}

// ParseSenMLCBOR reads a pack: an array of maps. With a *Malformed it returns the
// records before it.
func ParseSenMLCBOR(b []byte) ([]Record, error) {
	p := cborReader{b: b}
	var records []Record
	end, err := p.each(0, cbor.Array, func(off int) (int, error) {
		r := Record{Off: off}
		end, err := p.each(off, cbor.Map, func(at int) (int, error) {
			pair, err := p.pair(at)
			if err == nil {
				r.Pairs = append(r.Pairs, pair)
			}
			return at + pair.Len, err
		})
		if err == nil {
			r.Len = end - off
			records = append(records, r)
		}
		return end, err
	})
	if err == nil && end < len(b) {
		err = p.malformed(end, "%d bytes after the pack", len(b)-end)
	}
	if bad := (*cbor.Malformed)(nil); errors.As(err, &bad) {
		err = p.malformed(bad.Offset, "%s", bad.Reason)
	}
	return records, err
}

type cborReader struct{ b []byte }

func (p *cborReader) malformed(off int, format string, args ...any) *Malformed {
	return &Malformed{Offset: off, Clause: clauseCBOR, Reason: fmt.Sprintf(format, args...)}
}

// each reads the array or map at b[off]: take reads an element or a pair, and
// returns where it ends.
func (p *cborReader) each(off int, want cbor.Major, take func(off int) (int, error)) (end int, err error) {
	h, err := cbor.ParseHead(p.b, off)
	if err != nil {
		return off, err
	}
	if h.Major != want {
		return off, p.malformed(off, "%v, not %v", h.Major, want)
	}
	at := off + h.Bytes
	for i := uint64(0); h.Indefinite || i < h.Arg; i++ {
		if h.Indefinite && at < len(p.b) && p.b[at] == 0xff {
			return at + 1, nil
		}
		if at, err = take(at); err != nil {
			return at, err
		}
	}
	return at, nil
}

func (p *cborReader) pair(off int) (pair Pair, err error) {
	pair.Off = off
	valueOff, err := cbor.Skip(p.b, off)
	if err != nil {
		return pair, err
	}
	end, err := cbor.Skip(p.b, valueOff)
	if err != nil {
		return pair, err
	}
	pair.ValueOff, pair.Len = valueOff, end-off
	switch key := p.scalar(off, valueOff).(type) {
	case string:
		pair.Label = key
	case int64:
		if pair.Label = labels[key]; pair.Label == "" {
			pair.Label = fmt.Sprintf("label %d", key)
		}
	default:
		return pair, p.malformed(off, "a label that is neither a number nor text")
	}
	pair.Value = p.scalar(valueOff, end)
	return pair, nil
}

// scalar is the value of the item from off to end, which is well-formed; nil if it
// is none of one.
func (p *cborReader) scalar(off, end int) any {
	h, err := cbor.ParseHead(p.b, off)
	if err != nil || h.Indefinite {
		return nil
	}
	value := p.b[off+h.Bytes : end]
	switch h.Major {
	case cbor.Unsigned:
		if h.Arg > math.MaxInt64 {
			return float64(h.Arg)
		}
		return int64(h.Arg)
	case cbor.Negative:
		if h.Arg > math.MaxInt64 {
			return -float64(h.Arg) - 1
		}
		return -int64(h.Arg) - 1
	case cbor.Bytes:
		return append([]byte{}, value...)
	case cbor.Text:
		return string(value)
	case cbor.Tag:
		return p.tagged(h, off+h.Bytes, end)
	case cbor.Simple:
		if v, ok := h.Float(); ok {
			return v
		}
		if h.Arg == cbor.True || h.Arg == cbor.False {
			return h.Arg == cbor.True
		}
	}
	return nil
}

// tagged is what a decimal fraction (tag 4) is, nil for other tags. RFC 8428 §6
func (p *cborReader) tagged(h cbor.Head, off, end int) any {
	array, err := cbor.ParseHead(p.b, off)
	if h.Arg != 4 || err != nil || array.Major != cbor.Array || array.Arg != 2 || array.Indefinite {
		return nil
	}
	first := off + array.Bytes
	second, err := cbor.Skip(p.b, first)
	if err != nil {
		return nil
	}
	exponent, ok := p.scalar(first, second).(int64)
	mantissa, isNumber := p.scalar(second, end).(int64)
	if !ok || !isNumber || exponent < -400 || exponent > 400 {
		return nil
	}
	return float64(mantissa) * math.Pow(10, float64(exponent))
}
