package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/client/mqttsn"
	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// MQTTSNPub is clients of MQTT-SN that publish to an MQTT subscriber.
func MQTTSNPub() Spec {
	const name = "mqttsn-pub"
	return Spec{
		Name: name, Device: "mqttsn", Options: []string{"minus_one", "predefined", "retry", "short", "sockets"},
		Summary: "clients of MQTT-SN publish to an MQTT subscriber (" + name + ".short, .minus_one: 1; .predefined: the id of -t; .sockets: 1, no forwarders)",
		Defaults: func(p *Plan) {
			Default(&p.Publishers, firstNumber(p.Clients, 100))
			Default(&p.Subscribers, 1)
			p.defaultRate(1000)
			if p.Option(name+".minus_one", 0) == 0 {
				p.defaultQoS(1) // datagrams get lost
			}
			if snKind(p) != wire.NormalTopic {
				p.Topics = 1
				Default(&p.Topic, "sn")
			}
		},
		Sockets: func(p *Plan) int { return p.Subscribers + snSockets(p, name, p.Publishers) },
		New:     func() Scenario { return mqttsnPub{name} },
	}
}

// snKind is what stands for topics in PUBLISH.
func snKind(p *Plan) wire.TopicKind {
	switch {
	case p.Option("mqttsn-pub.predefined", 0) > 0:
		return wire.PredefinedTopic
	case p.Option("mqttsn-pub.short", 0) > 0:
		return wire.ShortTopic
	}
	return wire.NormalTopic
}

type mqttsnPub struct{ name string }

// Open implements Scenario.
func (m mqttsnPub) Open(ctx context.Context, s *Session) (Load, error) {
	p := s.plan
	kind, minusOne := snKind(p), p.Option(m.name+".minus_one", 0) > 0
	switch {
	case kind == wire.ShortTopic && len(p.Topic) != 2:
		return nil, &PlanError{fmt.Sprintf("a short topic has two bytes, as in -t sn, and %q has %d", p.Topic, len(p.Topic))}
	case minusOne && kind == wire.NormalTopic:
		return nil, &PlanError{"at QoS -1 a topic is short or predefined: --set " + m.name + ".short=1"}
	case minusOne && p.QoS > 0:
		return nil, &PlanError{fmt.Sprintf("messages are of QoS -1 or of QoS %d", p.QoS)}
	case p.Size > maxSNPayload:
		return nil, &PlanError{fmt.Sprintf("%d bytes are too many for a datagram: at most %d", p.Size, maxSNPayload)}
	}
	fleet, err := s.newSNFleet(ctx, p.Publishers, s.snOptions(m.name))
	if err != nil {
		return nil, err
	}
	subscribers, err := s.connectAll(ctx, p.Subscribers, func(i int, o *ClientOptions) {
		o.Index, o.Receives = p.Publishers+i, true // numbered behind the publishers
	})
	if err != nil {
		return nil, err
	}
	filter := s.everything()
	if kind != wire.NormalTopic {
		filter = p.Topic
	}
	if err := s.each(subscribers, func(_ int, c *Client) error { return c.Subscribe(ctx, 0, s.subscription(filter)) }); err != nil {
		return nil, err
	}
	if minusOne { // they have no connection
		for _, c := range fleet.clients {
			c.isUp = true
		}
	} else if err := fleet.open(ctx); err != nil {
		return nil, err
	}
	f := &snFlow{s: s, fleet: fleet, qos: int8(p.QoS), limit: p.Messages}
	if minusOne {
		f.qos = wire.QoSMinusOne
	}
	f.prepare(kind, len(connected(subscribers)))
	return f, nil
}

// maxSNPayload is the longest payload: that of a datagram of UDP, with all that is
// around it.
const maxSNPayload = 65507 - 32

// snFlow is publishers that share a schedule.
type snFlow struct {
	s     *Session
	fleet *snFleet
	pubs  []*snPublisher
	sched *schedule // nil: closed loop
	qos   int8
	limit int64 // of a closed loop, 0: none
	taken atomic.Int64
	acked atomic.Int64
	over  atomic.Bool // nothing is published any more
	until int64       // what is due later is not missed
}

// snPublisher publishes the messages of one client. The port's lock guards it.
type snPublisher struct {
	c       *snClient
	f       *snFlow
	index   int
	turn    int64 // messages sent
	lost    int64 // of those, what is not waited for
	streams []int
	topics  []mqttsn.Topic
	at      cursor
	payload []byte
	waiting bool // the message that is due next has been counted as waiting

	due, sent int64 // of the one that is not acknowledged
}

