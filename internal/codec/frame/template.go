package frame

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// template makes a frame: hex, text in quotes, and placeholders.
type template struct {
	line    int
	index   int // in Codec.templates
	label   string
	parts   []part
	variant *variant // of the frame it makes, nil if it is none of them
	skip    int      // bytes in front of the frame proper
	text    bool     // needs no JSON: only payload, env and literals
}

// maxParts bounds a template.
const maxParts = 64

type partKind uint8

const (
	partLiteral partKind = iota
	partField            // a field, or a member of the JSON
	partDevice
	partPayload
	partNow
	partSeq
	partFrameLen // what the framing's length field has to say
	partTotal    // bytes of the frame
	partLen      // bytes of another part
	partCount    // elements of another part
	partSum      // a checksum of the frame
	partInline   // a checksum that stands among the fields
)

type part struct {
	kind    partKind
	literal []byte
	name    string
	source  string // as written
	slot    int
	of      int // the other part of partLen and partCount; the index of partSum
	sum     *checksum
	time    *timeFormat
	enc     encoding
	raw     bool // the field's own bytes
	preset  *string
}

// encoding is how a value is written.
type encoding struct {
	typ     string
	width   int // bytes of a number
	size    int // bytes of a text, -1: as many as it needs
	signed  bool
	le      bool
	list    bool
	delta   int64
	max     uint64 // of a number once delta is added, 0: what its bytes hold
	gbk     bool
	reverse bool
	add     byte
	xor     []byte
}

// fixed is the number of bytes that the part always has, -1 if they differ.
func (p *part) fixed() int {
	switch p.kind {
	case partLiteral:
		return len(p.literal)
	case partSum, partInline:
		return p.sum.width()
	case partNow:
		if p.time.style == timeText && p.time.unit == 0 {
			return -1
		}
		return p.time.bytes
	}
	if p.raw || p.enc.list {
		return -1
	}
	if p.enc.width > 0 {
		return p.enc.width
	}
	return p.enc.size
}

// template compiles the template in n once the whole file has been read. down
// is set for downlinks, whose fields are members of a JSON object.
func (l *loader) template(n *yaml.Node, what string, sc scope, down bool) *template {
	t := &template{line: n.Line, label: what, index: len(l.templates)}
	l.templates = append(l.templates, t)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		l.errorf(n, `%s: want a template in quotes such as "7878 05 {proto} {serial} {crc} 0d0a", have %s`, what, describe(n))
		return t
	}
	c := &templateLoader{l: l, t: t, n: n, what: what, sc: sc, down: down, zone: l.zone}
	l.pending = append(l.pending, func() { c.parse(n.Value) })
	return t
}

// templateLoader compiles one template.
type templateLoader struct {
	l    *loader
	t    *template
	n    *yaml.Node
	what string
	sc   scope
	down bool
	zone *time.Location
}

func (c *templateLoader) errorf(format string, args ...any) {
	c.l.errorf(c.n, "%s: %s", c.what, fmt.Sprintf(format, args...))
}

func (c *templateLoader) parse(s string) {
	var placeholders []string
	literal := func(text string) {
		b, err := parseBytes(text)
		if err != nil {
			c.errorf("%v", err)
		}
		if len(b) > 0 {
			c.t.parts = append(c.t.parts, part{literal: b, source: strings.TrimSpace(text)})
			placeholders = append(placeholders, "")
		}
	}
	for s != "" {
		i := openBrace(s)
		if i < 0 {
			literal(s)
			break
		}
		literal(s[:i])
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			c.errorf("%q has no closing }", s[i:])
			return
		}
		c.t.parts = append(c.t.parts, part{source: s[i : i+j+1]})
		placeholders = append(placeholders, s[i+1:i+j])
		s = s[i+j+1:]
	}
	if len(c.t.parts) > maxParts {
		c.errorf("more than %d parts", maxParts)
		c.t.parts = c.t.parts[:maxParts]
		return
	}
	for i, text := range placeholders {
		if c.t.parts[i].literal == nil {
			c.placeholder(&c.t.parts[i], strings.TrimSpace(text))
		}
	}
	c.frameOf()
	for i := range c.t.parts {
		c.finish(&c.t.parts[i])
	}
	c.t.text = !slices.ContainsFunc(c.t.parts, func(p part) bool { return p.kind == partField })
}

