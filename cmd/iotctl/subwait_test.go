package main

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/jq"
)

// stubAPI is a client without a connection.
type stubAPI struct {
	client.API
	done chan struct{}
}

func (a *stubAPI) Done() <-chan struct{} { return a.done }
func (a *stubAPI) Halt()                 {}

func newWaitingSub(t *testing.T, set func(*settings)) *subscriber {
	t.Helper()
	s := newSettings(progSub, false)
	set(s)
	term := &terminal{out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	p, err := newPrinter(s, term)
	if err != nil {
		t.Fatal(err)
	}
	return &subscriber{
		engine: &engine{API: &stubAPI{done: make(chan struct{})}, s: s, t: term},
		out:    p, wait: newWaiting(s, term), finished: make(chan error, 1),
	}
}

// A reader that is slow, because nobody reads standard output, has work in hand:
// what waits behind that has come before the end.
func TestIdleIsNotWhoHasMessagesInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := newWaitingSub(t, func(s *settings) { s.idle = time.Second })
		ended := make(chan time.Duration, 1)
		began := time.Now()
		go func() {
			if over, err := sub.await(context.Background()); err != nil || over {
				t.Errorf("%v, %v", err, over)
			}
			ended <- time.Since(began)
		}()
		time.Sleep(900 * time.Millisecond)
		sub.receive(client.Message{Topic: "a"})
		time.Sleep(10 * time.Second) // in OnMessage, or in OnIdle
		select {
		case <-ended:
			t.Fatal("ended with a message in hand")
		default:
		}
		sub.flush()
		if took := <-ended; took < 11900*time.Millisecond || took > 12*time.Second {
			t.Errorf("ended after %s", took)
		}
	})
}

// Without a connection nothing can come, so that nothing comes says nothing.
func TestIdleNeedsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := newWaitingSub(t, func(s *settings) { s.idle = time.Second })
		began := time.Now()
		ended := make(chan time.Duration, 1)
		go func() {
			_, _ = sub.await(context.Background())
			ended <- time.Since(began)
		}()
		time.Sleep(500 * time.Millisecond)
		sub.s.onState(client.State{Kind: client.StateLost})
		time.Sleep(time.Minute)
		sub.s.onState(client.State{Kind: client.StateConnected})
		if took := <-ended; took < 61500*time.Millisecond || took > 62*time.Second {
			t.Errorf("ended after %s", took)
		}
	})
}

// The message that the reader had in hand when the time was over decides.
func TestWhatWasInHandAtTheEndCounts(t *testing.T) {
	q, err := jq.Compile(".topic == \"late\"")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		set  func(*settings)
		last string
		want exitCode
	}{
		{"until, in time", func(s *settings) { s.until = q }, "late", exitOK},
		{"until, not at all", func(s *settings) { s.until = q }, "other", exitTimeout},
		{"fail-on", func(s *settings) { s.failOn = q }, "late", exitFailOn},
		{"fail-on, not at all", func(s *settings) { s.failOn = q }, "other", exitOK},
		{"expect", func(s *settings) { s.expect = 2 }, "other", exitOK},
		{"expect, not enough", func(s *settings) { s.expect = 3 }, "other", exitTimeout},
		{"count with until", func(s *settings) { s.until, s.count = q, 2 }, "other", exitTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sub := newWaitingSub(t, func(s *settings) { s.within = time.Second; c.set(s) })
				sub.receive(client.Message{Topic: "first"})
				over, err := sub.await(context.Background())
				if err != nil || over {
					t.Fatalf("%v, %v", err, over)
				}
				sub.receive(client.Message{Topic: c.last})
				if err := sub.settle(err); codeOf(err) != c.want {
					t.Errorf("%v: code %d, want %d", err, codeOf(err), c.want)
				}
			})
		})
	}
}
