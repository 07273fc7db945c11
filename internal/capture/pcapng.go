package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"
)

// Block types of pcapng.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockOld       = 2 // packet block, obsolete
	blockSimple    = 3
	blockStats     = 5
	blockPacket    = 6 // enhanced
	blockSecrets   = 10
)

// Options of blocks.
const (
	optEnd      = 0
	optComment  = 1
	optResol    = 9  // of an interface
	optOffset   = 14 // of an interface
	optDropped  = 5  // of statistics: by the interface
	optOSDrop   = 7  // of statistics: by the operating system
	maxComments = 64 // of a section
)

const (
	byteOrder     = 0x1a2b3c4d
	secretsKeyLog = 0x544c534b // NSS key log
	maxInterfaces = 65536      // of a section
)

// pcapng reads the format of draft-ietf-opsawg-pcapng.
type pcapng struct {
	src        *source
	keys       *KeyLog
	order      binary.ByteOrder
	swap       bool // little-endian
	interfaces []netif
	number     int // of packets
	block      int // of blocks
	sections   int
	seen       int      // interfaces of all sections
	links      []uint32 // of all sections
	comments   []string
	dropped    uint64
}

// netif is an interface that was captured on.
type netif struct {
	link   uint32
	snap   uint32
	scale  int64  // nanoseconds in a unit; 0: see units
	units  uint64 // in a second
	offset int64  // seconds
}

func openPcapng(src *source, keys *KeyLog) (*pcapng, error) {
	p := &pcapng{src: src, keys: keys, order: binary.LittleEndian}
	b, err := src.peek(12)
	if err != nil {
		return nil, p.ends(blockSection, 12, err)
	}
	if binary.LittleEndian.Uint32(b[8:]) != byteOrder && binary.BigEndian.Uint32(b[8:]) != byteOrder {
		return nil, p.damaged(blockSection, fmt.Sprintf("no byte order mark, but %x", b[8:12]))
	}
	return p, nil
}

func (p *pcapng) describe() string {
	parts := []string{"pcapng", fmt.Sprintf("%d interface", p.seen)}
	if p.seen != 1 {
		parts[1] += "s"
	}
	if p.sections > 1 {
		parts = append(parts, fmt.Sprintf("%d sections", p.sections))
	}
	for _, l := range p.links {
		parts = append(parts, linkName(l))
	}
	if p.dropped > 0 {
		parts = append(parts, fmt.Sprintf("%d packets lost while capturing", p.dropped))
	}
	for _, c := range p.comments {
		parts = append(parts, fmt.Sprintf("%q", c))
	}
	return strings.Join(parts, ", ")
}

func (p *pcapng) next(f *frame) error {
	for {
		kind, body, err := p.read()
		if err != nil {
			return err
		}
		found := false
		switch kind {
		case blockPacket:
			found, err = p.enhanced(f, body)
		case blockOld:
			found, err = p.old(f, body)
		case blockSimple:
			found, err = p.simple(f, body)
		case blockSection:
			err = p.section(body)
		case blockInterface:
			err = p.netif(body)
		case blockSecrets:
			err = p.secrets(body)
		case blockStats:
			p.statistics(body)
		}
		if found || err != nil {
			return err
		}
	}
}

// read returns the next block that is to be looked at, without its frame.
func (p *pcapng) read() (kind uint32, body []byte, err error) {
	for {
		b, err := p.src.peek(12)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return 0, nil, io.EOF
			}
			return 0, nil, p.ends(0, 12, err)
		}
		if binary.BigEndian.Uint32(b) == blockSection { // the same in both orders
			if p.order, p.swap = binary.ByteOrder(binary.LittleEndian), true; binary.BigEndian.Uint32(b[8:]) == byteOrder {
				p.order, p.swap = binary.BigEndian, false
			} else if binary.LittleEndian.Uint32(b[8:]) != byteOrder {
				return 0, nil, p.damaged(blockSection, fmt.Sprintf("no byte order mark, but %x", b[8:12]))
			}
		}
		kind, size := p.uint32(b), p.uint32(b[4:])
		if size < 12 || size%4 != 0 {
			return 0, nil, p.damaged(kind, fmt.Sprintf("its length is %d, not a multiple of 4 of at least 12", size))
		}
		if !wanted(kind) {
			if err := p.src.discard(int64(size)); err != nil {
				return 0, nil, p.ends(kind, int(size), err)
			}
			p.block++
			continue
		}
		if size > maxBlock {
			return 0, nil, p.damaged(kind, fmt.Sprintf("claims to have %d bytes", size))
		}
		if b, err = p.src.peek(int(size)); err != nil {
			return 0, nil, p.ends(kind, int(size), err)
		}
		if end := p.uint32(b[size-4:]); end != size {
			return 0, nil, p.damaged(kind, fmt.Sprintf("its length is %d at the beginning and %d at the end", size, end))
		}
		p.src.skip(len(b))
		p.block++
		return kind, b[8 : size-4], nil
	}
}

