package display

import (
	"bytes"
	"strconv"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// Columns of a comparison.
const (
	diffName  = 24
	diffValue = 26
	diffBytes = diffValue / 3
	// mostCompared bounds the work of laying fields side by side.
	mostCompared = 1 << 22
)

// side is a field of one of two packets, with its name in the tree.
type side struct {
	name  string
	field *dissect.Field
	bytes []byte
}

// Diff appends two packets, field by field, side by side; = marks no row, ≠ those
// that differ, - and + those that only one has. Bytes are below what differs.
func Diff(dst []byte, p, q *decode.Packet, s Style) []byte {
	v := sheet{Style: s}
	a, b := flat(nil, p.Fields, "", p), flat(nil, q.Fields, "", q)
	dst = v.diffRow(dst, ' ', dim, "", diffTitle(p), diffTitle(q))
	differ := 0
	for _, r := range align(a, b) {
		var left, right string
		sign, c, name := ' ', plain, ""
		if r[0] != nil {
			left, name = v.diffText(r[0]), r[0].name
		}
		if r[1] != nil {
			right, name = v.diffText(r[1]), r[1].name
		}
		switch {
		case r[0] == nil:
			sign, c = '+', green
		case r[1] == nil:
			sign, c = '-', red
		case left != right || !bytes.Equal(r[0].bytes, r[1].bytes):
			sign, c = '≠', magenta
		}
		dst = v.diffRow(dst, sign, c, name, left, right)
		if sign == ' ' {
			continue
		}
		differ++
		dst = v.diffBytes(dst, r)
	}
	if differ == 0 {
		return append(dst, "the same\n"...)
	}
	if differ == 1 {
		return append(dst, "1 field differs\n"...)
	}
	return append(append(dst, counted(differ, "field")...), " differ\n"...)
}

func diffTitle(p *decode.Packet) string {
	title := protocol(p.Protocol, p.Version) + " " + Safe(p.Type) + ", " + string(appendBytes(nil, len(p.Bytes)))
	if p.Number > 0 {
		title = strconv.Itoa(p.Number) + "  " + title
	}
	return title
}

// flat lists fields in the order of the tree.
func flat(all []side, fields []dissect.Field, indent string, p *decode.Packet) []side {
	for i := range fields {
		f := &fields[i]
		s := side{name: indent + Safe(f.Name), field: f}
		if f.End() <= len(p.Bytes) && f.Mask == 0 && len(f.Kids) == 0 {
			s.bytes = p.Bytes[f.Off:f.End()]
		}
		all = flat(append(all, s), f.Kids, indent+"  ", p)
	}
	return all
}

// align pairs what has the same name, in order, as often as possible.
func align(a, b []side) [][2]*side {
	if len(a)*len(b) > mostCompared {
		return zip(a, b)
	}
	// best[i][j] is how many pairs a[i:] and b[j:] have.
	best := make([][]int32, len(a)+1)
	for i := range best {
		best[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i].name == b[j].name {
				best[i][j] = best[i+1][j+1] + 1
			} else {
				best[i][j] = max(best[i+1][j], best[i][j+1])
			}
		}
	}
	var rows [][2]*side
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i].name == b[j].name:
			rows = append(rows, [2]*side{&a[i], &b[j]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && best[i+1][j] >= best[i][j+1]:
			rows = append(rows, [2]*side{&a[i], nil})
			i++
		default:
			rows = append(rows, [2]*side{nil, &b[j]})
			j++
		}
	}
	return rows
}

// zip pairs by place.
func zip(a, b []side) (rows [][2]*side) {
	for i := range max(len(a), len(b)) {
		var r [2]*side
		if i < len(a) {
			r[0] = &a[i]
		}
		if i < len(b) {
			r[1] = &b[i]
		}
		rows = append(rows, r)
	}
	return rows
}

// diffText is the value on one line.
func (v *sheet) diffText(s *side) string {
	text := v.leaf(s.field)
	if text == "" && len(s.field.Kids) == 0 {
		return "–"
	}
	return text
}

func (v *sheet) diffRow(dst []byte, sign rune, c ink, name, left, right string) []byte {
	dst = v.Style.start(dst, c)
	dst = append(dst, string(sign)...)
	dst = appendPadded(append(dst, ' '), clipped(name, diffName), diffName+1)
	dst = appendPadded(dst, clipped(left, diffValue), diffValue+1)
	dst = append(trimRight(append(dst, clipped(right, diffValue)...)), ""...)
	return append(v.stop(dst, c), '\n')
}

// clipped is s in at most width columns.
func clipped(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// diffBytes appends the bytes of both sides, the first that differ among them.
func (v *sheet) diffBytes(dst []byte, r [2]*side) []byte {
	var left, right []byte
	for i, s := range r {
		if s == nil || s.field.Secret && !v.Secrets {
			continue
		}
		if i == 0 {
			left = s.bytes
		} else {
			right = s.bytes
		}
	}
	if len(left)+len(right) == 0 || bytes.Equal(left, right) {
		return dst
	}
	from := 0
	for from < len(left) && from < len(right) && left[from] == right[from] {
		from++
	}
	from = max(from-from%diffBytes, 0)
	return v.diffRow(dst, ' ', dim, "", hexRun(left, from), hexRun(right, from))
}

// hexRun is a row of b from an offset on.
func hexRun(b []byte, from int) string {
	var dst []byte
	if from > 0 && from < len(b) {
		dst = append(dst, "… "...)
	}
	for i := from; i < len(b) && i < from+diffBytes-1; i++ {
		dst = append(dst, hexDigits[b[i]>>4], hexDigits[b[i]&15], ' ')
	}
	if from+diffBytes-1 < len(b) {
		dst = append(dst, "…"...)
	}
	return string(dst)
}
