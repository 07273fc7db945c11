package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestWindowFollowsReceiveMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		c, p := start(t, l, options(l, mqtt.V5), mqtt.Connack{Properties: mqtt.Properties(nil).AppendUint16(mqtt.PropReceiveMaximum, 2)})
		for i := range 2 {
			if err := c.Publish(t.Context(), Message{Topic: "t", QoS: uint8(i + 1)}, nil); err != nil {
				t.Fatal(err)
			}
			p.want(publish("t", uint8(i+1), uint16(i+1), false))
		}
		result := make(chan error, 1)
		go func() { result <- c.Publish(t.Context(), Message{Topic: "t", QoS: 1}, nil) }()
		p.send(mqtt.Pubrec{PacketID: 2})
		p.want(mqtt.Pubrel{PacketID: 2})
		synctest.Wait()
		select {
		case <-result:
			t.Fatal("a third message at a receive maximum of 2")
		default:
		}
		p.send(mqtt.Pubcomp{PacketID: 2})
		p.want(publish("t", 1, 3, false))
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

func TestLimitsOfTheServer(t *testing.T) {
	l := newListener(t)
	c, p := start(t, l, options(l, mqtt.V5), mqtt.Connack{Properties: mqtt.Properties(nil).
		AppendUint32(mqtt.PropMaximumPacketSize, 64).AppendByte(mqtt.PropMaximumQoS, 1).
		AppendByte(mqtt.PropRetainAvailable, 0).AppendUint16(mqtt.PropTopicAliasMaximum, 3).
		AppendByte(mqtt.PropWildcardSubscriptionAvailable, 0).AppendByte(mqtt.PropSharedSubscriptionAvailable, 0).
		AppendByte(mqtt.PropSubscriptionIDAvailable, 0)})
	go p.discard()
	alias := mqtt.Properties(nil).AppendUint16(mqtt.PropTopicAlias, 4)
	for _, tt := range []struct {
		m    Message
		want LimitError
	}{
		{Message{Topic: "t", Payload: []byte(strings.Repeat("x", 59))}, LimitError{mqtt.PropMaximumPacketSize, 64, 65}},
		{Message{Topic: "t", QoS: 2}, LimitError{mqtt.PropMaximumQoS, 1, 2}},
		{Message{Topic: "t", Retain: true}, LimitError{mqtt.PropRetainAvailable, 0, 1}},
		{Message{Topic: "t", Properties: alias}, LimitError{mqtt.PropTopicAliasMaximum, 3, 4}},
	} {
		err := c.Publish(t.Context(), tt.m, func(Outcome) { t.Error("outcome of a message not taken") })
		if e := new(LimitError); !errors.As(err, &e) || *e != tt.want {
			t.Errorf("%+v: error %v, want %v", tt.m, err, &tt.want)
		}
	}
	if err := c.Publish(t.Context(), Message{Topic: "t", Payload: []byte(strings.Repeat("x", 58))}, nil); err != nil {
		t.Errorf("64 bytes: %v", err)
	}
	for filter, id := range map[string]mqtt.PropertyID{
		"a/+": mqtt.PropWildcardSubscriptionAvailable, "$share/g/a": mqtt.PropSharedSubscriptionAvailable, "a": mqtt.PropSubscriptionIDAvailable,
	} {
		props := mqtt.Properties(nil).AppendVarint(mqtt.PropSubscriptionIdentifier, 7)
		_, err := c.Subscribe(t.Context(), []Subscription{{Filter: filter}}, props)
		if e := new(LimitError); !errors.As(err, &e) || e.Property != id {
			t.Errorf("subscribe %q: %v", filter, err)
		}
	}
}

func TestIdentifiersMayRunOut(t *testing.T) {
	l := newListener(t)
	c, p := start(t, l, options(l, mqtt.V311), mqtt.Connack{})
	go p.discard()
	c.mu.Lock()
	for id := range 1 << 16 {
		c.life.link.requests[uint16(id)] = question{}
	}
	c.mu.Unlock()
	if err := c.Publish(t.Context(), Message{Topic: "a", QoS: 1}, nil); !errors.Is(err, errNoID) {
		t.Errorf("publish: %v", err)
	}
	if _, err := c.Subscribe(t.Context(), []Subscription{{Filter: "a"}}, nil); !errors.Is(err, errNoID) {
		t.Errorf("subscribe: %v", err)
	}
}

func TestTopicAliasOut(t *testing.T) {
	alias := mqtt.Properties(nil).AppendUint16(mqtt.PropTopicAlias, 1)
	ack := mqtt.Connack{Properties: mqtt.Properties(nil).AppendUint16(mqtt.PropTopicAliasMaximum, 5)}
	message := func(topic string) mqtt.Publish { return mqtt.Publish{Topic: []byte(topic), Properties: alias} }
	for name, aliasTopics := range map[string]bool{"alias alone": true, "name beside it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newListener(t)
				o := options(l, mqtt.V5)
				o.AliasTopics = aliasTopics
				o.Reconnect = always
				c, p := start(t, l, o, ack)
				second := "t"
				if aliasTopics {
					second = ""
				}
				send := func(topic string) {
					if err := c.Publish(t.Context(), Message{Topic: topic, Properties: alias}, nil); err != nil {
						t.Fatal(err)
					}
				}
				send("t")
				p.want(message("t"))
				send("t")
				p.want(message(second))
				send("other")
				p.want(message("other"))
				send("t")
				p.want(message("t"))
				synctest.Wait()
				send("t") // not read: the next connection gets it, by name
				p.end()
				p = l.accept(ack, mqtt.V5)
				p.want(message("t"))
			})
		})
	}
}

func TestServerIgnoringOurLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		packets []mqtt.Packet
		code    mqtt.ReasonCode
	}{
		"receive maximum": {[]mqtt.Packet{publish("a", 2, 1, false), publish("a", 2, 2, false)}, mqtt.ReceiveMaximumExceeded},
		"packet size":     {[]mqtt.Packet{mqtt.Publish{Topic: []byte("a"), Payload: make([]byte, 100)}}, mqtt.PacketTooLarge},
		"second CONNACK":  {[]mqtt.Packet{mqtt.Connack{}}, mqtt.ProtocolError},
		"a client packet": {[]mqtt.Packet{mqtt.Pingreq{}}, mqtt.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListener(t)
			o := options(l, mqtt.V5)
			o.Reconnect = always // but not after this
			o.Properties = mqtt.Properties(nil).AppendUint16(mqtt.PropReceiveMaximum, 1).AppendUint32(mqtt.PropMaximumPacketSize, 50)
			c, p := start(t, l, o, mqtt.Connack{})
			go p.send(tt.packets...)
			for {
				packet := p.read()
				if d, ok := packet.(mqtt.Disconnect); ok {
					if d.Code != tt.code {
						t.Errorf("DISCONNECT %v, want %v", d.Code, tt.code)
					}
					break
				}
				if packet == nil {
					t.Fatal("no DISCONNECT")
				}
			}
			<-c.Done()
			if !malformed(c.Err()) {
				t.Errorf("error %v", c.Err())
			}
		})
	}
}

func TestPendingBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V311)
		o.MaxPendingBytes = 1 << 10
		c, _ := start(t, l, o, mqtt.Connack{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		taken := 0
		for c.Publish(ctx, Message{Topic: "t", Payload: make([]byte, 100)}, nil) == nil {
			taken++
		}
		// What is being written, what is pending, and the one that crossed the line.
		if taken < 10 || taken > 2*(1<<10)/100+2 {
			t.Errorf("%d messages of 100 bytes were taken by a server that does not read", taken)
		}
	})
}
