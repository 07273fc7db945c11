package client

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

var always = ReconnectPolicy{Attempts: -1}

// flightsAcross publishes one message at QoS 1 and two at QoS 2, of which the
// server receives one, and breaks the connection.
func flightsAcross(t *testing.T, v mqtt.Version, second mqtt.Connack) (*Client, *peer, *outcomes) {
	t.Helper()
	l := newListener(t)
	o := options(l, v)
	o.CleanStart = false
	o.Reconnect = always
	c, p := start(t, l, o, mqtt.Connack{})
	results := &outcomes{}
	for i, m := range []Message{{Topic: "one", QoS: 1}, {Topic: "two", QoS: 2}, {Topic: "three", QoS: 2}} {
		if err := c.Publish(t.Context(), m, results.of(m.Topic)); err != nil {
			t.Fatal(err)
		}
		p.want(publish(m.Topic, m.QoS, uint16(i+1), false))
	}
	p.send(mqtt.Pubrec{PacketID: 3})
	p.want(mqtt.Pubrel{PacketID: 3})
	p.end()
	return c, l.accept(second, v), results
}

func TestSessionKeptResendsWithDupAndIdentifier(t *testing.T) {
	for _, v := range bothLibraries {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p, results := flightsAcross(t, v, mqtt.Connack{SessionPresent: true})
				p.want(mqtt.Pubrel{PacketID: 3}, publish("one", 1, 1, true), publish("two", 2, 2, true))
				p.send(mqtt.Puback{PacketID: 1}, mqtt.Pubrec{PacketID: 2}, mqtt.Pubcomp{PacketID: 3})
				p.want(mqtt.Pubrel{PacketID: 2})
				p.send(mqtt.Pubcomp{PacketID: 2})
				if err := c.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[string]Outcome{
					"one":   {Kind: Acknowledged, PacketID: 1, Sends: 2},
					"two":   {Kind: Acknowledged, PacketID: 2, Sends: 2},
					"three": {Kind: Acknowledged, PacketID: 3, Sends: 1},
				}, results.all()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestSessionLostPublishesAnewAndSaysSo(t *testing.T) {
	for _, v := range bothLibraries {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p, results := flightsAcross(t, v, mqtt.Connack{})
				p.want(publish("one", 1, 1, false), publish("two", 2, 2, false), publish("three", 2, 3, false))
				p.send(mqtt.Puback{PacketID: 1}, mqtt.Pubrec{PacketID: 2}, mqtt.Pubrec{PacketID: 3})
				p.want(mqtt.Pubrel{PacketID: 2}, mqtt.Pubrel{PacketID: 3})
				p.send(mqtt.Pubcomp{PacketID: 2}, mqtt.Pubcomp{PacketID: 3})
				if err := c.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[string]Outcome{
					"one":   {Kind: Acknowledged, PacketID: 1, Sends: 2},
					"two":   {Kind: Acknowledged, PacketID: 2, Sends: 2, Duplicate: true},
					"three": {Kind: Acknowledged, PacketID: 3, Sends: 2, Duplicate: true},
				}, results.all()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWhatTheWindowHoldsBackIsLostWhenTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := mqtt.Properties(nil).AppendUint16(mqtt.PropReceiveMaximum, 1)
		c, p, results := flightsAcross(t, mqtt.V5, mqtt.Connack{Properties: one})
		p.want(publish("one", 1, 1, false))
		left := make(chan error, 1)
		go func() { left <- c.Disconnect(t.Context(), mqtt.NormalDisconnection, nil) }()
		p.want(mqtt.Disconnect{})
		p.send(mqtt.Puback{PacketID: 1}) // makes room, but nothing may follow DISCONNECT
		p.end()
		if err := <-left; err != nil {
			t.Error(err)
		}
		for name, want := range map[string]OutcomeKind{"one": Acknowledged, "two": Lost, "three": Lost} {
			if got := results.all()[name]; got.Kind != want {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
}

func TestWithoutReconnectionWhatIsUnacknowledgedIsLost(t *testing.T) {
	for _, v := range bothLibraries {
		t.Run(v.String(), func(t *testing.T) {
			l := newListener(t)
			c, p := start(t, l, options(l, v), mqtt.Connack{})
			results := &outcomes{}
			if err := c.Publish(t.Context(), Message{Topic: "one", QoS: 1}, results.of("one")); err != nil {
				t.Fatal(err)
			}
			p.want(publish("one", 1, 1, false))
			p.end()
			<-c.Done()
			got := results.all()["one"]
			if got.Kind != Lost || got.Sends != 1 || !errors.Is(got.Err, ErrConnectionLost) {
				t.Errorf("outcome %+v", got)
			}
			if err := c.Publish(t.Context(), Message{Topic: "two"}, results.of("two")); !errors.Is(err, ErrClosed) {
				t.Errorf("publish afterwards: %v", err)
			}
		})
	}
}

func TestQoS0IsWrittenWhenTheConnectionHasTakenIt(t *testing.T) {
	for _, v := range bothLibraries {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newListener(t)
				o := options(l, v)
				o.Reconnect = always
				c, p := start(t, l, o, mqtt.Connack{})
				results := &outcomes{}
				for _, topic := range []string{"one", "two"} {
					if err := c.Publish(t.Context(), Message{Topic: topic}, results.of(topic)); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if got := results.all(); len(got) > 0 {
					t.Errorf("outcomes before anything was read: %v", got)
				}
				p.end() // having read nothing
				p = l.accept(mqtt.Connack{}, v)
				p.want(publish("one", 0, 0, false), publish("two", 0, 0, false))
				if err := c.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[string]Outcome{
					"one": {Kind: Written, Sends: 1}, "two": {Kind: Written, Sends: 1},
				}, results.all()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTakeoverIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V5)
		o.Reconnect = always
		c, p := start(t, l, o, mqtt.Connack{})
		p.send(mqtt.Disconnect{Code: mqtt.SessionTakenOver})
		<-c.Done()
		if e := new(DisconnectedError); !errors.As(c.Err(), &e) || !e.TakenOver() {
			t.Errorf("error %v", c.Err())
		}
		if len(l.conns) > 0 {
			t.Error("the client came back")
		}
	})
}

func TestServerShutdownIsNotFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V5)
		o.Reconnect = always
		c, p := start(t, l, o, mqtt.Connack{Properties: mqtt.Properties(nil).AppendString(mqtt.PropAssignedClientIdentifier, "given")})
		p.send(mqtt.Disconnect{Code: mqtt.ServerShuttingDown})
		p = l.next(mqtt.V5)
		if got := p.connect().ClientID; got != "given" {
			t.Errorf("reconnects as %q", got)
		}
		_ = c.Close()
		<-c.Done()
	})
}

