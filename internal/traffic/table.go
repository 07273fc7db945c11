package traffic

import (
	"math"
	"strings"
	"time"
)

// Config of a Table. The zero value is usable.
type Config struct {
	Topics     int           // most topics kept; 0 = 200,000
	Bytes      int           // most memory for them, about; 0 = 256 MiB
	ValueBytes int           // kept of a payload; 0 = 256
	Depth      int           // levels of topics that are kept apart, those below as a/b/#; 0 = all
	Window     time.Duration // of rates; 0 = 5 s
}

func (c Config) withDefaults() Config {
	set := func(field *int, v int) {
		if *field == 0 {
			*field = v
		}
	}
	set(&c.Topics, 200_000)
	set(&c.Bytes, 256<<20)
	set(&c.ValueBytes, 256)
	if c.Window == 0 {
		c.Window = 5 * time.Second
	}
	return c
}

// Message is what a Table looks at. Payload is not kept.
type Message struct {
	Topic   string
	Payload []byte
	// Value is shown as the last value; nil: Payload.
	Value  []byte
	QoS    uint8
	Retain bool
	// AsPublished: the flag of a live message is its publisher's (Retain As
	// Published), so that only the first of a topic is taken for a stored one.
	AsPublished bool
}

// Table is the statistics of many topics.
type Table struct {
	c     Config
	began time.Time // of the first message
	rows  map[string]*entry
	ring  entry // of all entries; next is the latest, prev the one silent for longest
	bytes int   // that entries take, about
	total entry
	// forgotten counts topics, and what they had.
	forgotten, forgottenMessages uint64
}

// entry is a row that is being kept.
type entry struct {
	topic      string
	messages   uint64
	bytes      uint64
	qos        [3]uint64
	rate       float64 // weighted count at last
	byteRate   float64
	last       time.Time
	size       int
	value      []byte
	retained   bool
	prev, next *entry
}

// New makes an empty Table that has begun to observe at now.
func New(now time.Time, c Config) *Table {
	t := &Table{c: c.withDefaults(), began: now, rows: map[string]*entry{}}
	t.ring.prev, t.ring.next = &t.ring, &t.ring
	t.total.last = now
	return t
}

// entryBytes is about what an entry takes beside its topic and value, its place in
// the map included.
const entryBytes = 240

// Observe enters a message.
func (t *Table) Observe(now time.Time, m Message) {
	topic := t.rowOf(m.Topic)
	e := t.rows[topic]
	known := e != nil
	if !known {
		e = &entry{topic: strings.Clone(topic), last: now}
		t.rows[e.topic] = e
		t.bytes += entryBytes + len(e.topic)
	} else {
		e.unlink()
	}
	e.link(&t.ring)
	live := !m.Retain || m.AsPublished && known
	e.count(now, &m, live, t.c.Window)
	t.total.count(now, &m, live, t.c.Window)
	t.keep(e, &m)
	for len(t.rows) > 1 && (len(t.rows) > t.c.Topics || t.bytes > t.c.Bytes) {
		t.forget(t.ring.prev)
	}
}

// rowOf is the row that a topic belongs to.
func (t *Table) rowOf(topic string) string {
	if t.c.Depth <= 0 {
		return topic
	}
	at := 0
	for range t.c.Depth {
		i := strings.IndexByte(topic[at:], '/')
		if i < 0 {
			return topic
		}
		at += i + 1
	}
	return topic[:at] + "#"
}

// count enters m in the figures.
func (e *entry) count(now time.Time, m *Message, live bool, window time.Duration) {
	e.messages++
	e.bytes += uint64(len(m.Payload))
	e.qos[min(m.QoS, 2)]++
	if live {
		fade := fading(now.Sub(e.last), window)
		e.rate = e.rate*fade + 1
		e.byteRate = e.byteRate*fade + float64(len(m.Payload))
	} else if d := now.Sub(e.last); d > 0 {
		fade := fading(d, window)
		e.rate, e.byteRate = e.rate*fade, e.byteRate*fade
	}
	e.last = now
}

// keep keeps the last value of a row.
func (t *Table) keep(e *entry, m *Message) {
	e.size = len(m.Payload)
	if m.Retain {
		e.retained = len(m.Payload) > 0 // an empty one takes it away
	}
	value := m.Value
	if value == nil {
		value = m.Payload
	}
	value = value[:min(len(value), t.c.ValueBytes)]
	t.bytes -= cap(e.value)
	if len(value) > cap(e.value) || len(value) < cap(e.value)/4 {
		e.value = make([]byte, 0, len(value))
	}
	e.value = append(e.value[:0], value...)
	t.bytes += cap(e.value)
}

func (t *Table) forget(e *entry) {
	e.unlink()
	delete(t.rows, e.topic)
	t.bytes -= entryBytes + len(e.topic) + cap(e.value)
	t.forgotten++
	t.forgottenMessages += e.messages
}

func (e *entry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

// link puts e at the head of the ring.
func (e *entry) link(ring *entry) {
	e.prev, e.next = ring, ring.next
	e.next.prev, ring.next = e, e
}

// fading is how much of a weight is left after d.
func fading(d, window time.Duration) float64 {
	if d <= 0 {
		return 1
	}
	return math.Exp(-float64(d) / float64(window))
}

// perSecond turns a weighted count at last into a rate at now.
func (t *Table) perSecond(weighted float64, last, now time.Time) float64 {
	if weighted == 0 {
		return 0
	}
	// The weights of all the time since the beginning add up to this many seconds;
	// of less than one second nothing can be said.
	observed := max(now.Sub(t.began), time.Second)
	seconds := t.c.Window.Seconds() * (1 - fading(observed, t.c.Window))
	return weighted * fading(now.Sub(last), t.c.Window) / seconds
}
