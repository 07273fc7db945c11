package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/format"
)

// payloadProblem is a payload that the chosen format cannot show.
type payloadProblem = format.PayloadError

// printer writes messages to standard output. It collects them until flush,
// which the client calls before it waits for more and before it acknowledges,
// so that a message never lingers and a burst goes out in large writes.
type printer struct {
	s      *settings
	t      *terminal
	format *format.Format
	view   view // nil: text, -F or records
	watch  *watcher
	eol    bool
	// tame: what others have written must not reach a terminal as commands to it.
	tame bool

	looks bool  // messages are looked into
	sight sight // of the goroutine that prints
	told  told

	mu  sync.Mutex
	w   *bufio.Writer
	buf []byte
}

const printBuffer = 64 << 10

func newPrinter(s *settings, t *terminal) (*printer, error) {
	if err := s.checkShow(); err != nil {
		return nil, err
	}
	p := &printer{s: s, t: t, w: bufio.NewWriterSize(t.out, printBuffer), eol: !s.noNewline, tame: t.outTTY && !s.peer}
	p.sight.unflagged = s.device != nil && s.device.unflagged
	var err error
	if p.view, err = newView(s, t); err != nil {
		return nil, usagef("%w", err)
	}
	p.looks = p.view != nil || s.payloads != nil
	switch {
	case s.watch:
		if s.format != "" {
			f, err := format.Parse(s.format, s.formatOptions())
			if err != nil {
				return nil, usagef("%w", err)
			}
			p.format = f
		}
		p.watch = newWatcher(s)
	case s.format != "":
		f, err := format.Parse(s.format, s.formatOptions())
		if err != nil {
			return nil, usagef("%w", err)
		}
		p.format = f
	}
	return p, nil
}

// terminal is t with this printer for standard output, so that debug output
// under mosquitto's name keeps its place among the messages.
func (p *printer) terminal(t *terminal) *terminal {
	if p.s.peer && p.s.debug {
		t.out = lockedWriter{p}
	}
	return t
}

// lockedWriter writes through the printer's buffer and at once.
type lockedWriter struct{ p *printer }

func (l lockedWriter) Write(b []byte) (int, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	n, err := l.p.w.Write(b)
	if err == nil {
		err = l.p.w.Flush()
	}
	return n, err
}

// print shows one message. What isProblem knows concerns this message alone; any
// other error ends the run.
func (p *printer) print(m *client.Message, now time.Time) error {
	if !p.looks {
		return p.show(m, now, nil)
	}
	x := p.look(m, now)
	return p.show(&x.m, now, x)
}

// look begins with a message and decodes its payload where a rule says how. What
// it returns is valid until the next message. It is for the goroutine that shows.
func (p *printer) look(m *client.Message, now time.Time) *sight {
	p.sight.look(m, now, p.s.payloads)
	return &p.sight
}

