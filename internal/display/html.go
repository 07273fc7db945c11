package display

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// Page shows packets as one HTML page that loads nothing: bytes and fields, and which
// belong together where the pointer is. Nothing of a packet can become a part of it:
// all is escaped, and the page allows no script but its own, by its hash.
type Page struct {
	Style
	n int
}

// bytesOnPage is how many bytes of a packet are shown.
const bytesOnPage = 4096

// Begin appends the head of the page.
func (g *Page) Begin(dst []byte, title, note string) []byte {
	dst = append(dst, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"...)
	dst = append(dst, `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '`+sourceHash(pageCSS)+`'; script-src '`+sourceHash(pageJS)+`'; base-uri 'none'; form-action 'none'">`+"\n"...)
	dst = append(dst, `<meta name="viewport" content="width=device-width">`+"\n<title>"...)
	dst = append(appendHTML(dst, title), "</title>\n<style>"...)
	dst = append(append(dst, pageCSS...), "</style>\n</head>\n<body>\n<h1>"...)
	dst = append(appendHTML(dst, title), "</h1>\n<p>"...)
	return append(appendHTML(dst, note), "</p>\n"...)
}

// End appends what follows the last packet.
func (g *Page) End(dst []byte) []byte {
	dst = append(append(dst, "<script>"...), pageJS...)
	return append(dst, "</script>\n</body>\n</html>\n"...)
}

func sourceHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func appendHTML(dst []byte, s string) []byte { return append(dst, html.EscapeString(Safe(s))...) }

// Note appends a note between packets.
func (g *Page) Note(dst []byte, n *decode.Note) []byte {
	class := ""
	if n.Kind.Warns() {
		class = ` class="warning"`
	}
	dst = append(append(append(dst, "<p"...), class...), ">… "...)
	return append(appendHTML(dst, n.Text), "</p>\n"...)
}

// Append appends p. The first is open.
func (g *Page) Append(dst []byte, p *decode.Packet) []byte {
	g.n++
	dst = append(dst, "<details"...)
	if g.n == 1 {
		dst = append(dst, " open"...)
	}
	dst = append(dst, "><summary>"...)
	dst = g.summary(dst, p)
	v := leaves{sheet: sheet{Style: g.Style, p: p, problems: problems(p)}, owner: make([]int, min(len(p.Bytes), bytesOnPage))}
	v.ownerships(p.Fields)
	dst = append(dst, "</summary>\n<div class=\"both\">\n"...)
	dst = v.hex(dst)
	v.next = 0
	dst = v.list(dst, p.Fields)
	dst = append(dst, "</div>\n"...)
	for i := range v.problems {
		dst = v.problem(dst, &v.problems[i])
	}
	return append(dst, "</details>\n"...)
}

func (g *Page) summary(dst []byte, p *decode.Packet) []byte {
	if p.Number > 0 {
		dst = append(appendRight(dst, int64(p.Number), numberWidth), "  "...)
	}
	if s := p.Stream; s != nil && s.Client.IsValid() {
		arrow := map[dissect.Direction]string{dissect.FromClient: " → ", dissect.FromServer: " ← "}[p.Direction]
		dst = append(appendHTML(dst, s.Client.String()+arrow+s.Server.String()), "  "...)
	}
	dst = appendHTML(dst, protocol(p.Protocol, p.Version))
	dst = append(appendHTML(append(dst, " <b>"...), p.Type), "</b>"...)
	dst = append(dst, html.EscapeString(string(appendSummary(nil, p)))...)
	dst = append(dst, "  "...)
	if class := classOf(worst(p)); class != "" {
		dst = append(dst, `<span class="`+class+`">`...)
		return append(append(dst, html.EscapeString(verdict(p))...), "</span>"...)
	}
	return append(dst, verdict(p)...)
}

func classOf(m mark) string {
	switch m {
	case broken:
		return "error"
	case warning:
		return "warning"
	}
	return ""
}

// leaves are the fields of a packet with numbers, in the order of the tree.
type leaves struct {
	sheet
	owner  []int // of each byte: the number of the innermost field, from 1
	kinds  []string
	hidden []bool
	next   int
}

// ownerships numbers fields and says which bytes are whose.
func (v *leaves) ownerships(fields []dissect.Field) {
	for i := range fields {
		f := &fields[i]
		v.next++
		v.kinds = append(v.kinds, f.Kind.String())
		v.hidden = append(v.hidden, f.Secret && !v.Secrets)
		if f.Mask == 0 {
			for at := max(f.Off, 0); at < min(f.End(), len(v.owner)); at++ {
				v.owner[at] = v.next
			}
		}
		v.ownerships(f.Kids)
	}
}

func (v *leaves) hex(dst []byte) []byte {
	dst = append(dst, `<div class="hex">`...)
	const row = 16
	for at := 0; at < len(v.owner); at += row {
		dst = append(dst, `<div><span class="o">`...)
		dst = append(append(dst, v.offset0(at)...), "</span>"...)
		for i := at; i < min(at+row, len(v.owner)); i++ {
			dst = v.octet(dst, i)
		}
		dst = append(dst, "</div>\n"...)
	}
	if more := len(v.p.Bytes) - len(v.owner); more > 0 {
		dst = append(appendBytes(append(dst, "<div>… "...), more), " more</div>"...)
	}
	return append(dst, "</div>\n"...)
}

func (v *leaves) octet(dst []byte, i int) []byte {
	dst = append(dst, `<i data-i="`...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	owner := v.owner[i]
	class := classOf(v.markOf(i, 1))
	hidden := false
	if owner > 0 {
		dst = append(dst, `" data-f="`...)
		dst = strconv.AppendInt(dst, int64(owner), 10)
		class = strings.TrimSpace(v.kinds[owner-1] + " " + class)
		hidden = v.hidden[owner-1]
	}
	dst = append(append(append(dst, `" class="`...), class...), `">`...)
	if hidden {
		return append(dst, "••</i>"...)
	}
	b := v.p.Bytes[i]
	return append(dst, hexDigits[b>>4], hexDigits[b&15], '<', '/', 'i', '>')
}

func (v *leaves) list(dst []byte, fields []dissect.Field) []byte {
	if len(fields) == 0 {
		return dst
	}
	dst = append(dst, "<ul>\n"...)
	for i := range fields {
		f := &fields[i]
		v.next++
		dst = append(dst, `<li><span tabindex="0" data-f="`...)
		dst = strconv.AppendInt(dst, int64(v.next), 10)
		dst = append(dst, `" data-o="`...)
		dst = strconv.AppendInt(dst, int64(f.Off), 10)
		dst = append(dst, `" data-n="`...)
		dst = strconv.AppendInt(dst, int64(f.Len), 10)
		dst = append(append(append(dst, `"><span class="n `...), f.Kind.String()...), `">`...)
		dst = append(appendHTML(dst, f.Name), "</span>"...)
		if text := v.leaf(f); text != "" {
			dst = append(append(dst, ` <span class="v">`...), html.EscapeString(text)...)
			dst = append(dst, "</span>"...)
		}
		dst = append(dst, ` <span class="at">`...)
		dst = append(append(dst, v.offset0(f.Off)...), " +"...)
		dst = append(strconv.AppendInt(dst, int64(f.Len), 10), "</span></span>\n"...)
		dst = append(v.list(dst, f.Kids), "</li>\n"...)
	}
	return append(dst, "</ul>\n"...)
}

func (v *leaves) problem(dst []byte, q *dissect.Problem) []byte {
	class := classOf(markFor(q))
	dst = append(append(append(dst, `<p class="`...), class...), `">`...)
	dst = append(append(dst, class...), " at "...)
	dst = appendHTML(append(append(dst, v.offset0(q.Off)...), ": "...), q.Text)
	if text := strings.TrimSuffix(strings.TrimPrefix(q.Rule+": "+q.Advice, ": "), ": "); text != "" {
		dst = appendHTML(append(dst, " – "...), text)
	}
	return append(dst, "</p>\n"...)
}
