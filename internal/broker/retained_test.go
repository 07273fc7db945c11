package broker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-9]
func TestRetainedIsKeptReplacedAndCleared(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		p.publishRetained("a/1=x", 1, 0)
		p.publishRetained("a/2=y", 2, 0)
		p.publishRetained("b=z", 0, 0)
		p.publish("a/1=live", 0, 0)
		s := attach(t, b, options("s"))
		s.subscribe(Subscription{Filter: "a/+", QoS: 1, ID: 5})
		s.wantAny("a/1=x q1 retain ids[5]", "a/2=y q1 retain ids[5]")
		p.publishRetained("a/1=new", 0, 1)
		p.publishRetained("a/2=", 1, 1) // [MQTT-3.3.1-6]
		s.want("a/1=new ids[5]", "a/2= q1 ids[5]")
		s = attach(t, b, options("s2"))
		s.subscribe(Subscription{Filter: "#", QoS: 2})
		s.wantAny("a/1=new retain", "b=z retain")
		if n, size := b.Retained(); n != 2 || size != len("a/1new")+len("bz")+2*64 {
			t.Errorf("%d retained, %d bytes", n, size)
		}
		p.publishRetained("a/1=", 0, 2)
		p.publishRetained("b=", 0, 1)
		p.publishRetained("never=", 0, 1)
		if n, size := b.Retained(); n != 0 || size != 0 {
			t.Errorf("%d retained, %d bytes", n, size)
		}
		wantRecords(t, b.cfg.Store)
	})
}

// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
func TestRetainHandling(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p, s := attach(t, b, options("p")), attach(t, b, options("s"))
		p.publishRetained("a=1", 0, 0)
		for i, step := range []struct {
			handling uint8
			want     []string
		}{
			{2, nil},
			{1, nil},
			{0, []string{"a=1 retain"}},
			{0, []string{"a=1 retain"}},
		} {
			s.subscribe(Subscription{Filter: "a", RetainHandling: step.handling})
			t.Log("step", i)
			s.want(step.want...)
		}
		s.unsubscribe("a")
		s.subscribe(Subscription{Filter: "a", RetainHandling: 1})
		s.want("a=1 retain")
	})
}

func TestSharedSubscriptionsGetNothingRetained(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p, s := attach(t, b, options("p")), attach(t, b, options("s"))
		p.publishRetained("a=1", 0, 0)
		s.subscribe(Subscription{Filter: "$share/g/a"})
		s.want()
	})
}

// [MQTT-3.3.2-5]
func TestRetainedExpires(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p, s := attach(t, b, options("p")), attach(t, b, options("s"))
		v := view("a=1", 0)
		v.Retain, v.HasExpiry, v.Expiry = true, true, 60
		p.publishView(v, 0)
		time.Sleep(59 * time.Second)
		s.subscribe(Subscription{Filter: "a"})
		s.want("a=1 retain")
		v.Expiry = 120
		p.publishView(v, 1)
		s.want("a=1")
		wantTimers(t, b, 1)
		time.Sleep(61 * time.Second) // past the expiry of the first
		s.subscribe(Subscription{Filter: "a"})
		s.want("a=1 retain")
		time.Sleep(60 * time.Second)
		s.subscribe(Subscription{Filter: "a"})
		s.want()
		if n, size := b.Retained(); n != 0 || size != 0 {
			t.Errorf("%d retained, %d bytes", n, size)
		}
		wantRecords(t, b.cfg.Store)
		v.Payload = []byte("2")
		p.publishView(v, 1)
		p.publishRetained("a=forever", 0, 1)
		time.Sleep(time.Hour)
		wantRecords(t, b.cfg.Store, "retained a")
		wantTimers(t, b, 0)
	})
}

func TestRetainedQuota(t *testing.T) {
	bubble(t, Config{MaxRetained: 2, MaxRetainedBytes: 200}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		p.publishRetained("a=1", 0, 0)
		p.publishRetained("b=1", 0, 0)
		v := view("c=1", 1)
		v.Retain = true
		if _, err := p.l.Publish(v); !errors.Is(err, ErrQuota) {
			t.Errorf("third: %v", err)
		}
		p.publishRetained("a=2", 0, 0) // in the place of another
		v = view("a=", 1)
		v.Retain, v.Payload = true, make([]byte, 200)
		if _, err := p.l.Publish(v); !errors.Is(err, ErrQuota) {
			t.Errorf("too many bytes: %v", err)
		}
		p.publishRetained("a=", 0, 0)
		p.publishRetained("c=1", 0, 0)
		wantRecords(t, b.cfg.Store, "retained b", "retained c")
	})
}

// A client that is slow gets all of a large answer, in its own time and
// without losing live messages.
func TestReplayPausesAndGoesOn(t *testing.T) {
	for _, qos := range []uint8{0, 1, 2} {
		for _, o := range []SessionOptions{options("s"), durable("s")} {
			t.Run(fmt.Sprintf("qos=%d/expiry=%v", qos, o.Expiry), func(t *testing.T) {
				bubble(t, Config{Queue: session.Limits{MaxQueued: 5}}, func(t *testing.T, b *Broker) {
					p := attach(t, b, options("p"))
					const n = 50
					for i := range n {
						p.publishRetained(fmt.Sprintf("a/%d=1", i), 2, 0)
					}
					o.Window.ReceiveMaximum = 4
					s := attach(t, b, o)
					s.setFull(true)
					s.subscribe(Subscription{Filter: "#", QoS: qos})
					s.want()
					if waiting, _ := s.l.s.out.Len(); waiting > 4 {
						t.Errorf("%d retained messages wait in the queue", waiting)
					}
					for range 20 {
						s.mu.Lock()
						s.full, s.room = false, 3
						s.mu.Unlock()
						s.l.Writable()
						s.ack()
					}
					s.setFull(false)
					s.ackAll()
					retained := 0
					for _, got := range s.received() {
						if got != "rel" {
							retained++
						}
					}
					if retained != n {
						t.Errorf("%d retained messages arrived, want %d", retained, n)
					}
					if d := b.stats.Dropped(); d != 0 {
						t.Errorf("%d dropped", d)
					}
				})
			})
		}
	}
}

