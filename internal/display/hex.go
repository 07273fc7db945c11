package display

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// Columns of annotated hex.
const (
	offsetWidth = 5
	rowBytes    = 8
	hexWidth    = 3*rowBytes - 1
	nameWidth   = 19
	mostRows    = 4 // of one value
	titleWidth  = defaultWidth - 2
	ruleIndent  = 7
)

// Annotated appends p as annotated hex: a title, a row for each field, and what is
// wrong with it.
func Annotated(dst []byte, p *decode.Packet, s Style) []byte {
	v := sheet{Style: s, p: p, problems: problems(p)}
	v.fields(p.Fields, "", false)
	if n := len(p.Bytes); v.shown < n {
		v.add(row{off: v.shown, n: n - v.shown, name: "unread", kind: dissect.Bytes, ascii: true})
	}
	dst = v.title(dst)
	for i := range v.rows {
		dst = v.row(dst, &v.rows[i])
	}
	return v.complaints(dst)
}

// row is a run of bytes, or bits, with a name and a value.
type row struct {
	off, n int
	bits   string // instead of bytes
	bare   bool   // no bytes of its own
	name   string
	// more is the name in the rows below, where a value is longer than one.
	more   string
	value  string
	kind   dissect.Kind
	hidden bool
	ascii  bool // the value is what can be read of the bytes
}

// sheet lays out one packet.
type sheet struct {
	Style
	p        *decode.Packet
	problems []dissect.Problem
	rows     []row
	shown    int // bytes before it have a row
}

// title is "MQTT 5.0 CONNECT  client x      49 bytes  ok".
func (v *sheet) title(dst []byte) []byte {
	head := protocol(v.p.Protocol, v.p.Version)
	head = strings.TrimSpace(head + " " + Safe(v.p.Type))
	rest := Safe(v.p.Summary)
	if rest == "" {
		rest = strings.TrimPrefix(Safe(string(v.p.Line)), Safe(v.p.Type))
		rest = strings.TrimSpace(rest)
	}
	size := string(appendBytes(nil, len(v.p.Bytes)))
	state, m := verdict(v.p), worst(v.p)
	c := green
	if m != clean {
		c = m.ink(plain)
	}
	dst = v.paint(dst, bold, head)
	used := columns(head)
	if rest != "" {
		dst = append(append(dst, "  "...), rest...)
		used += 2 + columns(rest)
	}
	right := columns(size) + 2 + columns(state)
	gap := titleWidth - used - right
	if gap < 2 && rest != "" && gap < 0 {
		dst = append(dst, '\n')
		gap = titleWidth - right
	}
	dst = append(appendBlanks(dst, max(gap, 2)), size...)
	return append(v.paint(append(dst, "  "...), c, state), '\n')
}

// markOf is the worst of the problems in n bytes at off.
func (v *sheet) markOf(off, n int) mark {
	m := clean
	for i := range v.problems {
		q := &v.problems[i]
		if off < q.Off+max(q.Len, 1) && q.Off < off+n {
			m = m.worse(markFor(q))
		}
	}
	return m
}

func markFor(q *dissect.Problem) mark {
	if q.Warning {
		return warning
	}
	return broken
}

// cell is what stands in the column of bytes of one line.
type cell struct {
	off, n int
	carets bool
}

// cells are the bytes of r in rows, each with one of carets where something is wrong.
func (v *sheet) cells(r *row) (all []cell) {
	if r.bare {
		return nil
	}
	for at := 0; at < min(r.n, mostRows*rowBytes); at += rowBytes {
		n := min(r.n-at, rowBytes)
		all = append(all, cell{off: r.off + at, n: n})
		if v.points(r.off+at, n) {
			all = append(all, cell{off: r.off + at, n: n, carets: true})
		}
	}
	return all
}

// points reports whether a problem is about some of n bytes at off.
func (v *sheet) points(off, n int) bool {
	for i := range v.problems {
		if q := &v.problems[i]; q.Len > 0 && off < q.Off+q.Len && q.Off < off+n {
			return true
		}
	}
	return false
}

