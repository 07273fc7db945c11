package main

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/frame"
)

// Help has every key of the reference, without its marks, and fits a terminal
// where it is not code.
func TestDefinitionsAreAllInHelp(t *testing.T) {
	help := newDefinitions().Long
	rows := regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(frame.Reference(), -1)
	if len(rows) < 80 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		if key := strings.ReplaceAll(row[1], "`", ""); !strings.Contains(help, "  "+key) {
			t.Errorf("no %s", key)
		}
	}
	for line := range strings.Lines(help) {
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, "`") || strings.HasPrefix(line, "|") || strings.HasPrefix(line, "#") {
			t.Errorf("Markdown: %s", line)
		}
		if n := utf8.RuneCountInString(line); n > 80 && !strings.ContainsAny(line, "{}\"") {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

func TestPlainText(t *testing.T) {
	const markdown = "## Two `words`\n\nText of `code`.\n\n| key | meaning |\n|---|---|\n| `a` | one |\n| `long` | more `words` |\n\n" +
		"| sums | crcs |\n|---|---|\n| `s` | `c` |\n\n| type | value |\n|---|---|\n| `u1` | a byte |\n| `u2` | two |\n\n" +
		"- a\n  b\n\n```yaml\na: `b`\n\n# | c\n```\n"
	const want = "TWO WORDS\n\nText of code.\n\n  a     one\n  long  more words\n\n" +
		"  sums  s\n  crcs  c\n\n  TYPE  VALUE\n  u1    a byte\n  u2    two\n\n" +
		"  - a\n    b\n\n  a: `b`\n\n  # | c"
	if got := plainText(markdown); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
