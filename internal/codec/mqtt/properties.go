package mqtt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
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

var errNotText = errors.New("takes two values")

// AppendText appends a property whose value is given as text, as on a command
// line: decimal numbers, everything else as it is. It refuses what does not
// fit the wire type or breaks the value's rule; user properties have two
// values and are refused.
func (p Properties) AppendText(id PropertyID, value string) (Properties, error) {
	wrap := func(err error) (Properties, error) { return p, fmt.Errorf("%v: %w", id, err) }
	bits := 0
	switch id.Wire() {
	case WireByte:
		bits = 8
	case WireUint16:
		bits = 16
	case WireUint32:
		bits = 32
	case WireVarint:
		bits = 28
	case WireBytes, WireString:
		if len(value) > MaxFieldBytes {
			return wrap(ErrTooLong)
		}
	default:
		return wrap(errNotText)
	}
	var num uint64
	if bits > 0 {
		n, err := strconv.ParseUint(value, 10, bits)
		if err != nil {
			return wrap(fmt.Errorf("%q: %w", value, errors.Unwrap(err)))
		}
		num = n
	}
	if why := id.spec().breach(Property{ID: id, Num: uint32(num), Bytes: []byte(value)}); why != "" {
		return wrap(errors.New(why))
	}
	switch bits {
	case 8:
		return p.AppendByte(id, uint8(num)), nil
	case 16:
		return p.AppendUint16(id, uint16(num)), nil
	case 32:
		return p.AppendUint32(id, uint32(num)), nil
	case 28:
		return p.AppendVarint(id, uint32(num)), nil
	}
	return p.AppendString(id, value), nil
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

// Validate tells whether p is a well-formed sequence that w may carry. The
// error is a *Malformed with offsets into p. In lenient mode the findings go
// to the notes.
func (p Properties) Validate(w Where, o *Options) error {
	t := Type(w)
	if w == InWill {
		t = TypeConnect
	}
	r := reader{b: p, typ: t, v: V5, o: o}
	r.checkProperties(p, 0, w)
	return r.result()
}

// nextProperty reads the property at the start of p and returns its size, 0 if
// it is cut short or has an overlong number, -1 if there is no such property.
func nextProperty(p []byte) (q Property, n int) {
	q.ID = PropertyID(p[0])
	rest := p[1:]
	switch q.ID.spec().wire {
	case WireByte:
		if len(rest) < 1 {
			return q, 0
		}
		q.Num = uint32(rest[0])
		return q, 2
	case WireUint16:
		if len(rest) < 2 {
			return q, 0
		}
		q.Num = uint32(binary.BigEndian.Uint16(rest))
		return q, 3
	case WireUint32:
		if len(rest) < 4 {
			return q, 0
		}
		q.Num = binary.BigEndian.Uint32(rest)
		return q, 5
	case WireVarint:
		q.Num, n = parseVarint(rest)
		if n <= 0 {
			return q, 0
		}
		return q, 1 + n
	case WireBytes, WireString:
		q.Bytes, n = prefixed(rest)
		if n == 0 {
			return q, 0
		}
		return q, 1 + n
	case WirePair:
		q.Bytes, n = prefixed(rest)
		if n == 0 {
			return q, 0
		}
		var m int
		q.Value, m = prefixed(rest[n:])
		if m == 0 {
			return q, 0
		}
		return q, 1 + n + m
	}
	return q, -1
}

// prefixed reads data behind a two-byte length; n is 0 if it is cut short.
func prefixed(b []byte) (v []byte, n int) {
	if len(b) < 2 {
		return nil, 0
	}
	n = 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < n {
		return nil, 0
	}
	return b[2:n:n], n
}

// breach says what is wrong with the value of q, if anything.
func (s *propertySpec) breach(q Property) string {
	switch s.rule {
	case zeroOrOne:
		if q.Num > 1 {
			return "is " + strconv.FormatUint(uint64(q.Num), 10) + ", not 0 or 1"
		}
	case notZero:
		if q.Num == 0 {
			return "is 0"
		}
	case topicName:
		if len(q.Bytes) == 0 {
			return "is empty"
		}
		if bytes.IndexByte(q.Bytes, '+') >= 0 || bytes.IndexByte(q.Bytes, '#') >= 0 {
			return "contains a wildcard"
		}
	}
	return ""
}

// checkProperties reports every violation in p, which stands at offset base of
// the body, and returns how many bytes of p can be read.
func (r *reader) checkProperties(p Properties, base int, w Where) int {
	var seen uint64
	for off := 0; off < len(p); {
		q, n := nextProperty(p[off:])
		if n <= 0 {
			why := "is cut short"
			if n < 0 {
				why = "does not exist"
			}
			r.flag(base+off, MalformedPacket, "", "MQTT-2.2.2.2", fmt.Sprintf("%v %s", q.ID, why))
			return off
		}
		r.checkProperty(q, n, base+off, w, seen)
		seen |= 1 << q.ID
		off += n
	}
	return len(p)
}

func (r *reader) checkProperty(q Property, size, off int, w Where, seen uint64) {
	s := &propertyTable[q.ID] // nextProperty refuses ids beyond it
	switch {
	case s.in&(1<<w) == 0:
		r.flag(off, MalformedPacket, "", "MQTT-2.2.2.2", fmt.Sprintf("%s does not belong into %v", s.name, w))
	case seen&(1<<q.ID) != 0 && s.repeat&(1<<w) == 0:
		r.flag(off, ProtocolError, "", s.clause, s.name+" appears more than once")
	}
	if why := s.breach(q); why != "" {
		r.flag(off, max(s.code, ProtocolError), "", s.clause, s.name+" "+why)
	}
	switch s.wire {
	case WireString:
		r.utf8(off, q.Bytes, s.name) // [MQTT-3.3.2-13] [MQTT-3.3.2-19]
	case WirePair:
		r.utf8(off, q.Bytes, "name of user-property") // [MQTT-1.5.7-1]
		r.utf8(off, q.Value, "value of user-property")
	case WireVarint:
		if size != 1+sizeVarint(int(q.Num)) {
			r.flag(off, MalformedPacket, "", "MQTT-1.5.5-1", s.name+" is not in its shortest form")
		}
	}
	if r.o.EitherSide {
		return
	}
	switch {
	case q.ID == PropSubscriptionIdentifier && w == In(TypePublish) && !r.o.FromServer:
		r.flag(off, ProtocolError, "", "MQTT-3.3.4-6", "subscription-identifier sent by a client")
	case q.ID == PropSessionExpiryInterval && w == In(TypeDisconnect) && r.o.FromServer:
		r.flag(off, ProtocolError, "", "MQTT-3.14.2-2", "session-expiry-interval sent by a server")
	}
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
