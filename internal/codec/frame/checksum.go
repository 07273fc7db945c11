package frame

import (
	"math/bits"
	"slices"
	"strings"
)

// crc is a checksum in the usual parameters (Rocksoft's model).
type crc struct {
	width  int // bits: 8, 16, 24 or 32
	poly   uint32
	init   uint32
	refin  bool
	refout bool
	xorout uint32
}

// crcs are the cyclic checksums by name.
var crcs = map[string]crc{
	"crc8":              {width: 8, poly: 0x07},
	"crc8-maxim":        {width: 8, poly: 0x31, refin: true, refout: true},
	"crc16-modbus":      {width: 16, poly: 0x8005, init: 0xffff, refin: true, refout: true},
	"crc16-arc":         {width: 16, poly: 0x8005, refin: true, refout: true},
	"crc16-x25":         {width: 16, poly: 0x1021, init: 0xffff, refin: true, refout: true, xorout: 0xffff},
	"crc16-ccitt-false": {width: 16, poly: 0x1021, init: 0xffff},
	"crc16-xmodem":      {width: 16, poly: 0x1021},
	"crc16-kermit":      {width: 16, poly: 0x1021, refin: true, refout: true},
	"crc32":             {width: 32, poly: 0x04c11db7, init: 0xffffffff, refin: true, refout: true, xorout: 0xffffffff},
}

// sums are the other checksums by name.
var sums = map[string]struct {
	size int // bytes
	sum  func([]byte) uint32
}{
	"sum8":        {1, func(b []byte) uint32 { return add(b) & 0xff }},
	"sum16":       {2, func(b []byte) uint32 { return add(b) & 0xffff }},
	"lrc8":        {1, func(b []byte) uint32 { return -add(b) & 0xff }},
	"xor8":        {1, xor},
	"crc16-hj212": {2, hj212},
}