// prepare makes a publisher of each client that is connected.
func (f *snFlow) prepare(kind wire.TopicKind, targets int) {
	s, p := f.s, f.s.plan
	if steps := p.steps(p.Publishers); steps != nil {
		f.sched = newSchedule(p.Warmup, steps, p.Messages)
	}
	s.own = true
	for i, c := range f.fleet.clients {
		if !c.isUp {
			continue
		}
		pub := &snPublisher{c: c, f: f, index: len(f.pubs), payload: noise(p.Size, uint64(s.run)+uint64(i)), at: cursor{schedule: f.sched}}
		for t := range p.Topics {
			name := p.Topic
			topic := mqttsn.Short(name)
			switch kind {
			case wire.NormalTopic:
				name = s.topic(i, t, &Client{id: c.id})
				topic = mqttsn.Named(name)
			case wire.PredefinedTopic:
				topic = mqttsn.Predefined(uint16(p.Option("mqttsn-pub.predefined", 0)))
			}
			pub.topics = append(pub.topics, topic)
			pub.streams = append(pub.streams, len(s.streams))
			s.streams = append(s.streams, &stream{topic: name, name: []byte(name), qos: uint8(max(f.qos, 0)), targets: int32(targets)})
		}
		c.pub = pub
		f.pubs = append(f.pubs, pub)
	}
	f.fleet.heard = f.heard
	s.atEnd = append(s.atEnd, f.balance)
}

// Run implements Load.
func (f *snFlow) Run(ctx context.Context) error {
	drivers := min(f.s.plan.Drivers, len(f.pubs))
	var wg sync.WaitGroup
	for d := range drivers {
		own := f.pubs[d*len(f.pubs)/drivers : (d+1)*len(f.pubs)/drivers]
		wg.Go(func() {
			if f.sched != nil {
				f.drive(ctx, own)
			} else {
				f.push(ctx, own)
			}
		})
	}
	wg.Wait()
	f.until = f.s.now()
	return nil
}

// drive follows the schedule for some of the publishers.
func (f *snFlow) drive(ctx context.Context, own []*snPublisher) {
	at, start := cursor{schedule: f.sched}, f.s.start.Load()
	tick := f.s.tick(f.sched.maxRate())
	for turn := int64(0); ; {
		n := int64(len(own))
		dueOf := func(turn int64) int64 { return at.due(turn/n*int64(len(f.pubs)) + int64(own[turn%n].index)) }
		due := dueOf(turn)
		if due == never {
			return
		}
		now := f.s.now() - start
		if due > now {
			if !f.s.sleep(ctx, max(due-now, tick)) {
				return
			}
			continue
		}
		var port *snPort // of those that are neighbours, datagrams leave together
		for sent := 0; due <= now && sent < snBatch; sent++ {
			p := own[turn%n]
			if p.c.port != port {
				if port != nil {
					port.unlock()
				}
				port = p.c.port
				port.lock()
			}
			p.pump(f.s.now())
			turn++
			due = dueOf(turn)
		}
		port.unlock()
		if ctx.Err() != nil {
			return
		}
	}
}

// push keeps clients busy on a closed loop.
func (f *snFlow) push(ctx context.Context, own []*snPublisher) {
	seen, since := int64(-1), f.s.now()
	for {
		arrived := int64(0)
		for _, p := range own {
			p.c.port.lock()
			p.pump(f.s.now())
			p.c.port.unlock()
			arrived += p.arrived()
		}
		switch now := f.s.now(); {
		case arrived != seen:
			seen, since = arrived, now
		case now-since > int64(time.Second): // what has not come by now will not
			for _, p := range own {
				p.c.port.lock()
				p.lost = p.turn - p.arrived()
				p.c.port.unlock()
			}
			since = now
		}
		if f.limit > 0 && f.taken.Load() >= f.limit {
			return
		}
		if !f.s.sleep(ctx, int64(100*time.Microsecond)) {
			return
		}
	}
}

// arrived is how many messages of the publisher every subscriber has.
func (p *snPublisher) arrived() (n int64) {
	for _, id := range p.streams {
		st := p.f.s.streams[id]
		n += st.arrived.Load() / int64(max(st.targets, 1))
	}
	return n
}

// room tells whether another message may leave: one at a time that is acknowledged,
// and on a closed loop a window of those that have not arrived.
func (p *snPublisher) room() bool {
	if p.f.qos > 0 && !p.c.core.Idle() {
		return false
	}
	return p.f.sched != nil || p.turn-p.lost-p.arrived() < int64(p.f.s.plan.Window)
}

