package client

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestSubscribeKeepsOrderAndDuplicates(t *testing.T) {
	for _, v := range bothLibraries {
		t.Run(v.String(), func(t *testing.T) {
			l := newListener(t)
			c, p := start(t, l, options(l, v), mqtt.Connack{})
			subs := []Subscription{{Filter: "z"}, {Filter: "a", QoS: 2}, {Filter: "m/#", QoS: 1}, {Filter: "a"}}
			go func() {
				p.want(mqtt.Subscribe{PacketID: 1, Filters: subs})
				p.send(mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0, 2, mqtt.UnspecifiedError, 0}})
			}()
			codes, err := c.Subscribe(t.Context(), subs, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]mqtt.ReasonCode{0, 2, 0x80, 0}, codes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSubscribeTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V311)
		o.RequestTimeout = 5 * time.Second
		c, p := start(t, l, o, mqtt.Connack{})
		go p.discard()
		if _, err := c.Subscribe(t.Context(), []Subscription{{Filter: "a"}}, nil); !errors.Is(err, ErrTimeout) {
			t.Errorf("error %v", err)
		}
		if _, err := c.Subscribe(t.Context(), []Subscription{{Filter: "a/#/b"}}, nil); err == nil || errors.Is(err, ErrTimeout) {
			t.Errorf("bad filter: %v", err)
		}
	})
}

func TestSubscribeOutlivesAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V311)
		o.Reconnect = always
		c, p := start(t, l, o, mqtt.Connack{})
		result := make(chan error, 1)
		go func() {
			_, err := c.Subscribe(t.Context(), []Subscription{{Filter: "a"}}, nil)
			result <- err
		}()
		want := mqtt.Subscribe{PacketID: 1, Filters: []Subscription{{Filter: "a"}}}
		p.want(want)
		p.end()
		p = l.accept(mqtt.Connack{}, mqtt.V311)
		want.PacketID = 2
		p.want(want)
		p.send(mqtt.Suback{PacketID: 2, Codes: []mqtt.ReasonCode{0}})
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

func TestPublishChecksTheMessage(t *testing.T) {
	l := newListener(t)
	c, p := start(t, l, options(l, mqtt.V311), mqtt.Connack{})
	go p.discard()
	for _, m := range []Message{
		{},
		{Topic: "a/#"},
		{Topic: "a\x00"},
		{Topic: "a\xff"},
		{Topic: "a", QoS: 3},
		{Topic: "a", Properties: mqtt.Properties(nil).AppendUserProperty("k", "v")},
	} {
		if err := c.Publish(t.Context(), m, nil); err == nil {
			t.Errorf("%+v was taken", m)
		}
	}
}

func TestSubscribeChecksTheFilter(t *testing.T) {
	l := newListener(t)
	c, p := start(t, l, options(l, mqtt.V311), mqtt.Connack{})
	go p.discard()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // or a filter that is taken would wait for SUBACK
	for _, f := range []string{"", "a#", "a\x00", "a\xff", "$share//a", "$share/g", "$share/g/a#", "$share/g/#/a"} {
		if _, err := c.Subscribe(ctx, []Subscription{{Filter: f}}, nil); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("subscribe %q: %v", f, err)
		}
		if _, err := c.Unsubscribe(ctx, []string{f}, nil); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("unsubscribe %q: %v", f, err)
		}
	}
}

// collector takes messages in OnMessage.
func collector(o *Options) chan Message {
	got := make(chan Message, 100)
	o.OnMessage = func(m Message) {
		m.Payload, m.Properties = nil, nil // valid during the call only
		got <- m
	}
	return got
}

func TestTopicAliasIn(t *testing.T) {
	alias := func(n uint16) mqtt.Properties { return mqtt.Properties(nil).AppendUint16(mqtt.PropTopicAlias, n) }
	l := newListener(t)
	o := options(l, mqtt.V5)
	o.Properties = mqtt.Properties(nil).AppendUint16(mqtt.PropTopicAliasMaximum, 2)
	got := collector(&o)
	c, p := start(t, l, o, mqtt.Connack{})
	p.send(
		mqtt.Publish{Topic: []byte("a"), Properties: alias(1)}, mqtt.Publish{Topic: []byte("b"), Properties: alias(2)},
		mqtt.Publish{Properties: alias(1)}, mqtt.Publish{Topic: []byte("c"), Properties: alias(1)}, mqtt.Publish{Properties: alias(1)},
	)
	for i, want := range []string{"a", "b", "a", "c", "c"} {
		if m := <-got; m.Topic != want {
			t.Errorf("message %d has topic %q, want %q", i, m.Topic, want)
		}
	}
	p.send(mqtt.Publish{Topic: []byte("d"), Properties: alias(3)})
	p.want(mqtt.Disconnect{Code: mqtt.TopicAliasInvalid})
	<-c.Done()
	if !malformed(c.Err()) {
		t.Errorf("error %v", c.Err())
	}
}

func TestQoS2IsHandedOverOnce(t *testing.T) {
	for _, v := range bothLibraries {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newListener(t)
				o := options(l, v)
				o.CleanStart = false
				o.Reconnect = always
				got := collector(&o)
				_, p := start(t, l, o, mqtt.Connack{})
				p.send(publish("t", 2, 7, false))
				p.want(mqtt.Pubrec{PacketID: 7})
				p.end()
				p = l.accept(mqtt.Connack{SessionPresent: true}, v)
				p.send(publish("t", 2, 7, true))
				p.want(mqtt.Pubrec{PacketID: 7})
				p.send(mqtt.Pubrel{PacketID: 7})
				p.want(mqtt.Pubcomp{PacketID: 7})
				p.send(mqtt.Pubrel{PacketID: 7})
				unknown := mqtt.Pubcomp{PacketID: 7}
				if v == mqtt.V5 {
					unknown.Code = mqtt.PacketIdentifierNotFound
				}
				p.want(unknown)
				p.send(publish("t", 2, 7, false)) // the identifier is free again
				p.want(mqtt.Pubrec{PacketID: 7})
				if len(got) != 2 {
					t.Errorf("%d messages, want 2", len(got))
				}
			})
		})
	}
}