// A fight for a client identifier looks like this in 3.x.
func TestFlappingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V311)
		o.Reconnect = always
		c, p := start(t, l, o, mqtt.Connack{})
		p.end()
		connections := 1
		for {
			select {
			case conn := <-l.conns:
				connections++
				p := &peer{t: t, conn: conn, v: mqtt.V311}
				p.connect()
				p.send(mqtt.Connack{})
				p.end()
				continue
			case <-c.Done():
			}
			break
		}
		if !errors.Is(c.Err(), ErrFlapping) || connections != maxFlaps {
			t.Errorf("%d connections, error %v", connections, c.Err())
		}
	})
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V311)
		o.Reconnect = ReconnectPolicy{Attempts: 6, MinDelay: time.Second, MaxDelay: 8 * time.Second}
		down := errors.New("down")
		dials := 0
		o.Dial = func(ctx context.Context) (net.Conn, error) {
			if dials++; dials > 1 {
				return nil, down
			}
			return l.dial(ctx)
		}
		var delays []time.Duration
		var kinds []StateKind
		o.OnState = func(s State) {
			if s.Kind == StateReconnecting {
				delays = append(delays, s.Delay)
			}
			kinds = append(kinds, s.Kind)
		}
		c, p := start(t, l, o, mqtt.Connack{})
		p.end()
		<-c.Done()
		if !errors.Is(c.Err(), down) || dials != 7 {
			t.Errorf("%d dials, error %v", dials, c.Err())
		}
		for i, most := range []time.Duration{1, 2, 4, 8, 8, 8} {
			if d := delays[i]; d > most*time.Second || d < most*time.Second/2 {
				t.Errorf("delay %d is %v, want %v to %v", i+1, d, most*time.Second/2, most*time.Second)
			}
		}
		want := []StateKind{
			StateConnected, StateLost, StateReconnecting, StateReconnecting, StateReconnecting,
			StateReconnecting, StateReconnecting, StateReconnecting, StateClosed,
		}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
}

func TestPublishWaitsForTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V311)
		o.Reconnect = always
		c, p := start(t, l, o, mqtt.Connack{})
		p.end()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := c.Publish(ctx, Message{Topic: "never"}, func(Outcome) { t.Error("outcome of a message not taken") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		result := make(chan error, 1)
		go func() { result <- c.Publish(t.Context(), Message{Topic: "later"}, nil) }()
		p = l.accept(mqtt.Connack{}, mqtt.V311)
		p.want(publish("later", 0, 0, false))
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}
