package capture

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Pasted is what a pasted text has in it.
type Pasted struct {
	Form    string // one of Forms
	Why     string // what it was recognised by: "offsets with a colon, and pairs of bytes"
	Packets [][]byte
	Notes   []string // what was left out or taken for granted
	// Framed packets are frames or IP packets, as dumps of tcpdump are: give them to
	// Reader. Link is their link layer.
	Framed bool
	Link   uint32
}

// Split says how lines become packets where the form does not tell: a dump with offsets
// does, as does a literal.
type Split uint8

// Values of Split.
const (
	SplitGuess Split = iota // a line is a packet, unless they look wrapped
	SplitLines              // a line is a packet
	SplitNone               // all is one
)

// PasteError says where a text stops to be of its form.
type PasteError struct {
	Form         string // "" if it was not recognised
	Line, Column int    // from 1, in characters; 0: the whole
	Reason       string
	Hint         string // what to type instead; may be ""
}

// Error implements error.
func (e *PasteError) Error() string {
	s := e.Reason
	if e.Line > 0 {
		s = fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, s)
	}
	if e.Form != "" {
		s += " (read as " + e.Form + ")"
	}
	return s
}

// maxExpanded bounds what the asterisks of dumps stand for, which say nothing else about
// how much was left out.
const maxExpanded = 16 << 20

// pasteForm is a form: looks says why a text may be of it, "" if it is not, and read reads
// it.
type pasteForm struct {
	name  string
	looks func(p *pasting) string
	read  func(p *pasting) error
}

// pasteForms are in the order in which they are tried.
func pasteForms() []pasteForm {
	return []pasteForm{
		{"binary", looksBinary, readBinary},
		{"tcpdump", looksTcpdump, readColonDump},
		{"xxd", looksXxd, readColonDump},
		{"hexdump-C", looksHexdumpC, readOffsetDump},
		{"wireshark", looksWireshark, readOffsetDump},
		{"od-c", looksOdC, readOdC},
		{"hexdump", looksHexdump, readOffsetDump},
		{"od", looksOd, readOffsetDump},
		{"python", looksPython, readLiterals},
		{"go", looksGo, readGo},
		{"c", looksC, readLiterals},
		{"array", looksArray, readArrays},
		{"buffer", looksBuffer, readBuffers},
		{"escapes", looksEscapes, readEscapes},
		{"0x", looksPrefixed, readHex},
		{"hex", looksHex, readHex},
		{"decimal", looksDecimal, readDecimal},
		{"base64", looksBase64, readBase64},
		{"log", looksLog, readLog},
	}
}

// Forms lists the names of the forms that Paste knows.
func Forms() []string {
	var names []string
	for _, f := range pasteForms() {
		names = append(names, f.name)
	}
	return names
}

// Paste finds out which form text has and returns the packets' bytes. form forces one of
// Forms; "" detects it. The error is a *PasteError.
func Paste(text []byte, form string) (Pasted, error) { return PasteSplit(text, form, SplitGuess) }

// PasteSplit is Paste for who knows what a line is.
func PasteSplit(text []byte, form string, split Split) (Pasted, error) {
	forms := pasteForms()
	if form != "" {
		i := slices.IndexFunc(forms, func(f pasteForm) bool { return f.name == form })
		if i < 0 {
			return Pasted{}, &PasteError{Reason: fmt.Sprintf("no form %q", form), Hint: "forms are " + strings.Join(Forms(), ", ")}
		}
		p := newPasting(text, split)
		p.form, p.why = form, "as was asked for"
		return p.done(forms[i].read(p))
	}
	p := newPasting(text, split)
	if len(text) == 0 || !p.binary && strings.TrimSpace(p.all()) == "" {
		return Pasted{}, &PasteError{Reason: "there is nothing to read"}
	}
	for _, f := range forms {
		if why := f.looks(p); why != "" {
			p.form, p.why = f.name, why
			return p.done(f.read(p))
		}
	}
	return Pasted{}, p.unknown()
}

// pasting is a text that is being read.
type pasting struct {
	raw    []byte
	binary bool
	lines  []string // without their ends
	split  Split
	form   string
	why    string

	packets [][]byte
	notes   []string
	size    int // of what asterisks stood for
}

