package broker

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/store"
)

// wantKept checks what a connection has found.
func (c *client) wantKept(want ...string) {
	c.t.Helper()
	got, all := map[string]string{}, map[string]string{}
	for k, data := range c.kept {
		got[k] = string(data)
	}
	for i := 0; i < len(want); i += 2 {
		all[want[i]] = want[i+1]
	}
	if diff := cmp.Diff(all, got); diff != "" {
		c.t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestKeptIsFoundByTheNextConnection(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		c := attach(t, b, durable("c"))
		c.wantKept()
		scratch := []byte("1")
		c.l.Keep("a", scratch)
		c.l.Keep("empty", []byte{})
		c.l.Keep("gone", scratch)
		scratch[0] = 'x' // it is the caller's
		c.commit()
		c.l.Keep("gone", nil)
		c.l.Keep("never", nil)
		c.commit()
		c.leave()
		c = attach(t, b, durable("c"))
		c.wantKept("a", "1", "empty", "")
		b = restart(t, b)
		c = attach(t, b, durable("c"))
		c.wantKept("a", "1", "empty", "")
		attach(t, b, durable("d")).wantKept()

		o := durable("c")
		o.CleanStart = true
		attach(t, b, o).wantKept()
		attach(t, b, durable("c")).wantKept()
	})
}

func TestNothingIsKeptOfWhatEndsWithTheConnection(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		c := attach(t, b, options("c"))
		c.l.Keep("a", []byte("1"))
		c.commit()
		c.leave()
		attach(t, b, options("c")).wantKept()
		wantRecords(t, b.cfg.Store)
	})
}

// A gateway that keeps nothing does not know what another has kept, and changes
// what that tells.
func TestNothingIsKeptOfAnotherGatewaysClient(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		c, other := attach(t, b, durable("c")), durable("c")
		c.l.Keep("a", []byte("1"))
		c.commit()
		other.Keeps = false
		o := attach(t, b, other)
		if o.wantKept(); !o.present {
			t.Error("the session is another one")
		}
		o.subscribe(Subscription{Filter: "a", QoS: 1})
		b = crash(t, b)
		wantInterrupted(t, b, "", "c")
		keeps := options("c")
		keeps.Keeps = true
		if _, _, err := b.Restore(context.Background(), "c", identity, keeps, &client{t: t, b: b}); !errors.Is(err, ErrNoSession) {
			t.Errorf("restored: %v", err)
		}
		wantInterrupted(t, b, "", "c")
		run(t, b)
		c = attach(t, b, durable("c"))
		if c.wantKept(); !c.present {
			t.Error("the session is another one")
		}
	})
}

func TestKeptIsLostBeforeCommit(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		c := attach(t, b, durable("c"))
		c.l.Keep("a", []byte("1"))
		c.lose()
		c = attach(t, b, durable("c"))
		c.wantKept()
		c.l.Keep("a", []byte("2"))
		f.fail(errDisk)
		if err := c.l.Commit(context.Background()); !errors.Is(err, errDisk) {
			t.Errorf("commit: %v", err)
		}
		f.fail(nil)
		c.lose()
		attach(t, b, durable("c")).wantKept()
	})
}

// Whoever has lost the session changes nothing that the next connection has found.
func TestNothingIsKeptAfterATakeOver(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		w := watcher(t, b)
		first := attach(t, b, withWill(durable("c"), "first", time.Minute))
		first.l.Keep("a", []byte("1"))
		first.commit()
		first.l.Keep("a", []byte("2"))
		if err := first.l.SetWill(&Will{Message: view("will=late", 1)}); err != nil {
			t.Error(err)
		}
		second := attach(t, b, withWill(durable("c"), "second", 0))
		second.wantKept("a", "1")
		first.commit()
		first.l.Keep("b", []byte("3"))
		if err := first.l.SetWill(nil); !errors.Is(err, ErrTakenOver) {
			t.Errorf("will: %v", err)
		}
		first.commit()
		first.lose()
		w.want()
		second.lose()
		w.want("will=second q1")
		attach(t, b, durable("c")).wantKept("a", "1")
	})
}

// What is being stored during a take-over is found by the next connection, or
// nobody has been told that it is stored.
func TestTakeOverWaitsForWhatIsBeingKept(t *testing.T) {
	for _, outcome := range []error{nil, errDisk} {
		f := newFaulty()
		b := start(t, Config{Store: f, SysInterval: -1})
		w := watcher(t, b)
		first := attach(t, b, withWill(durable("c"), "old", 0))
		slow, done, next := make(chan error), make(chan error, 1), make(chan *client, 1)
		first.l.Keep("a", []byte("1"))
		if err := first.l.SetWill(&Will{Message: view("will=new", 1)}); err != nil {
			t.Fatal(err)
		}
		f.slow(slow)
		go func() { done <- first.l.Commit(context.Background()) }()
		applying := &first.l.s.applying
		poll(t, func() bool {
			if !applying.TryLock() {
				return true
			}
			applying.Unlock()
			return false
		})
		go func() { next <- attach(t, b, durable("c")) }()
		poll(t, func() bool { // until it waits
			if !applying.TryRLock() {
				return true
			}
			applying.RUnlock()
			return false
		})
		slow <- outcome
		close(slow) // all else is stored at once
		if err := <-done; !errors.Is(err, outcome) {
			t.Errorf("commit: %v", err)
		}
		second := <-next
		if outcome == nil {
			second.wantKept("a", "1")
			w.want("will=new q1")
		} else {
			second.wantKept()
			w.want("will=old q1")
		}
		wantRecords(t, f, "session c")
	}
}

