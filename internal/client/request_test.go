package client

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestAnswerToAnotherKindOfRequestEndsTheLink(t *testing.T) {
	for name, answer := range map[string]mqtt.Packet{
		"SUBACK":   mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0}},
		"UNSUBACK": mqtt.Unsuback{PacketID: 1, Codes: []mqtt.ReasonCode{0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newListener(t)
				c, p := start(t, l, options(l, mqtt.V5), mqtt.Connack{})
				ended := make(chan error, 1)
				go func() {
					var err error
					if name == "SUBACK" {
						_, err = c.Unsubscribe(t.Context(), []string{"a"}, nil)
					} else {
						_, err = c.Subscribe(t.Context(), []Subscription{{Filter: "a"}}, nil)
					}
					ended <- err
				}()
				p.read()
				p.send(answer)
				if d, ok := p.read().(mqtt.Disconnect); ok && d.Code != mqtt.ProtocolError {
					t.Errorf("the client says %v", d)
				}
				p.end()
				if err := <-ended; err == nil {
					t.Error("the request counts as answered")
				}
				<-c.Done()
				var broken *mqtt.Malformed
				if err := c.Err(); !errors.As(err, &broken) || broken.Code != mqtt.ProtocolError {
					t.Errorf("the client ends with %v", err)
				}
			})
		})
	}
}

func TestRequestsWantAsManyAnswersAsTheyHaveFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		c, p := start(t, l, options(l, mqtt.V5), mqtt.Connack{})
		go func() {
			p.read()
			p.send(mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0}})
			p.read()
			p.send(mqtt.Unsuback{PacketID: 2, Codes: []mqtt.ReasonCode{0}})
		}()
		if _, err := c.Subscribe(t.Context(), []Subscription{{Filter: "a"}, {Filter: "b"}}, nil); err == nil {
			t.Error("one code for two subscriptions")
		}
		if _, err := c.Unsubscribe(t.Context(), []string{"a", "b"}, nil); err == nil {
			t.Error("one code for two filters")
		}
		go p.discard()
	})
}

func TestRenewedSubscriptionsWantAsManyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V5)
		o.Reconnect = always
		renewed := make(chan State, 1)
		o.OnState = func(s State) {
			if s.Kind == StateResubscribed {
				renewed <- s
			}
		}
		c, p := start(t, l, o, mqtt.Connack{})
		go func() {
			p.read()
			p.send(mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0, 0}})
		}()
		if _, err := c.Subscribe(t.Context(), []Subscription{{Filter: "a"}, {Filter: "b"}}, nil); err != nil {
			t.Fatal(err)
		}
		p.end()
		p = l.accept(mqtt.Connack{}, mqtt.V5)
		again, _ := p.read().(mqtt.Subscribe)
		p.send(mqtt.Suback{PacketID: again.PacketID, Codes: []mqtt.ReasonCode{0}})
		if s := <-renewed; s.Err == nil || len(s.Codes) != 1 {
			t.Errorf("%+v", s)
		}
		go p.discard()
	})
}

func TestLongTopicNamesAreNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V5)
		got := make(chan string, 2)
		o.OnMessage = func(m Message) { got <- m.Topic }
		c, p := start(t, l, o, mqtt.Connack{})
		long, short := strings.Repeat("x", maxNameBytes+1), strings.Repeat("y", maxNameBytes)
		p.send(publish(long, 0, 0, false), publish(short, 0, 0, false))
		for _, want := range []string{long, short} {
			if topic := <-got; topic != want {
				t.Errorf("received %q", topic)
			}
		}
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, kept := c.life.link.names[long]; kept || len(c.life.link.names) != 1 {
			t.Errorf("%d names remembered; the long one: %v", len(c.life.link.names), kept)
		}
		go p.discard()
	})
}
