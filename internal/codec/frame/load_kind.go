package frame

import (
	"strings"
	"time"
)

// kinds are the types that need no more than a size.
var kinds = map[string]struct {
	read    func(*Record, *field) error
	textual bool
}{
	"bytes":       {readBase64, true},
	"hex":         {readHex, true},
	"str":         {readString, true},
	"bcd":         {readBCD, true},
	"ascii_int":   {readASCIIInt, false},
	"ascii_float": {readASCIIFloat, false},
	"ascii_hex":   {readASCIIHex, false},
}

// otherTypes are those with keys of their own, for messages.
var otherTypes = []string{
	"u1", "u2", "u3", "u4", "u8", "s1", "s2", "s3", "s4", "s8", "f4", "f8", "varint", "ip4", "mac", "time",
	"skip", "checksum", "group", "switch", "array", "tlv", "kv", "regex", "json",
}

// foreignTypes are words of other languages for types, and what they are here.
var foreignTypes = map[string]string{
	"int8": "s1", "int16": "s2", "int32": "s4", "int64": "s8", "i8": "s1", "i16": "s2", "i32": "s4", "i64": "s8",
	"uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8", "u16": "u2", "u32": "u4", "u64": "u8",
	"byte": "u1", "char": "u1", "bool": "u1", "word": "u2", "short": "s2", "ushort": "u2", "dword": "u4", "long": "s8", "ulong": "u8",
	"int": "s2 or s4", "integer": "s2 or s4", "uint": "u2 or u4", "number": "u2 or u4", "signed": "s2 or s4", "unsigned": "u2 or u4",
	"float": "f4", "float32": "f4", "f32": "f4", "single": "f4", "real": "f4", "double": "f8", "float64": "f8", "f64": "f8",
	"string": "str", "text": "str", "ascii": "str", "blob": "bytes", "raw": "hex", "datetime": "time", "timestamp": "time",
	"list": "array", "struct": "group", "object": "group", "ip": "ip4", "ipv4": "ip4",
}

// kind reads the keys that belong to the type of a field.
func (l *loader) kind(m *mapping, typ string, f *field, sc scope) {
	if k, ok := kinds[typ]; ok {
		f.read, f.textual = k.read, k.textual
		l.size(m, f, sc, needed)
		l.textRule(m, f, typ)
		l.numberRule(m, f, sc, typ)
		if typ == "bcd" && f.num != nil {
			f.textual = false
		}
		return
	}
	switch typ {
	case "":
		l.errorf(m.node, "%s: type is missing", m.what)
		f.read = readSkip
	case "varint":
		f.read = readVarint
		l.noOps(m, f)
		l.numberRule(m, f, sc, typ)
		l.bits(m, f, sc, 64)
	case "f4", "f8", "f4le", "f8le", "f4be", "f8be":
		f.width, f.float, f.read = int(typ[1]-'0'), true, readNumber
		if len(typ) > 2 {
			f.le = typ[2:] == "le"
		}
		l.numberRule(m, f, sc, typ)
	case "ip4", "mac":
		f.read, f.textual = readIP4, true
		if typ == "mac" {
			f.read = readMAC
		}
		l.wordChecks(m, f, typ)
	case "time":
		l.timeField(m, f)
	case "skip":
		f.read = readSkip
		l.size(m, f, sc, needed)
	case "checksum":
		l.checksumField(m, f, sc)
	case "group":
		f.read, f.sub = readGroup, &nested{}
		l.size(m, f, sc, size{})
		if f.ops != nil && f.size.kind == sizeFixed && f.size.n == 0 {
			l.errorf(m.node, "%s: add, xor and reverse need a size: size: rest", m.what)
		}
		l.members(m, f, sc)
	case "switch":
		f.read, f.sub = readSwitch, &nested{}
		f.sub.choice = l.choice(m, f, sc)
	case "array":
		l.array(m, f, sc)
	case "tlv":
		l.tlv(m, f, sc)
	case "kv":
		l.kv(m, f, sc)
	case "regex":
		l.regex(m, f, sc)
	case "json":
		f.read, f.sub, f.textual = readJSON, &nested{refs: map[string]int{}}, true
		l.size(m, f, sc, size{kind: sizeRest})
		if f.flat {
			l.bags = append(l.bags, bag{sc.prefix, f.sub.refs})
		}
	default:
		l.integerField(m, typ, f, sc)
	}
}

