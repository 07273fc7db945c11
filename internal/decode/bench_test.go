package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// silent takes all and keeps nothing.
type silent struct{ packets, bytes int }

func (s *silent) Packet(p *Packet) error {
	s.packets++
	s.bytes += len(p.Line)
	return nil
}

func (s *silent) Note(*Note) error { return nil }

// published writes a capture of packets PUBLISH and PUBACK: a client's, with QoS 1,
// perSegment to a segment.
func published(w io.Writer, packets, perSegment int) error {
	f := newFile(w)
	f.handshake()
	var b []byte
	add := func(p mqtt.Packet) {
		var err error
		if b, err = p.Append(b, mqtt.V311); err != nil && f.err == nil {
			f.err = err
		}
	}
	add(mqtt.Connect{Version: mqtt.V311, ClientID: "bench", CleanStart: true, KeepAlive: 60})
	f.segment(dissect.FromClient, b)
	b = b[:0]
	add(mqtt.Connack{})
	f.segment(dissect.FromServer, b)
	payload := []byte(`{"temperature":21.5,"humidity":40}`)
	id := uint16(0)
	for n := 2; n < packets; {
		first := id
		b = b[:0]
		for range perSegment {
			if id++; id == 0 {
				id, first = 1, 0
			}
			add(mqtt.Publish{QoS: 1, PacketID: id, Topic: fmt.Appendf(nil, "site/4/device/%d/reading", id%1000), Payload: payload})
			n++
		}
		f.segment(dissect.FromClient, b)
		b = b[:0]
		for i := range uint16(perSegment) {
			add(mqtt.Puback{PacketID: first + 1 + i})
			n++
		}
		f.segment(dissect.FromServer, b)
	}
	return f.err
}

// file writes a classic capture of one connection of TCP.
type file struct {
	w   io.Writer
	seq [3]uint32
	at  uint32
	err error
	// wrap makes frames of a packet of IP.
	wrap func(ip []byte) [][]byte
}

// newFile is one over Ethernet.
func newFile(w io.Writer) *file {
	return newFileOf(w, 1, func(ip []byte) [][]byte { return [][]byte{append(ethernet(0x0800), ip...)} })
}

// ethernet is the header of a frame, with what follows each of the types.
func ethernet(types ...uint16) []byte {
	b := make([]byte, 12)
	for i, t := range types {
		b = binary.BigEndian.AppendUint16(b, t)
		if i < len(types)-1 {
			b = binary.BigEndian.AppendUint16(b, 7) // the number of a VLAN
		}
	}
	return b
}

func newFileOf(w io.Writer, link uint32, wrap func(ip []byte) [][]byte) *file {
	f := &file{w: w, seq: [3]uint32{0, 1000, 2000}, wrap: wrap}
	head := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	head = binary.LittleEndian.AppendUint16(head, 2)
	head = binary.LittleEndian.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...)
	head = binary.LittleEndian.AppendUint32(head, 65535)
	f.write(binary.LittleEndian.AppendUint32(head, link))
	return f
}

func (f *file) write(b []byte) {
	if f.err == nil {
		_, f.err = f.w.Write(b)
	}
}

func (f *file) handshake() {
	f.frame(dissect.FromClient, 0x02, nil)
	f.frame(dissect.FromServer, 0x12, nil)
	f.frame(dissect.FromClient, 0x10, nil)
}

func (f *file) segment(dir dissect.Direction, b []byte) { f.frame(dir, 0x18, b) }

// frame writes a segment and moves its sender on.
func (f *file) frame(dir dissect.Direction, flags byte, b []byte) {
	f.write(f.record(dir, flags, f.seq[dir], b))
	f.seq[dir] += uint32(len(b))
	if flags&3 != 0 {
		f.seq[dir]++
	}
}

// record is a segment at seq, with its headers.
func (f *file) record(dir dissect.Direction, flags byte, seq uint32, b []byte) []byte {
	var all []byte
	for _, frame := range f.wrap(append(segment(dir, flags, seq, f.seq[3-dir], len(b)), b...)) {
		f.at += 100
		all = binary.LittleEndian.AppendUint32(all, 1700000000+f.at/1e6)
		all = binary.LittleEndian.AppendUint32(all, f.at%1e6)
		all = binary.LittleEndian.AppendUint32(all, uint32(len(frame)))
		all = binary.LittleEndian.AppendUint32(all, uint32(len(frame)))
		all = append(all, frame...)
	}
	return all
}

// segment is the headers of IPv4 and TCP of one with size bytes.
func segment(dir dissect.Direction, flags byte, seq, ack uint32, size int) []byte {
	ports, ends := [2]uint16{40000, 1883}, []byte{10, 0, 0, 1, 10, 0, 0, 2}
	if dir == dissect.FromServer {
		ports, ends = [2]uint16{1883, 40000}, []byte{10, 0, 0, 2, 10, 0, 0, 1}
	}
	r := []byte{0x45, 0}
	r = binary.BigEndian.AppendUint16(r, uint16(40+size))
	r = append(r, 0, 0, 0x40, 0, 64, 6, 0, 0)
	r = append(r, ends...)
	r = binary.BigEndian.AppendUint16(r, ports[0])
	r = binary.BigEndian.AppendUint16(r, ports[1])
	r = binary.BigEndian.AppendUint32(r, seq)
	r = binary.BigEndian.AppendUint32(r, ack)
	return append(r, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
}

// BenchmarkLines reads a capture of a million packets to lines.
func BenchmarkLines(b *testing.B) {
	for _, perSegment := range []int{1, 8} {
		b.Run(fmt.Sprintf("per-segment=%d", perSegment), func(b *testing.B) {
			const packets = 1_000_000
			var file bytes.Buffer
			if err := published(&file, packets, perSegment); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(file.Len()))
			b.ReportAllocs()
			total := 0
			for b.Loop() {
				total += readAll(b, bytes.NewReader(file.Bytes()))
			}
			b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}

func readAll(t testing.TB, r io.Reader) int {
	s := new(silent)
	e, err := New(Options{Dissectors: dissecttest.All(t), Lines: true}, s)
	if err != nil {
		t.Fatal(err)
	}
	in, err := capture.Open(r, capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		c, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Chunk(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return s.packets
}
