// Package protobuf reads the wire format of Protocol Buffers, an entry at a time.
package protobuf

import "google.golang.org/protobuf/encoding/protowire"

// Entry is one field on the wire.
type Entry struct {
	Num  protowire.Number
	Type protowire.Type
	N    uint64 // of varint, fixed32 and fixed64
	B    []byte // of bytes and groups; aliases what was read
	Tag  int    // how many bytes the tag has
	Size int    // and what stands behind it
}

// Next reads the entry at the beginning of b. When there is no tag Tag is below 0,
// and when what is behind it is cut short or broken Size is.
func Next(b []byte) Entry {
	var e Entry
	if e.Num, e.Type, e.Tag = protowire.ConsumeTag(b); e.Tag > 0 {
		e.N, e.B, e.Size = Value(e.Num, e.Type, b[e.Tag:])
	}
	return e
}

// Value reads what stands behind a tag. size is below 0 if it is cut short or
// broken.
func Value(num protowire.Number, typ protowire.Type, b []byte) (n uint64, data []byte, size int) {
	switch typ {
	case protowire.VarintType:
		n, size = protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		var v uint32
		v, size = protowire.ConsumeFixed32(b)
		n = uint64(v)
	case protowire.Fixed64Type:
		n, size = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		data, size = protowire.ConsumeBytes(b)
	case protowire.StartGroupType:
		data, size = protowire.ConsumeGroup(num, b)
	default:
		size = -1
	}
	return n, data, size
}

// Offset is where B begins, if the entry is at off.
func (e *Entry) Offset(off int) int {
	off += e.Tag
	if e.Type == protowire.BytesType {
		off += e.Size - len(e.B)
	}
	return off
}

// TypeName is what people call a wire type.
func TypeName(t protowire.Type) string {
	switch t {
	case protowire.VarintType:
		return "varint"
	case protowire.Fixed32Type:
		return "fixed32"
	case protowire.Fixed64Type:
		return "fixed64"
	case protowire.BytesType:
		return "bytes"
	}
	return "group"
}
