package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// thread is a link that carries nothing.
type thread struct {
	opened time.Time
	once   sync.Once
	dead   chan struct{}
	reason error
}

func (l *thread) fail(reason error) {
	l.once.Do(func() { l.reason = reason; close(l.dead) })
}

// living is a client that does nothing but live; what happens to it is written down.
type living struct {
	*Life[thread]
	mu    sync.Mutex
	diary []string
	dial  func(ctx context.Context, attempt int) error
}

var errFinal = errors.New("for good")

func newLiving(p ReconnectPolicy) *living {
	c := &living{}
	note := func(s string) {
		c.mu.Lock()
		c.diary = append(c.diary, s)
		c.mu.Unlock()
	}
	attempt := 0
	o := &Options{
		Reconnect: p, ConnectTimeout: 10 * time.Second,
		OnState: func(s State) {
			note(map[StateKind]string{
				StateConnected: "connected", StateLost: "lost", StateReconnecting: "reconnecting", StateClosed: "closed",
			}[s.Kind])
		},
	}
	c.Life = NewLife(o, sync.NewCond(&c.mu), Ways[thread]{
		Open: func(ctx context.Context, again bool) (*thread, Connack, error) {
			attempt++
			if c.dial != nil {
				if err := c.dial(ctx, attempt); err != nil {
					return nil, Connack{}, err
				}
			}
			l := &thread{opened: time.Now(), dead: make(chan struct{})}
			c.Use(l, Connack{ClientID: "c"}, func() {
				if again {
					c.diary = append(c.diary, "resumed")
				}
			})
			return l, Connack{ClientID: "c"}, nil
		},
		Fail: (*thread).fail,
		Outlive: func(l *thread) (time.Time, error) {
			<-l.dead
			return l.opened, l.reason
		},
		Final:   func(err error) bool { return errors.Is(err, errFinal) },
		Renew:   func(context.Context, *thread) { note("renewed") },
		Abandon: func() { note("abandoned") },
	})
	return c
}

// broken fails the link in use and waits for what follows, unless that takes time.
func (c *living) broken(err error) {
	c.mu.Lock()
	l := c.Link()
	c.mu.Unlock()
	l.fail(err)
	synctest.Wait()
}

// lived checks how the life went and what it ended with.
func (c *living) lived(t *testing.T, err error, diary ...string) {
	t.Helper()
	<-c.Done()
	if !errors.Is(c.Err(), err) {
		t.Errorf("ended with %v, want %v", c.Err(), err)
	}
	if !slices.Equal(c.diary, diary) {
		t.Errorf("lived %q, want %q", c.diary, diary)
	}
	if _, err := c.Connect(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("connect afterwards: %v", err)
	}
}

func TestLife(t *testing.T) {
	tests := map[string]func(t *testing.T){
		"one link after the other": func(t *testing.T) {
			c := newLiving(always)
			if ack, err := c.Connect(t.Context()); err != nil || ack.ClientID != "c" {
				t.Fatal(ack, err)
			}
			c.broken(ErrConnectionLost)
			c.mu.Lock()
			err := c.Await(t.Context(), func() bool { return c.Link() != nil })
			c.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			c.Close()
			c.lived(t, nil, "connected", "lost", "reconnecting", "connected", "resumed", "renewed", "abandoned", "closed")
		},
		"closed between two links": func(t *testing.T) {
			c := newLiving(always)
			_, _ = c.Connect(t.Context())
			c.broken(ErrConnectionLost)
			if l, first := c.Retire(); l != nil || !first {
				t.Error("a link is left, or somebody else has closed")
			}
			c.lived(t, nil, "connected", "lost", "reconnecting", "abandoned", "closed")
		},
		"closed during an attempt": func(t *testing.T) {
			c := newLiving(always)
			c.dial = func(ctx context.Context, _ int) error {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			go func() {
				synctest.Wait()
				c.Close()
			}()
			if _, err := c.Connect(t.Context()); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			c.lived(t, context.Canceled, "abandoned", "closed")
		},
		"an attempt that takes too long": func(t *testing.T) {
			c := newLiving(always)
			c.dial = func(ctx context.Context, _ int) error {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			_, _ = c.Connect(t.Context())
			c.lived(t, ErrTimeout, "abandoned", "closed")
		},
		"refused for good": func(t *testing.T) {
			c := newLiving(always)
			c.dial = func(_ context.Context, attempt int) error {
				if attempt == 1 {
					return nil
				}
				return errFinal
			}
			_, _ = c.Connect(t.Context())
			c.broken(ErrConnectionLost)
			c.lived(t, errFinal, "connected", "lost", "reconnecting", "abandoned", "closed")
		},
		"no other link wanted": func(t *testing.T) {
			c := newLiving(ReconnectPolicy{})
			_, _ = c.Connect(t.Context())
			c.broken(ErrConnectionLost)
			c.lived(t, ErrConnectionLost, "connected", "lost", "abandoned", "closed")
		},
		"retired twice": func(t *testing.T) {
			c := newLiving(always)
			_, _ = c.Connect(t.Context())
			l, first := c.Retire()
			if l == nil || !first {
				t.Fatal("the first to retire has no link")
			}
			if again, first := c.Retire(); again != l || first {
				t.Error("the second to retire is not told of the first")
			}
			l.fail(ErrClosed)
			c.lived(t, nil, "connected", "abandoned", "closed")
		},
		"never begun": func(t *testing.T) {
			c := newLiving(always)
			c.Close()
			c.Close()
			c.lived(t, nil, "abandoned", "closed")
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}
