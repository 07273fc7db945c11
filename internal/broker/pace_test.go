package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/session"
)

// crowd publishes until a session with ten places has more than five waiting,
// and returns how long the last commit has taken.
func crowd(p *client, n int) time.Duration {
	before := time.Now()
	for i := range n {
		before = time.Now()
		p.publish(fmt.Sprintf("a=%d", i), 1, 1)
	}
	return time.Since(before)
}

var ten = Config{Queue: session.Limits{MaxQueued: 10}}

func TestPublisherWaitsForTheOnlyReceiver(t *testing.T) {
	bubble(t, ten, func(t *testing.T, b *Broker) {
		o := options("s")
		o.Window.ReceiveMaximum = 1
		s, p := attach(t, b, o), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		if d := crowd(p, 6); d != 0 {
			t.Errorf("waited %v for a queue that is half empty", d)
		}
		go func() {
			time.Sleep(3500 * time.Microsecond)
			s.ackAll()
		}()
		if d := crowd(p, 1); d != 4*time.Millisecond {
			t.Errorf("waited %v for room that came after 3.5 ms", d)
		}
	})
}

func TestNobodyWaitsTwiceForAClientThatTakesNothing(t *testing.T) {
	bubble(t, ten, func(t *testing.T, b *Broker) {
		o := options("s")
		o.Window.ReceiveMaximum = 1
		s, p := attach(t, b, o), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		if d := crowd(p, 7); d != pauses*pace {
			t.Errorf("waited %v, want %v", d, pauses*pace)
		}
		if d := crowd(p, 1); d != 0 {
			t.Errorf("waited %v again", d)
		}
		s.ack()
		if d := crowd(p, 1); d != pauses*pace {
			t.Errorf("waited %v for a client that goes on, want %v", d, pauses*pace)
		}
	})
}

func TestNobodyWaitsWhenOthersAreServed(t *testing.T) {
	bubble(t, ten, func(t *testing.T, b *Broker) {
		o := options("s")
		o.Window.ReceiveMaximum = 1
		s, p, other := attach(t, b, o), attach(t, b, options("p")), attach(t, b, options("other"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		other.subscribe(Subscription{Filter: "+", QoS: 1})
		before := time.Now()
		for i := range 20 {
			p.publish(fmt.Sprintf("a=%d", i), 1, 2)
		}
		if d := time.Since(before); d != 0 {
			t.Errorf("waited %v", d)
		}
	})
}

func TestNobodyWaitsForAnOfflineQueueOrHimself(t *testing.T) {
	bubble(t, ten, func(t *testing.T, b *Broker) {
		o := durable("s")
		o.Window.ReceiveMaximum = 1
		s, p := attach(t, b, o), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		if d := crowd(s, 20); d != 0 {
			t.Errorf("waited %v for itself", d)
		}
		s.leave()
		if d := crowd(p, 20); d != 0 {
			t.Errorf("waited %v for a client that is away", d)
		}
	})
}

func TestPublisherWaitsForARefusingReceiver(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, options("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a"})
		s.setFull(true)
		before := time.Now()
		go func() {
			time.Sleep(1500 * time.Microsecond)
			s.setFull(false)
		}()
		p.publish("a=0", 0, 1)
		if d := time.Since(before); d != 2*time.Millisecond {
			t.Errorf("waited %v for a client that takes more after 1.5 ms", d)
		}
	})
}

// A client whose own window is full is read from, or those who publish to it
// would be held up by a receiver that is none of theirs.
func TestAcknowledgementsDoNotWaitForACrowdedReceiver(t *testing.T) {
	bubble(t, ten, func(t *testing.T, b *Broker) {
		o, own := options("s"), options("p")
		o.Window.ReceiveMaximum, own.Window.ReceiveMaximum = 1, 1
		s, p, third := attach(t, b, o), attach(t, b, own), attach(t, b, options("third"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		p.subscribe(Subscription{Filter: "b", QoS: 1})
		third.publish("b=0", 1, 1)
		third.publish("b=1", 1, 1)
		if d := crowd(p, 7); d != 0 {
			t.Errorf("waited %v while messages wait for its acknowledgements", d)
		}
		p.ackAll()
		if d := crowd(p, 1); d != pauses*pace {
			t.Errorf("waited %v when nobody waits any more, want %v", d, pauses*pace)
		}
	})
}

// A gateway that reads from many clients on one goroutine would have all of them
// wait.
func TestUnpacedPublisherDoesNotWait(t *testing.T) {
	bubble(t, ten, func(t *testing.T, b *Broker) {
		o, unpaced := options("s"), options("p")
		o.Window.ReceiveMaximum, unpaced.Unpaced = 1, true
		s, p := attach(t, b, o), attach(t, b, unpaced)
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		if d := crowd(p, 8); d != 0 {
			t.Errorf("waited %v", d)
		}
	})
}
