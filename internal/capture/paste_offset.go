package capture

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

func readColonDump(p *pasting) error { return p.readDump(true) }

func readOffsetDump(p *pasting) error { return p.readDump(false) }

// splitAll takes all lines of a dump apart. Other lines may stand before a dump begins.
func (p *pasting) splitAll(colon bool) ([]dumpLine, error) {
	var lines []dumpLine
	other := -1 // a line that is of no dump
	for n, text := range p.lines {
		if strings.TrimSpace(text) == "" || ruler().MatchString(text) {
			continue
		}
		d, ok := splitDump(n, text, colon)
		if ok && !d.star && len(d.words) > 0 {
			// What looks like an offset may be a word of another line.
			w := d.words[0].text
			ok = allHex(strings.TrimPrefix(w, "-"))
		}
		switch {
		case !ok:
			other = n
			continue
		case other >= 0 && (d.star || !isZero(d.offset) && len(lines) > 0):
			return nil, p.fail(other, 0, "", "no line of a dump between two others: it must begin with an offset")
		}
		other = -1
		lines = append(lines, d)
	}
	if len(lines) == 0 {
		return nil, p.fail(0, 0, "", "no line begins with an offset")
	}
	return lines, nil
}

func isZero(digits string) bool { return strings.Trim(digits, "0") == "" }

// readDump reads a dump: offset 0 begins the next packet.
func (p *pasting) readDump(colon bool) error {
	lines, err := p.splitAll(colon)
	if err != nil {
		return err
	}
	for len(lines) > 0 {
		n := 1
		for n < len(lines) && (lines[n].star || !isZero(lines[n].offset)) {
			n++
		}
		if err := p.dumpPacket(lines[:n], colon); err != nil {
			return err
		}
		lines = lines[n:]
	}
	return nil
}

// dumpPacket reads the lines of one packet.
func (p *pasting) dumpPacket(lines []dumpLine, colon bool) error {
	first := &lines[0]
	if first.star {
		return p.fail(first.number, 0, "", "an asterisk with nothing before it")
	}
	st, ok := styleOf(lines, colon)
	if !ok {
		if len(first.words) == 0 {
			return nil // nothing but an offset: of an empty file
		}
		return p.fail(first.number, first.words[0].col, "", "%q is not a group of bytes", clip(first.words[0].text))
	}
	base := 16
	if !colon {
		base = p.offsetBase(lines, &st)
	}
	var packet, last []byte
	begin, err := strconv.ParseUint(first.offset, base, 63)
	if err != nil {
		return p.fail(first.number, 0, "", "%q is not an offset", first.offset)
	}
	width := 0
	for i := range lines {
		d := &lines[i]
		if d.star {
			continue
		}
		at, err := strconv.ParseUint(d.offset, base, 63)
		if err != nil || at < begin {
			return p.fail(d.number, 0, "", "the offset %q is before that of the first line", d.offset)
		}
		if i > 0 && lines[i-1].star {
			if err := p.repeat(&packet, last, at-begin, d); err != nil {
				return err
			}
		}
		if at-begin != uint64(len(packet)) {
			return p.fail(d.number, 0, "a line may be missing, or a part of one",
				"the offset %s, where %s is next", d.offset, strconv.FormatUint(begin+uint64(len(packet)), base))
		}
		if len(d.words) == 0 {
			continue
		}
		b, n := st.read(d)
		if room, ok := p.room(lines[i+1:], base, at); ok {
			if n < room && room <= len(b) || room < n && (!st.swapped || n-room < st.bytes) {
				n = room
			}
		} else if width > 0 && n > width {
			n = width
		}
		if n == 0 {
			return p.badWord(d, &st)
		}
		if err := p.wholeLine(d, &st, n, len(b)); err != nil {
			return err
		}
		last = b[:n]
		width = max(width, n)
		packet = append(packet, last...)
	}
	if lines[len(lines)-1].star {
		return p.fail(lines[len(lines)-1].number, 0, "", "an asterisk at the end: nothing says how often the line before it is repeated")
	}
	p.add(packet)
	return nil
}

// room is how many bytes there are until the offset of the next line.
func (p *pasting) room(rest []dumpLine, base int, at uint64) (n int, ok bool) {
	if len(rest) == 0 || rest[0].star {
		return 0, false
	}
	next, err := strconv.ParseUint(rest[0].offset, base, 63)
	if err != nil || next <= at || next-at > 1<<20 {
		return 0, false
	}
	return int(next - at), true
}

