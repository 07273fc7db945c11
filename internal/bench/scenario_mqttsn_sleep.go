package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/client/mqttsn"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// MQTTSNSleep is clients of MQTT-SN that sleep, are fed, and wake together.
func MQTTSNSleep() Spec {
	const name = "mqttsn-sleep"
	return Spec{
		Name: name, Device: "mqttsn", Options: []string{"duration", "messages", "rest", "retry", "sockets"},
		Summary: "clients of MQTT-SN sleep, are sent something (" + name + ".messages, 1; after .rest, 0 s), and all wake, --rate of them per second (default: all); an operation is from PINGREQ to PINGRESP",
		Defaults: func(p *Plan) {
			Default(&p.Clients, 1000)
			p.Publishers, p.Subscribers = 0, 0
			p.Topics = 1
			p.defaultQoS(1)
			p.defaultRate(float64(p.Clients))
			Default(&p.Messages, int64(p.Clients)*snMessages(p))
			Default(&p.Duration, 10*time.Minute) // it ends with the last wake-up
		},
		Sockets: func(p *Plan) int { return 1 + snSockets(p, name, p.Clients) },
		New:     func() Scenario { return mqttsnSleep{name} },
	}
}

// snMessages is how many each client is sent for a wake-up.
func snMessages(p *Plan) int64 { return max(int64(p.Option("mqttsn-sleep.messages", 1)), 1) }

type mqttsnSleep struct{ name string }

// Open implements Scenario.
func (m mqttsnSleep) Open(ctx context.Context, s *Session) (Load, error) {
	p := s.plan
	fleet, err := s.newSNFleet(ctx, p.Clients, s.snOptions(m.name))
	if err != nil {
		return nil, err
	}
	author, err := s.connectAll(ctx, 1, func(_ int, o *ClientOptions) { o.Index, o.Unstamped = p.Clients, true })
	if err != nil {
		return nil, err
	}
	for i, c := range fleet.clients {
		c.topic = mqttsn.Named(s.topic(i, 0, &Client{id: c.id}))
		c.qos = int8(p.SubQoS)
		c.sleep = time.Duration(p.Option(m.name+".duration", 3600) * float64(time.Second))
	}
	if err := fleet.open(ctx); err != nil {
		return nil, err
	}
	l := &snDorm{s: s, name: m.name, fleet: fleet, author: author[0], payload: noise(p.Size, uint64(s.run))}
	s.own = true
	for _, c := range fleet.clients {
		if c.isUp {
			c.stream = len(s.streams)
			s.streams = append(s.streams, &stream{topic: c.topic.Name, name: []byte(c.topic.Name), qos: uint8(p.QoS), targets: 1})
			l.sleepers = append(l.sleepers, c)
		}
	}
	l.awaited.Store(-1)
	fleet.heard = l.heard
	s.atEnd = append(s.atEnd, l.balance)
	return l, nil
}

// snDorm is clients that sleep.
type snDorm struct {
	s        *Session
	name     string // of the scenario
	fleet    *snFleet
	author   *Client
	sleepers []*snClient
	payload  []byte

	awaited atomic.Int64  // who is awake, or to be woken
	all     chan struct{} // closed when nobody is
	last    atomic.Int64  // when somebody fell asleep again
	longest int64
	fed     time.Duration
	repeats int64
}

