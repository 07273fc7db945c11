package avro

import (
	"strconv"

	"github.com/iotctl/iotctl/internal/payload"
)

// canonical appends the Parsing Canonical Form of s: what matters to readers, in
// one spelling. seen are the types that have been written out.
func canonical(dst []byte, s *schema, seen map[string]bool) []byte {
	if s.name != "" {
		if seen[s.name] {
			return payload.AppendString(dst, s.name)
		}
		seen[s.name] = true
		dst = payload.AppendString(append(dst, `{"name":`...), s.name)
		dst = append(append(append(dst, `,"type":"`...), s.kind.String()...), '"')
	}
	switch s.kind {
	case recordKind:
		dst = append(dst, `,"fields":[`...)
		for i, f := range s.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = payload.AppendString(append(dst, `{"name":`...), f.name)
			dst = append(canonical(append(dst, `,"type":`...), f.schema, seen), '}')
		}
		return append(dst, "]}"...)
	case enumKind:
		dst = append(dst, `,"symbols":[`...)
		for i, symbol := range s.symbols {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = payload.AppendString(dst, symbol)
		}
		return append(dst, "]}"...)
	case fixedKind:
		return append(strconv.AppendInt(append(dst, `,"size":`...), int64(s.size), 10), '}')
	case arrayKind:
		return append(canonical(append(dst, `{"type":"array","items":`...), s.items, seen), '}')
	case mapKind:
		return append(canonical(append(dst, `{"type":"map","values":`...), s.items, seen), '}')
	case unionKind:
		dst = append(dst, '[')
		for i, b := range s.branches {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = canonical(dst, b, seen)
		}
		return append(dst, ']')
	}
	return payload.AppendString(dst, s.kind.String())
}

// crc64 is the fingerprint CRC-64-AVRO.
func crc64(b []byte) uint64 {
	const empty = 0xc15d213aa4d7a795
	n := uint64(empty)
	for _, c := range b {
		n ^= uint64(c)
		for range 8 {
			n = n>>1 ^ empty&-(n&1)
		}
	}
	return n
}