// openBrace finds the next placeholder that is not in quotes.
func openBrace(s string) int {
	quoted := false
	for i := range len(s) {
		switch s[i] {
		case '\'':
			quoted = !quoted
		case '{':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// placeholder reads name:type:option=preset.
func (c *templateLoader) placeholder(p *part, text string) {
	name, rest, typed := strings.Cut(text, ":")
	if format, ok := strings.CutPrefix(text, "now:"); ok {
		t, err := parseTime(format, c.zone, c.l.le)
		if err != nil {
			c.errorf("%s: %v", p.source, err)
			t = &timeFormat{zone: c.zone}
		}
		p.kind, p.time = partNow, t
		return
	}
	if !typed {
		if n, preset, ok := strings.Cut(name, "="); ok {
			name, p.preset = n, &preset
		}
	}
	p.name = strings.TrimSpace(name)
	p.enc.size = -1
	if typed {
		c.encoding(p, rest)
	}
	c.meaning(p, typed)
	numeric := p.enc.width > 0
	switch p.kind {
	case partSeq, partLen, partCount, partTotal:
		if !numeric && !strings.HasPrefix(p.enc.typ, "ascii_") {
			c.errorf("%s: want a number type such as %s:u2", p.source, p.name)
			p.enc.typ, p.enc.width = "u2", 2
		}
	case partField, partDevice:
		if !typed && p.kind == partField && c.down || !typed && p.kind == partDevice {
			p.enc.typ = "str"
			if p.kind == partField {
				c.errorf("%s: want a type: {%s:u2}, {%s:str}, {%s:bcd:6}", p.source, p.name, p.name, p.name)
			}
		}
	}
}

// meaning finds out what the name of a placeholder stands for.
func (c *templateLoader) meaning(p *part, typed bool) {
	if other, ok := strings.CutPrefix(p.name, "len("); ok {
		p.kind, p.name = partLen, strings.TrimSuffix(other, ")")
		return
	}
	if other, ok := strings.CutPrefix(p.name, "count("); ok {
		p.kind, p.name = partCount, strings.TrimSuffix(other, ")")
		return
	}
	if sum, ok := c.l.inline[p.name]; ok {
		p.kind, p.sum = partInline, sum
		return
	}
	switch p.name {
	case "len":
		p.kind = partFrameLen
		if typed {
			p.kind = partTotal
		}
		return
	case "seq":
		p.kind = partSeq
		if !typed {
			p.enc.typ, p.enc.width, p.enc.le = "u2", 2, c.l.le
		}
		return
	case "payload":
		p.kind = partPayload
		if !c.down {
			c.errorf("%s: only a downlink has a payload", p.source)
		}
		return
	case "crc", "crc1":
		p.kind, p.of = partSum, 0
		return
	case "crc2", "crc3", "crc4":
		p.kind, p.of = partSum, int(p.name[3]-'1')
		return
	}
	for _, v := range c.l.variants {
		for i, s := range v.sums {
			if s.name != "" && s.name == p.name {
				p.kind, p.of = partSum, i
				return
			}
		}
	}
	p.kind = partField
	name := p.name
	if _, ok := c.l.lookup(name, c.sc); !ok && strings.HasPrefix(name, "_") {
		name = name[1:] // the field's own bytes, as without a type
	}
	if c.down {
		if name == "device_id" {
			p.kind = partDevice
		}
		return
	}
	if slot, ok := c.l.lookup(name, c.sc); ok {
		p.slot, p.raw = slot, !typed
	} else if slot, ok := c.l.foreign(name); ok {
		p.slot, p.raw = slot, !typed
	} else if name == "device_id" {
		p.kind = partDevice
	} else {
		c.l.unknown(c.n, c.what, name, "", "len", "crc", "seq", "now", "device_id")
	}
}

// encoding reads type:option:option=preset.
func (c *templateLoader) encoding(p *part, s string) {
	segments := strings.Split(s, ":")
	last := segments[len(segments)-1]
	if key, value, ok := strings.Cut(last, "="); ok && (len(segments) == 1 || key != "add" && key != "xor" && key != "max") {
		p.preset = &value
		segments[len(segments)-1] = key
	}
	e := &p.enc
	typ := strings.TrimSpace(segments[0])
	typ, e.list = strings.CutSuffix(typ, "[]")
	if i := strings.LastIndexAny(typ, "+-"); i > 0 {
		d, err := strconv.ParseInt(typ[i:], 0, 64)
		if err != nil {
			c.errorf("%s: %q is no number", p.source, typ[i:])
		}
		typ, e.delta = typ[:i], d
	}
	e.typ = typ
	if width, signed, le, ok := c.l.integer(typ); ok {
		e.width, e.signed, e.le = width, signed, le
	} else if !slices.Contains([]string{"f4", "f8", "f4le", "f8le", "bcd", "str", "hex", "bytes", "ascii_int", "ascii_float", "ascii_hex", "json", "ip4", "mac"}, typ) {
		c.errorf("%s: %q is no type for a template: want u1 to u8, s1 to s8, f4, f8, bcd, str, hex, ascii_int, ascii_float, ascii_hex, ip4, mac or json", p.source, typ)
		e.typ = "str"
	} else if typ[0] == 'f' {
		e.width, e.le = int(typ[1]-'0'), strings.HasSuffix(typ, "le") || c.l.le && !strings.HasSuffix(typ, "be")
	}
	for _, option := range segments[1:] {
		key, value, _ := strings.Cut(strings.TrimSpace(option), "=")
		n, err := strconv.ParseInt(key, 10, 32)
		switch {
		case err == nil && n > 0 && n <= largestMaxFrame && e.width == 0:
			e.size = int(n)
		case key == "reverse":
			e.reverse = true
		case key == "gbk":
			e.gbk = true
		case key == "add":
			d, err := strconv.ParseInt(value, 0, 16)
			if err != nil {
				c.errorf("%s: add=%s is no number", p.source, value)
			}
			e.add = byte(d)
		case key == "max" && e.width > 0 && typ[0] != 'f':
			if e.max, err = strconv.ParseUint(value, 0, 64); err != nil || e.max == 0 {
				c.errorf("%s: max=%s is no number above 0", p.source, value)
			}
		case key == "xor":
			if e.xor, err = parseBytes(value); err != nil {
				c.errorf("%s: %v", p.source, err)
			}
		default:
			c.errorf("%s: unknown option %q: there are a size, reverse, add=0x33, xor=55, gbk, and max=1023 for whole numbers", p.source, option)
		}
	}
	if e.typ == "bcd" && e.size < 0 {
		c.errorf("%s: bcd needs a size in bytes: {%s:bcd:6}", p.source, p.name)
		e.size = 1
	}
}

// frameOf finds the variant of the frames that the template makes, by the
// bytes that it begins with.
func (c *templateLoader) frameOf() {
	var known pattern
	for i := range c.t.parts {
		p := &c.t.parts[i]
		if p.literal != nil {
			for _, b := range p.literal {
				known.want, known.mask = append(known.want, b), append(known.mask, 0xff)
			}
			continue
		}
		n := -1
		if p.kind != partFrameLen && p.kind != partSum {
			n = p.fixed()
		}
		if n < 0 {
			break
		}
		known.want, known.mask = append(known.want, make([]byte, n)...), append(known.mask, make([]byte, n)...)
	}
	for skip := range len(known.want) {
		rest := pattern{known.want[skip:], known.mask[skip:]}
		for _, v := range c.l.variants {
			if v.dir == Up {
				continue
			}
			if slices.ContainsFunc(v.starts, rest.could) {
				c.t.variant, c.t.skip = v, skip
				return
			}
		}
	}
	for _, v := range c.l.variants {
		if v.dir != Up && len(v.starts) == 0 {
			c.t.variant = v
			return
		}
	}
}

// could reports whether bytes like p begin as q asks for.
func (p pattern) could(q pattern) bool {
	if len(p.want) < len(q.want) {
		return false
	}
	fixed := byte(0)
	for i := range q.want {
		both := p.mask[i] & q.mask[i]
		if (p.want[i]^q.want[i])&both != 0 {
			return false
		}
		fixed |= both
	}
	return fixed != 0
}

// finish fills in what depends on the variant and on other parts.
func (c *templateLoader) finish(p *part) {
	v := c.t.variant
	switch p.kind {
	case partSum:
		switch {
		case v == nil:
			c.errorf("%s: no variant of framing begins like this template, so its checksum is unknown", p.source)
			p.sum = &checksum{size: 1, sum: xor}
		case p.of >= len(v.sums):
			c.errorf("%s: frames that begin like this have %d checksums", p.source, len(v.sums))
			p.sum = &checksum{size: 1, sum: xor}
		default:
			p.sum = &v.sums[p.of]
		}
	case partFrameLen:
		if v == nil || v.mode != byLength || v.length.kind == lengthVarint {
			c.errorf("%s: no length field of framing applies here; {len:u2-15} is the length of the whole frame less 15", p.source)
			p.enc = encoding{typ: "u2", width: 2, size: -1}
			return
		}
		p.enc = encoding{typ: "u", width: v.length.size, le: v.length.le, size: -1}
	case partLen, partCount:
		p.of = slices.IndexFunc(c.t.parts, func(o part) bool {
			return o.name == p.name && (o.kind == partField || o.kind == partDevice || o.kind == partPayload)
		})
		if p.of < 0 {
			c.errorf("%s: the template has no {%s:...}", p.source, p.name)
			p.of = 0
		}
	}
}
