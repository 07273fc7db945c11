package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/session"
)

// members attaches clients "m0", "m1", … to the shared subscription $share/g/a.
func members(t *testing.T, b *Broker, n int, qos uint8) []*client {
	t.Helper()
	all := make([]*client, n)
	for i := range all {
		all[i] = attach(t, b, durable(fmt.Sprintf("m%d", i)))
		all[i].subscribe(Subscription{Filter: "$share/g/a", QoS: qos, ID: uint32(i + 1)})
	}
	return all
}

// loads counts what each has received since the last call.
func received(all []*client) []int {
	n := make([]int, len(all))
	for i, c := range all {
		n[i] = len(c.received())
	}
	return n
}

// [MQTT-4.8.2-4]
func TestSharedRoundRobin(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		all, p := members(t, b, 3, 2), attach(t, b, options("p"))
		other := attach(t, b, options("other"))
		other.subscribe(Subscription{Filter: "$share/h/a"}, Subscription{Filter: "a", QoS: 1})
		for i := range 6 {
			p.publish(fmt.Sprintf("a=%d", i), 1, 3)
		}
		if got := received(all); !slices.Equal(got, []int{2, 2, 2}) {
			t.Errorf("received %v", got)
		}
		if got := received([]*client{other}); got[0] != 12 {
			t.Errorf("another group and a plain subscription received %d of 12", got[0])
		}
		count(t, b, 5, 5)
		all[1].unsubscribe("$share/g/a")
		for range 4 {
			p.publish("a=x", 0, 3)
		}
		if got := received(all); !slices.Equal(got, []int{2, 0, 2}) {
			t.Errorf("received %v", got)
		}
		if n := b.stats.SharedSubscriptions.Load(); n != 3 {
			t.Errorf("%d shared subscriptions", n)
		}
	})
}

func TestSharedSticky(t *testing.T) {
	bubble(t, Config{Shared: Sticky}, func(t *testing.T, b *Broker) {
		all, p := members(t, b, 3, 2), attach(t, b, options("p"))
		send := func(want ...int) {
			t.Helper()
			for range 4 {
				p.publish("a=1", 1, 1)
			}
			if got := received(all); !slices.Equal(got, want) {
				t.Errorf("received %v, want %v", got, want)
			}
		}
		send(4, 0, 0)
		for _, c := range all {
			c.ackAll()
		}
		all[0].leave()
		send(0, 4, 0)
		all[1].ackAll()
		all[0] = attach(t, b, durable("m0"))
		send(0, 4, 0) // as long as it is connected
		all[0].unsubscribe("$share/g/a")
		send(0, 4, 0)
		all[1].subscribe(Subscription{Filter: "$share/g/a", QoS: 1})
		send(0, 4, 0)
		if g := b.groups["g/a"]; len(g.members) != 2 {
			t.Errorf("%d members", len(g.members))
		}
	})
}

func TestSharedHash(t *testing.T) {
	for _, strategy := range []Strategy{HashPublisher, HashTopic} {
		t.Run(strategy.String(), func(t *testing.T) {
			bubble(t, Config{Shared: strategy}, func(t *testing.T, b *Broker) {
				all := make([]*client, 4)
				for i := range all {
					all[i] = attach(t, b, options(fmt.Sprint(i)))
					all[i].subscribe(Subscription{Filter: "$share/g/#"})
				}
				used := map[int]bool{}
				for i := range 16 {
					p, topic := attach(t, b, options(fmt.Sprintf("p%d", i))), "a"
					if strategy == HashTopic {
						topic = fmt.Sprint(i)
					}
					for range 5 {
						p.publish(topic+"=1", 0, 1)
					}
					got := received(all)
					if !slices.Contains(got, 5) {
						t.Errorf("spread over %v", got)
					}
					used[slices.Index(got, 5)] = true
				}
				if len(used) < 2 {
					t.Error("one member had everything")
				}
			})
		})
	}
}