// repeat appends last until packet has n bytes.
func (p *pasting) repeat(packet *[]byte, last []byte, n uint64, d *dumpLine) error {
	if n < uint64(len(*packet)) || len(last) == 0 {
		return nil // the offset is found wrong by the caller
	}
	more := n - uint64(len(*packet))
	if more > maxExpanded-uint64(p.size) {
		return p.fail(d.number, 0, "", "an asterisk stands for %d bytes, more than %d", more, maxExpanded)
	}
	p.size += int(more)
	*packet = append(*packet, bytes.Repeat(last, int(more)/len(last)+1)[:more]...)
	return nil
}

// badWord is the error of a line in which the first word that is not a group is wanted.
func (p *pasting) badWord(d *dumpLine, st *style) error {
	for _, w := range d.words {
		if _, ok := st.group(nil, w.text); !ok {
			return p.badGroup(d.number, w, st)
		}
	}
	return p.fail(d.number, 0, "", "not a line of such a dump")
}

// wholeLine says that what is behind the n bytes taken is a text column, and no group
// that is damaged: that stands one blank behind the others.
func (p *pasting) wholeLine(d *dumpLine, st *style, n, readable int) error {
	if n < readable && !st.columns {
		return nil
	}
	have := 0
	for i, w := range d.words {
		b, ok := st.group(nil, w.text)
		if !ok {
			// Some dumps have their text one blank behind 16 bytes.
			if full := n >= 16 && st.size == 2; st.columns || w.gap == 1 && i > 0 && have == n && !full {
				return p.badGroup(d.number, w, st)
			}
			return nil
		}
		have += len(b)
	}
	return nil
}

// badGroup says what is wrong with a word.
func (p *pasting) badGroup(line int, w word, st *style) error {
	if st.base == 16 {
		for i := range len(w.text) {
			if !isHex(w.text[i]) {
				return p.fail(line, w.col+i, "", "%q is not a hexadecimal digit", firstRune(w.text[i:]))
			}
		}
	}
	return p.fail(line, w.col, "", "%q is not a group like those before it", clip(w.text))
}

// offsetBase finds out in which base the offsets of a packet are: the one in which they
// agree with the bytes.
func (p *pasting) offsetBase(lines []dumpLine, st *style) int {
	bases := p.likelyBases(&lines[0], st)
	for _, exact := range []bool{true, false} {
		for i, base := range bases {
			if !agrees(lines, st, base, exact) {
				continue
			}
			if i == 0 && agrees(lines, st, bases[1], exact) && hasStar(lines) {
				other := "hexdump"
				if bases[1] == 8 {
					other = "od"
				}
				p.note("how much the asterisk stands for depends on the program: --in %s reads it otherwise", other)
			}
			return base
		}
	}
	return bases[0]
}

func hasStar(lines []dumpLine) bool {
	return slices.ContainsFunc(lines, func(d dumpLine) bool { return d.star })
}

// likelyBases are the bases that offsets may have, the likeliest first: repeated lines
// leave it open.
func (p *pasting) likelyBases(first *dumpLine, st *style) []int {
	octal := len(first.offset) == 7 && (st.bytes == 1 || st.bytes > 2 || st.base != 16)
	if len(first.words) > 1 && first.words[1].gap > 1 && st.size > 1 {
		octal = false // hexdump keeps its groups apart
	}
	if st.columns && st.size == 0 {
		octal = len(first.offset) == 7
	}
	if p.form == "od" && len(first.offset) == 7 {
		octal = true
	}
	if octal && p.form != "hexdump" {
		return []int{8, 16, 10}
	}
	return []int{16, 8, 10}
}

// agrees says that the offsets of lines in a base are those that the bytes have.
func agrees(lines []dumpLine, st *style, base int, exact bool) bool {
	for i := range lines[:len(lines)-1] {
		d, next := &lines[i], &lines[i+1]
		if d.star || next.star && i+2 == len(lines) {
			continue
		}
		star := next.star
		if star {
			next = &lines[i+2]
		}
		if isZero(next.offset) || next.star {
			continue // the next packet
		}
		from, err := strconv.ParseUint(d.offset, base, 63)
		to, err2 := strconv.ParseUint(next.offset, base, 63)
		if err != nil || err2 != nil || to <= from {
			return false
		}
		b, n := st.read(d)
		room := to - from
		if star {
			if n == 0 || room%uint64(n) != 0 || room == uint64(n) {
				return false
			}
			continue
		}
		filled := len(next.words) == 0 && st.swapped && room < uint64(n) && room+uint64(st.bytes) > uint64(n)
		if room != uint64(n) && !filled && (exact || room > uint64(len(b))) {
			return false
		}
	}
	return true
}
