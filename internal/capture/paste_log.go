package capture

import (
	"regexp"
	"strings"
)

// Runs of bytes within other text.
var (
	spacedRun = pattern(`(?i)\b[0-9a-f]{2}(( {1,2}|[:-])[0-9a-f]{2})+\b`)
	solidRun  = pattern(`(?i)\b(0x)?[0-9a-f]{8,}\b|\b0x[0-9a-f]{2,}\b`)
	listRun   = pattern(`(?i)\b0x[0-9a-f]{1,2}(,? +0x[0-9a-f]{1,2})+\b`)
	// prose is a word that is no mistyped byte.
	prose   = pattern(`(?i)(^|[^a-z0-9])(rx|tx|[a-z]*[g-z][a-z]*[a-z]{2}|[a-z]{2}[a-z]*[g-z]|[a-z][g-z][a-z])([^a-z0-9]|$)`)
	dateRun = pattern(`\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d([.,]\d+)?`)
)

// run returns the longest run of bytes in a line, and where it is.
func run(line string) (b []byte, from, to int) {
	line = dateRun().ReplaceAllStringFunc(line, blank)
	for _, re := range []*regexp.Regexp{listRun(), spacedRun(), solidRun()} {
		for _, at := range re.FindAllStringIndex(line, -1) {
			var found []byte
			for _, t := range tokens(line[at[0]:at[1]], separators) {
				digits, ok := hexToken(t.text)
				if !ok {
					found = nil
					break
				}
				found = appendHex(found, digits)
			}
			if len(found) >= len(b) && len(found) > 0 {
				b, from, to = found, at[0], at[1]
			}
		}
	}
	return b, from, to
}

func looksLog(p *pasting) string {
	for _, line := range p.lines {
		if b, _, _ := run(line); len(b) >= 2 && prose().MatchString(line) {
			return "text with bytes in it"
		}
	}
	return ""
}

// readLog takes the longest run of bytes of each line that has one of at least two. Lines
// of 16 are a dump.
func readLog(p *pasting) error {
	with, without := 0, 0
	lines := make([][]byte, len(p.lines))
	for n, line := range p.lines {
		b, from, to := run(line)
		if len(b) < 2 && !(with > 0 && len(lines[n-1]) == 16 && len(b) == 1) { // the last byte of a dump
			if strings.TrimSpace(line) != "" {
				without++
			}
			continue
		}
		lines[n] = b
		if with++; with <= 3 {
			p.note("line %d: columns %d to %d are read, %q", n+1, from+1, to, clip(line[from:to]))
		}
	}
	if with > 3 {
		p.note("and so on, %d lines in all", with)
	}
	if without > 0 {
		p.note("lines without bytes: %d", without)
	}
	p.joinLines(lines)
	if len(p.packets) == 0 {
		return p.fail(0, 0, "", "no bytes in the text")
	}
	return nil
}