func (l *loader) integerField(m *mapping, typ string, f *field, sc scope) {
	width, signed, le, ok := l.integer(typ)
	if !ok {
		words := append([]string{}, otherTypes...)
		for name := range kinds {
			words = append(words, name)
		}
		hint := "want " + strings.Join(otherTypes, ", ") + ", bytes, hex, str, bcd, ascii_int, ascii_float or ascii_hex"
		if here := foreignTypes[strings.ToLower(typ)]; here != "" {
			hint = "here it is " + here
		} else if near := nearest(typ, words); near != "" {
			hint = "did you mean " + near + "?"
		}
		l.errorf(m.node, "%s: there is no type %q: %s", m.what, typ, hint)
		for _, key := range m.keys { // what follows would only be noise
			m.get(key)
		}
		f.read = readSkip
		return
	}
	f.width, f.signed = width, signed
	if strings.HasSuffix(typ, "le") || strings.HasSuffix(typ, "be") || !m.has("endian") {
		f.le = le
	}
	if m.has("mask") {
		const most = 1<<63 - 1
		f.mask = uint64(m.number64("mask", most, 1, most))
	}
	l.numberRule(m, f, sc, typ)
	l.bits(m, f, sc, 8*width)
	f.read = readNumber
	plain := !signed && f.num == nil && f.checks == nil && f.bits == nil && f.ops == nil && !m.has("mask")
	if plain {
		f.read = readUint
	}
}

func (l *loader) noOps(m *mapping, f *field) {
	if f.ops != nil {
		l.errorf(m.node, "%s: add, xor and reverse are not for this type", m.what)
	}
}

func (l *loader) timeField(m *mapping, f *field) {
	f.read = readTime
	f.time = &timeFormat{zone: l.zone, bytes: 4}
	zone := l.tz(m)
	format := m.text("format")
	t, err := parseTime(format, zone, f.le)
	if err != nil {
		l.errorf(m.node, "%s: %v", m.what, err)
		return
	}
	if m.has("size") {
		n := m.number("size", t.bytes, 1, 8)
		if t.unit == 0 && n != t.bytes {
			l.errorf(m.node, "%s: size: %s has %d bytes", m.what, format, t.bytes)
		} else {
			t.bytes = n
		}
	}
	f.time = t
}

// tz reads a time zone, or gives that of the file.
func (l *loader) tz(m *mapping) (zone *time.Location) {
	n := m.get("tz")
	if n == nil {
		return l.zone
	}
	z, err := parseZone(n.Value)
	if err != nil {
		l.errorf(n, "%s: %v", m.what, err)
		return l.zone
	}
	return z
}

// checksumField reads a checksum that stands among the fields.
func (l *loader) checksumField(m *mapping, f *field, sc scope) {
	l.noOps(m, f)
	f.read, f.textual = readChecksum, true
	f.hidden = true
	sum := l.algorithm(m)
	sum.from = m.number("from", 0, 0, largestMaxFrame)
	sum.le = f.le
	f.sub = &nested{sum: &sum}
	if sc.apart {
		l.errorf(m.node, "%s: a checksum is not possible in bytes that were cut out (kv, regex) or changed (add, xor, reverse)", m.what)
	}
	if f.name != "_" {
		l.inline[f.name] = f.sub.sum
	}
}

// members reads the fields of a structure.
func (l *loader) members(m *mapping, f *field, sc scope) {
	n := m.get("fields")
	if n == nil {
		l.errorf(m.node, "%s: fields are missing", m.what)
		return
	}
	f.sub.fields = l.fields(n, sc.inner(f))
}

func (l *loader) array(m *mapping, f *field, sc scope) {
	f.read, f.sub = readArray, &nested{count: size{kind: sizeRest}}
	f.sub.items = m.number("max_items", defaultItems, 1, maxValues)
	if f.name == "_" {
		l.errorf(m.node, "field: an array needs a name")
	}
	l.noOps(m, f)
	l.size(m, f, sc, size{})
	if n := m.get("count"); n == nil {
		l.errorf(m.node, "%s: count is missing: a number, an earlier field, or eos for as many as there are", m.what)
	} else if n.Value != "eos" {
		f.sub.count = l.amount(n, m.what+": count", sc)
		if f.sub.count.kind == sizeRest && n.Value != "rest" {
			f.sub.count.kind = sizeFixed
		}
	}
	f.sub.tag = field{slot: -1, line: f.line}
	item := m.get("item")
	switch {
	case item != nil && m.has("fields"):
		l.errorf(m.node, "%s: give item for values, or fields for objects, not both", m.what)
	case item != nil:
		inner := sc.inner(f)
		inner.item = true
		inner.depth++
		one, ok := l.field(item, inner)
		if ok {
			f.sub.fields, f.sub.scalar = []field{one}, true
		}
	default:
		l.members(m, f, sc)
	}
}
