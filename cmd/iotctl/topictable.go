package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"github.com/iotctl/iotctl/internal/traffic"
)

// A topicColumn of a table of topics. Topic and value share what room the others
// leave; they have no width of their own.
type topicColumn struct {
	title string
	width int
	least int // the table is at least that wide, or the column is left out
	right bool
	cell  func(r *traffic.Row, now time.Time) string
}

const (
	titleTopic = "TOPIC"
	titleValue = "VALUE"
)

// topColumns are those of top.
func topColumns() []topicColumn {
	return []topicColumn{
		{title: titleTopic},
		{"MSG/S", 6, 0, true, func(r *traffic.Row, _ time.Time) string { return shortRate(r.Rate) }},
		{"B/S", 6, 50, true, func(r *traffic.Row, _ time.Time) string { return shortBytes(r.ByteRate) }},
		{"COUNT", 7, 100, true, func(r *traffic.Row, _ time.Time) string { return shortCount(r.Messages) }},
		{"SIZE", 6, 40, true, func(r *traffic.Row, _ time.Time) string { return shortBytes(float64(r.Size)) }},
		{"QOS", 5, 60, false, func(r *traffic.Row, _ time.Time) string { return qosSeen(r.QoS) }},
		{"QOS MIX %", 11, 120, false, func(r *traffic.Row, _ time.Time) string { return qosMix(r.QoS) }},
		{"R", 1, 60, false, func(r *traffic.Row, _ time.Time) string {
			if r.Retained {
				return "R"
			}
			return ""
		}},
		{"AGE", 4, 0, true, func(r *traffic.Row, now time.Time) string { return shortAge(now.Sub(r.Last)) }},
		{title: titleValue},
	}
}

// subColumns are those of sub --table.
func subColumns() []topicColumn {
	all := topColumns()
	return []topicColumn{all[0], all[1], all[4], all[8], all[9]}
}

// topicLines renders a table of rows, its titles first. No line is wider than
// width cells of a terminal; with width 0 nothing is cut. What others have
// written cannot move the cursor.
func topicLines(columns []topicColumn, rows []traffic.Row, now time.Time, width int) []string {
	columns = fitting(columns, width)
	topic, value := flexible(columns, rows, width)
	lines := make([]string, 0, len(rows)+1)
	line := make([]string, len(columns))
	render := func(cell func(c *topicColumn, room int) string) {
		for i := range columns {
			c := &columns[i]
			room := c.width
			switch c.title {
			case titleTopic:
				room = topic
			case titleValue:
				room = value
			}
			line[i] = padded(cell(c, room), room, c.right)
		}
		lines = append(lines, strings.TrimRight(strings.Join(line, " "), " "))
	}
	render(func(c *topicColumn, room int) string { return cutEnd(c.title, room) })
	for i := range rows {
		r := &rows[i]
		render(func(c *topicColumn, room int) string {
			switch c.title {
			case titleTopic:
				return cutMiddle(tamed([]byte(r.Topic)), room)
			case titleValue:
				return cutEnd(shownValue(r.Value, r.Size), room)
			}
			return cutEnd(c.cell(r, now), room)
		})
	}
	return lines
}

// fitting leaves out what a narrow table has no room for.
func fitting(columns []topicColumn, width int) []topicColumn {
	var out []topicColumn
	for _, c := range columns {
		mix := width == 0 || width >= 120
		if c.title == "QOS" && mix || width > 0 && c.least > width {
			continue
		}
		out = append(out, c)
	}
	return out
}

// flexible divides what is left between topic and value. The width of topics is a
// multiple of eight, so that it does not change with every one that comes.
func flexible(columns []topicColumn, rows []traffic.Row, width int) (topic, value int) {
	longest := len(titleTopic)
	for i := range rows {
		longest = max(longest, cellsOf(tamed([]byte(rows[i].Topic))))
	}
	if width == 0 {
		return longest, math.MaxInt
	}
	left := width - (len(columns) - 1)
	for _, c := range columns {
		left -= c.width
	}
	left = max(left, 2)
	topic = min((longest+7)/8*8, max(left*3/5, left-60), left-1)
	return topic, left - topic
}

// padded fills s up to width cells of a terminal.
func padded(s string, width int, right bool) string {
	if width == math.MaxInt {
		return s
	}
	blanks := strings.Repeat(" ", max(width-cellsOf(s), 0))
	if right {
		return blanks + s
	}
	return s + blanks
}

