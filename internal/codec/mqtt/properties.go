package mqtt

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
)

// MaxFieldBytes is the greatest size of a string or binary field.
const MaxFieldBytes = 65535

// Properties is a sequence of encoded properties without the length in front
// of it. Their order is kept, that of user properties included. nil is none.
// Reading stops at the first byte that is no property, so the methods are safe
// on anything; Validate tells.
type Properties []byte

// Property is one property; its slices alias the Properties it was read from.
type Property struct {
	ID    PropertyID
	Num   uint32 // of the numeric wire types
	Bytes []byte // of strings and binary data; the name of a user property
	Value []byte // the value of a user property
}

// All yields the properties in order.
func (p Properties) All() iter.Seq[Property] {
	return func(yield func(Property) bool) {
		for rest := p; len(rest) > 0; {
			q, n := nextProperty(rest)
			if n <= 0 || !yield(q) {
				return
			}
			rest = rest[n:]
		}
	}
}

// find returns the first property with that id.
func (p Properties) find(id PropertyID) (Property, bool) {
	for len(p) > 0 {
		q, n := nextProperty(p)
		if n <= 0 {
			break
		}
		if q.ID == id {
			return q, true
		}
		p = p[n:]
	}
	return Property{}, false
}

// Has tells whether the property is there.
func (p Properties) Has(id PropertyID) bool {
	_, ok := p.find(id)
	return ok
}

// Byte returns the first property with that id.
func (p Properties) Byte(id PropertyID) (uint8, bool) {
	q, ok := p.find(id)
	return uint8(q.Num), ok
}

// Uint16 returns the first property with that id.
func (p Properties) Uint16(id PropertyID) (uint16, bool) {
	q, ok := p.find(id)
	return uint16(q.Num), ok
}

// Uint32 returns the first property with that id.
func (p Properties) Uint32(id PropertyID) (uint32, bool) {
	q, ok := p.find(id)
	return q.Num, ok
}

// Varint returns the first property with that id.
func (p Properties) Varint(id PropertyID) (uint32, bool) { return p.Uint32(id) }

// Bytes returns the first property with that id; the slice aliases p.
func (p Properties) Bytes(id PropertyID) ([]byte, bool) {
	q, ok := p.find(id)
	return q.Bytes, ok
}

// String returns the first property with that id.
func (p Properties) String(id PropertyID) (string, bool) {
	q, ok := p.find(id)
	return string(q.Bytes), ok
}

// AppendByte appends a property of wire type byte.
func (p Properties) AppendByte(id PropertyID, v uint8) Properties {
	return append(p, byte(id), v)
}

// AppendUint16 appends a property of wire type two-byte integer.
func (p Properties) AppendUint16(id PropertyID, v uint16) Properties {
	return binary.BigEndian.AppendUint16(append(p, byte(id)), v)
}

// AppendUint32 appends a property of wire type four-byte integer.
func (p Properties) AppendUint32(id PropertyID, v uint32) Properties {
	return binary.BigEndian.AppendUint32(append(p, byte(id)), v)
}

// AppendVarint appends a property of wire type variable byte integer, which
// ends at MaxRemaining.
func (p Properties) AppendVarint(id PropertyID, v uint32) Properties {
	return appendVarint(append(p, byte(id)), int(min(v, MaxRemaining)))
}

// AppendBytes appends binary data. It panics if v is longer than
// MaxFieldBytes: callers bound what comes from outside.
func (p Properties) AppendBytes(id PropertyID, v []byte) Properties {
	mustFit(id, len(v))
	return appendBytes(append(p, byte(id)), v)
}

// AppendString appends a string. It panics if v is longer than MaxFieldBytes.
func (p Properties) AppendString(id PropertyID, v string) Properties {
	mustFit(id, len(v))
	return appendString(append(p, byte(id)), v)
}

// AppendUserProperty appends a user property. It panics if a part is longer
// than MaxFieldBytes.
func (p Properties) AppendUserProperty(name, value string) Properties {
	mustFit(PropUserProperty, max(len(name), len(value)))
	return appendString(appendString(append(p, byte(PropUserProperty)), name), value)
}

func mustFit(id PropertyID, n int) {
	if n > MaxFieldBytes {
		panic(fmt.Sprintf("%v: %d bytes", id, n))
	}
}

// Append appends q in its wire type.
func (p Properties) Append(q Property) Properties {
	switch q.ID.Wire() {
	case WireByte:
		return p.AppendByte(q.ID, uint8(q.Num))
	case WireUint16:
		return p.AppendUint16(q.ID, uint16(q.Num))
	case WireUint32:
		return p.AppendUint32(q.ID, q.Num)
	case WireVarint:
		return p.AppendVarint(q.ID, q.Num)
	case WireBytes, WireString:
		return p.AppendBytes(q.ID, q.Bytes)
	case WirePair:
		mustFit(q.ID, max(len(q.Bytes), len(q.Value)))
		return appendBytes(appendBytes(append(p, byte(q.ID)), q.Bytes), q.Value)
	}
	return p
}

// Without returns the properties that have none of the ids: p itself when
// there is nothing to drop, else a copy.
func (p Properties) Without(ids ...PropertyID) Properties {
	for off := 0; off < len(p); {
		q, n := nextProperty(p[off:])
		if n <= 0 {
			return p
		}
		if slices.Contains(ids, q.ID) {
			return p.appendWithout(slices.Clone(p[:off]), off+n, ids)
		}
		off += n
	}
	return p
}

func (p Properties) appendWithout(dst Properties, off int, ids []PropertyID) Properties {
	for off < len(p) {
		q, n := nextProperty(p[off:])
		if n <= 0 {
			break
		}
		if !slices.Contains(ids, q.ID) {
			dst = append(dst, p[off:off+n]...)
		}
		off += n
	}
	if len(dst) == 0 {
		return nil
	}
	return dst
}

// propertiesSize is what the properties and their length take up: nothing
// before 5.0.
func propertiesSize(p Properties, v Version) int {
	if v < V5 {
		return 0
	}
	return sizeVarint(len(p)) + len(p)
}

func appendProperties(dst []byte, p Properties, v Version) []byte {
	if v < V5 {
		return dst
	}
	return append(appendVarint(dst, len(p)), p...)
}
