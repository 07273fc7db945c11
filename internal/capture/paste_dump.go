package capture

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// word is what may be a group of bytes in a dump.
type word struct {
	token
	gap int // blanks before it
}

// dumpLine is a line of a dump: an offset, and what is behind it.
type dumpLine struct {
	number int
	text   string
	offset string // its digits
	words  []word // up to a text column within bars
	star   bool   // "*": like the line before, up to the next offset
}

// splitDump takes a line of a dump apart. ok is false when it is of another kind.
func splitDump(n int, line string, colon bool) (d dumpLine, ok bool) {
	d.number, d.text = n, strings.TrimRight(line, " \t")
	s := d.text
	at := len(s) - len(strings.TrimLeft(s, " \t"))
	if s[at:] == "*" {
		d.star = true
		return d, true
	}
	if strings.HasPrefix(s[at:], "0x") {
		at += 2
	}
	end := at
	for end < len(s) && isHex(s[end]) {
		end++
	}
	if d.offset = s[at:end]; len(d.offset) < 4 || len(d.offset) > 15 {
		return d, false
	}
	if colon {
		if end == len(s) || s[end] != ':' {
			return d, false
		}
		end++
	}
	for at = end; at < len(s); {
		start := at
		for at < len(s) && (s[at] == ' ' || s[at] == '\t') {
			at++
		}
		if at == start || s[at] == '|' || s[at] == '>' {
			return d, at > start
		}
		end := at
		for end < len(s) && s[end] != ' ' && s[end] != '\t' {
			end++
		}
		d.words = append(d.words, word{token{at, s[at:end]}, at - start})
		at = end
	}
	return d, true
}

// style is how the groups of a dump are written.
type style struct {
	colon   bool // behind the offset: bytes in their order, whatever the groups
	columns bool // groups stand apart in columns, and there is no text behind them
	size    int  // characters of a group; the last one of a line may have less
	bytes   int  // of a group
	base    int  // of the number: 16, 8, 10 or 2
	swapped bool // a group is a little-endian number
}

// styleOf tells the style from the first line of a dump, and decimal numbers from all.
func styleOf(lines []dumpLine, colon bool) (style, bool) {
	d := &lines[0]
	if len(d.words) == 0 {
		return style{}, false
	}
	first := d.words[0].text
	st := style{colon: colon, size: len(first), base: 16}
	if colon && len(first) == 8 && inBits(lines) {
		st.bytes, st.base = 1, 2 // xxd -b
		return st, true
	}
	if colon {
		st.bytes = len(first) / 2
		return st, allHex(first) && len(first)%2 == 0 && len(first) <= 64
	}
	if pitch := pitch(lines); pitch >= 4 {
		st.size, st.bytes, st.base, st.columns = 0, 1, 10, true // od -tu1
		if pitch > 5 {
			st.bytes, st.swapped = 2, true // od -d
		}
		return st, true
	}
	if len(d.words) > 1 && d.words[1].gap >= 2 && d.words[1].gap <= 6 {
		st.columns = !slices.ContainsFunc(d.words, func(w word) bool { return !allHex(w.text) || len(w.text) < 4 })
	}
	switch n := len(first); {
	case n == 2 && allHex(first):
		st.bytes = 1
	case n == 3 && isOctal(first):
		st.bytes, st.base = 1, 8 // od -b
	case n == 5 && isDigits(first):
		st.bytes, st.base, st.swapped = 2, 10, true // od -d
	case n == 6 && isOctal(first):
		st.bytes, st.base, st.swapped = 2, 8, true // od
	case (n == 4 || n == 8 || n == 16) && allHex(first):
		st.bytes, st.swapped = n/2, true // hexdump, od -x
	default:
		return st, false
	}
	return st, true
}

// inBits says that all groups have eight binary digits.
func inBits(lines []dumpLine) bool {
	for _, d := range lines {
		for i, w := range d.words {
			if i > 0 && w.gap > 1 {
				break // the text
			}
			if len(w.text) != 8 || strings.Trim(w.text, "01") != "" {
				return false
			}
		}
	}
	return true
}

// pitch is the width of columns in which decimal numbers stand to the right; 0 if they do
// not.
func pitch(lines []dumpLine) int {
	first := lines[0].words[0]
	width, n := first.gap+len(first.text), 0
	vary := len(first.text) <= 2
	for _, d := range lines {
		for _, w := range d.words {
			if w.gap+len(w.text) != width || !isDigits(strings.TrimPrefix(w.text, "-")) {
				return 0
			}
			vary = vary || len(w.text) != len(first.text)
			n++
		}
	}
	if !vary || n < 2 || width > 7 {
		return 0
	}
	return width
}

// group appends the bytes of a word, and says whether it is one.
func (st *style) group(b []byte, w string) ([]byte, bool) {
	if st.base == 16 && !st.swapped {
		if len(w)%2 != 0 || len(w) > st.size || !allHex(w) {
			return b, false
		}
		return appendHex(b, w), true
	}
	if st.size > 0 && len(w) != st.size || strings.HasPrefix(w, "+") {
		return b, false
	}
	if st.size == 0 && st.bytes == 1 {
		v, ok := number(w)
		return append(b, v), ok
	}
	if st.size == 0 && strings.HasPrefix(w, "-") {
		v, err := strconv.ParseInt(w, 10, 16)
		return append(b, byte(v), byte(v>>8)), err == nil
	}
	v, err := strconv.ParseUint(w, st.base, 8*st.bytes)
	for range st.bytes {
		b = append(b, byte(v))
		v >>= 8
	}
	return b, err == nil
}

