package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// lines sends each line of in as a message, without its newline; a carriage
// return stays, so do NUL bytes and everything else. The client repeats what a
// broken connection leaves open, so a line is done with as soon as the client
// has taken it.
func (p *publisher) lines(ctx context.Context, in io.Reader) error {
	p.unread = true
	done := make(chan error, 1)
	go func() {
		err := p.readLines(ctx, in)
		if err == nil {
			p.mu.Lock()
			p.unread = false
			p.mu.Unlock()
		}
		done <- err
	}()
	// A read from a terminal or an idle pipe cannot be interrupted: when the
	// run ends before the input does, the reader ends with the process.
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

func (p *publisher) readLines(ctx context.Context, in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	m := p.message
	var long []byte // the beginning of a line that the reader's buffer cannot hold
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			if long = append(long, line...); len(long) > p.s.maxLine {
				return p.tooLong(n)
			}
			line, err = r.ReadSlice('\n')
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return fail(exitFailed, fmt.Errorf("read line %d: %w", n, err))
		}
		if last && len(line) == 0 {
			return nil
		}
		m.Payload = bytes.TrimSuffix(line, []byte{'\n'})
		if len(m.Payload) > p.s.maxLine {
			return p.tooLong(n)
		}
		if err := p.publish(ctx, m); err != nil || last {
			return err
		}
		long = long[:0]
	}
}

func (p *publisher) tooLong(n int) error {
	return fail(exitFailed, fmt.Errorf("line %d is longer than %d bytes", n, p.s.maxLine), "--max-line sets the limit; -s sends standard input as one message")
}