func TestSharedMembersThatAreOfflineComeLast(t *testing.T) {
	for strategy := range Strategy(len(strategyNames)) {
		t.Run(strategy.String(), func(t *testing.T) {
			bubble(t, Config{Shared: strategy}, func(t *testing.T, b *Broker) {
				all, p := members(t, b, 3, 1), attach(t, b, options("p"))
				all[0].lose()
				all[2].lose()
				for range 6 {
					p.publish("a=1", 1, 1)
				}
				if got := received(all); !slices.Equal(got, []int{0, 6, 0}) {
					t.Errorf("received %v", got)
				}
				all[1].lose()
				for range 6 {
					p.publish("a=1", 1, 1)
				}
				queued := make([]int, 3)
				for i, c := range all {
					waiting, _ := c.l.s.out.Len()
					queued[i] = waiting
				}
				if sum := queued[0] + queued[1] + queued[2]; sum != 6 {
					t.Errorf("queued %v", queued)
				}
				if strategy == RoundRobin && !slices.Equal(queued, []int{2, 2, 2}) {
					t.Errorf("queued %v", queued)
				}
			})
		})
	}
}

// [MQTT-4.8.2-5]
func TestSharedIsGivenToAnotherMemberWhenTheSessionEnds(t *testing.T) {
	for _, qos := range []uint8{1, 2} {
		t.Run(fmt.Sprint("qos=", qos), func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, b *Broker) {
				p := attach(t, b, options("p"))
				o := durable("first")
				o.Window.ReceiveMaximum = 1
				first := attach(t, b, o)
				first.subscribe(Subscription{Filter: "$share/g/a", QoS: 2, ID: 1}, Subscription{Filter: "a", QoS: 2})
				p.publish("a=sent", qos, 2) // once by each subscription
				p.publish("a=waits", qos, 2)
				second := attach(t, b, durable("second"))
				second.subscribe(Subscription{Filter: "$share/g/a", QoS: 2, ID: 2})
				first.lose()
				second.want()
				time.Sleep(2 * time.Hour)
				if qos == 1 {
					second.wantAny("a=sent q1 ids[2]", "a=waits q1 ids[2]")
				} else {
					second.want("a=waits q2 ids[2]") // the other may have been received
				}
				second.ackAll()
				wantRecords(t, b.cfg.Store, "session second", "subscription second $share/g/a")
				count(t, b, 2, 1)
				if n := b.stats.Drops[session.DropEnded].Load(); n != uint64(1+qos) {
					t.Errorf("%d dropped", n)
				}
			})
		})
	}
}

func TestSharedSurvivesARestart(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		all, p := members(t, b, 2, 1), attach(t, b, options("p"))
		all[0].lose()
		all[1].lose()
		time.Sleep(time.Second)
		p.publish("a=1", 1, 1)
		p.publish("a=2", 1, 1)
		after := start(t, Config{Store: b.cfg.Store, SysInterval: -1})
		o := durable("m1")
		o.CleanStart = true // what it had goes to the other
		attach(t, after, o)
		m0 := attach(t, after, durable("m0"))
		m0.wantAny("a=1 q1 ids[1]", "a=2 q1 ids[1]")
	})
}

func TestStrategyNames(t *testing.T) {
	for i, name := range strategyNames {
		var s Strategy
		if err := s.UnmarshalText([]byte(name)); err != nil || s != Strategy(i) || s.String() != name {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	var s Strategy
	if err := s.UnmarshalText([]byte("random")); err == nil {
		t.Error("an unknown name was taken")
	}
}

// A member whose session ends between the choice and the commit is replaced.
func TestSharedIsNotLostWithAMemberThatEndsMeanwhile(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		all, p := members(t, b, 2, 1), attach(t, b, options("p"))
		for range 2 {
			if _, err := p.l.Publish(view("a=1", 1)); err != nil {
				t.Fatal(err)
			}
		}
		all[0].l.Detach(Farewell{HasExpiry: true})
		p.commit()
		all[0].want()
		all[1].want("a=1 q1 ids[2]", "a=1 q1 ids[2]")
		all[1].ackAll()
		wantRecords(t, b.cfg.Store, "session m1", "subscription m1 $share/g/a")
		if n := b.stats.Redelivered.Load(); n != 1 {
			t.Errorf("%d redelivered", n)
		}

		// Between the choice and the delivery.
		all[1].l.s.mu.Lock()
		all[1].l.s.ended.Store(true)
		all[1].l.s.mu.Unlock()
		all[0] = attach(t, b, durable("m0"))
		all[0].subscribe(Subscription{Filter: "$share/g/a", QoS: 1})
		for range 4 {
			p.publish("a=2", 0, 1)
		}
		if got := received(all); !slices.Equal(got, []int{4, 0}) {
			t.Errorf("received %v", got)
		}
		all[1].l.s.ended.Store(false)
	})
}
