package bench

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
)

// A stamp stands at the start of each payload. The full one has 44 bytes, all
// numbers in big endian:
//
//	0  magic   "iotb"
//	4  crc     Castagnoli, of everything behind it
//	8  run     random, the same for all messages of a run
//	12 stream  publisher and topic
//	16 reserved, 0
//	20 seq     of the stream, from 0
//	28 due     intended time, nanoseconds since 1970
//	36 sent    time of sending, nanoseconds since 1970
//
// Smaller payloads have 16 bytes:
//
//	0  crc     the lower 24 bits, of everything behind it
//	3  stream  24 bits
//	6  seq     32 bits
//	10 due     32 bits, in units of 4 µs since 1970, the upper ones are lost
//	14 late    sent-due in the same unit: 11 bits, shifted left by the upper 5
//
// What follows is noise, so that links that compress gain nothing.
const (
	fullStamp    = 44
	compactStamp = 16
	// MinPayload is the least size of a payload.
	MinPayload = compactStamp

	stampUnit = 4000 // ns
)

var (
	stampMagic = []byte("iotb")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// stamp is what a payload says. Times are nanoseconds since 1970.
type stamp struct {
	run, stream uint32
	seq         uint64
	due, sent   int64
	compact     bool
}

// noise is a payload of that size without a stamp.
func noise(size int, seed uint64) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	_, _ = r.Read(b)
	return b
}

// put writes s at the start of a payload.
func (s *stamp) put(b []byte) {
	if len(b) < fullStamp {
		s.putCompact(b)
		return
	}
	copy(b, stampMagic)
	binary.BigEndian.PutUint32(b[8:], s.run)
	binary.BigEndian.PutUint32(b[12:], s.stream)
	binary.BigEndian.PutUint32(b[16:], 0)
	binary.BigEndian.PutUint64(b[20:], s.seq)
	binary.BigEndian.PutUint64(b[28:], uint64(s.due))
	binary.BigEndian.PutUint64(b[36:], uint64(s.sent))
	binary.BigEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
}

func (s *stamp) putCompact(b []byte) {
	b[3], b[4], b[5] = byte(s.stream>>16), byte(s.stream>>8), byte(s.stream)
	binary.BigEndian.PutUint32(b[6:], uint32(s.seq))
	binary.BigEndian.PutUint32(b[10:], uint32(s.due/stampUnit))
	late := uint64(max(s.sent-s.due, 0)) / stampUnit
	shift := max(bits.Len64(late)-11, 0)
	binary.BigEndian.PutUint16(b[14:], uint16(shift<<11)|uint16(late>>shift))
	sum := crc32.Checksum(b[3:], castagnoli)
	b[0], b[1], b[2] = byte(sum>>16), byte(sum>>8), byte(sum)
}

// verdict on a payload.
type verdict uint8

const (
	genuine verdict = iota
	corrupt         // a stamp whose checksum is wrong
	foreign         // no stamp
)

// parse reads the stamp of a payload that arrived at the time now.
func (s *stamp) parse(b []byte, now int64) verdict {
	switch {
	case len(b) < compactStamp:
		return foreign
	case len(b) < fullStamp:
		return s.parseCompact(b, now)
	case !bytes.Equal(b[:4], stampMagic):
		return foreign
	case binary.BigEndian.Uint32(b[4:]) != crc32.Checksum(b[8:], castagnoli):
		return corrupt
	}
	s.run, s.stream = binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	s.seq = binary.BigEndian.Uint64(b[20:])
	s.due, s.sent = int64(binary.BigEndian.Uint64(b[28:])), int64(binary.BigEndian.Uint64(b[36:]))
	s.compact = false
	return genuine
}

func (s *stamp) parseCompact(b []byte, now int64) verdict {
	sum := crc32.Checksum(b[3:], castagnoli)
	if b[0] != byte(sum>>16) || b[1] != byte(sum>>8) || b[2] != byte(sum) {
		return corrupt // there is nothing to tell it from a foreign one
	}
	s.run, s.compact = 0, true
	s.stream = uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5])
	s.seq = uint64(binary.BigEndian.Uint32(b[6:]))
	units := now / stampUnit
	age := int32(uint32(units) - binary.BigEndian.Uint32(b[10:])) // modulo 2^32
	s.due = (units - int64(age)) * stampUnit
	late := binary.BigEndian.Uint16(b[14:])
	s.sent = s.due + int64(late&(1<<11-1))<<(late>>11)*stampUnit
	return genuine
}
