package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
	format *format.Format
	watch  *watcher
	eol    bool
	// tame: what others have written must not reach a terminal as commands to it.
	tame bool

	mu  sync.Mutex
	w   *bufio.Writer
	buf []byte
}

const printBuffer = 64 << 10

func newPrinter(s *settings, t *terminal) (*printer, error) {
	p := &printer{s: s, w: bufio.NewWriterSize(t.out, printBuffer), eol: !s.noNewline, tame: t.outTTY && !s.peer}
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

// print shows one message. A *payloadProblem concerns this message alone; any
// other error is of standard output.
func (p *printer) print(m *client.Message, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, problem := p.append(p.buf[:0], m, now)
	if cap(b) <= printBuffer {
		p.buf = b[:0]
	}
	if p.watch != nil {
		b = p.watch.update(m.Topic, b)
	}
	if problem != nil && !p.s.peer {
		return problem // a line that is not whole is worse than none
	}
	if _, err := p.w.Write(b); err != nil {
		return err
	}
	return problem
}

func (p *printer) append(b []byte, m *client.Message, now time.Time) ([]byte, error) {
	if p.format != nil || p.s.output != "text" {
		shown := format.Message{
			Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain,
			PacketID: m.PacketID, Properties: m.Properties, Arrived: now, Unflagged: p.s.device != nil && p.s.device.unflagged,
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
	switch {
	case p.watch != nil:
		b = append(appendShown(b, m.Topic, p.tame), ' ')
		return appendShown(b, m.Payload, p.tame), nil
	case len(m.Payload) == 0 && p.s.verbose && p.eol:
		return append(appendShown(b, m.Topic, p.tame), " (null)\n"...), nil
	case len(m.Payload) == 0:
		return b, nil
	case p.s.verbose:
		b = append(appendShown(b, m.Topic, p.tame), ' ')
	}
	b = appendShown(b, m.Payload, p.tame)
	if p.eol {
		b = append(b, '\n')
	}
	return b, nil
}

// appendShown appends s; tame, its control characters but tab and line feed are
// written \x1b.
func appendShown[T string | []byte](b []byte, s T, tame bool) []byte {
	if !tame {
		return append(b, s...)
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' || c == 0x7f {
			b = fmt.Appendf(b, `\x%02x`, c)
			continue
		}
		b = append(b, s[i])
	}
	return b
}

// complain reports a payload that could not be shown.
func (p *printer) complain(t *terminal, err error) {
	problem := (*payloadProblem)(nil)
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

func (p *printer) close() error { return p.flush() }

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
