package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"
)

// interruptible returns a context that ends at the first Ctrl-C: what was read until
// then is shown. The second one ends the process.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// lastWords is how long a program that writes into our pipe has to end it after
// Ctrl-C, which it gets as well.
const lastWords = time.Second

// liveReader reads what may come in slowly: whenever nothing is there it says so.
type liveReader struct {
	ctx  context.Context
	idle func(long bool) error
	come chan []byte // closed after the last
	free chan []byte
	err  error // once come is closed
	have []byte
	full []byte // what have is a part of
	once sync.Once
	done chan struct{}
}

// liveBuffers are read ahead of what is asked for.
const (
	liveBuffers    = 2
	liveBufferSize = 256 << 10
)

// newLiveReader reads r on a goroutine of its own, which ends after stop, as soon as
// r returns.
func newLiveReader(ctx context.Context, r io.Reader, idle func(long bool) error) *liveReader {
	l := &liveReader{
		ctx: ctx, idle: idle, done: make(chan struct{}),
		come: make(chan []byte, liveBuffers), free: make(chan []byte, liveBuffers),
	}
	for range liveBuffers {
		l.free <- make([]byte, liveBufferSize)
	}
	go l.pump(r)
	return l
}

func (l *liveReader) stop() { l.once.Do(func() { close(l.done) }) }

func (l *liveReader) pump(r io.Reader) {
	defer close(l.come)
	for {
		var b []byte
		select {
		case b = <-l.free:
		case <-l.done:
			return
		}
		n, err := r.Read(b[:cap(b)])
		if n > 0 {
			select {
			case l.come <- b[:n]:
			case <-l.done:
				return
			}
		} else {
			l.free <- b
		}
		if err != nil {
			l.err = err
			return
		}
	}
}

// Read implements io.Reader.
func (l *liveReader) Read(p []byte) (int, error) {
	if len(l.have) == 0 {
		if l.full != nil {
			l.free <- l.full
			l.full = nil
		}
		b, ok, err := l.next()
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, l.err
		}
		l.have, l.full = b, b
	}
	n := copy(p, l.have)
	l.have = l.have[n:]
	return n, nil
}

// next waits for what comes next.
func (l *liveReader) next() (b []byte, ok bool, err error) {
	select {
	case b, ok = <-l.come:
		return b, ok, nil
	default:
	}
	if err := l.idle(false); err != nil {
		return nil, false, err
	}
	long := time.NewTimer(idle)
	defer long.Stop()
	select {
	case b, ok = <-l.come:
		return b, ok, nil
	case <-l.ctx.Done():
		return l.last()
	case <-long.C:
	}
	if err := l.idle(true); err != nil {
		return nil, false, err
	}
	select {
	case b, ok = <-l.come:
		return b, ok, nil
	case <-l.ctx.Done():
		return l.last()
	}
}

// last is next after Ctrl-C.
func (l *liveReader) last() (b []byte, ok bool, err error) {
	select {
	case b, ok = <-l.come:
		return b, ok, nil
	case <-time.After(lastWords):
		return nil, false, io.EOF
	}
}
