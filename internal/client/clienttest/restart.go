package clienttest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/client"
)

// restart stops and starts the broker in the middle of a stream. What the
// ledger calls acknowledged must have been delivered, and in the end that is
// all of it.
func (s *suite) restart(t *testing.T, qos uint8, clean bool) {
	b := s.start(t, Config{})
	if b.Stop == nil {
		t.Skip("this broker cannot be restarted")
	}
	in := newInbox()
	o := s.durable(s.options(b, "stream-sub"))
	o.OnMessage = in.put
	subBack := secondConnection(&o)
	sub := s.connect(t, o)
	s.subscribe(t, sub, "stream", qos)

	o = s.durable(s.options(b, "stream-pub"))
	if clean {
		o.CleanStart, o.Properties = true, nil
	}
	pubBack := secondConnection(&o)
	pub := s.connect(t, o)

	const n = 200
	var mu sync.Mutex
	acked := map[int]client.Outcome{}
	halfway := make(chan struct{})
	published := make(chan error, 1)
	go func() {
		for i := range n {
			m := client.Message{Topic: "stream", Payload: fmt.Appendf(nil, "%d", i), QoS: qos}
			if err := pub.Publish(t.Context(), m, func(o client.Outcome) {
				mu.Lock()
				defer mu.Unlock()
				if acked[i] = o; len(acked) == n/4 {
					close(halfway)
				}
			}); err != nil {
				published <- err
				return
			}
		}
		published <- pub.Flush(t.Context())
	}()
	<-halfway
	b.Stop()
	b.Start()
	select {
	case err := <-published:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("the stream does not end")
	}

	times := map[string]int{}
	in.wait(t, "every message", func(all []client.Message) bool {
		clear(times)
		for _, m := range all {
			times[string(m.Payload)]++
		}
		return len(times) == n
	})
	for i := range n {
		o := acked[i]
		if o.Kind != client.Acknowledged {
			t.Errorf("message %d: %+v", i, o)
		}
		if got := times[fmt.Sprint(i)]; qos == 2 && got != 1 && !o.Duplicate {
			t.Errorf("QoS 2 message %d came %d times: %+v", i, got, o)
		}
	}
	// All of it may have arrived before the restart. A client whose link has just died
	// cannot acknowledge the last of it any more, and says so when it disconnects.
	for name, back := range map[string]<-chan struct{}{"publisher": pubBack, "subscriber": subBack} {
		select {
		case <-back:
		case <-time.After(patience):
			t.Fatalf("the %s does not come back", name)
		}
	}
	disconnect(t, pub)
	disconnect(t, sub)
}

// secondConnection is closed when the client of those options has connected again.
func secondConnection(o *client.Options) <-chan struct{} {
	back := make(chan struct{})
	times := 0
	o.OnState = func(st client.State) {
		if st.Kind != client.StateConnected {
			return
		}
		if times++; times == 2 {
			close(back)
		}
	}
	return back
}

func (s *suite) renewed(t *testing.T) {
	b := s.start(t, Config{})
	if b.Stop == nil {
		t.Skip("this broker cannot be restarted")
	}
	in := newInbox()
	renewed := make(chan client.State, 1)
	o := s.durable(s.options(b, "renewed"))
	o.CleanStart, o.Properties = true, nil
	o.OnMessage = in.put
	o.OnState = func(st client.State) {
		if st.Kind == client.StateResubscribed {
			renewed <- st
		}
	}
	c := s.connect(t, o)
	s.subscribe(t, c, "again/#", 1)
	b.Stop()
	b.Start()
	select {
	case st := <-renewed:
		if st.Err != nil || len(st.Codes) != 1 || st.Codes[0] != 1 {
			t.Errorf("renewed: %+v", st)
		}
	case <-time.After(patience):
		t.Fatal("subscriptions are not renewed")
	}
	s.publish(t, c, client.Message{Topic: "again/1", QoS: 1})
	in.count(t, 1)
	disconnect(t, c)
}