// algorithms lists every checksum that has a name.
func algorithms() []string {
	var names []string
	for name := range crcs {
		names = append(names, name)
	}
	for name := range sums {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// checksum is one checksum of a frame. Offsets count in Frame.Data; negative
// ones, and a to of 0, from its end.
type checksum struct {
	name     string
	algo     string
	from, to int
	at       int
	size     int // bytes that it covers, twice that in hex
	le       bool
	hex      bool
	sum      func([]byte) uint32
	line     int
}

func (c *checksum) width() int {
	if c.hex {
		return 2 * c.size
	}
	return c.size
}

// place turns an offset that may count from the end into one from the front.
func place(at, n int) int {
	if at < 0 {
		return n + at
	}
	return at
}

// bounds are the bytes covered and the offset of the checksum in a frame of n
// bytes; ok is false if the frame is too short for it.
func (c *checksum) bounds(n int) (from, to, at int, ok bool) {
	from, to, at = place(c.from, n), place(c.to, n), place(c.at, n)
	if c.to == 0 {
		to = n
	}
	return from, to, at, from >= 0 && from <= to && to <= n && at >= 0 && at+c.width() <= n
}

// matches reports whether data carries the checksum that its bytes have.
func (c *checksum) matches(data []byte) bool {
	from, to, at, ok := c.bounds(len(data))
	if !ok {
		return false
	}
	want := c.sum(data[from:to])
	if c.hex {
		var room [8]byte
		return strings.EqualFold(string(c.put(room[:0], want)), string(data[at:at+c.width()]))
	}
	have := uint32(0)
	field := data[at : at+c.size]
	if c.le {
		for i, b := range field {
			have |= uint32(b) << (8 * i)
		}
	} else {
		for _, b := range field {
			have = have<<8 | uint32(b)
		}
	}
	return have == want
}

// put appends the checksum as it stands in a frame.
func (c *checksum) put(dst []byte, sum uint32) []byte {
	var b [4]byte
	for i := range c.size {
		shift := 8 * (c.size - 1 - i)
		if c.le {
			shift = 8 * i
		}
		b[i] = byte(sum >> shift)
	}
	if c.hex {
		return appendHex(dst, b[:c.size], upperHex)
	}
	return append(dst, b[:c.size]...)
}

func add(b []byte) (sum uint32) {
	for _, c := range b {
		sum += uint32(c)
	}
	return sum
}

func xor(b []byte) (sum uint32) {
	for _, c := range b {
		sum ^= uint32(c)
	}
	return sum
}

// hj212 is the checksum of HJ 212 annex A, which is no CRC: the high byte is
// lost before each byte is mixed in.
func hj212(b []byte) uint32 {
	crc := uint32(0xffff)
	for _, c := range b {
		crc = crc>>8 ^ uint32(c)
		for range 8 {
			out := crc & 1
			crc >>= 1
			if out == 1 {
				crc ^= 0xa001
			}
		}
	}
	return crc
}

// compile returns the function for the parameters; it works off a byte per
// table look-up.
func (p crc) compile() func([]byte) uint32 {
	ones := uint32(1)<<(p.width-1)<<1 - 1
	table := new([256]uint32)
	if p.refin {
		poly := bits.Reverse32(p.poly) >> (32 - p.width)
		for i := range table {
			v := uint32(i)
			for range 8 {
				out := v & 1
				v >>= 1
				if out == 1 {
					v ^= poly
				}
			}
			table[i] = v
		}
		start := bits.Reverse32(p.init) >> (32 - p.width)
		return func(b []byte) uint32 {
			sum := start
			for _, c := range b {
				sum = sum>>8 ^ table[byte(sum)^c]
			}
			return p.finish(sum, !p.refout) ^ p.xorout
		}
	}
	top := p.width - 8
	for i := range table {
		v := uint32(i) << top
		for range 8 {
			out := v >> (p.width - 1)
			v = v << 1 & ones
			if out == 1 {
				v ^= p.poly
			}
		}
		table[i] = v
	}
	return func(b []byte) uint32 {
		sum := p.init
		for _, c := range b {
			sum = sum<<8&ones ^ table[byte(sum>>top)^c]
		}
		return p.finish(sum, p.refout) ^ p.xorout
	}
}

func (p crc) finish(sum uint32, reverse bool) uint32 {
	if reverse {
		return bits.Reverse32(sum) >> (32 - p.width)
	}
	return sum
}

// checksums reads the key checksum: one, a list, or none.
func (l *loader) checksums(m *mapping, key string) []checksum {
	var out []checksum
	for _, n := range m.list(key) {
		if n = l.follow(n); n.Value == "none" {
			continue
		}
		out = append(out, l.checksum(l.mapping(n, "checksum")))
	}
	return out
}

func (l *loader) checksum(m *mapping) checksum {
	c := l.algorithm(m)
	c.name = m.text("name")
	c.le = m.choice("endian", "be", "le") == "le"
	if !m.has("endian") {
		c.le = l.le
	}
	if !m.has("range") || !m.has("at") {
		l.errorf(m.node, "checksum: range and at are needed: range: [2, -4], at: -4 (negative numbers count from the end)")
	}
	c.from, c.to = m.pair("range", 0, 0)
	c.at = m.number("at", 0, -largestMaxFrame, largestMaxFrame)
	if c.at < 0 && -c.at < c.width() {
		l.errorf(m.node, "checksum: at: %d leaves no room for %d bytes", c.at, c.width())
	}
	m.done()
	return c
}

// algorithm reads what a checksum is made of: algo or custom, size, encoding.
func (l *loader) algorithm(m *mapping) checksum {
	c := checksum{line: m.node.Line}
	c.algo = m.text("algo")
	custom := m.get("custom")
	sum, isSum := sums[c.algo]
	known, isCRC := crcs[c.algo]
	switch {
	case custom != nil:
		p := l.customCRC(l.mapping(custom, "checksum: custom"))
		c.size, c.sum = p.width/8, p.compile()
		if c.algo != "" {
			l.errorf(m.node, "checksum: give algo or custom, not both")
		}
		c.algo = "custom"
	case isSum:
		c.size, c.sum = sum.size, sum.sum
	case isCRC:
		c.size, c.sum = known.width/8, known.compile()
	default:
		l.errorf(m.node, "checksum: unknown algo %q%s; others can be given as custom: {width, poly, init, refin, refout, xorout}",
			c.algo, suggest(c.algo, algorithms()))
		c.size, c.sum = 1, xor
	}
	natural := c.size
	c.size = m.number("size", c.size, 1, 4)
	if c.size < natural {
		l.errorf(m.node, "checksum: size %d is too small for %s, which has %d bytes", c.size, c.algo, natural)
		c.size = natural
	}
	c.hex = m.choice("encoding", "binary", "hex") == "hex"
	return c
}

func (l *loader) customCRC(m *mapping) crc {
	const most = 1<<32 - 1
	p := crc{
		width:  m.number("width", 8, 8, 32),
		poly:   uint32(m.number64("poly", 0, 0, most)),
		init:   uint32(m.number64("init", 0, 0, most)),
		refin:  m.flag("refin", false),
		refout: m.flag("refout", false),
		xorout: uint32(m.number64("xorout", 0, 0, most)),
	}
	m.done()
	if p.width%8 != 0 {
		l.errorf(m.node, "checksum: width %d: want 8, 16, 24 or 32", p.width)
		p.width = 8
	}
	if most := uint64(1)<<p.width - 1; uint64(p.poly) > most || uint64(p.init) > most || uint64(p.xorout) > most {
		l.errorf(m.node, "checksum: poly, init and xorout must fit into %d bits", p.width)
	}
	if p.poly == 0 {
		l.errorf(m.node, "checksum: custom needs width and poly")
	}
	return p
}
