package clienttest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func (s *suite) refused(t *testing.T) {
	b := s.start(t, Config{User: "ada", Password: "right"})
	user := "ada"
	o := s.options(b, "refused")
	o.Username, o.Password = &user, []byte("wrong")
	c, err := s.newClient(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Connect(t.Context())
	want := mqtt.V3BadUserNameOrPassword
	switch {
	case s.version == mqtt.V5 && b.NotAuthorized:
		want = mqtt.NotAuthorized
	case s.version == mqtt.V5:
		want = mqtt.BadUserNameOrPassword
	case b.NotAuthorized:
		want = mqtt.V3NotAuthorized
	}
	if e := new(client.ConnectError); !errors.As(err, &e) || e.Code != want {
		t.Errorf("error %v, want CONNACK code %d", err, want)
	}
	<-c.Done()

	o.Password = []byte("right")
	disconnect(t, s.connect(t, o))
}

func (s *suite) everyQoS(t *testing.T) {
	b := s.start(t, Config{})
	for qos := range uint8(3) {
		in := newInbox()
		o := s.options(b, fmt.Sprintf("sub%d", qos))
		o.OnMessage = in.put
		sub := s.connect(t, o)
		s.subscribe(t, sub, "every/+", qos)
		pub := s.connect(t, s.options(b, fmt.Sprintf("pub%d", qos)))
		const n = 500
		var mu sync.Mutex
		outcomes := map[client.OutcomeKind]int{}
		for i := range n {
			m := client.Message{Topic: "every/one", Payload: fmt.Appendf(nil, "%d", i), QoS: qos}
			if err := pub.Publish(t.Context(), m, func(o client.Outcome) {
				mu.Lock()
				outcomes[o.Kind]++
				mu.Unlock()
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := pub.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		kind := client.Acknowledged
		if qos == 0 {
			kind = client.Written
		}
		if diff := cmp.Diff(map[client.OutcomeKind]int{kind: n}, outcomes); diff != "" {
			t.Errorf("QoS %d: outcomes (-want +got):\n%s", qos, diff)
		}
		for i, m := range in.count(t, n) {
			if string(m.Payload) != fmt.Sprint(i) || m.QoS != qos || m.Topic != "every/one" {
				t.Fatalf("QoS %d: message %d is %+v", qos, i, m)
			}
		}
		disconnect(t, pub)
		disconnect(t, sub)
	}
}

func (s *suite) denied(t *testing.T) {
	b := s.start(t, Config{Deny: "secret/#"})
	for qos := uint8(1); qos <= 2; qos++ {
		if qos == 2 && s.version != mqtt.V5 {
			return // some brokers say no by closing the connection halfway
		}
		c := s.connect(t, s.options(b, "denied"))
		got := s.publish(t, c, client.Message{Topic: "secret/x", Payload: []byte("x"), QoS: qos})
		want := client.Outcome{Kind: client.Acknowledged, Sends: 1} // 3.x has no way to say no
		if s.version == mqtt.V5 {
			want = client.Outcome{Kind: client.Refused, Code: mqtt.NotAuthorized, Sends: 1}
		}
		got.PacketID, got.Properties = 0, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("QoS %d (-want +got):\n%s", qos, diff)
		}
	}
}

func (s *suite) retained(t *testing.T) {
	b := s.start(t, Config{})
	pub := s.connect(t, s.options(b, "keeper"))
	s.publish(t, pub, client.Message{Topic: "kept", Payload: []byte("on"), QoS: 1, Retain: true})

	in := newInbox()
	o := s.options(b, "late")
	o.OnMessage = in.put
	sub := s.connect(t, o)
	s.subscribe(t, sub, "kept", 1)
	if got := in.count(t, 1)[0]; string(got.Payload) != "on" || !got.Retain {
		t.Errorf("retained message %+v", got)
	}
	disconnect(t, sub)

	s.publish(t, pub, client.Message{Topic: "kept", QoS: 1, Retain: true})
	in = newInbox()
	o.OnMessage = in.put
	sub = s.connect(t, o)
	s.subscribe(t, sub, "kept", 1)
	s.publish(t, pub, client.Message{Topic: "kept", Payload: []byte("live"), QoS: 1})
	if got := in.count(t, 1)[0]; string(got.Payload) != "live" || got.Retain {
		t.Errorf("after clearing: %+v", got)
	}
	disconnect(t, sub)
	disconnect(t, pub)
}

func (s *suite) will(t *testing.T) {
	b := s.start(t, Config{})
	in := newInbox()
	o := s.options(b, "heir")
	o.OnMessage = in.put
	heir := s.connect(t, o)
	s.subscribe(t, heir, "will/+", 1)

	for _, id := range []string{"polite", "rude"} {
		o := s.options(b, id)
		o.Will = &client.Will{Topic: "will/" + id, Payload: []byte("gone"), QoS: 1}
		c := s.connect(t, o)
		if id == "polite" {
			disconnect(t, c)
			continue
		}
		_ = c.Close()
		<-c.Done()
	}
	if got := in.count(t, 1)[0]; got.Topic != "will/rude" || string(got.Payload) != "gone" {
		t.Errorf("will %+v", got)
	}
	disconnect(t, heir)
}

func (s *suite) unsubscribe(t *testing.T) {
	b := s.start(t, Config{})
	in := newInbox()
	o := s.options(b, "fickle")
	o.OnMessage = in.put
	c := s.connect(t, o)
	s.subscribe(t, c, "a", 1)
	s.subscribe(t, c, "b", 1)
	codes, err := c.Unsubscribe(t.Context(), []string{"a", "never"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want []mqtt.ReasonCode
	if s.version == mqtt.V5 {
		want = []mqtt.ReasonCode{mqtt.Success, mqtt.NoSubscriptionExisted}
	}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	s.publish(t, c, client.Message{Topic: "a", QoS: 1})
	s.publish(t, c, client.Message{Topic: "b", QoS: 1})
	if got := in.count(t, 1)[0].Topic; got != "b" {
		t.Errorf("message for %q", got)
	}
	disconnect(t, c)
}

func (s *suite) takeover(t *testing.T) {
	b := s.start(t, Config{})
	first := s.connect(t, s.options(b, "twin"))
	second := s.connect(t, s.options(b, "twin"))
	select {
	case <-first.Done():
	case <-time.After(patience):
		t.Fatal("the first client lives on")
	}
	err := first.Err()
	e := new(client.DisconnectedError)
	switch said := errors.As(err, &e); {
	case said && s.version == mqtt.V5 && e.TakenOver():
	case !said && errors.Is(err, client.ErrConnectionLost) && (s.version != mqtt.V5 || b.MuteTakeover):
	default:
		t.Errorf("error %v", err)
	}
	if got := s.publish(t, second, client.Message{Topic: "alive", QoS: 1}); got.Kind != client.Acknowledged {
		t.Errorf("second client: %+v", got)
	}
	disconnect(t, second)
}

func (s *suite) large(t *testing.T) {
	b := s.start(t, Config{})
	in := newInbox()
	o := s.options(b, "large")
	o.OnMessage = in.put
	c := s.connect(t, o)
	s.subscribe(t, c, "large", 2)
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	for qos := range uint8(3) {
		s.publish(t, c, client.Message{Topic: "large", Payload: payload, QoS: qos})
	}
	for _, m := range in.count(t, 3) {
		if !bytes.Equal(m.Payload, payload) {
			t.Errorf("QoS %d: %d bytes came back differently", m.QoS, len(m.Payload))
		}
	}
	disconnect(t, c)
}

func (s *suite) halt(t *testing.T) {
	b := s.start(t, Config{})
	pub := s.connect(t, s.options(b, "feeder"))
	const n, atOnce = 10, 3
	seen := map[string]int{}
	for round := 0; len(seen) < n; round++ {
		if round > n {
			t.Fatalf("only %d of %d messages in %d rounds", len(seen), n, round)
		}
		var c *client.Client
		full := make(chan struct{})
		o := s.durable(s.options(b, "sipper"))
		taken := 0
		o.OnMessage = func(m client.Message) {
			seen[string(m.Payload)]++
			if taken++; taken == atOnce || len(seen) == n {
				c.Halt()
				close(full)
			}
		}
		c, err := s.newClient(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			s.subscribe(t, c, "sip", 1)
			for i := range n {
				s.publish(t, pub, client.Message{Topic: "sip", Payload: fmt.Appendf(nil, "%d", i), QoS: 1})
			}
		}
		select {
		case <-full:
		case <-time.After(patience):
			t.Fatalf("round %d: %d messages", round, taken)
		}
		disconnect(t, c)
	}
	for payload, times := range seen {
		if times != 1 {
			t.Errorf("message %s came %d times", payload, times)
		}
	}
	disconnect(t, pub)
}
