package main

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode"
)

// watcher is --watch: a line of the screen for each topic, in the order in
// which they first appeared, below a line that names the broker.
type watcher struct {
	rows   map[string]int
	header string
}

func newWatcher(s *settings) *watcher {
	return &watcher{rows: map[string]int{}, header: fmt.Sprintf("Broker: %s\n", s.host)}
}

const (
	clearScreen = "\x1b[2J\x1b[1;1H"
	clearRest   = "\x1b[K"
)

// update returns what to write so that the row of the topic shows line. What
// could move the cursor is replaced.
func (w *watcher) update(topic string, line []byte) []byte {
	var out []byte
	if len(w.rows) == 0 {
		out = append(append(out, clearScreen...), w.header...)
	}
	row, ok := w.rows[topic]
	if !ok {
		row = len(w.rows) + 2
		w.rows[topic] = row
	}
	out = append(out, "\x1b["...)
	out = strconv.AppendInt(out, int64(row), 10)
	out = append(out, ";1H"...)
	out = append(out, bytes.Map(printable, line)...)
	return append(append(out, clearRest...), '\n')
}

func printable(r rune) rune {
	if unicode.IsControl(r) { // C1, too: terminals take U+009B for ESC [
		return '.'
	}
	return r
}