// The batch of a connection whose session has ended leaves nothing to the next
// session with that client identifier.
func TestWipedSessionKeepsNothingForItsSuccessor(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		first := attach(t, b, durable("c"))
		first.l.Keep("a", []byte("1"))
		if err := first.l.SetWill(&Will{Message: view("will=1", 1)}); err != nil {
			t.Fatal(err)
		}
		o := durable("c")
		o.CleanStart = true
		second := attach(t, b, o)
		first.commit()
		wantRecords(t, b.cfg.Store, "session c")
		second.lose()
		attach(t, b, durable("c")).wantKept()
	})
}

func TestKeptCannotBeRead(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := &illegible{Store: b.cfg.Store}
		b.cfg.Store = f
		w := watcher(t, b)
		c := attach(t, b, withWill(durable("c"), "1", time.Minute))
		f.err = errDisk
		if _, err := attachAs(t, b, "", durable("c")); !errors.Is(err, errDisk) {
			t.Fatalf("attach: %v", err)
		}
		c.wantClosed(ReasonTakenOver)
		f.err = nil
		wantRecords(t, f, "session c", "will c")
		time.Sleep(61 * time.Second)
		w.want("will=1 q1")
		if c := attach(t, b, durable("c")); !c.present {
			t.Error("the session is gone")
		}
	})
}

// illegible is a store that cannot read what is kept.
type illegible struct {
	store.Store
	err error
}

// Kept implements store.Store.
func (u *illegible) Kept(ctx context.Context, client string) (map[string][]byte, error) {
	if u.err != nil {
		return nil, u.err
	}
	all, err := u.Store.Kept(ctx, client)
	return maps.Clone(all), err
}

func TestWillIsChanged(t *testing.T) {
	for name, o := range map[string]SessionOptions{"durable": durable("c"), "ends with the connection": options("c")} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, b *Broker) {
				w := watcher(t, b)
				set := func(c *client, will *Will) {
					t.Helper()
					if err := c.l.SetWill(will); err != nil {
						t.Fatal(err)
					}
				}
				c := attach(t, b, o) // had none
				set(c, &Will{Message: view("will=1", 1)})
				c.commit()
				c.lose()
				w.want("will=1 q1")

				c = attach(t, b, withWill(o, "2", 0))
				set(c, &Will{Message: view("will=3", 1)})
				set(c, &Will{Message: view("will=4", 1)})
				c.commit()
				c.lose()
				w.want("will=4 q1")

				c = attach(t, b, withWill(o, "5", 0))
				set(c, nil)
				c.commit()
				c.lose()
				w.want()

				c = attach(t, b, withWill(o, "6", 0))
				set(c, &Will{Message: view("will=uncommitted", 1)})
				c.lose()
				w.want("will=6 q1")

				c = attach(t, b, withWill(o, "7", 0))
				set(c, &Will{Message: view("will=8", 1)})
				c.commit()
				c.leave()
				w.want()
			})
		})
	}
}

func TestChangedWillSurvivesACrash(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		change := func(id string, will *Will, commit bool) {
			t.Helper()
			c := attach(t, b, withWill(durable(id), id+" old", 0))
			if err := c.l.SetWill(will); err != nil {
				t.Fatal(err)
			}
			if commit {
				c.commit()
			}
		}
		change("a", &Will{Message: view("will=a new", 1)}, true)
		change("b", &Will{Message: view("will=b new", 1)}, false)
		change("c", nil, true)
		after := idle(t, Config{Store: b.cfg.Store, SysInterval: -1})
		w := watcher(t, after)
		run(t, after)
		synctest.Wait()
		w.wantAny("will=a new q1", "will=b old q1")
	})
}

func TestWillIsChangedWithTheRightTo(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		w := watcher(t, b)
		b.SetAuthorizer(newRules(" publish no"))
		f := &small{faulty: newFaulty()}
		b.cfg.Store = f
		c := attach(t, b, withWill(durable("c"), "old", 0))
		for _, topic := range []string{"no", "$SYS/broker/version"} {
			if err := c.l.SetWill(&Will{Message: view(topic+"=1", 0)}); !errors.Is(err, ErrNotAuthorized) {
				t.Errorf("%s: %v", topic, err)
			}
		}
		f.full.Store(true)
		if err := c.l.SetWill(&Will{Message: view("will=new", 0)}); !errors.Is(err, ErrFull) {
			t.Errorf("full: %v", err)
		}
		f.full.Store(false)
		c.commit()
		c.lose()
		w.want("will=old q1")
	})
}
