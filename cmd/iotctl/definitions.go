package main

import (
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/codec/frame"
)

// newDefinitions is a help topic: the language of the files of codecs.
func newDefinitions() *cobra.Command {
	return &cobra.Command{
		Use:   "definitions",
		Short: "The language in which private protocols are described",
		Long: `One YAML file says how a device's bytes are framed, checked and understood, what
it is answered, and how a command becomes a frame. This page lists every key.

iotctl codec new begins a file, iotctl codec check runs its tests, and iotctl
codec show prints those that come with the program. iotctl serve speaks the
protocol with --listen frame://127.0.0.1:8092/./FILE.yaml, or where frame.codecs
in its configuration lists the file.

` + plainText(afterIntroduction(frame.Reference())),
	}
}

// afterIntroduction is the text from its first example on.
func afterIntroduction(markdown string) string {
	i := strings.Index(markdown, "```")
	return markdown[max(i, 0):]
}

// plainText makes help of Markdown: headings in capitals; code, lists and tables
// indented, so that they stay as they are in a manual page.
func plainText(markdown string) string {
	var b strings.Builder
	var table [][]string
	code := false
	for line := range strings.Lines(markdown) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "|") && !code {
			table = append(table, cells(line))
			continue
		}
		writeTable(&b, table)
		table = nil
		switch {
		case strings.HasPrefix(line, "```"):
			code = !code
		case code && line != "":
			b.WriteString("  " + line + "\n")
		case code || line == "":
			b.WriteString("\n")
		case strings.HasPrefix(line, "#"):
			b.WriteString(strings.ToUpper(unquoted(strings.TrimLeft(line, "# "))) + "\n")
		case strings.HasPrefix(line, "- "):
			b.WriteString("  " + unquoted(line) + "\n")
		case strings.HasPrefix(line, "  "):
			b.WriteString("  " + unquoted(line) + "\n")
		default:
			b.WriteString(unquoted(line) + "\n")
		}
	}
	writeTable(&b, table)
	return strings.TrimRight(b.String(), "\n")
}

// unquoted takes the marks off what is code in a line.
func unquoted(s string) string { return strings.ReplaceAll(s, "`", "") }

// cells are the columns of a row.
func cells(line string) []string {
	all := strings.Split(strings.Trim(line, "| "), "|")
	for i := range all {
		all[i] = unquoted(strings.TrimSpace(all[i]))
	}
	return all
}

// Widths of a table in help.
const (
	referenceWidth = 80
	mostKey        = 24 // a longer one has a line of its own
)

// writeTable writes two columns, with a heading unless it says what goes without
// saying. Of a table with one row the headings are the first of them.
func writeTable(b *strings.Builder, table [][]string) {
	if len(table) < 3 {
		return
	}
	rows := table[2:]
	if len(rows) == 1 {
		row := rows[0]
		rows = nil
		for i, head := range table[0] {
			rows = append(rows, []string{head, row[i]})
		}
	} else if head := table[0]; head[0] != "key" {
		rows = append([][]string{{strings.ToUpper(head[0]), strings.ToUpper(head[1])}}, rows...)
	}
	width := 0
	for _, row := range rows {
		if n := utf8.RuneCountInString(row[0]); n <= mostKey {
			width = max(width, n)
		}
	}
	for _, row := range rows {
		key := row[0]
		for _, words := range wrapped(row[1], referenceWidth-width-4) {
			if utf8.RuneCountInString(key) > width {
				b.WriteString("  " + key + "\n")
				key = ""
			}
			b.WriteString("  " + key + strings.Repeat(" ", width-utf8.RuneCountInString(key)) + "  " + words + "\n")
			key = ""
		}
	}
}

// wrapped breaks s between words into lines of at most width characters.
func wrapped(s string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
