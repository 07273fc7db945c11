package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fatih/color"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/traffic"
)

// redrawEvery bounds how often a screen is drawn.
const redrawEvery = 250 * time.Millisecond

// topicView is a table of topics that is kept up to date: on a screen, with keys,
// or to be printed at the end.
type topicView struct {
	s       *settings
	t       *terminal
	columns []topicColumn
	name    string // before the totals

	mu    sync.Mutex
	table *traffic.Table
	notes string // the last line that would have gone to standard error

	screen atomic.Pointer[screen] // nil: none yet

	// What follows belongs to the goroutine that draws.
	view     traffic.View
	paused   bool
	typing   bool
	search   []rune
	frozen   []string // rows of a view that is paused
	matching int
	page     int // rows on the screen
}

func newTopicView(s *settings, t *terminal, columns []topicColumn) *topicView {
	v := &topicView{
		s: s, t: t, columns: columns, name: "iotctl " + s.prog.String(),
		table:  traffic.New(time.Now(), traffic.Config{Depth: s.top.depth, Topics: s.top.maxTopics}),
		view:   traffic.View{By: s.top.sortBy, Reverse: s.top.reverse, Search: s.top.search},
		search: []rune(s.top.search),
	}
	return v
}

// observe enters a message, and reads it as a rule of --payload says.
func (v *topicView) observe(m client.Message) {
	defer v.guard()
	var value []byte
	if v.s.payloads != nil {
		content, _ := m.Properties.String(mqtt.PropContentType)
		c, ok, err := v.s.payloads.Decode(m.Topic, content, m.Payload)
		switch {
		case err != nil:
			v.note(fmt.Sprintf("%q: %v", m.Topic, err))
		case ok:
			value = c.AppendText(nil)
		}
	}
	v.enter(time.Now(), &m, value)
}

// enter enters a message; value is shown in place of its payload, unless it is nil.
func (v *topicView) enter(now time.Time, m *client.Message, value []byte) {
	defer v.guard()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.table.Observe(now, traffic.Message{
		Topic: m.Topic, Payload: m.Payload, Value: value, QoS: m.QoS, Retain: m.Retain,
		AsPublished: v.s.retainAsPublished || v.s.device != nil,
	})
}

// Write takes lines that would spoil the screen.
func (v *topicView) Write(b []byte) (int, error) {
	v.note(strings.TrimPrefix(string(b), v.t.name+": "))
	return len(b), nil
}

func (v *topicView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.notes = tamed([]byte(strings.TrimSpace(text)))
}

// begin shows the table on the terminal, if standard output is one. stop is called
// at most once, when a key asks for the end or the terminal is gone. end gives the
// terminal back; where there is none, it prints the table. A nil view does nothing.
func (v *topicView) begin(stop func(error)) (end func() error, err error) {
	if v == nil {
		return func() error { return nil }, nil
	}
	if !v.t.outTTY {
		return v.print, nil
	}
	s, err := openScreen(v.t)
	if err != nil {
		return nil, fail(exitFailed, err)
	}
	v.screen.Store(s)
	done, drawn := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drawn)
		v.run(done, stop)
	}()
	return func() error { close(done); <-drawn; return nil }, nil
}

// guard is to be deferred where a panic would leave the terminal as it is.
func (v *topicView) guard() {
	if r := recover(); r != nil {
		if s := v.screen.Load(); s != nil {
			s.close()
		}
		panic(r)
	}
}

// run draws until done is closed, a key asks for the end, or the terminal goes; stop
// is told of the latter two. What is written to standard error meanwhile, if that is
// a terminal, shows in the view. It gives the terminal back.
func (v *topicView) run(done <-chan struct{}, stop func(error)) {
	screen := v.screen.Load()
	defer screen.close()
	defer v.guard()
	if v.t.errTTY {
		var was io.Writer
		v.t.mu.Lock()
		was, v.t.err = v.t.err, v
		v.t.mu.Unlock()
		defer func() {
			v.t.mu.Lock()
			v.t.err = was
			v.t.mu.Unlock()
		}()
	}
	// These would end the process with the terminal as it is.
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(ends)
	pressed := make(chan []key)
	read := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(read)
		v.readKeys(screen.keys, pressed, over)
	}()
	defer func() {
		close(over)
		if interruptKeys(screen.keys) {
			<-read
		}
	}()
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	dirty := true
	for {
		if dirty {
			if err := v.draw(); err != nil {
				stop(err)
				return
			}
		}
		select {
		case <-done:
			return
		case sig := <-ends:
			stop(signalled{sig})
			return
		case keys := <-pressed:
			dirty = false // soon
			for _, k := range keys {
				if end, err := v.press(k); end {
					stop(err)
					return
				}
			}
		case <-tick.C:
			dirty = true
		}
	}
}

