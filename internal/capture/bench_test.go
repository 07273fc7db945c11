package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// conversation is a pcap of n segments of 20 bytes of data, to and fro, of a number of
// connections.
func conversation(n, flows int) []byte {
	b := pcapHeader(linkEthernet)
	next := make([][2]uint32, flows)
	for i := range n {
		f, side := i/2%flows, i%2
		s := segmentSpec{flow: f, side: side, seq: next[f][side], ack: next[f][1-side], flags: flagACK, data: bytes.Repeat([]byte{byte(i)}, 20)}
		next[f][side] += 20
		b = appendRecord(b, int64(i)*1000, s.ethernet())
	}
	return b
}

// segmentSpec is a TCP segment to be made.
type segmentSpec struct {
	flow, side int
	seq, ack   uint32
	flags      byte
	data       []byte
}

func pcapHeader(link uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, magicMicro)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0)
	return binary.LittleEndian.AppendUint32(b, link)
}

func appendRecord(b []byte, us int64, frame []byte) []byte {
	for _, v := range []uint32{uint32(us / 1e6), uint32(us % 1e6), uint32(len(frame)), uint32(len(frame))} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return append(b, frame...)
}

// ip is the segment in an IPv4 packet: of 10.0.x.x:40000 and 10.1.0.1:1883.
func (s segmentSpec) ip() []byte {
	be := binary.BigEndian
	client := []byte{10, 0, byte(s.flow >> 8), byte(s.flow)}
	server := []byte{10, 1, 0, 1}
	ports := [2]uint16{40000, 1883}
	src, dst := client, server
	if s.side == 1 {
		src, dst = server, client
	}
	b := []byte{4<<4 | 5, 0}
	b = be.AppendUint16(b, uint16(40+len(s.data)))
	b = append(b, 0, 1, 0, 0, 64, protoTCP, 0, 0)
	b = append(append(b, src...), dst...)
	be.PutUint16(b[10:], checksum(0, b))
	b = be.AppendUint16(b, ports[s.side])
	b = be.AppendUint16(b, ports[1-s.side])
	b = be.AppendUint32(b, s.seq)
	b = be.AppendUint32(b, s.ack)
	b = append(b, 5<<4, s.flags, 0xff, 0xff, 0, 0, 0, 0)
	return append(b, s.data...)
}

func (s segmentSpec) ethernet() []byte {
	return append([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 8, 0}, s.ip()...)
}

// BenchmarkReader is a TCP segment from the file to its place in its stream.
func BenchmarkReader(b *testing.B) {
	for _, bb := range []struct {
		name  string
		flows int
	}{{"flows=1", 1}, {"flows=1000", 1000}} {
		b.Run(bb.name, func(b *testing.B) {
			const n = 100_000
			file := conversation(n, bb.flows)
			b.ReportAllocs()
			b.SetBytes(int64(len(file)) / n)
			b.ResetTimer()
			for done := 0; done < b.N; {
				r, err := Open(bytes.NewReader(file), Options{})
				if err != nil {
					b.Fatal(err)
				}
				for ; done < b.N; done++ {
					if _, err := r.Next(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// TestSegmentsCostNoAllocation reads segments in order, and in pairs that are swapped.
func TestSegmentsCostNoAllocation(t *testing.T) {
	inOrder := conversation(20_000, 4)
	swapped := pcapHeader(linkRaw)
	for _, s := range handshake(0) {
		swapped = appendRecord(swapped, 0, s.ip())
	}
	for i := range uint32(20_000) {
		s := fromClient(10*(i^1), "0123456789")
		swapped = appendRecord(swapped, int64(i), s.ip())
	}
	for name, file := range map[string][]byte{"in order": inOrder, "swapped": swapped} {
		r, err := Open(bytes.NewReader(file), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(10_000, func() {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for each segment", name, n)
		}
	}
}
