package mqtt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

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
