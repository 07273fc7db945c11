package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// frame is one captured packet, from its link layer.
type frame struct {
	number  int
	time    int64 // nanoseconds since 1970, or noTime
	link    uint32
	data    []byte // valid until the next frame is read
	wire    int    // bytes that it had; more than len(data) when it was cut
	comment string
}

const noTime = math.MinInt64

// frames is a file format.
type frames interface {
	// next reads the next frame into f. The error is io.EOF, *Damaged, or one of
	// reading.
	next(f *frame) error
	describe() string
}

// Magic numbers of pcap, as a big-endian number.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // eight more bytes in each record header
)

// pcap reads the classic format.
type pcap struct {
	src    *source
	order  binary.ByteOrder
	swap   bool // little-endian
	scale  int64
	header int // bytes of a record header
	link   uint32
	number int
	name   string
}

// openPcap reads the header, of which magic is the first number. ok is false when it
// is of another format.
func openPcap(src *source, magic [4]byte) (p *pcap, ok bool, err error) {
	p = &pcap{src: src, order: binary.BigEndian, header: 16}
	m := binary.BigEndian.Uint32(magic[:])
	if low := binary.LittleEndian.Uint32(magic[:]); low&0xffff0000 == magicMicro&0xffff0000 {
		m, p.order, p.swap = low, binary.LittleEndian, true
	}
	switch m {
	case magicMicro:
		p.scale, p.name = 1000, "pcap, microseconds"
	case magicNano:
		p.scale, p.name = 1, "pcap, nanoseconds"
	case magicModified:
		p.scale, p.name, p.header = 1000, "pcap of a patched libpcap", 24
	default:
		return nil, false, nil
	}
	b, err := src.peek(24)
	if err != nil {
		return nil, true, ends(src, "pcap header", 24, err)
	}
	if major := p.order.Uint16(b[4:]); major != 2 {
		return nil, true, &Damaged{Offset: 4, Part: "pcap header", Reason: fmt.Sprintf("version %d, only 2 is known", major)}
	}
	p.link = p.order.Uint32(b[20:]) & 0xffff // above: length of the frame check sequence
	src.skip(24)
	return p, true, nil
}

func (p *pcap) describe() string { return p.name + ", " + linkName(p.link) }

func (p *pcap) next(f *frame) error {
	at := p.src.offset
	b, err := p.src.peek(p.header)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return ends(p.src, p.part(), p.header, err)
	}
	var sec, frac, kept, wire uint32
	if p.swap {
		le := binary.LittleEndian
		sec, frac, kept, wire = le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	} else {
		be := binary.BigEndian
		sec, frac, kept, wire = be.Uint32(b), be.Uint32(b[4:]), be.Uint32(b[8:]), be.Uint32(b[12:])
	}
	if kept > maxBlock {
		return &Damaged{Offset: at, Part: p.part(), Reason: fmt.Sprintf("claims a packet of %d bytes", kept)}
	}
	b, err = p.src.peek(p.header + int(kept))
	if err != nil {
		return ends(p.src, p.part(), p.header+int(kept), err)
	}
	p.src.skip(len(b))
	p.number++
	*f = frame{
		number: p.number, time: int64(sec)*1e9 + int64(frac)*p.scale, link: p.link,
		data: b[p.header:], wire: max(int(wire), int(kept)),
	}
	return nil
}

// part names the record that comes next.
func (p *pcap) part() string { return fmt.Sprintf("packet record %d", p.number+1) }

// ends is the error of an input that ends, or breaks off, within a part of n bytes.
func ends(src *source, part string, n int, err error) error {
	d := &Damaged{Offset: src.offset, Part: part, Reason: err.Error(), Err: err}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		d.Reason = fmt.Sprintf("the capture ends after %d of %d bytes", src.left(), n)
		d.Err = io.ErrUnexpectedEOF
	}
	return d
}