// readKeys hands over what is pressed, until over is closed or nothing can be read.
func (v *topicView) readKeys(keys io.Reader, pressed chan<- []key, over <-chan struct{}) {
	defer v.guard()
	b := make([]byte, 256)
	for {
		n, err := keys.Read(b)
		if n > 0 {
			select {
			case pressed <- parseKeys(b[:n]):
			case <-over:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// press works off a key. It reports whether that was the end, and how.
func (v *topicView) press(k key) (end bool, err error) {
	switch {
	case k == keyInterrupt:
		return true, signalled{os.Interrupt}
	case v.typing:
		v.edit(k)
		return false, nil
	case k == 'q' || k == 'Q' || k == keyEndOfText:
		return true, nil
	}
	switch k {
	case '/':
		v.typing = true
	case keyEscape:
		v.search, v.view.Search, v.view.Skip = nil, "", 0
	case ' ', 'p':
		v.paused = !v.paused
	case keyUp, 'k':
		v.view.Skip--
	case keyDown, 'j':
		v.view.Skip++
	case keyPageUp:
		v.view.Skip -= v.page
	case keyPageDown:
		v.view.Skip += v.page
	case keyHome, 'g':
		v.view.Skip = 0
	case keyEnd, 'G':
		v.view.Skip = v.matching
	case 'v':
		v.view.Reverse = !v.view.Reverse
	default:
		i := slices.IndexFunc(sortKeys[:], func(s sortKey) bool { return s.key == k })
		if i >= 0 {
			v.view.By, v.view.Skip = sortKeys[i].by, 0
		}
	}
	v.view.Skip = max(v.view.Skip, 0)
	return false, nil
}

type sortKey struct {
	key key
	by  traffic.Key
}

// sortKeys are the first letters of what rows are sorted by.
var sortKeys = [...]sortKey{
	{'r', traffic.ByRate},
	{'b', traffic.ByBytes},
	{'c', traffic.ByCount},
	{'s', traffic.BySize},
	{'a', traffic.ByAge},
	{'t', traffic.ByTopic},
}

// edit works off a key while the search is being typed; it takes effect at once.
func (v *topicView) edit(k key) {
	switch {
	case k == keyEnter:
		v.typing = false
	case k == keyEscape:
		v.typing, v.search = false, nil
	case k == keyErase || k == keyBackspace:
		v.search = v.search[:max(len(v.search)-1, 0)]
	case k == keyKill:
		v.search = nil
	case k >= ' ' && k != utf8.RuneError && unicode.IsPrint(rune(k)) && len(v.search) < 256:
		v.search = append(v.search, rune(k))
	}
	v.view.Search, v.view.Skip = string(v.search), 0
}

// draw shows the view as it is now.
func (v *topicView) draw() error {
	screen := v.screen.Load()
	width, height := terminalSize(screen.out)
	return screen.draw(v.frame(time.Now(), width, height))
}

// frame is a screen of height lines: totals, a line of news, titles, rows, keys.
func (v *topicView) frame(now time.Time, width, height int) []string {
	const around = 4
	v.page = max(height-around, 1)
	v.view.Most = v.page
	v.mu.Lock()
	rows, totals := v.table.Rows(now, v.view)
	if v.view.Skip > 0 && len(rows) == 0 {
		v.view.Skip = max(totals.Matching-v.page, 0)
		rows, totals = v.table.Rows(now, v.view)
	}
	lines := topicLines(v.columns, rows, now, width)
	notes := v.notes
	v.mu.Unlock()
	v.matching = totals.Matching
	if v.paused {
		if v.frozen == nil {
			v.frozen = lines
		}
		lines = v.frozen
	} else {
		v.frozen = nil
	}
	lines = lines[:min(len(lines), v.page+1)]
	on := v.t.colorOut
	out := []string{
		paint(on, color.Bold, cutEnd(v.summary(&totals), width)),
		cutEnd(v.news(&totals, notes), width),
		paint(on, color.ReverseVideo, padded(lines[0], width, false)),
	}
	for _, l := range lines[1:] {
		out = append(out, cutEnd(l, width)) // narrower by now, if paused
	}
	for len(out) < height-1 {
		out = append(out, "")
	}
	out = append(out[:max(height-1, 0)], paint(on, color.Faint, cutEnd(v.help(width), width)))
	return out[max(len(out)-height, 0):]
}

func (v *topicView) summary(t *traffic.Totals) string {
	by := v.view.By.String()
	if v.view.Reverse {
		by += " reversed"
	}
	topics := "topics"
	if v.s.top.depth > 0 {
		topics = "rows"
	}
	return fmt.Sprintf("%s  %s %s  %s msg/s  %s B/s  by %s  %s", v.name, shortCount(uint64(t.Topics)), topics, shortRate(t.Rate), shortBytes(t.ByteRate), by, tamed([]byte(v.s.brokerName())))
}

// news is what is particular: a search, a pause, topics that were forgotten.
func (v *topicView) news(t *traffic.Totals, notes string) string {
	var parts []string
	if v.paused {
		parts = append(parts, "paused")
	}
	if v.typing {
		parts = append(parts, fmt.Sprintf("search: %s_ (%d topics)", tamed([]byte(v.view.Search)), t.Matching))
	} else if v.view.Search != "" {
		parts = append(parts, fmt.Sprintf("search: %s (%d topics)", tamed([]byte(v.view.Search)), t.Matching))
	}
	if v.view.Skip > 0 {
		parts = append(parts, fmt.Sprintf("from row %d of %d", v.view.Skip+1, t.Matching))
	}
	if t.Forgotten > 0 {
		parts = append(parts, fmt.Sprintf("silent topics forgotten: %d", t.Forgotten))
	}
	if notes != "" {
		parts = append(parts, notes)
	}
	return strings.Join(parts, "  ")
}

func (v *topicView) help(width int) string {
	switch {
	case v.typing:
		return "Enter keep  Esc clear"
	case width < 80:
		return "q quit  space pause  / search  r b c s a t sort"
	}
	return "q quit  space pause  / search  sort: r b c s a t, v reverses  arrows scroll"
}