// What is replaced or cleared while it waits has been delivered as a live
// message.
func TestReplayLeavesOutWhatHasChanged(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		for _, topic := range []string{"a", "b", "c"} {
			p.publishRetained(topic+"=old", 1, 0)
		}
		s := attach(t, b, options("s"))
		s.setFull(true)
		s.subscribe(Subscription{Filter: "#", QoS: 0})
		p.publishRetained("a=new", 1, 1)
		p.publishRetained("b=", 1, 1)
		s.setFull(false)
		s.want("c=old retain")
	})
}

func TestReplayGoesOnAfterAReconnect(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		for i := range 6 {
			p.publishRetained(fmt.Sprintf("%d=1", i), 1, 0)
		}
		o := durable("s")
		o.Window.ReceiveMaximum = 2
		s := attach(t, b, o)
		s.subscribe(Subscription{Filter: "#", QoS: 1})
		got := len(s.received())
		s.lose()
		s = attach(t, b, o)
		s.ackAll()
		if got != 2 || len(s.received()) != 6 {
			t.Error("some did not arrive")
		}
	})
}

func TestReplayGoesOnAfterOneThatIsTooLarge(t *testing.T) {
	for _, o := range []SessionOptions{options("s"), durable("s")} {
		bubble(t, Config{}, func(t *testing.T, b *Broker) {
			p := attach(t, b, options("p"))
			for i := range 6 {
				p.publishRetained(fmt.Sprintf("%d=large", i), 1, 0)
			}
			p.publishRetained("small=1", 1, 0)
			o.Window = session.Window{ReceiveMaximum: 2, Fits: func(d *message.Delivery) bool { return len(d.Message.Payload) < 5 }}
			s := attach(t, b, o)
			s.subscribe(Subscription{Filter: "#", QoS: 1})
			s.want("small=1 q1 retain")
			if n := b.stats.Drops[session.DropTooLarge].Load(); n != 6 {
				t.Errorf("%d dropped", n)
			}
		})
	}
}

func TestReplayDoesNotFillTheQueue(t *testing.T) {
	bubble(t, Config{Queue: session.Limits{MaxQueued: 10}}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		const n = 100
		for i := range n {
			p.publishRetained(fmt.Sprintf("%d=1", i), 1, 0)
		}
		o := durable("s")
		o.Window.ReceiveMaximum = 8
		s := attach(t, b, o)
		s.subscribe(Subscription{Filter: "#", QoS: 1})
		arrived := len(s.received())
		for s.ack() > 0 { // eight acknowledgements in one batch
			arrived += len(s.received())
			if waiting, _ := s.l.s.out.Len(); waiting > 0 {
				t.Fatalf("%d retained messages wait in the queue", waiting)
			}
		}
		if arrived != n {
			t.Errorf("%d of %d arrived", arrived, n)
		}
	})
}

func TestSubscribingAgainReplacesAReplay(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		p.publishRetained("a=1", 1, 0)
		p.publishRetained("b=1", 1, 0)
		s := attach(t, b, options("s"))
		s.setFull(true)
		for id := range uint32(100) {
			s.subscribe(Subscription{Filter: "#", ID: id + 1})
		}
		s.subscribe(Subscription{Filter: "#", ID: 7, RetainHandling: 1})
		s.subscribe(Subscription{Filter: "b"})
		s.unsubscribe("b")
		if n := len(s.l.s.replay); n != 1 {
			t.Errorf("%d answers wait", n)
		}
		s.setFull(false)
		s.wantAny("a=1 retain ids[7]", "b=1 retain ids[7]")
		if s.l.s.replay != nil {
			t.Error("the list was not given back")
		}
	})
}

func TestSysTakesNothingOfTheRetainedQuota(t *testing.T) {
	bubble(t, Config{MaxRetained: 1, SysInterval: time.Second}, func(t *testing.T, b *Broker) {
		time.Sleep(5 * time.Second)
		p := attach(t, b, options("p"))
		p.publishRetained("a=1", 0, 0)
		if n, size := b.Retained(); n != 1 || size != 64+len("a1") {
			t.Errorf("%d retained, %d bytes", n, size)
		}
		p.publishRetained("a=", 0, 0)
		time.Sleep(5 * time.Second)
		if n, size := b.Retained(); n != 0 || size != 0 {
			t.Errorf("%d retained, %d bytes", n, size)
		}
	})
}

// One packet may name the same filter a hundred thousand times.
func TestSubscribingOverAndOverLooksRetainedMessagesUpOnce(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p, s := attach(t, b, options("p")), attach(t, b, options("s"))
		p.publishRetained("a=1", 0, 0)
		same := make([]Subscription, 1000)
		for i := range same {
			same[i].Filter = "#"
		}
		s.l.Subscribe(same)
		if rs := s.l.s.replay; len(rs) != 1 || rs[0].listed {
			t.Errorf("before the answer: %+v", rs)
		}
		s.l.Ready()
		s.commit()
		s.want("a=1 retain")
		if rs := s.l.s.replay; rs != nil {
			t.Errorf("left: %+v", rs)
		}
	})
}