func wanted(kind uint32) bool {
	switch kind {
	case blockSection, blockInterface, blockOld, blockSimple, blockStats, blockPacket, blockSecrets:
		return true
	}
	return false
}

func (p *pcapng) uint32(b []byte) uint32 {
	if p.swap {
		return binary.LittleEndian.Uint32(b)
	}
	return binary.BigEndian.Uint32(b)
}

func blockName(kind uint32) string {
	switch kind {
	case blockSection:
		return "section header"
	case blockInterface:
		return "interface"
	case blockOld:
		return "packet"
	case blockSimple:
		return "simple packet"
	case blockPacket:
		return "enhanced packet"
	case blockStats:
		return "interface statistics"
	case blockSecrets:
		return "decryption secrets"
	}
	return fmt.Sprintf("type %#x", kind)
}

func (p *pcapng) part(kind uint32) string {
	return fmt.Sprintf("block %d (%s)", p.block+1, blockName(kind))
}

// damaged is an error in the block at hand, which was not yet skipped.
func (p *pcapng) damaged(kind uint32, reason string) error {
	return &Damaged{Offset: p.src.offset, Part: p.part(kind), Reason: reason}
}

// short is an error in a block that read has returned.
func (p *pcapng) short(kind uint32, body []byte, reason string) error {
	p.block--
	err := &Damaged{Offset: p.src.offset - int64(len(body)) - 12, Part: p.part(kind), Reason: reason}
	p.block++
	return err
}

func (p *pcapng) ends(kind uint32, n int, err error) error {
	part := p.part(kind)
	if kind == 0 {
		part = fmt.Sprintf("block %d", p.block+1)
	}
	return ends(p.src, part, n, err)
}

// section begins a new section, with interfaces of its own.
func (p *pcapng) section(body []byte) error {
	if len(body) < 16 {
		return p.short(blockSection, body, fmt.Sprintf("%d bytes, not 16", len(body)))
	}
	if major := p.order.Uint16(body[4:]); major != 1 {
		return p.short(blockSection, body, fmt.Sprintf("version %d, only 1 is known", major))
	}
	p.interfaces = p.interfaces[:0]
	p.sections++
	p.options(body[16:], func(code uint16, value []byte) {
		if code == optComment && len(p.comments) < maxComments {
			p.comments = append(p.comments, text(value))
		}
	})
	return nil
}

func (p *pcapng) netif(body []byte) error {
	if len(body) < 8 {
		return p.short(blockInterface, body, fmt.Sprintf("%d bytes, not 8", len(body)))
	}
	if len(p.interfaces) == maxInterfaces {
		return p.short(blockInterface, body, fmt.Sprintf("more than %d interfaces", maxInterfaces))
	}
	i := netif{link: uint32(p.order.Uint16(body)), snap: p.order.Uint32(body[4:]), scale: 1000}
	p.options(body[8:], func(code uint16, value []byte) {
		switch {
		case code == optResol && len(value) >= 1:
			i.resolution(value[0])
		case code == optOffset && len(value) >= 8:
			i.offset = int64(p.order.Uint64(value))
		}
	})
	p.interfaces = append(p.interfaces, i)
	p.seen++
	for _, l := range p.links {
		if l == i.link {
			return nil
		}
	}
	p.links = append(p.links, i.link)
	return nil
}

// resolution takes if_tsresol: a negative power of 10 or, with the highest bit, of 2.
func (i *netif) resolution(b byte) {
	i.scale, i.units = 0, 0
	switch exp := b & 0x7f; {
	case b >= 0x80 && exp < 64:
		i.units = 1 << exp
	case b < 0x80 && exp <= 9:
		i.scale = 1
		for range 9 - exp {
			i.scale *= 10
		}
	case b < 0x80 && exp <= 19:
		i.units = 1
		for range exp {
			i.units *= 10
		}
	}
}

// nanoseconds is the time t since 1970.
func (i *netif) nanoseconds(t uint64) int64 {
	var ns uint64
	switch hi, lo := bits.Mul64(t, uint64(i.scale)); {
	case i.scale > 0 && hi == 0:
		ns = lo
	case i.scale == 0 && i.units > 0:
		s := t / i.units
		if s > math.MaxInt64/1_000_000_000 {
			return noTime
		}
		hi, lo := bits.Mul64(t%i.units, 1e9)
		frac, _ := bits.Div64(hi, lo, i.units)
		ns = s*1e9 + frac
	default:
		return noTime
	}
	if ns > math.MaxInt64/2 {
		return noTime
	}
	if i.offset != 0 {
		const century = 3 << 30
		if i.offset > century || i.offset < -century {
			return noTime
		}
		return int64(ns) + i.offset*1e9
	}
	return int64(ns)
}