// valueWidth is the least room for values.
const valueWidth = 28

// row appends r, over as many lines as it needs.
func (v *sheet) row(dst []byte, r *row) []byte {
	room := max(v.width()-(2+1+offsetWidth+2+hexWidth+2+nameWidth+1), valueWidth)
	value := r.value
	if !r.bare && v.markOf(r.off, r.n) == broken && value != "" {
		value = "✗ " + value
	}
	lines := []string{value}
	if columns(value) > room {
		lines = wrap(value, room)
	}
	cells := v.cells(r)
	shown := min(len(lines), max(mostRows, len(cells)))
	for i := range max(len(cells), shown, 1) {
		var c cell
		if i < len(cells) {
			c = cells[i]
		}
		name, text := r.name, ""
		if i > 0 {
			name = cmp.Or(r.more, strings.Repeat(" ", columns(r.name)))
		}
		if i < len(lines) {
			text = lines[i]
		}
		if r.ascii {
			if text = ""; !c.carets {
				text = v.readable(c.off, c.n)
			}
		}
		dst = v.line(dst, r, c, name, text)
	}
	switch left := r.n - mostRows*rowBytes; {
	case !r.bare && left > 0:
		dst = appendBlanks(dst, 2+1+offsetWidth+2)
		dst = append(v.paint(dst, dim, "… "+string(appendBytes(nil, left))+" more"), '\n')
	case len(lines) > shown:
		dst = appendBlanks(dst, 2+1+offsetWidth+2+hexWidth+2+nameWidth+1)
		dst = append(v.paint(dst, dim, "…"), '\n')
	}
	return dst
}

// line appends one line of r.
func (v *sheet) line(dst []byte, r *row, c cell, name, text string) []byte {
	m := clean
	if c.n > 0 && !c.carets {
		m = v.markOf(c.off, c.n)
	}
	paint := m.ink(inks[r.kind])
	dst = append(dst, "  "...)
	if m != clean {
		dst = v.paint(dst, m.ink(plain), string(byte(m)))
	} else {
		dst = append(dst, ' ')
	}
	if c.n > 0 && !c.carets {
		dst = v.offset(dst, c.off)
	} else {
		dst = appendBlanks(dst, offsetWidth)
	}
	dst = append(dst, "  "...)
	switch {
	case r.bits != "":
		dst = appendBlanks(v.paint(dst, paint, r.bits), hexWidth-len(r.bits))
		r.bits = "" // in the first line only
	case c.carets:
		dst = v.carets(dst, c.off, c.n)
	default:
		dst = v.bytes(dst, r, c.off, c.n, paint)
	}
	dst = append(dst, "  "...)
	dst = v.name(dst, name, paint)
	if text != "" {
		dst = append(appendBlanks(dst, max(nameWidth-columns(name), 1)+1), text...)
	}
	return append(trimRight(dst), '\n')
}

// name appends the name with its colour, but the lines of the tree without.
func (v *sheet) name(dst []byte, name string, c ink) []byte {
	i := 0
	for i < len(name) {
		r, n := utf8.DecodeRuneInString(name[i:])
		if !strings.ContainsRune("│├└ ", r) {
			break
		}
		i += n
	}
	dst = append(dst, name[:i]...)
	if i == len(name) {
		return dst
	}
	return v.paint(dst, c, name[i:])
}

func (v *sheet) offset(dst []byte, off int) []byte {
	base := 10
	if v.HexOffsets {
		base = 16
	}
	s := strconv.FormatInt(int64(off), base)
	return append(appendBlanks(dst, offsetWidth-len(s)), s...)
}

func (v *sheet) bytes(dst []byte, r *row, off, n int, c ink) []byte {
	if n <= 0 {
		return appendBlanks(dst, hexWidth)
	}
	dst = v.Style.start(dst, c)
	for i := range n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		switch at := off + i; {
		case r.hidden:
			dst = append(dst, "••"...)
		case at < len(v.p.Bytes):
			b := v.p.Bytes[at]
			dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
		default:
			dst = append(dst, "--"...)
		}
	}
	return appendBlanks(v.stop(dst, c), hexWidth-(3*n-1))
}

