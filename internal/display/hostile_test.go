package display

import (
	"encoding/hex"
	"strings"
	"testing"
	"unicode"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// hostile is a text that would do harm on a terminal or in a page.
const hostile = "\x1b]0;owned\x07\x1b[2J\u202egnp\u2066\u200b\u0085</script><img src=x onerror=alert(1)>\"'&\n\r\t\x7f"

func publishOf(payload string) []byte {
	b := append([]byte{0x30, byte(3 + len(payload)), 0, 1, 'a'}, payload...)
	return b
}

func TestNothingHostileReachesATerminal(t *testing.T) {
	p := readBytes(t, "mqtt3.1.1", publishOf(hostile))[0]
	p.Summary += hostile
	p.Problems = append(p.Problems, dissect.Problem{Text: hostile, Rule: hostile, Advice: hostile})
	for name, got := range shapes(p) {
		for _, r := range got {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf)) {
				t.Errorf("%s has %U:\n%s", name, r, got)
				break
			}
		}
	}
}

func TestNothingHostileBecomesAPartOfAPage(t *testing.T) {
	p := readBytes(t, "mqtt3.1.1", publishOf(hostile))[0]
	p.Summary += hostile
	p.Problems = append(p.Problems, dissect.Problem{Text: hostile, Rule: hostile, Advice: hostile})
	g := Page{}
	page := string(g.End(g.Append(g.Begin(nil, hostile, hostile), p)))
	if strings.Contains(page, "<img") || strings.Count(page, "<script") != 1 || strings.Count(page, "</script") != 1 {
		t.Error(page)
	}
	for _, outside := range []string{"http://", "https://", " src=", "url(", "@import", "style=\""} {
		if i := strings.Index(page, outside); i >= 0 && !strings.Contains(page[max(i-20, 0):i], "&lt;") {
			t.Errorf("the page asks for %s", outside)
		}
	}
}

// shapes is p in every form.
func shapes(p *decode.Packet) map[string]string {
	l, d := List{}, Ladder{}
	s := NewStats(Style{})
	s.Add(p)
	return map[string]string{
		"hex": string(Annotated(nil, p, Style{})), "list": string(l.Append(nil, p)), "tree": string(Tree(nil, p, Style{})),
		"ladder": string(d.Append(nil, p)), "json": string(JSON(nil, p, Style{})), "stats": string(s.Append(nil)),
		"fields": string((&Columns{[]string{"payload", "topic", "type", "error", "summary"}, &Subject{Secrets: true}}).Append(nil, p)),
		"diff":   string(Diff(nil, p, p, Style{})), "page": string((&Page{}).Append(nil, p)),
	}
}

func FuzzShapes(f *testing.F) {
	for _, s := range []string{connect5, overrun, "c000", "0304 04", "30ffffffff7f"} {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(publishOf(hostile))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range readBytes(t, "", b) {
			for name, got := range shapes(p) {
				if strings.ContainsFunc(got, func(r rune) bool {
					return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf))
				}) {
					t.Fatalf("%s: %q", name, got)
				}
			}
		}
	})
}
