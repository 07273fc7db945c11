package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/recording"
)

// plan writes what would be published, a line for each message.
type plan struct {
	w    *bufio.Writer
	tame bool
	buf  []byte
}

func newPlan(t *terminal) *plan { return &plan{w: bufio.NewWriter(t.out), tame: t.outTTY} }

// message writes when a message would go out, after the first, and where to.
func (p *plan) message(at time.Duration, m *recording.Message, was string) error {
	retain := ' '
	if m.Retain {
		retain = 'r'
	}
	p.buf = fmt.Appendf(p.buf[:0], "%+11.3fs  q%d %c %8d  ", at.Seconds(), m.QoS, retain, len(m.Payload))
	p.buf = appendShown(p.buf, m.Topic, p.tame)
	if was != m.Topic {
		p.buf = append(appendShown(append(p.buf, " (was "...), was, p.tame), ')')
	}
	_, err := p.w.Write(append(p.buf, '\n'))
	return err
}

// gap writes that nobody has recorded for a while.
func (p *plan) gap(g *recording.Gap) {
	kept := ""
	if g.Kept {
		kept = ", the session was kept"
	}
	fmt.Fprintf(p.w, "%12s  not connected for %s%s\n", "gap", g.To.Sub(g.From).Round(time.Millisecond), kept)
}

func (p *plan) flush() error { return p.w.Flush() }