// readable is what of n bytes can be read, with a point for the others.
func (v *sheet) readable(off, n int) string {
	var room [rowBytes]byte
	out := room[:0]
	for _, b := range v.p.Bytes[min(off, len(v.p.Bytes)):min(off+n, len(v.p.Bytes))] {
		if b < ' ' || b > '~' {
			b = '.'
		}
		out = append(out, b)
	}
	return string(out)
}

// carets appends what points at the bytes above that are wrong.
func (v *sheet) carets(dst []byte, off, n int) []byte {
	for i := range n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		m := clean
		for j := range v.problems {
			if q := &v.problems[j]; q.Len > 0 && off+i >= q.Off && off+i < q.Off+q.Len {
				m = m.worse(markFor(q))
			}
		}
		switch m {
		case clean:
			dst = append(dst, "  "...)
		case warning:
			dst = v.paint(dst, magenta, "^^")
		default:
			dst = v.paint(dst, red, "^^")
		}
	}
	return appendBlanks(dst, hexWidth-(3*n-1))
}

// complaints appends what is wrong, in words.
func (v *sheet) complaints(dst []byte) []byte {
	for i := range v.problems {
		q := &v.problems[i]
		word := "error"
		if q.Warning {
			word = "warning"
		}
		head := word + " "
		head += strings.Repeat(" ", max(ruleIndent-len(head), 0)) + "at " + string(v.offset0(q.Off)) + ": "
		dst = v.complaint(dst, markFor(q), word, head+Safe(q.Text))
		if q.Rule != "" || q.Advice != "" {
			text := strings.TrimPrefix(q.Rule+": "+q.Advice, ": ")
			dst = v.complaint(dst, clean, "", strings.Repeat(" ", ruleIndent)+Safe(strings.TrimSuffix(text, ": ")))
		}
	}
	if errors.Is(v.p.Err, dissect.ErrShort) {
		text := "short  it ends before it is complete"
		if v.p.Missing > 0 {
			text = "short  " + missing(v.p) + ": it has " + string(appendBytes(nil, len(v.p.Bytes))) + " of " + strconv.Itoa(len(v.p.Bytes)+v.p.Missing)
		}
		dst = v.complaint(dst, broken, "short", text)
	}
	return dst
}

func (v *sheet) offset0(off int) []byte {
	if v.HexOffsets {
		return strconv.AppendInt(nil, int64(off), 16)
	}
	return strconv.AppendInt(nil, int64(off), 10)
}

// complaint appends text, whose first word has the colour of m, in lines.
func (v *sheet) complaint(dst []byte, m mark, word, text string) []byte {
	for i, line := range wrap(text, titleWidth-ruleIndent) {
		if i > 0 {
			dst = appendBlanks(dst, ruleIndent)
			line = strings.TrimLeft(line, " ")
		}
		if i == 0 && word != "" {
			dst = v.paint(dst, m.ink(plain), word)
			line = line[len(word):]
		}
		dst = append(append(dst, line...), '\n')
	}
	return dst
}

// wrap breaks s into lines of at most width columns, at blanks where there are some.
func wrap(s string, width int) []string {
	var lines []string
	for columns(s) > width {
		cut, blank, n := 0, -1, 0
		for i, r := range s {
			if n == width {
				cut = i
				break
			}
			if r == ' ' && n > width/2 {
				blank = i
			}
			n++
		}
		if blank >= 0 && s[cut] != ' ' {
			cut = blank
		}
		lines = append(lines, strings.TrimRight(s[:cut], " "))
		s = strings.TrimLeft(s[cut:], " ")
		if len(lines) > maxWrapped {
			return lines
		}
	}
	return append(lines, s)
}

// maxWrapped bounds the work for values that are cut anyway.
const maxWrapped = 64

func trimRight(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}