// read returns the bytes of a line: all that might be, and how many of them are, as far
// as the blanks tell.
func (st *style) read(d *dumpLine) (b []byte, sure int) {
	sure = -1
	for i, w := range d.words {
		if i > 0 && sure < 0 && w.gap >= 2 && !st.columns && !st.goesOn(d, i, len(b)) {
			sure = len(b)
		}
		next, ok := st.group(b, w.text)
		if !ok {
			break
		}
		b = next
	}
	if sure < 0 {
		sure = len(b)
	}
	return b, sure
}

// goesOn says that bytes come behind the gap before word i: some dumps leave a blank in
// the middle of 16.
func (st *style) goesOn(d *dumpLine, i, n int) bool {
	if d.words[i].gap > 2 || n != 8 || st.size != 2 {
		return false
	}
	rest := d.text[d.words[i].col:]
	if w := d.words[i].text; len(w) != 2 || !allHex(w) {
		return false
	}
	return strings.Contains(rest, "  ") || strings.Contains(rest, " |") ||
		utf8.RuneCountInString(rest) > 8 && strings.Trim(rest, hexDigits+" ") == ""
}

// Beginnings of dumps.
var (
	tcpdumpLine   = pattern(`^\s*0x[0-9a-f]{4,8}:\s+[0-9a-f]{2,4}(\s|$)`)
	colonLine     = pattern(`^\s*[0-9a-fA-F]{4,16}:\s+[0-9a-fA-F]{2,}(\s|$)`)
	canonicalLine = pattern(`^[0-9a-f]{8,}(  [0-9a-f]{2}( [0-9a-f]{2})*)+\s+\|.*\|?$`)
	wiresharkLine = pattern(`^\s*[0-9a-fA-F]{4,8}\s+[0-9a-fA-F]{2}(\s|$)`)
	hexdumpLine   = pattern(`^[0-9a-f]{7,8}( +[0-9a-f]{4}| [0-9]{3}| +[0-9]{5}| +[0-7]{6})(\s|$)`)
	odLine        = pattern(`^[0-9a-f]{6,16} +[0-9a-f-]+(\s|$)`)
	ruler         = pattern(`(?i)^\s*00 01 02 03 04 05 06 07\s+08 09 0a 0b 0c 0d 0e 0f\s*$`)
)

// match says that a line is of a form; those before the first of a dump may be anything,
// as tools print what they have captured there.
func (p *pasting) match(form *regexp.Regexp, anywhere bool) bool {
	if !anywhere {
		for _, l := range p.lines {
			if strings.TrimSpace(l) != "" && !ruler().MatchString(l) {
				return form.MatchString(l)
			}
		}
		return false
	}
	return slices.ContainsFunc(p.lines, form.MatchString)
}

func looksTcpdump(p *pasting) string {
	if p.match(tcpdumpLine(), true) {
		return "offsets with 0x and a colon"
	}
	return ""
}

func looksXxd(p *pasting) string {
	if p.match(colonLine(), false) {
		return "offsets with a colon"
	}
	return ""
}

func looksHexdumpC(p *pasting) string {
	if p.match(canonicalLine(), false) {
		return "offsets, bytes, and text between bars"
	}
	return ""
}

// looksOffset says that the first line is of form, and that what it begins with is an
// offset: one that is zero and no group, or that the next lines go on from.
func (p *pasting) looksOffset(form *regexp.Regexp, anywhere bool) bool {
	if !p.match(form, anywhere) {
		return false
	}
	var lines []dumpLine
	for n, l := range p.lines {
		if d, ok := splitDump(n, l, false); ok && len(d.words) > 0 && form.MatchString(l) {
			if lines = append(lines, d); len(lines) == 2 {
				break
			}
		}
	}
	if len(lines) == 0 {
		return false
	}
	first := lines[0]
	zero := strings.Trim(first.offset, "0") == ""
	if _, ok := styleOf(lines, false); !ok {
		return false
	}
	if zero && len(first.offset) != len(first.words[0].text) && (len(first.offset) > 4 || first.words[0].gap > 1) {
		return true
	}
	q := *p
	return len(lines) > 1 && len(lines[1].offset) == len(first.offset) && lines[1].offset > first.offset &&
		readOffsetDump(&q) == nil
}

func looksWireshark(p *pasting) string {
	if p.looksOffset(wiresharkLine(), true) && len(p.firstOffset(wiresharkLine())) == 4 {
		return "offsets of four digits, and bytes"
	}
	return ""
}

// firstOffset is the offset of the first line of form.
func (p *pasting) firstOffset(form *regexp.Regexp) string {
	for n, l := range p.lines {
		if d, ok := splitDump(n, l, false); ok && form.MatchString(l) {
			return d.offset
		}
	}
	return ""
}

func looksHexdump(p *pasting) string {
	if p.looksOffset(hexdumpLine(), false) && p.hexOffsets() {
		return "offsets, and groups that are little-endian numbers"
	}
	return ""
}

// hexOffsets says that the offsets are hexadecimal, as they are in a dump of hexdump and
// not in one of od.
func (p *pasting) hexOffsets() bool {
	q := *p
	q.packets, q.notes = nil, nil
	dump, err := q.splitAll(false)
	if err != nil || len(dump) == 0 {
		return false
	}
	st, ok := styleOf(dump, false)
	return ok && !(st.base == 16 && st.bytes == 1) && q.offsetBase(dump, &st) == 16
}

func looksOd(p *pasting) string {
	if p.looksOffset(odLine(), false) {
		return "offsets, and groups"
	}
	return ""
}
