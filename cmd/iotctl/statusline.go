package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// statusLine is a line of progress on a terminal, which gives way to all else that is
// written there.
type statusLine struct {
	mu    sync.Mutex
	w     io.Writer
	shown bool
	stop  chan struct{}
	done  sync.WaitGroup
}

// startStatus shows what text returns twice a second until end is called. On what is
// no terminal, or with --quiet, it shows nothing.
func startStatus(t *terminal, quiet bool, text func() string) (end func()) {
	if !t.errTTY || quiet {
		return func() {}
	}
	l := &statusLine{w: t.err, stop: make(chan struct{})}
	t.err = l
	l.done.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				l.show(text())
			}
		}
	})
	return func() {
		close(l.stop)
		l.done.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.erase()
	}
}

func (l *statusLine) show(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	fmt.Fprint(l.w, text)
	l.shown = true
}

// erase takes the line away. Call it with mu held.
func (l *statusLine) erase() {
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
		l.shown = false
	}
}

// Write implements io.Writer for all else.
func (l *statusLine) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	return l.w.Write(b)
}
