package broker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

var errDisk = errors.New("disk full")

// What waits for the store does not leave when the store fails; what does not
// wait, does.
func TestNothingLeavesThatCouldNotBeStored(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		kept, ends, p := attach(t, b, durable("kept")), attach(t, b, options("ends")), attach(t, b, options("p"))
		kept.subscribe(Subscription{Filter: "a", QoS: 2})
		ends.subscribe(Subscription{Filter: "a", QoS: 2})
		p.publish("a=0", 2, 2)
		kept.want("a=0 q2")
		ends.want("a=0 q2")

		f.fail(errDisk)
		if _, err := p.l.Publish(view("a=1", 1)); err != nil {
			t.Fatal(err)
		}
		if err := p.l.Commit(context.Background()); !errors.Is(err, errDisk) {
			t.Errorf("commit: %v", err)
		}
		kept.want()
		ends.want("a=1 q1")
		if n := len(kept.l.s.storing); n != 0 {
			t.Errorf("%d messages are being stored", n)
		}
		if err := kept.l.Acked(session.Pubrec, kept.unacked[0].PacketID); err != nil {
			t.Error(err)
		}
		if err := kept.l.Commit(context.Background()); !errors.Is(err, errDisk) {
			t.Errorf("commit: %v", err)
		}
		kept.want() // no PUBREL
		kept.lose()

		f.fail(nil)
		if err := p.l.Commit(context.Background()); err != nil {
			t.Errorf("an empty batch: %v", err)
		}
		p.publish("a=2", 1, 2)
		kept = attach(t, b, durable("kept"))
		kept.wantAny("rel", "a=2 q1")
		wantRecords(t, f, "session kept", "subscription kept a", "released kept", "queued kept 2")
		kept.ackAll()
		ends.want("a=2 q1")
	})
}

// The order on the wire is that of the promises: nothing of a durable session
// before it is stored.
func TestStoredBeforeDelivered(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		s, p := attach(t, b, durable("s")), attach(t, b, durable("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		var applied []string
		f.hook(func(ops []store.Op) {
			if got := s.received(); len(got) > 0 {
				t.Errorf("delivered before %v was stored: %q", ops, got)
			}
			for _, op := range ops {
				switch r := op.Record.(type) {
				case store.Queued:
					applied = append(applied, [...]string{"put", "delete"}[op.Kind]+" queued")
				case store.Received:
					applied = append(applied, [...]string{"put", "delete"}[op.Kind]+" received")
				case store.Released:
					applied = append(applied, "put released")
				case store.Retained:
					applied = append(applied, "put retained")
				default:
					t.Errorf("stored %T", r)
				}
			}
		})
		v := view("a=1", 2)
		v.PacketID, v.Retain = 1, true
		if _, err := p.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		s.want()
		p.commit()
		s.want("a=1 q2")
		s.ack()
		s.want("rel")
		s.ack()
		if _, err := p.l.Release(1); err != nil {
			t.Error(err)
		}
		p.commit()
		want := []string{
			"put received", "put retained", "put queued", // before PUBREC
			"put released",    // before PUBREL
			"delete queued",   // after PUBCOMP
			"delete received", // before PUBCOMP
		}
		if !slices.Equal(applied, want) {
			t.Errorf("applied %q, want %q", applied, want)
		}
		f.hook(nil)
		wantRecords(t, f, "session p", "session s", "subscription s a", "retained a")
	})
}

func TestWritableStoresReleasesToo(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		p.publish("a=1", 2, 1)
		s.want("a=1 q2")
		s.setFull(true)
		s.ack()
		s.want()
		s.setFull(false)
		s.want("rel")
		s.ack()
		wantRecords(t, b.cfg.Store, "session s", "subscription s a")
	})
}

