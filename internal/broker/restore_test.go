package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// crash returns the next broker on the store of b, on which nobody has said
// goodbye; it does not run yet.
func crash(t testing.TB, b *Broker) *Broker {
	t.Helper()
	return idle(t, Config{Store: b.cfg.Store, SysInterval: -1, Queue: b.cfg.Queue})
}

// restore attaches a client to an interrupted session.
func restore(t testing.TB, b *Broker, id string) (*client, error) {
	t.Helper()
	c := &client{t: t, b: b, room: never}
	l, resumed, err := b.Restore(context.Background(), id, identity, options(id), c)
	if err != nil {
		return nil, err
	}
	c.begin(l, resumed)
	return c, nil
}

func restored(t testing.TB, b *Broker, id string) *client {
	t.Helper()
	c, err := restore(t, b, id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantInterrupted(t testing.TB, b *Broker, prefix string, want ...string) {
	t.Helper()
	if got := b.Interrupted(prefix); !slices.Equal(got, want) {
		t.Errorf("interrupted: %q, want %q", got, want)
	}
}

func TestRestoredSessionGoesOn(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		s, p := attach(t, b, withWill(durable("s"), "s", time.Minute)), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		s.l.Keep("k", []byte("1"))
		s.commit()
		v := view("x=1", 2)
		v.PacketID = 7
		if _, err := s.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		s.commit()
		for i := range 3 {
			p.publish(fmt.Sprintf("a=%d", i), 2, 1)
		}
		if err := s.l.Acked(session.Pubrec, s.unacked[1].PacketID); err != nil {
			t.Fatal(err)
		}
		s.commit()

		var w *client
		for range 3 { // as often as it crashes
			f.hook(func(ops []store.Op) {
				if _, ok := ops[0].Record.(store.Released); !ok { // before PUBREL, by Start
					t.Errorf("stored %+v", ops)
				}
			})
			b = crash(t, b)
			wantInterrupted(t, b, "", "s")
			s = restored(t, b, "s")
			wantInterrupted(t, b, "")
			f.hook(nil)
			run(t, b)
			if s.wantKept("k", "1"); !s.present || s.expiry != time.Hour {
				t.Errorf("present %v, expiry %v", s.present, s.expiry)
			}
			s.want("rel", "a=0 q2 dup", "a=2 q2 dup")
			w = watcher(t, b)
			time.Sleep(2 * time.Hour)
			w.want()
			count(t, b, 2, 2)
			wantTimers(t, b, 0)
			if n, owned := b.stats.Connected.Load(), b.owners.get(""); n != 2 || owned != 0 {
				t.Errorf("%d connected, %d without a connection", n, owned)
			}
		}
		if known, err := s.l.Release(7); !known || err != nil {
			t.Errorf("release: %v, %v", known, err)
		}
		s.commit()
		s.ackAll()
		wantRecords(t, f, "session s", "subscription s a", "will s")
		s.lose()
		time.Sleep(59 * time.Second)
		w.want()
		time.Sleep(2 * time.Second)
		w.want("will=s q1")
		time.Sleep(time.Hour)
		count(t, b, 1, 1)
	})
}

func TestWillOfWhatNobodyRestoresIsPublished(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		for _, id := range []string{"sn/a", "sn/b", "c"} {
			attach(t, b, withWill(durable(id), id, 0))
		}
		attach(t, b, withWill(durable("sn/later"), "sn/later", time.Minute))
		attach(t, b, durable("sn/gone")).lose()
		attach(t, b, options("sn/short"))
		b = crash(t, crash(t, b)) // the first did not come to Run
		wantInterrupted(t, b, "sn/", "sn/a", "sn/b", "sn/later")
		restored(t, b, "sn/b")
		w := watcher(t, b)
		synctest.Wait()
		w.want()
		run(t, b)
		synctest.Wait()
		w.wantAny("will=c q1", "will=sn/a q1")
		time.Sleep(61 * time.Second)
		w.want("will=sn/later q1")
		wantInterrupted(t, crash(t, b), "", "sn/b")
		time.Sleep(time.Hour)
		w.want()
		wantRecords(t, b.cfg.Store, "session sn/b", "will sn/b")
	})
}

func TestConnectionsThatWereNotDetachedAtTheEndAreRestored(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		stays, goes := attach(t, b, withWill(durable("stays"), "stays", 0)), attach(t, b, durable("goes"))
		b.Shutdown(ReasonShutdown)
		stays.wantClosed(ReasonShutdown)
		goes.leave()
		if _, err := restore(t, b, "goes"); !errors.Is(err, ErrEnded) {
			t.Errorf("while it ends: %v", err)
		}
		b = crash(t, b)
		wantInterrupted(t, b, "", "stays")
		restored(t, b, "stays")
		w := watcher(t, b)
		run(t, b)
		time.Sleep(time.Hour)
		w.want()
	})
}

