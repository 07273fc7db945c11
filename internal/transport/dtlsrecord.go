package transport

import "encoding/binary"

// Records of DTLS: RFC 6347 §4.1. Those with a connection id have it in front of
// the length: RFC 9146 §4.
const (
	recordHeaderBytes = 13 // without connection id
	recordCipherSpec  = 20
	recordAlert       = 21
	recordHandshake   = 22
	recordData        = 23
	recordCID         = 25
)

// Handshake messages: RFC 5246 §7.4, RFC 6347 §4.2.2.
const (
	messageHeaderBytes       = 12
	messageClientHello       = 1
	messageServerHello       = 2
	messageClientKeyExchange = 16
)

// record is one record with its header.
type record []byte

// cutRecord takes the first record off b. Connection ids have idBytes; 0: there
// are none.
func cutRecord(b []byte, idBytes int) (r record, rest []byte, ok bool) {
	header := recordHeaderBytes
	if len(b) > 0 && b[0] == recordCID {
		if idBytes == 0 {
			return nil, nil, false
		}
		header += idBytes
	}
	if len(b) < header || b[1] != 0xfe {
		return nil, nil, false
	}
	n := header + int(binary.BigEndian.Uint16(b[header-2:]))
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// plain is a record without keys, of epoch 0.
func (r record) plain() bool { return r[3] == 0 && r[4] == 0 }

// sequence is the number of a record, in its epoch.
func (r record) sequence() uint64 { return binary.BigEndian.Uint64(r[3:]) & maxSequence }

// message is the type of the handshake message that a plain record begins with,
// 0 for none.
func (r record) message() byte {
	if r[0] != recordHandshake || !r.plain() || len(r) == recordHeaderBytes {
		return 0
	}
	return r[recordHeaderBytes]
}

// sound reports whether b consists of records that may come now: plain data
// never does, nor a plain alert once there are keys. outcomes is how many of them
// a reader may hear of.
func sound(b []byte, idBytes int, settled bool) (outcomes int, ok bool) {
	for len(b) > 0 {
		r, rest, ok := cutRecord(b, idBytes)
		if !ok {
			return 0, false
		}
		told := settled
		switch r[0] {
		case recordHandshake, recordCipherSpec:
		case recordAlert:
			if told = !r.plain(); r.plain() && settled {
				return 0, false
			}
		case recordData, recordCID:
			if told = !r.plain(); r.plain() {
				return 0, false
			}
		default:
			return 0, false
		}
		if told {
			outcomes++
		}
		b = rest
	}
	return outcomes, true
}

// handshakeBytes is the length of the records in b that are seen to be of a
// handshake.
func handshakeBytes(b []byte, idBytes int) (n int) {
	for len(b) > 0 {
		r, rest, ok := cutRecord(b, idBytes)
		if !ok {
			break
		}
		if r[0] == recordHandshake {
			n += len(r)
		}
		b = rest
	}
	return n
}

// isPlain reports whether b begins with a record without keys.
func isPlain(b []byte) bool { return len(b) >= recordHeaderBytes && record(b).plain() }

// unwrapAlert removes the connection id from an alert without keys, where it does
// not belong: the library puts it there when a handshake fails late.
func unwrapAlert(b []byte) []byte {
	const inner = 3 // level, description, and the type of the record
	tail := len(b) - inner
	if len(b) < recordHeaderBytes+inner || b[0] != recordCID || !record(b).plain() || b[tail-2] != 0 || b[tail-1] != inner || b[len(b)-1] != recordAlert {
		return b
	}
	return append(append([]byte{recordAlert}, b[1:recordHeaderBytes-2]...), 0, 2, b[tail], b[tail+1])
}

// decryptError is the fatal alert of that name: RFC 5246 §7.2. Its number is above
// those of the handshake's own records.
func decryptError() []byte {
	return []byte{recordAlert, 0xfe, 0xfd, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 2, 51}
}