// Run implements Load: it feeds and wakes all until there are no messages left, or
// ctx ends. What has begun is finished, and the first time is always begun.
func (l *snDorm) Run(ctx context.Context) error {
	var ended atomic.Int64
	late, stop := l.s.overtime(ctx, &ended)
	defer stop()
	each := snMessages(l.s.plan) * int64(len(l.sleepers))
	rest := time.Duration(l.s.plan.Option(l.name+".rest", 0) * float64(time.Second))
	for left := l.s.plan.Messages; left > 0; left -= each {
		if rest > 0 && !pause(ctx, rest) {
			return nil
		}
		if err := l.feed(late, min(left, each)); err != nil {
			return err
		}
		if err := l.wake(late); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// feed sends n messages to the clients, to each in turn.
func (l *snDorm) feed(ctx context.Context, n int64) error {
	s := l.s
	begun := s.now()
	err := l.author.burst(ctx, int(n), func(i int, now int64) mqtt.Publish {
		c := l.sleepers[i%len(l.sleepers)]
		st := s.streams[c.stream]
		stamp := stamp{run: s.run, stream: uint32(s.base + c.stream), seq: st.sent.Add(1) - 1, due: s.unix + now, sent: s.unix + now}
		stamp.put(l.payload)
		return mqtt.Publish{Topic: st.name, QoS: st.qos, Retain: s.plan.Retain, Payload: l.payload}
	})
	if err == nil && s.plan.QoS == 0 { // an answer says that the broker has read all before
		err = l.author.Unsubscribe(ctx, 0, "bench/fed")
	}
	l.fed = max(l.fed, time.Duration(s.now()-begun))
	return err
}

// wake wakes all, each at its time, and waits until they sleep again.
func (l *snDorm) wake(ctx context.Context) error {
	s, n := l.s, int64(len(l.sleepers))
	l.all = make(chan struct{})
	l.awaited.Store(n)
	before := l.fleet.repeated.Load()
	start := s.now()
	dueOf := func(i int64) int64 { return start }
	if rate := s.plan.Rate; rate > 0 && !s.plan.ClosedLoop {
		dueOf = func(i int64) int64 { return start + int64(float64(i)/rate*1e9) }
	}
	for i := int64(0); i < n; {
		if wait := dueOf(i) - s.now(); wait > 0 {
			if !s.sleep(ctx, max(wait, int64(time.Millisecond))) {
				break
			}
			continue
		}
		port := l.sleepers[i].port
		port.lock()
		now, at := s.now(), time.Now()
		for k := 0; k < snBatch && i < n && l.sleepers[i].port == port && dueOf(i) <= now; k++ {
			l.sleepers[i].rouse(l, dueOf(i), now, at)
			i++
		}
		port.unlock()
	}
	select {
	case <-l.all:
	case <-ctx.Done():
	}
	if left := l.awaited.Swap(-1); left > 0 {
		s.undone.Add(left)
	}
	l.longest = max(l.longest, l.last.Load()-start)
	l.repeats += l.fleet.repeated.Load() - before
	return nil
}

// rouse wakes a client, with the port locked.
func (c *snClient) rouse(l *snDorm, due, now int64, at time.Time) {
	c.due, c.begun = due, now
	if now-due > 1e6 {
		c.port.sh.n.Late++
	}
	if err := c.core.Wake(at, &c.port.fx); err != nil {
		l.slept(c, err, now)
		return
	}
	c.port.settle(c, now)
}

// heard is told of what happens to a client.
func (l *snDorm) heard(c *snClient, e *mqttsn.Event, now int64) {
	switch e.Kind {
	case mqttsn.Message:
		c.port.sh.n.Received++
		if e.Name != c.topic.Name {
			c.port.sh.n.Corrupted++
			l.s.problem("message", fmt.Errorf("one for %q came to %q", e.Name, c.topic.Name))
			return
		}
		c.port.sink.account(&mqtt.Publish{Topic: []byte(e.Name), Payload: e.Payload, QoS: uint8(max(e.QoS, 0)), Retain: e.Retain}, now)
	case mqttsn.Asleep:
		l.slept(c, e.Err, now)
	case mqttsn.Lost:
		l.fleet.lost(c, e.Err)
		l.slept(c, errors.New("the connection is lost"), now)
	}
}

// slept ends a wake-up.
func (l *snDorm) slept(c *snClient, err error, now int64) {
	sh := c.port.sh
	if err == nil {
		sh.n.Operations++
		l.s.rec.record(sh, PhaseOperation, c.due, c.begun, now)
	} else {
		sh.n.OperationFail++
		l.s.problem("wake", err)
	}
	l.last.Store(now)
	if l.awaited.Add(-1) == 0 {
		close(l.all)
	}
}

// Drain implements Load: whoever sleeps hears nothing more.
func (*snDorm) Drain(context.Context) error { return nil }

// balance sums up.
func (l *snDorm) balance() {
	l.s.SetValue("mqttsn.wake_seconds", float64(l.longest)/1e9)
	l.s.SetValue("mqttsn.feed_seconds", l.fed.Seconds())
	l.s.SetValue("mqttsn.repeated", float64(l.repeats))
}