// show prints a message; x is nil where nothing looks into it.
func (p *printer) show(m *client.Message, now time.Time, x *sight) error {
	if x != nil && x.fits {
		p.tell(x)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b, problem := p.append(p.buf[:0], m, now, x)
	if cap(b) <= printBuffer {
		p.buf = b[:0]
	}
	if p.watch != nil {
		b = p.watch.update(m.Topic, b)
	}
	if problem != nil && !p.s.peer && p.view == nil {
		return problem // a line that is not whole is worse than none
	}
	if _, err := p.w.Write(b); err != nil {
		return err
	}
	if problem == nil && p.s.strictPayload && x != nil && x.fits && x.decoded.Problem != "" {
		return fail(exitMalformed, fmt.Errorf("payload on topic %q: %s", m.Topic, x.decoded.Problem))
	}
	return problem
}

// tell reports what is odd about a payload.
func (p *printer) tell(x *sight) {
	if p.s.quiet {
		return
	}
	d := &x.decoded
	if d.Problem != "" && !p.s.strictPayload && p.told.first(x.m.Topic, d.Problem) {
		p.t.warnf("payload on topic %q: %s", x.m.Topic, appendShown(nil, d.Problem, p.t.errTTY))
	}
	for _, note := range d.Notes {
		if p.told.first(x.m.Topic, note) {
			p.t.notef("payload on topic %q: %s", x.m.Topic, appendShown(nil, note, p.t.errTTY))
		}
	}
	if strings.HasSuffix(d.Format, guessed) && p.told.first(x.m.Topic, d.Format) {
		p.t.notef("payload on topic %q: taken for %s", x.m.Topic, d.Format)
	}
}

// guessed is how the labels of payload.Auto end.
const guessed = " (guess)"

func (p *printer) append(b []byte, m *client.Message, now time.Time, x *sight) ([]byte, error) {
	if p.view != nil {
		b, err := p.view.append(b, x)
		if err != nil {
			err = &viewProblem{m.Topic, err}
		}
		return b, err
	}
	if p.format != nil || p.s.output != "text" {
		shown := format.Message{
			Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain,
			PacketID: m.PacketID, Properties: m.Properties, Arrived: now, Unflagged: p.sight.unflagged,
		}
		if x != nil && x.fits {
			shown.Decoded = &x.decoded
		}
		if p.format == nil {
			return append(format.AppendRecord(b, &shown, p.s.output == "json"), '\n'), nil
		}
		b, err := p.format.Append(b, &shown)
		if p.eol && p.watch == nil {
			b = append(b, '\n')
		}
		return b, err
	}
	payload := m.Payload
	if x != nil {
		payload = x.readable()
	}
	switch {
	case p.watch != nil:
		b = append(appendShown(b, m.Topic, p.tame), ' ')
		return appendShown(b, payload, p.tame), nil
	case len(payload) == 0 && p.s.verbose && p.eol:
		return append(appendShown(b, m.Topic, p.tame), " (null)\n"...), nil
	case len(payload) == 0:
		return b, nil
	case p.s.verbose:
		b = append(appendShown(b, m.Topic, p.tame), ' ')
	}
	b = appendShown(b, payload, p.tame)
	if p.eol {
		b = append(b, '\n')
	}
	return b, nil
}

// appendShown appends s; tame, its control characters but tab and line feed are
// written \x1b, and those of two bytes in UTF-8 \u009b.
func appendShown[T string | []byte](b []byte, s T, tame bool) []byte {
	if !tame {
		return append(b, s...)
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' && c != '\t' && c != '\n' || c == 0x7f:
			b = fmt.Appendf(b, `\x%02x`, c)
		case c == 0xc2 && i+1 < len(s) && s[i+1] >= 0x80 && s[i+1] < 0xa0:
			i++
			b = fmt.Appendf(b, `\u%04x`, s[i])
		default:
			b = append(b, c)
		}
	}
	return b
}

// isProblem tells that err concerns one message alone.
func isProblem(err error) bool {
	return errors.As(err, new(*payloadProblem)) || errors.As(err, new(*viewProblem))
}

// complain reports a payload that could not be shown, and what a view says of a
// topic once.
func (p *printer) complain(t *terminal, err error) {
	problem := (*payloadProblem)(nil)
	if seen := (*viewProblem)(nil); errors.As(err, &seen) {
		if p.told.first(seen.topic, seen.err.Error()) {
			t.warnf("%s", appendShown(nil, seen.Error(), t.errTTY))
		}
		return
	}
	if !p.s.peer || !errors.As(err, &problem) {
		t.warnf("%v", err)
		return
	}
	t.raw(fmt.Sprintf("Error: Message payload %s on topic %s.", problem.Reason, problem.Topic))
}

func (p *printer) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.w.Flush()
}

// close prints what is left. A table without lines has its header all the same.
func (p *printer) close() error {
	p.mu.Lock()
	if table, ok := p.view.(*tableView); ok {
		_, _ = p.w.Write(table.header(nil)) // flush says what is wrong
	}
	p.mu.Unlock()
	return p.flush()
}

// closeAfter closes what a run has printed to that ended with err, which comes first.
func (p *printer) closeAfter(err error) error {
	if problem := p.close(); err == nil {
		return problem
	}
	return err
}

// line writes a line at once.
func (p *printer) line(text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.w, text+"\n"); err != nil {
		return err
	}
	return p.w.Flush()
}

// rateMeter is --message-rate.
type rateMeter struct{ count atomic.Uint64 }

// report prints the count of every second until ctx ends.
func (r *rateMeter) report(ctx context.Context, p *printer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if p.line(fmt.Sprintf("%d msgs/s", r.count.Swap(0))) != nil {
				return
			}
		}
	}
}
