package broker

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

func TestConfigNamesEveryProblem(t *testing.T) {
	bad := Config{
		MaxSessions: -1, MaxSessionsPerOwner: -1, MaxSubscriptions: -1, MaxRetained: -1, MaxRetainedBytes: -1,
		Queue: session.Limits{MaxQueued: -1, MaxQueuedBytes: -1}, MaxExpiry: -time.Second, Shared: 99,
	}
	_, err := New(t.Context(), bad)
	if err == nil {
		t.Fatal("taken")
	}
	for _, name := range []string{
		"max_sessions: -1", "max_sessions_per_owner", "max_subscriptions", "max_retained:", "max_retained_bytes",
		"queue.messages", "queue.bytes", "max_session_expiry", "shared",
	} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q is not in %q", name, err)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}

// broken is a store that cannot be read.
type broken struct{ *faulty }

// Load implements store.Store.
func (broken) Load(context.Context, func(store.Record) error) error { return errDisk }

func TestBrokerDoesNotStartOnAStoreThatCannotBeRead(t *testing.T) {
	if _, err := New(t.Context(), Config{Store: broken{}}); err == nil || !strings.Contains(err.Error(), errDisk.Error()) {
		t.Errorf("new: %v", err)
	}
}

func TestSeconds(t *testing.T) {
	for v, want := range map[uint32]time.Duration{0: 0, 1: time.Second, 0xFFFFFFFE: 0xFFFFFFFE * time.Second, 0xFFFFFFFF: Never} {
		if got := Seconds(v); got != want {
			t.Errorf("%d: %v", v, got)
		}
	}
}

func TestReasonsHaveNames(t *testing.T) {
	for r := range ReasonUnavailable + 1 {
		if r.String() == "" {
			t.Errorf("reason %d", r)
		}
	}
}

func TestTimersFireInOrderAndCanBeMovedAndStopped(t *testing.T) {
	start := time.Unix(1000, 0)
	ts := timers{wake: make(chan struct{}, 1)}
	var all [5]timer
	for i := range all {
		ts.set(&all[i], start.Add(time.Duration(10-i)*time.Second)) // 10, 9, 8, 7, 6
	}
	ts.set(&all[0], start.Add(time.Second))
	ts.stop(&all[3])
	ts.stop(&all[3])
	if d := ts.next(start); d != time.Second {
		t.Errorf("next in %v", d)
	}
	var order []int
	for s := range 11 {
		for _, due := range ts.due(start.Add(time.Duration(s) * time.Second)) {
			for i := range all {
				if due == &all[i] {
					order = append(order, i)
				}
			}
		}
	}
	if want := []int{0, 4, 2, 1}; !slices.Equal(order, want) {
		t.Errorf("fired %v, want %v", order, want)
	}
	if len(ts.heap) != 0 {
		t.Errorf("%d left", len(ts.heap))
	}
}
