package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// taker is a sink that waits where a test wants it to.
type taker struct {
	mu   sync.Mutex
	all  []string
	gate chan struct{}
	err  error
}

func (s *taker) Take(x *Seen) error {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, fmt.Sprintf("%d %d %x %s", x.Kind, x.Lost, x.Bytes, x.Text))
	return s.err
}

func (s *taker) Flush() error { return nil }

func tapped(t *testing.T, tap *Tap) (*Conn, Stage) {
	t.Helper()
	c := &Conn{Number: 7, ClientID: "a", Version: mqtt.V5}
	s, err := tap.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func ping(t *testing.T) Frame {
	t.Helper()
	f, err := NewFrame(ToServer, []byte{0xc0, 0})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func pass(Frame) error { return nil }

func TestTapHandsOnInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &taker{}
		tap := NewTap(TapConfig{Sink: s})
		c, stage := tapped(t, tap)
		if err := stage.Handle(t.Context(), ping(t), pass); err != nil {
			t.Fatal(err)
		}
		tap.Note(Seen{Text: "fault"}, c.Number)
		tap.Note(Seen{Text: "of nobody"}, 8)
		stage.(Ender).Ended(&End{Why: "client"})
		if err := tap.Close(); err != nil {
			t.Fatal(err)
		}
		if want := "[0 0   1 0 c000  2 0  fault 3 0  client]"; fmt.Sprint(s.all) != want {
			t.Errorf("%s, want %s", fmt.Sprint(s.all), want)
		}
	})
}

func TestTapLeavesOutWhatASlowSinkCannotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &taker{gate: make(chan struct{})}
		tap := NewTap(TapConfig{Sink: s, Bytes: 1000})
		_, stage := tapped(t, tap)
		for range 100 {
			if err := stage.Handle(t.Context(), ping(t), pass); err != nil {
				t.Fatal(err)
			}
		}
		lost := tap.Lost()
		if lost == 0 || lost > 95 {
			t.Errorf("%d of 100 are left out", lost)
		}
		stage.(Ender).Ended(&End{Why: "client"})
		close(s.gate)
		if err := tap.Close(); err != nil {
			t.Fatal(err)
		}
		if last, want := s.all[len(s.all)-1], fmt.Sprintf("3 %d  client", lost); last != want {
			t.Errorf("%q, want %q", last, want)
		}
	})
}

func TestTapMakesTrafficWaitIfAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &taker{gate: make(chan struct{})}
		tap := NewTap(TapConfig{Sink: s, Bytes: 1000, Wait: true})
		_, stage := tapped(t, tap)
		passed := make(chan int, 100)
		go func() {
			for i := range 100 {
				_ = stage.Handle(context.Background(), ping(t), pass)
				passed <- i
			}
			close(passed)
		}()
		for i := range passed {
			if i == 0 {
				close(s.gate) // from here on the sink takes everything
			}
		}
		if err := tap.Close(); err != nil {
			t.Fatal(err)
		}
		if tap.Lost() != 0 || len(s.all) != 101 {
			t.Errorf("%d lost, %d taken", tap.Lost(), len(s.all))
		}
	})
}

func TestTapDoesNotWaitForASinkThatTakesNothing(t *testing.T) {
	s := &taker{}
	synctest.Test(t, func(t *testing.T) {
		s.gate = make(chan struct{})
		tap := NewTap(TapConfig{Sink: s})
		_, stage := tapped(t, tap)
		if err := stage.Handle(t.Context(), ping(t), pass); err != nil {
			t.Fatal(err)
		}
		if err := tap.Close(); !errors.Is(err, ErrStuck) {
			t.Error(err)
		}
		close(s.gate)
		<-tap.done
	})
}

func TestTrafficGoesOnWhenTheSinkFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &taker{err: errors.New("disk full")}
		tap := NewTap(TapConfig{Sink: s, Bytes: 1000, Wait: true})
		_, stage := tapped(t, tap)
		for range 100 {
			if err := stage.Handle(t.Context(), ping(t), pass); err != nil {
				t.Fatal(err)
			}
		}
		if err := tap.Close(); err == nil || err.Error() != "disk full" {
			t.Error(err)
		}
	})
}

// TestTapLeavesOutNotesThatASlowSinkCannotTake has nobody wait for room: there is an end to
// what is kept all the same.
func TestTapLeavesOutNotesThatASlowSinkCannotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wait := range []bool{false, true} {
			s := &taker{gate: make(chan struct{})}
			tap := NewTap(TapConfig{Sink: s, Bytes: 1000, Wait: wait})
			c, stage := tapped(t, tap)
			for range 1000 {
				tap.Note(Seen{Text: "fault"}, c.Number)
			}
			for range 1000 {
				other, err := tap.Open(&Conn{Number: 8})
				if err != nil {
					t.Fatal(err)
				}
				if other != nil {
					other.(Ender).Ended(&End{Why: "client"})
				}
			}
			stage.(Ender).Ended(&End{Why: "client"})
			lost := tap.Lost()
			close(s.gate)
			if err := tap.Close(); err != nil {
				t.Fatal(err)
			}
			if n := len(s.all); n > 100 || lost < 1900 {
				t.Errorf("wait %v: %d were kept, %d left out", wait, n, lost)
			}
			if last, want := s.all[len(s.all)-1], fmt.Sprintf("3 %d  client", lost); last != want {
				t.Errorf("wait %v: %q, want %q", wait, last, want)
			}
		}
	})
}

// TestConnectionsEndThoughTheSinkIsStuck has a sink that takes nothing keep neither
// connections nor the program from their ends.
func TestConnectionsEndThoughTheSinkIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &taker{gate: make(chan struct{})}
		tap := NewTap(TapConfig{Sink: s, Bytes: 1000, Wait: true})
		_, stage := tapped(t, tap)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				_ = stage.Handle(ctx, ping(t), pass)
			}
		}()
		synctest.Wait() // until it waits for room
		cancel()
		<-ended
		if err := tap.Close(); !errors.Is(err, ErrStuck) {
			t.Errorf("%v, want %v", err, ErrStuck)
		}
		close(s.gate)
	})
}
