package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/framing"
	"github.com/iotctl/iotctl/internal/generate"
)

// source gives the messages of a run one after the other.
type source interface {
	// more tells whether there is another message, as far as that is known
	// without waiting for it.
	more() (bool, error)
	// next is the message that is due at an offset from the start of the
	// schedule, valid until the next call; io.EOF at the end. A *badInput
	// concerns this message alone.
	next(due time.Duration) (client.Message, error)
}

// badInput is a line or a row that makes no message.
type badInput struct {
	where string
	err   error
	hint  string
}

func (b *badInput) Error() string { return b.where + ": " + b.err.Error() }

// stream sends what src gives: by the schedule, and until the time is over. The
// client repeats what a broken connection leaves open, so a message is done with
// as soon as the client has taken it.
func (p *publisher) stream(ctx context.Context, src source) error {
	p.schedule = generate.Schedule{Rate: p.s.rate}
	p.schedule.Wait(time.Now())
	limited, cancel := ctx, func() {}
	if p.s.sendFor > 0 {
		limited, cancel = context.WithTimeout(ctx, p.s.sendFor)
	}
	defer cancel()
	var err error
	if p.s.reads() {
		err = p.readThrough(limited, src)
	} else {
		err = p.pump(limited, src)
	}
	p.stopped = time.Now()
	if limited.Err() != nil && ctx.Err() == nil && errors.Is(err, limited.Err()) {
		return nil // the time is over
	}
	return err
}

// readThrough is pump for a source that reads standard input. A read from a
// terminal or an idle pipe cannot be interrupted: when the run ends before the
// input does, the reader ends with the process.
func (p *publisher) readThrough(ctx context.Context, src source) error {
	p.unread = true
	done := make(chan error, 1)
	go func() {
		err := p.pump(ctx, src)
		if err == nil {
			p.mu.Lock()
			p.unread = false
			p.mu.Unlock()
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-p.Done():
		select {
		case err := <-done:
			return err
		default:
			return p.Err()
		}
	}
}

// pump sends until src ends.
func (p *publisher) pump(ctx context.Context, src source) error {
	for {
		if more, err := src.more(); err != nil || !more {
			return err
		}
		m, err := p.due(ctx, src)
		switch bad := (*badInput)(nil); {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad) && p.s.skipBad:
			p.skip(bad)
			continue
		case errors.As(err, &bad):
			return fail(exitMalformed, err, bad.hints(p.s)...)
		case err != nil:
			return err
		}
		if err := p.publish(ctx, m); err != nil {
			return err
		}
	}
}

// due is the next message, when its time has come. What is generated is made then;
// what is read is read before, and when that takes long the schedule waits for it.
func (p *publisher) due(ctx context.Context, src source) (client.Message, error) {
	at := p.schedule.Next()
	switch {
	case ctx.Err() != nil:
		return client.Message{}, ctx.Err()
	case p.s.rate == 0:
		p.schedule.Skip()
		return src.next(at)
	case !p.s.reads():
		if p.s.sendFor > 0 && at >= p.s.sendFor {
			<-ctx.Done() // it is the first that is not due within the time
			return client.Message{}, ctx.Err()
		}
		if err := p.await(ctx); err != nil {
			return client.Message{}, err
		}
	}
	began := time.Now()
	m, err := src.next(at)
	if err == nil && p.s.reads() {
		now := time.Now()
		p.schedule.Forgive(now.Sub(began), now)
		err = p.await(ctx)
	}
	if err == nil && p.schedule.Sent(time.Now()) && !p.s.quiet {
		p.t.warnf("more than a second behind the schedule of %g messages per second", p.s.rate)
	}
	return m, err
}

// await waits until the next message is due. context.DeadlineExceeded tells that
// it will not be within the time of the run.
func (p *publisher) await(ctx context.Context) error {
	d := p.schedule.Wait(time.Now())
	if d <= 0 {
		return nil
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		<-ctx.Done()
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.Done():
		return p.Err()
	}
}

// skip enters bad input into the account.
func (p *publisher) skip(bad *badInput) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.skipped++; p.skipped <= maxComplaints && !p.s.quiet {
		p.t.warnf("skipped %s", bad)
	}
}

func (b *badInput) hints(s *settings) (all []string) {
	if b.hint != "" {
		all = append(all, b.hint)
	}
	return append(all, "--skip-bad goes on behind what is wrong")
}

// typed makes the payload of m of what was typed, generated or read.
func (s *settings) typed(m *client.Message, text []byte) (err error) {
	m.Payload = text
	if s.payloads != nil {
		contentType, _ := m.Properties.String(mqtt.PropContentType)
		m.Payload, err = s.payloads.Encode(m.Topic, contentType, text)
	}
	return err
}

// lineSource sends each line or other piece of standard input as a message,
// without what separates it from the next; a carriage return stays, so do NUL
// bytes and everything else.
type lineSource struct {
	s       *settings
	in      *framing.Reader
	message client.Message
}

func (l *lineSource) more() (bool, error) { return true, nil }

func (l *lineSource) next(time.Duration) (client.Message, error) {
	b, err := l.in.Next()
	if err != nil {
		return client.Message{}, inputError(err)
	}
	m := l.message
	if err := l.s.typed(&m, b); err != nil {
		return m, &badInput{where: fmt.Sprintf("message %d", l.in.N()), err: err}
	}
	return m, nil
}

// inputError is an error of framing with its exit code and hint; io.EOF stays.
func inputError(err error) error {
	problem := (*framing.Error)(nil)
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.As(err, &problem) && problem.TooLong:
		return fail(exitFailed, err, "--max-line sets the limit; -s sends standard input as one message")
	case errors.As(err, &problem):
		return fail(exitMalformed, err)
	}
	return fail(exitFailed, err)
}

// constant is the same message again and again.
type constant struct {
	message client.Message
	left    int // below 0: no bound
}

func (c *constant) more() (bool, error) { return c.left != 0, nil }

func (c *constant) next(time.Duration) (client.Message, error) {
	if c.left > 0 {
		c.left--
	}
	return c.message, nil
}