// options calls each for the options of a block.
func (p *pcapng) options(b []byte, each func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		if code == optEnd || n > len(b)-4 {
			return
		}
		each(code, b[4:4+n])
		b = b[min(len(b), 4+(n+3)&^3):]
	}
}

// comment returns the comments among options.
func (p *pcapng) comment(b []byte) string {
	var all string
	p.options(b, func(code uint16, value []byte) {
		if code == optComment {
			if all != "" {
				all += "\n"
			}
			all += text(value)
		}
	})
	return all
}

func text(b []byte) string {
	return strings.ToValidUTF8(strings.TrimRight(string(b), "\x00"), "\uFFFD")
}

func (p *pcapng) enhanced(f *frame, body []byte) (bool, error) {
	if len(body) < 20 {
		return false, p.short(blockPacket, body, fmt.Sprintf("%d bytes, not 20", len(body)))
	}
	t := uint64(p.uint32(body[4:]))<<32 | uint64(p.uint32(body[8:]))
	return p.packet(f, blockPacket, body, p.uint32(body), t, p.uint32(body[12:]), p.uint32(body[16:]))
}

func (p *pcapng) old(f *frame, body []byte) (bool, error) {
	if len(body) < 20 {
		return false, p.short(blockOld, body, fmt.Sprintf("%d bytes, not 20", len(body)))
	}
	t := uint64(p.uint32(body[4:]))<<32 | uint64(p.uint32(body[8:]))
	return p.packet(f, blockOld, body, uint32(p.order.Uint16(body)), t, p.uint32(body[12:]), p.uint32(body[16:]))
}

// packet reads the blocks whose data begin at 20.
func (p *pcapng) packet(f *frame, kind uint32, body []byte, i uint32, t uint64, kept, wire uint32) (bool, error) {
	if int64(kept) > int64(len(body)-20) {
		return false, p.short(kind, body, fmt.Sprintf("claims %d bytes of packet, and has room for %d", kept, len(body)-20))
	}
	if int64(i) >= int64(len(p.interfaces)) {
		return false, p.short(kind, body, fmt.Sprintf("interface %d, of %d described", i, len(p.interfaces)))
	}
	p.number++
	on := &p.interfaces[i]
	*f = frame{
		number: p.number, time: on.nanoseconds(t), link: on.link,
		data: body[20 : 20+kept], wire: max(int(wire), int(kept)),
	}
	if padded := 20 + (int(kept)+3)&^3; padded < len(body) {
		f.comment = p.comment(body[padded:])
	}
	return true, nil
}

// simple reads a packet of the first interface, which has no time.
func (p *pcapng) simple(f *frame, body []byte) (bool, error) {
	if len(body) < 4 {
		return false, p.short(blockSimple, body, fmt.Sprintf("%d bytes, not 4", len(body)))
	}
	if len(p.interfaces) == 0 {
		return false, p.short(blockSimple, body, "no interface described")
	}
	wire := p.uint32(body)
	kept := min(wire, uint32(len(body)-4))
	if snap := p.interfaces[0].snap; snap > 0 {
		kept = min(kept, snap)
	}
	p.number++
	*f = frame{number: p.number, time: noTime, link: p.interfaces[0].link, data: body[4 : 4+kept], wire: int(wire)}
	return true, nil
}

func (p *pcapng) secrets(body []byte) error {
	if len(body) < 8 {
		return p.short(blockSecrets, body, fmt.Sprintf("%d bytes, not 8", len(body)))
	}
	kind, n := p.uint32(body), p.uint32(body[4:])
	if int64(n) > int64(len(body)-8) {
		return p.short(blockSecrets, body, fmt.Sprintf("claims %d bytes of secrets, and has room for %d", n, len(body)-8))
	}
	if kind == secretsKeyLog {
		p.keys.Add(body[8 : 8+n])
	}
	return nil
}

// statistics adds up how many packets were lost while capturing.
func (p *pcapng) statistics(body []byte) {
	if len(body) < 12 {
		return
	}
	p.options(body[12:], func(code uint16, value []byte) {
		if (code == optDropped || code == optOSDrop) && len(value) >= 8 {
			p.dropped += p.order.Uint64(value)
		}
	})
}
