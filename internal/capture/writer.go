package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
)

const (
	// segmentSize is the most that a segment carries, so that a packet of IPv6 stays
	// below 64 KiB.
	segmentSize = 60000
	maxComment  = 60000
	window      = 65535
	// made up, for those who have none.
	initialSequence = 1000
)

// Writer writes streams as a pcapng with TCP segments made up for them, so that other
// programs open it. Time is kept in nanoseconds. Writer belongs to one goroutine at a
// time.
type Writer struct {
	w        io.Writer
	block    []byte // the ones of one call
	invented uint32 // addresses given so far
	idents   uint16 // of IPv4
}

// Conn is a connection that a Writer writes.
type Conn struct {
	side [2]writtenSide // client, server
	v6   bool
	open bool
}

type writtenSide struct {
	addr netip.AddrPort
	next uint32 // sequence number
}

// ErrClosed says that a connection was closed before.
var ErrClosed = errors.New("the connection is closed")

// NewWriter writes the header of the file to w. Each call writes whole blocks, in one
// call of w.Write, so that a file is good at any time. application names the program
// that writes it: "iotctl 1.0".
func NewWriter(w io.Writer, application string) (*Writer, error) {
	wr := &Writer{w: w}
	wr.begin(blockSection)
	le := binary.LittleEndian
	wr.block = le.AppendUint32(wr.block, byteOrder)
	wr.block = le.AppendUint16(wr.block, 1) // version 1.0
	wr.block = le.AppendUint16(wr.block, 0)
	wr.block = le.AppendUint64(wr.block, 1<<64-1) // length of the section: not told
	const optApplication = 4
	wr.option(optApplication, application)
	wr.end(0)
	n := len(wr.block)
	wr.begin(blockInterface)
	wr.block = le.AppendUint16(wr.block, linkRaw)
	wr.block = le.AppendUint16(wr.block, 0)
	wr.block = le.AppendUint32(wr.block, 0) // no snap length
	const optName, nanoseconds = 2, 9
	wr.option(optName, "iotctl")
	wr.block = append(wr.block, optResol, 0, 1, 0, nanoseconds, 0, 0, 0)
	wr.end(n)
	return wr, wr.flush()
}

// Open writes a handshake. An address that is not valid (Unix sockets have none) gets an
// invented one, of those for documentation. comment, on its first packet, may be "".
func (w *Writer) Open(client, server netip.AddrPort, at time.Time, comment string) (*Conn, error) {
	c := &Conn{open: true}
	client, server = w.addresses(client, server)
	c.v6 = client.Addr().Is6()
	for i, addr := range []netip.AddrPort{client, server} {
		c.side[i] = writtenSide{addr: addr, next: initialSequence * uint32(i+1)}
	}
	w.segment(c, 0, flagSYN, at, nil, comment)
	w.segment(c, 1, flagSYN|flagACK, at, nil, "")
	w.segment(c, 0, flagACK, at, nil, "")
	return c, w.flush()
}

// addresses returns two addresses of one family, none of which is missing.
func (w *Writer) addresses(client, server netip.AddrPort) (netip.AddrPort, netip.AddrPort) {
	plain := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	client, server = plain(client), plain(server)
	v6 := client.Addr().Is6() || server.Addr().Is6()
	if !client.IsValid() {
		w.invented++ // another one each time, so that connections differ
		client = netip.AddrPortFrom(invented(w.invented>>14%250+1, v6), uint16(40000+w.invented%(1<<14)))
	}
	if !server.IsValid() {
		server = netip.AddrPortFrom(invented(0, v6), 1883)
	}
	if v6 {
		client = netip.AddrPortFrom(netip.AddrFrom16(client.Addr().As16()), client.Port())
		server = netip.AddrPortFrom(netip.AddrFrom16(server.Addr().As16()), server.Port())
	}
	return client, server
}

// invented is an address for documentation: RFC 5737, RFC 3849.
func invented(n uint32, v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(n >> 8), 15: byte(n + 1)})
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(n + 1)})
}