// newPasting takes text apart into lines. Colours of terminals, byte order marks and
// typographic blanks and quotes, which find their way into copies, are gone from them;
// columns stay.
func newPasting(text []byte, split Split) *pasting {
	p := &pasting{raw: text, split: split}
	s := utf16Text(text)
	s = strings.TrimPrefix(s, "\uFEFF")
	s = withoutColours(s)
	p.binary = !isText(s)
	if p.binary {
		return p
	}
	plain := plainRune
	if strings.ContainsAny(s, "\"'") {
		plain = func(c rune) rune { return c } // they are data, or none
	}
	for line := range strings.Lines(strings.ReplaceAll(s, "\r\n", "\n")) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			line = "" // the fence around a block in a report
		}
		p.lines = append(p.lines, strings.Map(plain, line))
	}
	return p
}

// plainRune replaces what word processors and chats make of blanks and quotes.
func plainRune(c rune) rune {
	switch c {
	case '\u00a0', '\u200b', '\u2009', '\u202f', '\ufeff':
		return ' '
	case '\u201c', '\u201d', '\u201e':
		return '"'
	case '\u2018', '\u2019':
		return '\''
	case '\u2013', '\u2014':
		return '-'
	}
	return c
}

// utf16Text returns text, recoded when a byte order mark says that it is UTF-16, as some
// shells write, and it is ASCII.
func utf16Text(text []byte) string {
	if len(text) < 2 || len(text)%2 != 0 {
		return string(text)
	}
	low, high := 0, 1
	switch [2]byte(text[:2]) {
	case [2]byte{0xff, 0xfe}:
	case [2]byte{0xfe, 0xff}:
		low, high = 1, 0
	default:
		return string(text)
	}
	var b strings.Builder
	for i := 2; i < len(text); i += 2 {
		if text[i+high] != 0 || text[i+low] >= 0x80 {
			return string(text)
		}
		b.WriteByte(text[i+low])
	}
	return b.String()
}

// withoutColours takes out ECMA-48 control sequences.
func withoutColours(s string) string {
	if !strings.Contains(s, "\x1b[") {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		end := strings.IndexFunc(after, func(c rune) bool { return c >= '@' && c <= '~' })
		if end < 0 {
			return b.String()
		}
		s = after[end+1:]
	}
}

func isText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f })
}

func (p *pasting) all() string { return strings.Join(p.lines, "\n") }

// pattern is a regular expression that is compiled when it is first needed: most runs of
// the program need none.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// first returns the first line that is not blank.
func (p *pasting) first() string {
	for _, l := range p.lines {
		if strings.TrimSpace(l) != "" {
			return l
		}
	}
	return ""
}

func (p *pasting) add(packet []byte) {
	if len(packet) > 0 {
		p.packets = append(p.packets, packet)
	}
}

func (p *pasting) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// fail is an error at byte column col of line, both from 0.
func (p *pasting) fail(line, col int, hint, format string, args ...any) error {
	text := ""
	if line < len(p.lines) {
		text = p.lines[line]
	}
	return &PasteError{
		Form: p.form, Line: line + 1, Column: utf8.RuneCountInString(text[:min(col, len(text))]) + 1,
		Reason: fmt.Sprintf(format, args...), Hint: hint,
	}
}

func (p *pasting) done(err error) (Pasted, error) {
	if err != nil {
		return Pasted{}, err
	}
	if len(p.packets) == 0 {
		return Pasted{}, &PasteError{Form: p.form, Reason: "there are no bytes in it"}
	}
	if p.split == SplitNone && len(p.packets) > 1 {
		p.packets = [][]byte{slices.Concat(p.packets...)}
	}
	d := Pasted{Form: p.form, Why: p.why, Packets: p.packets, Notes: p.notes}
	if p.form != "binary" {
		d.recogniseFrames()
	}
	return d, nil
}

// unknown is the error of a text of no form: where it stops to be what it is most like.
func (p *pasting) unknown() error {
	hint := "--in forces a form: " + strings.Join(Forms(), ", ")
	q := *p
	q.form, q.packets = "hex", nil
	if err := readHex(&q); err != nil {
		e := err.(*PasteError) //nolint:errorlint,forcetypeassert // readHex has no other
		e.Form, e.Hint = "", hint
		e.Reason = "of no known form; as hexadecimal digits: " + e.Reason
		return e
	}
	return &PasteError{Reason: "of no known form", Hint: hint}
}

func looksBinary(p *pasting) string {
	if p.binary {
		return "bytes that are no text"
	}
	return ""
}

func readBinary(p *pasting) error {
	p.add(slices.Clone(p.raw))
	return nil
}
