// Package generate makes topics and payloads out of templates: text with
// expressions between {{ and }}, such as {{n}}, {{walk 20 0.5}} and {{.column}}.
//
// The same seed gives the same messages, but for {{time}}: what is random comes
// from a source of its own per expression, and what goes with the time from the
// schedule. A Generator is for one goroutine. It knows neither files nor clocks.
package generate

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A SyntaxError tells what is wrong with a template.
type SyntaxError struct {
	Offset int    // of the offending byte, from 0
	Word   string // the name that there is not, for hints; "" otherwise
	Reason string
}

func (e *SyntaxError) Error() string { return e.Reason }

// A RowError tells what is wrong with a row.
type RowError struct {
	N      int // of the row, from 1
	Reason string
}

func (e *RowError) Error() string { return fmt.Sprintf("row %d: %s", e.N, e.Reason) }

// Generator makes one message after the other.
type Generator struct {
	topic, payload *Template
	rows           *Rows // nil: none
	n              int

	values  map[string][]float64 // by topic, see state
	inTopic []float64
}

// maxTopics bounds for how many topics a generator keeps what walks are at; on
// further ones each message begins anew.
const maxTopics = 100_000

// New makes a Generator; rows may be nil. payload nil stands for {{row}}.
func New(topic, payload *Template, rows *Rows) (*Generator, error) {
	if payload == nil {
		payload = &Template{parts: []part{{make: wholeRow, row: true}}}
	}
	for _, t := range []*Template{topic, payload} {
		for _, p := range t.parts {
			if p.row && rows == nil {
				return nil, &SyntaxError{Offset: p.offset, Reason: "there are no rows to take this from"}
			}
		}
	}
	return &Generator{topic: topic, payload: payload, rows: rows, values: map[string][]float64{}, inTopic: make([]float64, 2*len(topic.parts))}, nil
}

// Restart goes on with the first of rows: the same once more.
func (g *Generator) Restart(rows *Rows) { g.rows = rows }

// More tells whether there is another message: whether rows remain. It may wait
// for the input.
func (g *Generator) More() bool {
	return g.rows == nil || g.rows.more()
}

// Next makes a message that is due at an offset from the start of the schedule,
// at the time now. The error is io.EOF behind the last row, a *RowError, or that
// of the input.
func (g *Generator) Next(due time.Duration, now time.Time) (topic string, payload []byte, err error) {
	c := &state{n: g.n, due: due, now: now, values: g.inTopic}
	if g.rows != nil {
		if c.row, err = g.rows.next(); err != nil {
			return "", nil, err
		}
	}
	g.n++
	b, err := g.topic.append(nil, c)
	if err != nil {
		return "", nil, err
	}
	c.topic = string(b)
	c.values = g.values[c.topic]
	if c.values == nil {
		c.values = make([]float64, 2*len(g.payload.parts))
		if len(g.values) < maxTopics {
			g.values[c.topic] = c.values
		}
	}
	payload, err = g.payload.append([]byte{}, c)
	return c.topic, payload, err
}

// state is what expressions see of the message that is made.
type state struct {
	n     int // of the message, from 0
	due   time.Duration
	now   time.Time
	row   *row
	topic string // "" while it is made

	// values are two per part of the template; in the payload for this topic
	// alone.
	values []float64
	part   int
}

// keep is where a walk keeps what it is at, and whether it has begun.
func (c *state) keep() []float64 { return c.values[2*c.part : 2*c.part+2] }

// Template is text with expressions.
type Template struct {
	parts []part
}

// part is text, or makes some.
type part struct {
	text   string
	make   maker    // nil: text
	json   bool     // as a JSON value
	row    bool     // needs a row
	path   []string // of the field of the row that it is; nil: none
	offset int
}

// maker appends what an expression stands for. plain tells that in JSON it is
// written as it is.
type maker func(dst []byte, c *state) (b []byte, plain bool, err error)

func (t *Template) append(dst []byte, c *state) ([]byte, error) {
	for i, p := range t.parts {
		if p.make == nil {
			dst = append(dst, p.text...)
			continue
		}
		c.part = i
		start := len(dst)
		b, plain, err := p.make(dst, c)
		if err != nil {
			return nil, err
		}
		if p.json && !plain {
			b = append(b[:start], jsonOf(b[start:])...)
		}
		dst = b
	}
	return dst, nil
}

// source is what is random about the expression at an offset.
func source(seed uint64, offset int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(offset)))
}
