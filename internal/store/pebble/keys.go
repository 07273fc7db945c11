package pebble

import "encoding/binary"

// The first byte of a key is its family. Numbers in keys are big-endian and
// have a fixed width, so that they sort.
//
//	00 name              meta: schema, created, last sid
//	02 sid part …        what belongs to a session, in the order of Load
//	   sid 00            the session itself
//	   sid 01 filter     subscription
//	   sid 02 seq        queue entry: message, reference to a body, or released
//	   sid 03 packetID   inbound QoS 2 marker
//	   sid 04 key        what a gateway keeps
//	03 mid               body of a message that several queues hold
//	04 topic             retained message
//	05 client id         will
//
// A client identifier may be 65,535 bytes of anything; the rest of what
// belongs to it is found by a number, the sid, which is never used again.
// Everything of a session is one range, so that one tombstone wipes it.
const (
	familyMeta     = 0x00
	familySession  = 0x02
	familyBody     = 0x03
	familyRetained = 0x04
	familyWill     = 0x05
)

const (
	partSession      = 0x00
	partSubscription = 0x01
	partQueue        = 0x02
	partReceived     = 0x03
	partKept         = 0x04
)

const (
	sidEnd  = 1 + 8      // of family and sid
	partEnd = sidEnd + 1 // of family, sid and part
)

var (
	keySchema  = []byte("\x00schema")
	keyCreated = []byte("\x00created")
	keyLastSID = []byte("\x00sid")
)

// appendSession appends the prefix of all keys of a session.
func appendSession(dst []byte, sid uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, familySession), sid)
}

func appendPart(dst []byte, sid uint64, part byte) []byte {
	return append(appendSession(dst, sid), part)
}

func appendQueue(dst []byte, sid, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(appendPart(dst, sid, partQueue), seq)
}

func appendReceived(dst []byte, sid uint64, packetID uint16) []byte {
	return binary.BigEndian.AppendUint16(appendPart(dst, sid, partReceived), packetID)
}

func appendBody(dst []byte, mid uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, familyBody), mid)
}

// end is the first key behind those that start with prefix.
func end(prefix []byte) []byte {
	e := append([]byte(nil), prefix...)
	for i := len(e) - 1; i >= 0; i-- {
		e[i]++
		if e[i] != 0 {
			return e[:i+1]
		}
	}
	return nil
}

// sessionKey takes a key of familySession apart.
func sessionKey(key []byte) (sid uint64, part byte, rest []byte, ok bool) {
	if len(key) < partEnd || key[0] != familySession {
		return 0, 0, nil, false
	}
	return binary.BigEndian.Uint64(key[1:]), key[sidEnd], key[partEnd:], true
}

// number takes the fixed-width number that ends a key.
func number(rest []byte) (uint64, bool) {
	if len(rest) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(rest), true
}

func appendNumber(dst []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(dst, n) }