func TestAcknowledgementFollowsOnMessageAndOnIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t)
		o := options(l, mqtt.V311)
		var events []string
		hold := make(chan struct{})
		o.OnMessage = func(m Message) { <-hold; events = append(events, m.Topic) }
		o.OnIdle = func() { events = append(events, "idle") }
		o.OnPacket = func(d Direction, raw []byte) {
			if d == Sent && len(events) > 0 {
				events = append(events, mqtt.Type(raw[0]>>4).String())
			}
		}
		_, p := start(t, l, o, mqtt.Connack{})
		p.send(publish("a", 1, 1, false), publish("b", 2, 2, false))
		close(hold)
		p.want(mqtt.Puback{PacketID: 1}, mqtt.Pubrec{PacketID: 2})
		if diff := cmp.Diff([]string{"a", "b", "idle", "PUBACK", "PUBREC"}, events); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestHaltInOnMessage(t *testing.T) {
	l := newListener(t)
	o := options(l, mqtt.V311)
	var c *Client
	n := 0
	o.OnMessage = func(Message) {
		if n++; n == 2 {
			c.Halt()
		}
	}
	connected := make(chan struct{})
	first := o.OnMessage
	o.OnMessage = func(m Message) { <-connected; first(m) }
	c, p := start(t, l, o, mqtt.Connack{})
	close(connected)
	p.send(publish("t", 1, 1, false), publish("t", 1, 2, false), publish("t", 1, 3, false))
	p.want(mqtt.Puback{PacketID: 1}, mqtt.Puback{PacketID: 2})
	go func() { _ = c.Disconnect(t.Context(), 0, nil) }()
	p.want(mqtt.Disconnect{})
	p.end()
	<-c.Done()
	if n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

func TestStreamMayBeCutAnywhere(t *testing.T) {
	l := newListener(t)
	o := options(l, mqtt.V5)
	got := collector(&o)
	_, p := start(t, l, o, mqtt.Connack{})
	var stream []byte
	for _, packet := range []mqtt.Packet{publish("a", 0, 0, false), publish("b", 1, 1, false), mqtt.Pingresp{}, publish("c", 0, 0, false)} {
		stream, _ = packet.Append(stream, mqtt.V5)
	}
	for i := range stream {
		if _, err := p.conn.Write(stream[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if i == len(stream)-1 {
			p.want(mqtt.Puback{PacketID: 1})
		}
	}
	for _, want := range []string{"a", "b", "c"} {
		if m := <-got; m.Topic != want {
			t.Errorf("topic %q, want %q", m.Topic, want)
		}
	}
}

func TestPublishAndReceiveAllocateNothing(t *testing.T) {
	l := newListener(t)
	o := options(l, mqtt.V5)
	o.MaxPendingBytes = 1 << 20
	c, p := start(t, l, o, mqtt.Connack{})
	go p.discard()
	ctx := context.Background()
	m := Message{Topic: "some/topic/of/usual/length/for/one", Payload: make([]byte, 64)}
	done := func(Outcome) {}
	for range 1000 { // let the buffers grow
		_ = c.Publish(ctx, m, done)
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = c.Publish(ctx, m, done) }); n >= 1 {
		t.Errorf("publish at QoS 0: %v allocations", n)
	}
	pub := mqtt.Publish{Topic: []byte(m.Topic), Payload: m.Payload}
	raw, _ := pub.Append(nil, mqtt.V5)
	h, body, _, _ := mqtt.Frame(raw, 0)
	// A link of its own: the reader of the one above is not to be disturbed.
	alone := &link{c: c, names: map[string]string{}}
	alone.connack.Store(&mqtt.Connack{})
	if n := testing.AllocsPerRun(100, func() { _ = alone.receive(h, body, raw) }); n > 0 {
		t.Errorf("receive at QoS 0: %v allocations", n)
	}
}

func TestConcurrentPublishersEachGetTheirOutcome(t *testing.T) {
	l := newListener(t)
	o := options(l, mqtt.V311)
	o.MaxInflight = 3
	c, p := start(t, l, o, mqtt.Connack{})
	const publishers, each = 8, 25
	go func() {
		for packet := p.read(); packet != nil; packet = p.read() {
			p.send(mqtt.Puback{PacketID: packet.(mqtt.Publish).PacketID})
		}
	}()
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for range each {
				o, err := c.PublishWait(t.Context(), Message{Topic: "t", QoS: 1})
				if err != nil || o.Kind != Acknowledged {
					t.Errorf("%+v %v", o, err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkPublishQoS0(b *testing.B) {
	l := newListener(nil)
	c, err := New(options(l, mqtt.V311))
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		p := l.next(mqtt.V311)
		chunk := make([]byte, 1<<16)
		_, _ = p.conn.Read(chunk)
		_, _ = p.conn.Write([]byte{0x20, 2, 0, 0})
		p.discard()
	}()
	if _, err := c.Connect(b.Context()); err != nil {
		b.Fatal(err)
	}
	m := Message{Topic: "bench", Payload: make([]byte, 64)}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Publish(b.Context(), m, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	_ = c.Close()
	<-c.Done()
}