// Data writes what one side has sent. comment, on its first packet, may be "".
func (w *Writer) Data(c *Conn, from dissect.Direction, at time.Time, b []byte, comment string) error {
	if !c.open {
		return ErrClosed
	}
	side := sideOf(from)
	for len(b) > segmentSize {
		w.segment(c, side, flagACK, at, b[:segmentSize], comment)
		b, comment = b[segmentSize:], ""
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(b) > 0 || comment != "" {
		w.segment(c, side, flagPSH|flagACK, at, b, comment)
	}
	return w.flush()
}

// Reset writes that one side has reset the connection. comment may be "".
func (w *Writer) Reset(c *Conn, from dissect.Direction, at time.Time, comment string) error {
	if !c.open {
		return ErrClosed
	}
	c.open = false
	w.segment(c, sideOf(from), flagRST|flagACK, at, nil, comment)
	return w.flush()
}

// Close writes the end of a connection: from is who has ended it first. comment may be "".
func (w *Writer) Close(c *Conn, from dissect.Direction, at time.Time, comment string) error {
	if !c.open {
		return ErrClosed
	}
	c.open = false
	side := sideOf(from)
	w.segment(c, side, flagFIN|flagACK, at, nil, comment)
	w.segment(c, 1-side, flagFIN|flagACK, at, nil, "")
	w.segment(c, side, flagACK, at, nil, "")
	return w.flush()
}

func sideOf(d dissect.Direction) int {
	if d == dissect.FromServer {
		return 1
	}
	return 0
}

// segment adds a packet with a segment of side.
func (w *Writer) segment(c *Conn, side int, flags byte, at time.Time, data []byte, comment string) {
	from, to := &c.side[side], &c.side[1-side]
	w.beginPacket(at)
	start := len(w.block)
	w.internet(c, from.addr.Addr(), to.addr.Addr(), 20+len(data))
	tcp := len(w.block)
	be := binary.BigEndian
	w.block = be.AppendUint16(w.block, from.addr.Port())
	w.block = be.AppendUint16(w.block, to.addr.Port())
	w.block = be.AppendUint32(w.block, from.next)
	ack := uint32(0)
	if flags&flagACK != 0 {
		ack = to.next
	}
	w.block = be.AppendUint32(w.block, ack)
	w.block = append(w.block, 5<<4, flags, window>>8, window&0xff, 0, 0, 0, 0)
	w.block = append(w.block, data...)
	be.PutUint16(w.block[tcp+16:], w.sum(from.addr.Addr(), to.addr.Addr(), w.block[tcp:]))
	w.endPacket(start, comment)

	from.next += uint32(len(data))
	if flags&(flagSYN|flagFIN) != 0 {
		from.next++
	}
}

// sum is the checksum of TCP: RFC 9293 §3.1.
func (w *Writer) sum(src, dst netip.Addr, segment []byte) uint16 {
	sum := uint32(protoTCP) + uint32(len(segment))
	for _, a := range []netip.Addr{src, dst} {
		b := a.As16()
		if a.Is4() {
			sum = sumUp(sum, b[12:])
		} else {
			sum = sumUp(sum, b[:])
		}
	}
	return checksum(sum, segment)
}

// internet adds an IP header for size bytes.
func (w *Writer) internet(c *Conn, src, dst netip.Addr, size int) {
	const ttl = 64
	be := binary.BigEndian
	s, d := src.As16(), dst.As16()
	if c.v6 {
		w.block = append(w.block, 6<<4, 0, 0, 0)
		w.block = be.AppendUint16(w.block, uint16(size))
		w.block = append(w.block, protoTCP, ttl)
		w.block = append(w.block, s[:]...)
		w.block = append(w.block, d[:]...)
		return
	}
	start := len(w.block)
	w.idents++
	w.block = append(w.block, 4<<4|5, 0)
	w.block = be.AppendUint16(w.block, uint16(20+size))
	w.block = be.AppendUint16(w.block, w.idents)
	const dontFragment = 0x40
	w.block = append(w.block, dontFragment, 0, ttl, protoTCP, 0, 0)
	w.block = append(w.block, s[12:]...)
	w.block = append(w.block, d[12:]...)
	be.PutUint16(w.block[start+10:], checksum(0, w.block[start:]))
}

// beginPacket adds the beginning of an enhanced packet block, up to the packet.
func (w *Writer) beginPacket(at time.Time) {
	w.begin(blockPacket)
	le := binary.LittleEndian
	ns := uint64(0)
	if !at.IsZero() {
		ns = uint64(at.UnixNano())
	}
	w.block = le.AppendUint32(w.block, 0) // interface
	w.block = le.AppendUint32(w.block, uint32(ns>>32))
	w.block = le.AppendUint32(w.block, uint32(ns))
	w.block = append(w.block, make([]byte, 8)...) // lengths
}

// endPacket adds what is behind the packet that begins at start.
func (w *Writer) endPacket(start int, comment string) {
	n := uint32(len(w.block) - start)
	binary.LittleEndian.PutUint32(w.block[start-8:], n)
	binary.LittleEndian.PutUint32(w.block[start-4:], n)
	w.pad()
	if comment != "" {
		w.option(optComment, comment)
		w.block = append(w.block, 0, 0, 0, 0)
	}
	w.finishBlock(start - 28)
}

// begin adds the beginning of a block; its length is filled in at its end.
func (w *Writer) begin(kind uint32) {
	w.block = binary.LittleEndian.AppendUint32(w.block, kind)
	w.block = append(w.block, 0, 0, 0, 0)
}

// option adds an option.
func (w *Writer) option(code uint16, text string) {
	text = strings.ToValidUTF8(text[:min(len(text), maxComment)], "\uFFFD")
	text = text[:min(len(text), 65535)]
	w.block = binary.LittleEndian.AppendUint16(w.block, code)
	w.block = binary.LittleEndian.AppendUint16(w.block, uint16(len(text)))
	w.block = append(w.block, text...)
	w.pad()
}

// pad fills up to a multiple of four: all blocks begin at one.
func (w *Writer) pad() {
	for len(w.block)%4 != 0 {
		w.block = append(w.block, 0)
	}
}

// end adds the end of the options, and of the block that begins at start.
func (w *Writer) end(start int) {
	w.block = append(w.block, 0, 0, 0, 0)
	w.finishBlock(start)
}

func (w *Writer) finishBlock(start int) {
	n := uint32(len(w.block) - start + 4)
	binary.LittleEndian.PutUint32(w.block[start+4:], n)
	w.block = binary.LittleEndian.AppendUint32(w.block, n)
}

// flush writes the blocks of a call.
func (w *Writer) flush() error {
	_, err := w.w.Write(w.block)
	w.block = w.block[:0]
	if err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}