func TestNothingIsRestoredWhileTheBrokerEnds(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		attach(t, b, withWill(durable("c"), "c", 0))
		b = crash(t, b)
		w := watcher(t, b)
		ends := func(owner string) auth.Identity {
			b.Shutdown(ReasonShutdown)
			return identity(owner)
		}
		if _, _, err := b.Restore(context.Background(), "c", ends, options("c"), &client{t: t, b: b}); !errors.Is(err, ErrEnded) {
			t.Errorf("restored: %v", err)
		}
		wantInterrupted(t, b, "", "c")
		wantRecords(t, b.cfg.Store, "session c", "will c")
		run(t, b)
		time.Sleep(time.Second)
		w.want("will=c q1")
		wantRecords(t, b.cfg.Store, "session c")
	})
}

func TestRestoreIsRefused(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		attach(t, b, durable("detached")).leave()
		for _, id := range []string{"attached", "twice", "wiped", "late", "unreadable"} {
			attach(t, b, durable(id))
		}
		alices, err := attachAs(t, b, "alice", withWill(durable("alice's"), "1", 0))
		if err != nil {
			t.Fatal(err)
		}
		b = crash(t, b)
		want := func(id string, want error) {
			t.Helper()
			if _, err := restore(t, b, id); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", id, err, want)
			}
		}
		want("nobody", ErrNoSession)
		want("detached", ErrNoSession)
		if c := attach(t, b, durable("attached")); !c.present {
			t.Error("the session is gone")
		}
		want("attached", ErrNoSession)
		restored(t, b, "twice")
		want("twice", ErrNoSession)
		o := durable("wiped")
		o.CleanStart = true
		attach(t, b, o)
		want("wiped", ErrNoSession)
		f := &illegible{b.cfg.Store, errDisk}
		b.cfg.Store = f
		want("unreadable", errDisk)
		b.cfg.Store = f.Store

		to := func(string) auth.Identity { return identity("bob") }
		if _, _, err := b.Restore(t.Context(), "alice's", to, options(""), alices); !errors.Is(err, ErrNotOwner) {
			t.Errorf("as bob: %v", err)
		}
		wantInterrupted(t, b, "", "alice's", "late", "unreadable")
		if c := restored(t, b, "alice's"); c.l.Identity() != identity("alice") {
			t.Errorf("identity %+v", c.l.Identity())
		}
		run(t, b)
		synctest.Wait()
		want("late", ErrNoSession)
		wantInterrupted(t, b, "")
	})
}

func TestRestoredSessionIsTakenOver(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		attach(t, b, withWill(durable("s"), "1", 0))
		b = crash(t, b)
		first := restored(t, b, "s")
		run(t, b)
		w := watcher(t, b)
		second := attach(t, b, durable("s"))
		first.wantClosed(ReasonTakenOver)
		w.want("will=1 q1")
		second.lose()
		w.want()
	})
}

// The expiry of what nobody restores counts from the start of the broker, and
// that of a client that comes before Run is its own.
func TestCutOffCountsFromTheStart(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		for _, id := range []string{"gone", "back"} {
			attach(t, b, withWill(durable(id), id, 2*time.Hour))
		}
		b = crash(t, b)
		time.Sleep(30 * time.Minute)
		attach(t, b, durable("back"))
		w := watcher(t, b)
		run(t, b)
		synctest.Wait()
		wantTimers(t, b, 1)
		time.Sleep(29 * time.Minute)
		count(t, b, 3, 1)
		w.want()
		time.Sleep(2 * time.Minute)
		count(t, b, 2, 1)
		w.want("will=gone q1")
		wantRecords(t, b.cfg.Store, "session back")
	})
}

// A gateway that is late restores what it gets, and what it does not get has lost
// its connection.
func TestRestoreWhileRunBegins(t *testing.T) {
	const n = 3000
	b := idle(t, Config{SysInterval: -1, Queue: session.Limits{MaxQueued: n}})
	for i := range n {
		attach(t, b, withWill(durable(fmt.Sprint(i)), fmt.Sprint(i), 0))
	}
	b = crash(t, b)
	w := watcher(t, b)
	var got atomic.Int64
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := part; i < n; i += 4 {
				switch _, err := restore(t, b, fmt.Sprint(i)); {
				case err == nil:
					got.Add(1)
				case !errors.Is(err, ErrNoSession):
					t.Error(err)
				}
			}
		})
	}
	run(t, b)
	wg.Wait()
	wills := 0
	for deadline := time.Now().Add(10 * time.Second); wills+int(got.Load()) < n && time.Now().Before(deadline); {
		wills += len(w.received())
		w.ack()
	}
	if sum := wills + int(got.Load()); sum != n || int(b.stats.Connected.Load()) != int(got.Load())+1 {
		t.Errorf("%d restored, %d wills, %d connected", got.Load(), wills, b.stats.Connected.Load())
	}
}
