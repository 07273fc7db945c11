package dissect

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/coap"
)

// say adds to the end of the summary.
func (w *coapWalk) say(s string) { w.said = append(w.said, s) }

// mostShown is how much of a text is in a summary.
const mostShown = 60

// summary is "Content NON mid 5214 token d159 observe 25 /3303/0/5700 = 47.1".
func (w *coapWalk) summary() string {
	m, said := w.m, []string(nil)
	if m.Code.Response() {
		said = append(said, m.Code.Name())
	}
	if w.d.Over == OverUDP {
		if m.Code != coap.Empty {
			said = append(said, m.Type.String())
		}
		said = append(said, "mid "+strconv.Itoa(int(m.MessageID)))
	}
	if len(m.Token) > 0 {
		said = append(said, "token "+hex.EncodeToString(m.Token[:min(len(m.Token), 8)]))
	}
	if !m.Code.Signal() {
		said = append(said, w.optionSummary()...)
	}
	said = append(said, w.said...)
	return strings.Join(strings.Fields(strings.Join(said, " ")), " ")
}

// optionSummary is what matters of the options.
func (w *coapWalk) optionSummary() (said []string) {
	m := w.m
	if n, ok := m.Options.Uint(coap.Observe); ok {
		said = append(said, fmt.Sprintf("observe %d", n))
	}
	for _, n := range []coap.Number{coap.Block1, coap.Block2, coap.QBlock1, coap.QBlock2} {
		if v, ok := m.Options.Get(n); ok {
			if b, ok := coap.ParseBlock(v); ok {
				more := ""
				if b.More {
					more = "+"
				}
				said = append(said, fmt.Sprintf("%s %d%s/%d", strings.ToLower(n.String()), b.Number, more, b.Size()))
			}
		}
	}
	switch {
	case m.Code.Request():
		query := ""
		for n, v := range m.Options.All() {
			if n == coap.URIQuery {
				query += "&" + string(v[:min(len(v), mostShown)])
			}
			if len(query) > mostPath {
				break
			}
		}
		if query != "" {
			query = "?" + query[1:]
		}
		said = append(said, plain(w.about.path+query))
	case w.about.known:
		said = append(said, plain(w.about.path))
	}
	if path := m.Options.AppendPath(nil, coap.LocationPath); len(path) > 0 {
		said = append(said, "location "+plain(string(path)))
	}
	return said
}

// plain is s as one word that a terminal shows as it is.
func plain(s string) string {
	if printable([]byte(s)) && !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strconv.Quote(strings.ToValidUTF8(s, "\ufffd"))
}

// bytesText is "1 byte" or "12 bytes".
func bytesText(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return strconv.Itoa(n) + " bytes"
}

// excerpt is the beginning of s, quoted.
func excerpt(s string) string {
	if len(s) <= mostShown {
		return strconv.Quote(s)
	}
	end := mostShown
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return strconv.Quote(s[:end]) + "…"
}