const ellipsis = "…"

func cutEnd(s string, width int) string {
	if cellsOf(s) <= width {
		return s
	}
	return s[:reach(s, width-1)] + ellipsis
}

// cutMiddle keeps both ends: topics differ at their ends.
func cutMiddle(s string, width int) string {
	all := cellsOf(s)
	if all <= width {
		return s
	}
	if width < 5 {
		return cutEnd(s, width)
	}
	front := s[:reach(s, (width-1)/2)]
	back := s[reach(s, all-(width-1-cellsOf(front))):]
	if cellsOf(back) > width-1-cellsOf(front) { // a wide rune was half in
		_, n := utf8.DecodeRuneInString(back)
		back = back[n:]
	}
	return front + ellipsis + back
}

// cellsOf is how many cells of a terminal s takes at most: each rune by itself,
// though some terminals join some of them.
func cellsOf(s string) int {
	n := 0
	for _, r := range s {
		n += cellsOfRune(r)
	}
	return n
}

// cellsOfRune is how many one takes. Runes whose width is a matter of the locale
// are narrow, as terminals have them. The tables of Unicode are go-runewidth's.
func cellsOfRune(r rune) int {
	if r < utf8.RuneSelf {
		return 1
	}
	return (&runewidth.Condition{StrictEmojiNeutral: true}).RuneWidth(r)
}

// reach is the length of what fits into width cells.
func reach(s string, width int) int {
	for i, r := range s {
		if width -= cellsOfRune(r); width < 0 {
			return i
		}
	}
	return len(s)
}

// shownValue is a payload as a cell: text on one line, or hex. b may be but its
// beginning.
func shownValue(b []byte, size int) string {
	if len(b) == 0 && size == 0 {
		return "(empty)"
	}
	text := b
	if len(b) < size { // a rune may have been cut
		for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
			if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
				if !utf8.FullRune(last) {
					text = text[:len(text)-n]
				}
				break
			}
		}
	}
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return "0x" + hex.EncodeToString(b)
	}
	return tamed(text)
}

// tamed makes one line of b that says nothing to a terminal: control characters,
// and those that turn the direction of writing or have no shape, are points, and
// white space is blanks.
func tamed(b []byte) string {
	plain := true
	for _, c := range b {
		plain = plain && c >= ' ' && c < 0x7f
	}
	if plain {
		return string(b)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r >= 0xfe00 && r <= 0xfe0f: // change how wide what stands before them is
			return -1
		case r == utf8.RuneError, unicode.In(r, unicode.C, unicode.Zl, unicode.Zp), !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r):
			return '.'
		}
		return r
	}, string(b))
}

// shortRate is a rate in six columns at most.
func shortRate(v float64) string {
	switch {
	case v < 0.005:
		return "0"
	case v < 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return shortCount(uint64(v + 0.5))
}

// shortCount is a number in six columns at most.
func shortCount(n uint64) string {
	if n < 100_000 {
		return strconv.FormatUint(n, 10)
	}
	return scaled(float64(n), 1000, "kMGTPE")
}

// shortBytes is a number of bytes in six columns at most, as in 12.3K.
func shortBytes(v float64) string {
	switch {
	case v < 0.5:
		return "0"
	case v < 10_000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return scaled(v, 1024, "KMGTPE")
}

func scaled(v, step float64, units string) string {
	i := -1
	for v >= 999.5 && i < len(units)-1 {
		v /= step
		i++
	}
	digits := 0
	if v < 99.95 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + units[i:i+1]
}

// shortAge is a time in four columns at most.
func shortAge(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(d, 0)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 100*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", min(d/(24*time.Hour), 999))
}

// qosSeen lists the QoS that messages had, as in "0 2".
func qosSeen(n [3]uint64) string {
	var seen []string
	for q, count := range n {
		if count > 0 {
			seen = append(seen, strconv.Itoa(q))
		}
	}
	return strings.Join(seen, " ")
}

// qosMix is the share of each QoS in percent, as in 90/10/0.
func qosMix(n [3]uint64) string {
	all := n[0] + n[1] + n[2]
	if all == 0 {
		return ""
	}
	var parts [3]string
	for q, count := range n {
		parts[q] = strconv.FormatFloat(100*float64(count)/float64(all), 'f', 0, 64)
	}
	return strings.Join(parts[:], "/")
}