// A window of one shows that a refused message was not counted.
func TestFailedStoreLeavesTheWindowOpen(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		o := durable("s")
		o.Window = session.Window{ReceiveMaximum: 1, Fits: func(*message.Delivery) bool { return true }}
		s, p := attach(t, b, o), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		f.fail(errDisk)
		if _, err := p.l.Publish(view("a=1", 1)); err != nil {
			t.Fatal(err)
		}
		if err := p.l.Commit(context.Background()); err == nil {
			t.Error("no error")
		}
		f.fail(nil)
		p.publish("a=2", 1, 1)
		s.want("a=2 q1")
		if waiting, inflight := s.l.s.out.Len(); waiting != 0 || inflight != 1 {
			t.Errorf("%d waiting, %d in flight", waiting, inflight)
		}
	})
}

// The publisher was not told that its QoS 2 message is safe: it sends it again.
func TestQoS2MessageThatCouldNotBeStoredIsTakenAgain(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		s, p := attach(t, b, durable("s")), attach(t, b, durable("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		v := view("a=1", 2)
		v.PacketID = 7
		f.fail(errDisk)
		if _, err := p.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		if err := p.l.Commit(context.Background()); !errors.Is(err, errDisk) {
			t.Errorf("commit: %v", err)
		}
		p.lose()
		s.want()
		f.fail(nil)
		p = attach(t, b, durable("p"))
		v.Dup = true
		if _, err := p.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		p.commit()
		s.want("a=1 q2")
		wantRecords(t, f, "session p", "received p 7", "session s", "subscription s a", "queued s 1")
	})
}

// What has been stored stays taken, even if the store fails right after it, in
// the second half of the commit: here, where a message makes room for another.
func TestQoS2MessageThatWasStoredIsNotTakenAgain(t *testing.T) {
	bubble(t, Config{Queue: session.Limits{MaxQueued: 1}}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		s, p := attach(t, b, durable("s")), attach(t, b, durable("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		s.lose()
		p.publish("a=1", 2, 1)
		f.hook(func([]store.Op) { f.fail(errDisk) }) // from the next one on
		v := view("a=2", 2)
		v.PacketID = 7
		if _, err := p.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		if err := p.l.Commit(context.Background()); !errors.Is(err, errDisk) {
			t.Fatalf("commit: %v", err)
		}
		p.lose()
		f.hook(nil)
		f.fail(nil)
		s, p = attach(t, b, durable("s")), attach(t, b, durable("p"))
		s.want("a=2 q2")
		v.Dup = true
		if _, err := p.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		p.commit()
		s.want()
	})
}

// A client that comes back while its message is being stored repeats it, and is
// not told that it is safe before it is.
func TestRepetitionWaitsForTheStore(t *testing.T) {
	for _, outcome := range []error{nil, errDisk} {
		bubble(t, Config{}, func(t *testing.T, b *Broker) {
			f := newFaulty()
			b.cfg.Store = f
			s, p := attach(t, b, durable("s")), attach(t, b, durable("p"))
			s.subscribe(Subscription{Filter: "a", QoS: 2})
			v := view("a=1", 2)
			v.PacketID = 7
			publish := func(l *Link) error {
				if _, err := l.Publish(v); err != nil {
					return err
				}
				return l.Commit(context.Background())
			}
			slow, first, second := make(chan error), make(chan error, 1), make(chan error, 1)
			f.slow(slow)
			go func() { first <- publish(p.l) }()
			synctest.Wait()
			f.slow(nil)
			p = attach(t, b, durable("p"))
			v.Dup = true
			go func() { second <- publish(p.l) }()
			synctest.Wait()
			if len(second) > 0 {
				t.Error("acknowledged too early")
			}
			slow <- outcome
			if err := <-first; !errors.Is(err, outcome) {
				t.Errorf("first: %v", err)
			}
			if err := <-second; err != nil {
				t.Errorf("second: %v", err)
			}
			s.want("a=1 q2")
			wantRecords(t, f, "session p", "received p 7", "session s", "subscription s a", "queued s 1")
		})
	}
}

// An identifier that is still in the store would swallow a message after a
// restart.
func TestReleaseThatCouldNotBeStoredIsTakenAgain(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		p := attach(t, b, durable("p"))
		v := view("a=1", 2)
		v.PacketID = 7
		if _, err := p.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		p.commit()
		f.fail(errDisk)
		if known, err := p.l.Release(7); !known || err != nil {
			t.Fatalf("release: %v, %v", known, err)
		}
		if err := p.l.Commit(context.Background()); !errors.Is(err, errDisk) {
			t.Fatalf("commit: %v", err)
		}
		p.lose()
		f.fail(nil)
		p = attach(t, b, durable("p"))
		if known, err := p.l.Release(7); !known || err != nil {
			t.Errorf("release: %v, %v", known, err)
		}
		p.commit()
		wantRecords(t, f, "session p")
	})
}

