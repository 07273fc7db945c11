package traffic

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"time"
)

// Row is what is known of a topic, or of all below a/b/# (Config.Depth).
type Row struct {
	Topic    string
	Messages uint64
	Bytes    uint64 // of payloads
	Rate     float64
	ByteRate float64
	QoS      [3]uint64 // messages by QoS
	Retained bool      // the broker keeps a message, as far as was seen
	Last     time.Time
	Size     int    // of the last payload
	Value    []byte // its beginning; valid until the next Observe
}

// Key is what rows are sorted by.
type Key uint8

// Rows come with the greatest first, but those by topic in order.
const (
	ByRate Key = iota
	ByBytes
	ByCount
	BySize
	ByAge // the latest first
	ByTopic
)

// keyNames are in the order of the constants.
var keyNames = [...]string{"rate", "bytes", "count", "size", "age", "topic"}

func (k Key) String() string { return keyNames[k] }

// Keys lists the names of all keys.
func Keys() []string { return keyNames[:] }

// ParseKey finds a key by its name.
func ParseKey(name string) (Key, bool) {
	i := slices.Index(keyNames[:], name)
	return Key(max(i, 0)), i >= 0
}

// View chooses rows.
type View struct {
	By      Key
	Reverse bool
	Search  string // in topics, in either case; "" = all
	Skip    int    // rows before the first
	Most    int    // rows; 0 = all
}

// Totals are of everything that was observed.
type Totals struct {
	Row
	Topics    int    // kept
	Matching  int    // of these, by View.Search
	Forgotten uint64 // topics
	// ForgottenMessages are in the totals, but in no row.
	ForgottenMessages uint64
	Since             time.Time
}

// Rows are the rows that v shows, and the totals. It looks at every row and sorts
// no more than it must.
func (t *Table) Rows(now time.Time, v View) ([]Row, Totals) {
	totals := Totals{
		Row: t.row(&t.total, now), Topics: len(t.rows), Since: t.began,
		Forgotten: t.forgotten, ForgottenMessages: t.forgottenMessages,
	}
	search := strings.ToLower(v.Search)
	best := &worstFirst{view: v}
	for e := t.ring.next; e != &t.ring; e = e.next {
		if search != "" && !strings.Contains(strings.ToLower(e.topic), search) {
			continue
		}
		totals.Matching++
		r := ranked{t.score(e, now, v), e}
		switch {
		case v.Most == 0:
			best.rows = append(best.rows, r)
		case len(best.rows) < v.Skip+v.Most:
			heap.Push(best, r)
		case v.compare(r, best.rows[0]) < 0:
			best.rows[0] = r
			heap.Fix(best, 0)
		}
	}
	slices.SortFunc(best.rows, v.compare)
	var rows []Row
	for _, r := range best.rows[min(v.Skip, len(best.rows)):] {
		rows = append(rows, t.row(r.e, now))
	}
	return rows, totals
}

func (t *Table) row(e *entry, now time.Time) Row {
	return Row{
		Topic: e.topic, Messages: e.messages, Bytes: e.bytes, QoS: e.qos, Retained: e.retained,
		Rate: t.perSecond(e.rate, e.last, now), ByteRate: t.perSecond(e.byteRate, e.last, now),
		Last: e.last, Size: e.size, Value: e.value,
	}
}

// ranked is an entry with what it is sorted by, the greatest first.
type ranked struct {
	score float64
	e     *entry
}

func (t *Table) score(e *entry, now time.Time, v View) float64 {
	score := 0.0
	switch v.By {
	case ByRate:
		score = e.rate
	case ByBytes:
		score = e.byteRate
	case ByCount:
		score = float64(e.messages)
	case BySize:
		score = float64(e.size)
	case ByAge:
		score = float64(e.last.Sub(t.began))
	}
	if score > 0 && (v.By == ByRate || v.By == ByBytes) {
		score *= fading(now.Sub(e.last), t.c.Window)
	}
	if v.Reverse {
		return -score
	}
	return score
}

// compare is below 0 where a comes first. Equal rows are in the order of their
// topics.
func (v View) compare(a, b ranked) int {
	if a.score != b.score {
		return cmp.Compare(b.score, a.score)
	}
	c := strings.Compare(a.e.topic, b.e.topic)
	if v.By == ByTopic && v.Reverse {
		return -c
	}
	return c
}

// worstFirst is a heap of the best rows so far, with the worst of them on top.
type worstFirst struct {
	rows []ranked
	view View
}

func (h *worstFirst) Len() int           { return len(h.rows) }
func (h *worstFirst) Less(i, j int) bool { return h.view.compare(h.rows[i], h.rows[j]) > 0 }
func (h *worstFirst) Swap(i, j int)      { h.rows[i], h.rows[j] = h.rows[j], h.rows[i] }
func (h *worstFirst) Push(x any)         { h.rows = append(h.rows, x.(ranked)) }
func (h *worstFirst) Pop() any {
	last := len(h.rows) - 1
	r := h.rows[last]
	h.rows = h.rows[:last]
	return r
}
