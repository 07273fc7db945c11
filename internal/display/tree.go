package display

import (
	"strings"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// Tree appends p as a tree of its fields, without their bytes.
func Tree(dst []byte, p *decode.Packet, s Style) []byte {
	v := sheet{Style: s, p: p, problems: problems(p)}
	if p.Number > 0 {
		dst = appendRight(dst, int64(p.Number), 0)
		dst = append(dst, "  "...)
	}
	dst = v.title(dst)
	dst = v.branches(dst, p.Fields, "")
	return v.complaints(dst)
}

// branches appends fields below what prefix stands for.
func (v *sheet) branches(dst []byte, fields []dissect.Field, prefix string) []byte {
	for i := range fields {
		f := &fields[i]
		last := i == len(fields)-1
		m := clean
		if f.Len > 0 {
			m = v.markOf(f.Off, f.Len)
		}
		dst = append(append(dst, prefix...), branch(last)...)
		dst = v.paint(dst, m.ink(inks[f.Kind]), Safe(f.Name))
		if text := v.leaf(f); text != "" {
			dst = append(append(dst, ": "...), text...)
		}
		switch m {
		case broken:
			dst = append(dst, " ✗"...)
		case warning:
			dst = append(dst, " ~"...)
		}
		dst = append(dst, '\n')
		dst = v.branches(dst, f.Kids, prefix+stem(last)+" ")
	}
	return dst
}

// longestLeaf is how much of a value a tree has room for.
const longestLeaf = 160

// leaf is the value of f on one line.
func (v *sheet) leaf(f *dissect.Field) string {
	if f.Secret && !v.Secrets {
		return "hidden (--secrets)"
	}
	if b, ok := f.Value.([]byte); ok {
		return v.octets(f, b)
	}
	text := string(appendValue(nil, f))
	if columns(text) > longestLeaf {
		return string([]rune(text)[:longestLeaf]) + "…"
	}
	return text
}

// octets is "4 bytes, d1 59 00 00".
func (v *sheet) octets(f *dissect.Field, b []byte) string {
	const most = 16
	dst := append(appendBytes(nil, len(b)), ',')
	for _, c := range b[:min(len(b), most)] {
		dst = append(dst, ' ', hexDigits[c>>4], hexDigits[c&15])
	}
	if len(b) > most {
		dst = append(dst, " …"...)
	}
	if f.Note != "" {
		dst = appendSafe(append(dst, ", "...), f.Note)
	}
	return strings.TrimSuffix(string(dst), ",")
}