// What was under way when a session was wiped does not become part of the new
// one with the same client identifier.
func TestWipedSessionLeavesNothingToItsSuccessor(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		first, p, q := attach(t, b, durable("s")), attach(t, b, options("p")), attach(t, b, options("q"))
		first.subscribe(Subscription{Filter: "a", QoS: 1})
		if _, err := p.l.Publish(view("a=old", 1)); err != nil {
			t.Fatal(err)
		}
		v := view("x=1", 2)
		v.PacketID = 7
		if _, err := first.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		first.l.Subscribe([]Subscription{{Filter: "stale"}})

		o := durable("s")
		o.CleanStart = true
		second := attach(t, b, o)
		second.subscribe(Subscription{Filter: "a", QoS: 1})
		q.publish("a=new", 1, 1)
		p.commit()
		first.commit()
		wantRecords(t, b.cfg.Store, "session s", "subscription s a", "queued s new")
		second.want("a=new q1")
	})
}

// The same for a release that waited for the client to take it.
func TestWipedSessionLeavesNoReleaseBehind(t *testing.T) {
	f := newFaulty()
	b := start(t, Config{Store: f, SysInterval: -1})
	s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
	s.subscribe(Subscription{Filter: "a", QoS: 2})
	p.publish("a=1", 2, 1)
	s.setFull(true)
	p.publish("a=2", 2, 1) // refused
	s.ack()
	session, wiped := s.l.s, make(chan struct{})
	f.hook(func(ops []store.Op) {
		if _, ok := ops[0].Record.(store.Released); !ok {
			return
		}
		f.hook(nil)
		go func() {
			defer close(wiped)
			session.life.Lock()
			session.end()
			session.life.Unlock()
		}()
		for len(records(t, f)) > 0 && session.applying.TryLock() { // wiped already, or waits for us
			session.applying.Unlock()
		}
	})
	s.setFull(false)
	<-wiped
	attach(t, b, durable("s"))
	wantRecords(t, f, "session s")
}

// Batches of two publishers may be stored in another order than that in which
// they were published; what is kept in the end is what clients have been shown.
func TestStoredRetainedMessageIsTheLastOne(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p, q := attach(t, b, options("p")), attach(t, b, options("q"))
		retain := func(text string, seconds uint32) {
			t.Helper()
			v := view(text, 1)
			v.Retain, v.HasExpiry, v.Expiry = true, seconds > 0, seconds
			if _, err := p.l.Publish(v); err != nil {
				t.Fatal(err)
			}
		}
		retain("replaced=1", 0)
		retain("replaced=2", 0)
		retain("cleared=1", 0)
		retain("expired=1", 1)
		retain("kept=1", 0)
		q.publishRetained("replaced=3", 1, 0)
		q.publishRetained("cleared=", 1, 0)
		time.Sleep(2 * time.Second)
		p.commit()
		wantRecords(t, b.cfg.Store, "retained kept", "retained replaced")
		s := attach(t, restart(t, b), options("s"))
		s.subscribe(Subscription{Filter: "#"})
		s.wantAny("kept=1 retain", "replaced=3 retain")
	})
}
