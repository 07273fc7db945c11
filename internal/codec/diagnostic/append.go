package diagnostic

import (
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"
)

// Append appends the notation of it, on one line.
func Append(dst []byte, it *Item) []byte {
	switch it.Kind {
	case Int:
		return it.Width.append(appendInt(dst, it))
	case Big:
		return it.Big.Append(dst, 10)
	case Float:
		return it.Width.append(AppendFloat(dst, it.Float, it.Width))
	case NaN:
		n := 1 << (it.Width - OneByte)
		var b [8]byte
		for i := range b {
			b[i] = byte(it.Arg >> (56 - 8*i))
		}
		return append(hex.AppendEncode(append(dst, "float'"...), b[8-n:]), '\'')
	case Bytes, Text:
		return it.appendString(dst)
	case Embed:
		return append(it.appendKids(append(dst, "<<"...), it.Kids, false), ">>"...)
	case Array:
		return it.appendList(dst, '[', ']')
	case Map:
		return it.appendList(dst, '{', '}')
	case Tag:
		dst = append(it.Width.append(strconv.AppendUint(dst, it.Arg, 10)), '(')
		return append(Append(dst, &it.Kids[0]), ')')
	case Ext:
		dst = strconv.AppendInt(append(dst, "ext("...), int64(int8(it.Arg)), 10)
		return append(hex.AppendEncode(append(dst, ", h'"...), it.Data), "')"...)
	case App:
		return append(append(append(append(dst, it.Name...), '\''), it.Data...), '\'')
	}
	return it.Width.append(appendSimple(dst, it.Arg))
}

func (w Width) append(dst []byte) []byte {
	switch w {
	case Shortest, Indefinite:
		return dst
	case Immediate:
		return append(dst, "_i"...)
	}
	return append(dst, '_', '0'+byte(w-OneByte))
}

func appendInt(dst []byte, it *Item) []byte {
	if !it.Negative {
		return strconv.AppendUint(dst, it.Arg, 10)
	}
	if it.Arg == math.MaxUint64 {
		return append(dst, "-18446744073709551616"...)
	}
	return strconv.AppendUint(append(dst, '-'), it.Arg+1, 10)
}

// Int is the number of an item of kind Int.
func (it *Item) Int() *big.Int {
	n := new(big.Int).SetUint64(it.Arg)
	if it.Negative {
		n.Not(n) // -1-n
	}
	return n
}

// AppendFloat appends v so that nobody takes it for an integer, with as many
// digits as tell it from others of its width.
func AppendFloat(dst []byte, v float64, w Width) []byte {
	size := 64
	if w == FourBytes || w == TwoBytes {
		size = 32
	}
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	case v == math.Trunc(v) && abs < 1e15:
		return strconv.AppendFloat(dst, v, 'f', 1, 64)
	case abs >= 1e-4 && abs < 1e15:
		return strconv.AppendFloat(dst, v, 'f', -1, size)
	}
	return strconv.AppendFloat(dst, v, 'e', -1, size)
}

func appendSimple(dst []byte, n uint64) []byte {
	switch n {
	case False:
		return append(dst, "false"...)
	case True:
		return append(dst, "true"...)
	case Null:
		return append(dst, "null"...)
	case Undefined:
		return append(dst, "undefined"...)
	}
	return append(strconv.AppendUint(append(dst, "simple("...), n, 10), ')')
}

func (it *Item) appendString(dst []byte) []byte {
	if it.Width == Indefinite {
		switch {
		case len(it.Kids) > 0:
			return append(it.appendKids(append(dst, "(_ "...), it.Kids, false), ')')
		case it.Kind == Text:
			return append(dst, `""_`...)
		}
		return append(dst, "''_"...)
	}
	if it.Kind == Bytes {
		return it.Width.append(append(hex.AppendEncode(append(dst, "h'"...), it.Data), '\''))
	}
	return it.Width.append(appendText(dst, it.Data))
}

// appendText appends a string as JSON has it.
func appendText(dst, s []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		b := s[i]
		switch {
		case b >= utf8.RuneSelf:
			_, n := utf8.DecodeRune(s[i:])
			dst = append(dst, s[i:i+n]...)
			i += n
			continue
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b == '\n':
			dst = append(dst, `\n`...)
		case b == '\r':
			dst = append(dst, `\r`...)
		case b == '\t':
			dst = append(dst, `\t`...)
		case b < ' ' || b == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
		default:
			dst = append(dst, b)
		}
		i++
	}
	return append(dst, '"')
}

func (it *Item) appendList(dst []byte, open, shut byte) []byte {
	dst = append(dst, open)
	switch {
	case it.Width == Indefinite:
		dst = append(dst, "_ "...)
	case it.Width != Shortest:
		dst = append(it.Width.append(dst), ' ')
	}
	return append(it.appendKids(dst, it.Kids, it.Kind == Map), shut)
}

func (it *Item) appendKids(dst []byte, kids []Item, pairs bool) []byte {
	for i := range kids {
		switch {
		case pairs && i%2 == 1:
			dst = append(dst, ": "...)
		case i > 0:
			dst = append(dst, ", "...)
		}
		dst = Append(dst, &kids[i])
	}
	return dst
}

// AppendSequence appends items with commas between them.
func AppendSequence(dst []byte, items []Item) []byte {
	return (*Item)(nil).appendKids(dst, items, false)
}