// pump publishes what is due and has room, with the port locked.
func (p *snPublisher) pump(now int64) {
	f, n := p.f, &p.c.port.sh.n
	for !f.over.Load() && !p.c.gone {
		due := now
		if f.sched != nil {
			if due = p.at.due(p.turn*int64(len(f.pubs)) + int64(p.index)); due == never {
				return
			}
			if due += f.s.start.Load(); due > now {
				return
			}
		}
		if !p.room() {
			if f.sched != nil && !p.waiting {
				p.waiting = true
				n.WindowFull++
			}
			return
		}
		p.waiting = false
		if f.sched == nil && f.limit > 0 && f.taken.Add(1) > f.limit {
			return
		}
		if now-due > 1e6 {
			n.Late++
		}
		p.publish(due, now)
	}
}

func (p *snPublisher) publish(due, now int64) {
	f, s, port := p.f, p.f.s, p.c.port
	k := int(p.turn % int64(len(p.streams)))
	st := s.streams[p.streams[k]]
	stamp := stamp{
		run: s.run, stream: uint32(s.base + p.streams[k]), seq: st.sent.Add(1) - 1,
		due: s.unix + due, sent: s.unix + now,
	}
	stamp.put(p.payload)
	p.turn++
	p.due, p.sent = due, now
	port.sh.n.Sent++
	port.sh.n.BytesOut += int64(len(p.payload))
	err := p.c.core.Publish(time.Now(), mqttsn.Publication{Topic: p.topics[k], Payload: p.payload, QoS: f.qos, Retain: s.plan.Retain}, &port.fx)
	if err != nil { // REGISTER is under way, perhaps: it counts as lost
		s.problem("publish", err)
	}
	if f.qos <= 0 { // nobody wants to know more
		port.seen = len(port.fx.Events)
	}
}

// heard is told of what gateways say to publishers.
func (f *snFlow) heard(c *snClient, e *mqttsn.Event, now int64) {
	switch e.Kind {
	case mqttsn.Published:
		if f.qos <= 0 {
			return
		}
		switch e.Outcome {
		case mqttsn.Acknowledged:
			phase := PhasePuback
			if f.qos == 2 {
				phase = PhasePubcomp
			}
			c.port.sh.n.Acked++
			f.acked.Add(1)
			f.s.rec.record(c.port.sh, phase, c.pub.due, c.pub.sent, now)
		case mqttsn.Denied:
			c.port.sh.n.AckFails++
			f.acked.Add(1)
			f.s.problem("publish", fmt.Errorf("refused: %v", e.Code))
		}
		c.pub.pump(now)
	case mqttsn.Rejected:
		c.port.sh.n.AckFails++
		f.s.problem("publish", fmt.Errorf("refused: %v", e.Code))
	case mqttsn.Lost:
		f.fleet.lost(c, e.Err)
	}
}

// Drain implements Load: it waits for acknowledgements and arrivals, at QoS 0 only
// as long as there are any.
func (f *snFlow) Drain(ctx context.Context) error {
	last, since := int64(-1), f.s.now()
	for {
		var sent, arrived, due int64
		for _, p := range f.pubs {
			p.c.port.lock()
			p.pump(min(f.s.now(), f.until))
			sent += p.turn
			due += p.missing(f.until)
			p.c.port.unlock()
			arrived += p.arrived()
		}
		acked := f.acked.Load()
		if arrived >= sent && due == 0 && (f.qos <= 0 || acked >= sent) {
			return nil
		}
		if n := arrived + acked + sent; n != last {
			last, since = n, f.s.now()
		} else if f.qos <= 0 && f.s.now()-since > int64(quiet) {
			return nil
		}
		if !pause(ctx, 5*time.Millisecond) {
			return nil
		}
	}
}

// missing is how many messages were due before until and have not left.
func (p *snPublisher) missing(until int64) int64 {
	if p.f.sched == nil {
		return 0
	}
	due, all := p.f.sched.count(until-p.f.s.start.Load()), int64(len(p.f.pubs))
	return max((due-int64(p.index)+all-1)/all-p.turn, 0)
}

// balance enters into the account what nobody was there for.
func (f *snFlow) balance() {
	f.over.Store(true)
	sent := int64(0)
	for _, p := range f.pubs {
		p.c.port.lock()
		f.s.undone.Add(p.missing(f.until))
		sent += p.turn
		p.c.port.unlock()
	}
	if f.qos > 0 {
		f.s.unacked.Add(max(sent-f.acked.Load(), 0))
	}
	f.s.SetValue("mqttsn.repeated", float64(f.fleet.repeated.Load()))
}
