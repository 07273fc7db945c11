package msgpack

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/iotctl/iotctl/internal/codec/diagnostic"
)

// appendItem writes it in the shortest form. Widths count for floats only.
func appendItem(dst []byte, it *diagnostic.Item) ([]byte, error) {
	switch it.Kind {
	case diagnostic.Int:
		return appendInt(dst, it)
	case diagnostic.Float:
		if it.Width == diagnostic.FourBytes {
			bits := math.Float32bits(float32(it.Float))
			if math.IsNaN(it.Float) {
				bits = 0x7fc00000
			}
			return binary.BigEndian.AppendUint32(append(dst, 0xca), bits), nil
		}
		bits := math.Float64bits(it.Float)
		if math.IsNaN(it.Float) {
			bits = quietNaN
		}
		return binary.BigEndian.AppendUint64(append(dst, 0xcb), bits), nil
	case diagnostic.NaN:
		if it.Width == diagnostic.FourBytes {
			return binary.BigEndian.AppendUint32(append(dst, 0xca), uint32(it.Arg)), nil
		}
		if it.Width == diagnostic.EightBytes {
			return binary.BigEndian.AppendUint64(append(dst, 0xcb), it.Arg), nil
		}
	case diagnostic.Text, diagnostic.Bytes:
		return appendString(dst, it)
	case diagnostic.Array, diagnostic.Map:
		return appendList(dst, it)
	case diagnostic.Ext:
		return appendExt(dst, int8(it.Arg), it.Data)
	case diagnostic.App:
		at, err := time.Parse(time.RFC3339Nano, string(it.Data))
		if err != nil || it.Name != "dt" {
			return dst, fmt.Errorf("%s'%s' is no time such as dt'2026-11-22T02:50:00Z'", it.Name, it.Data)
		}
		return appendExt(dst, timestamp, stamp(at))
	case diagnostic.Simple:
		switch it.Arg {
		case diagnostic.Null:
			return append(dst, 0xc0), nil
		case diagnostic.False:
			return append(dst, 0xc2), nil
		case diagnostic.True:
			return append(dst, 0xc3), nil
		}
	}
	return dst, fmt.Errorf("MessagePack has no %.60s", diagnostic.Append(nil, it))
}

func appendInt(dst []byte, it *diagnostic.Item) ([]byte, error) {
	n := it.Arg
	if !it.Negative {
		switch {
		case n < 0x80:
			return append(dst, byte(n)), nil
		case n <= math.MaxUint8:
			return append(dst, 0xcc, byte(n)), nil
		case n <= math.MaxUint16:
			return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(n)), nil
		case n <= math.MaxUint32:
			return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(n)), nil
		}
		return binary.BigEndian.AppendUint64(append(dst, 0xcf), n), nil
	}
	switch v := ^n; {
	case n < 32:
		return append(dst, byte(v)), nil
	case n <= math.MaxInt8:
		return append(dst, 0xd0, byte(v)), nil
	case n <= math.MaxInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(v)), nil
	case n <= math.MaxInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(v)), nil
	case n <= math.MaxInt64:
		return binary.BigEndian.AppendUint64(append(dst, 0xd3), v), nil
	}
	return dst, fmt.Errorf("%s is less than the 64 bits of MessagePack", diagnostic.Append(nil, it))
}

// appendLength writes a length: in the first byte below short, or behind the
// first byte for 1 (0 = there is none), 2 or 4 bytes.
func appendLength(dst []byte, n, short int, fix, one, two, four byte) ([]byte, error) {
	switch {
	case n < short:
		return append(dst, fix|byte(n)), nil
	case n <= math.MaxUint8 && one != 0:
		return append(dst, one, byte(n)), nil
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, two), uint16(n)), nil
	case uint64(n) <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, four), uint32(n)), nil
	}
	return dst, fmt.Errorf("a length of %d", n)
}

func appendString(dst []byte, it *diagnostic.Item) (_ []byte, err error) {
	data := it.Data
	for i := range it.Kids { // in parts, as CBOR has it
		data = append(data, it.Kids[i].Data...)
	}
	if it.Kind == diagnostic.Text {
		dst, err = appendLength(dst, len(data), 32, 0xa0, 0xd9, 0xda, 0xdb)
	} else {
		dst, err = appendLength(dst, len(data), 0, 0, 0xc4, 0xc5, 0xc6)
	}
	return append(dst, data...), err
}

func appendList(dst []byte, it *diagnostic.Item) (_ []byte, err error) {
	if it.Kind == diagnostic.Map {
		dst, err = appendLength(dst, len(it.Kids)/2, 16, 0x80, 0, 0xde, 0xdf)
	} else {
		dst, err = appendLength(dst, len(it.Kids), 16, 0x90, 0, 0xdc, 0xdd)
	}
	for i := range it.Kids {
		if err != nil {
			return dst, err
		}
		dst, err = appendItem(dst, &it.Kids[i])
	}
	return dst, err
}

func appendExt(dst []byte, kind int8, data []byte) (_ []byte, err error) {
	fixed := map[int]byte{1: 0xd4, 2: 0xd5, 4: 0xd6, 8: 0xd7, 16: 0xd8}[len(data)]
	if fixed != 0 {
		dst = append(dst, fixed)
	} else if dst, err = appendLength(dst, len(data), 0, 0, 0xc7, 0xc8, 0xc9); err != nil {
		return dst, err
	}
	return append(append(dst, byte(kind)), data...), nil
}
