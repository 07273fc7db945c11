package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/client/mqttsn"
	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// This file is clients of MQTT-SN. None has a goroutine of its own: each socket has
// one that reads, and a clock is for all. A gateway tells clients apart by their
// addresses, so each would need a socket; behind a forwarder it is the forwarder's
// address together with a node identifier, and one socket will do for thousands.

// snFleet is the clients of MQTT-SN of a run.
type snFleet struct {
	s       *Session
	ports   []*snPort
	clients []*snClient

	// heard is told of events once the fleet is open, with the port locked.
	heard func(c *snClient, e *mqttsn.Event, now int64)

	places   chan struct{} // taken by those that connect, or leave
	up       atomic.Int64
	repeated atomic.Int64 // datagrams that were sent again
	ended    chan struct{}
	wg       sync.WaitGroup
}

// snPort is a socket, with the clients that speak through it.
type snPort struct {
	f       *snFleet
	sh      *shard
	carrier snCarrier
	clients []*snClient
	forward bool    // it is a forwarder's
	sink    *Client // whose account the messages of these clients belong to

	mu   sync.Mutex
	fx   mqttsn.Effects
	seen int // of fx.Events
}

// snClient is one client. The port's lock guards it.
type snClient struct {
	port  *snPort
	core  *mqttsn.Core
	index int
	id    string
	topic mqttsn.Topic // that it subscribes to
	qos   int8         // below 0: to none
	sleep time.Duration

	linked bool // counted as a connection
	isUp   bool // it is where open wants it
	gone   bool // it is to be left alone

	stream     int          // of what it is to hear
	due, begun int64        // of what is outstanding
	pub        *snPublisher // nil: publishes nothing
}

// snRetry is T_retry, and N_retry, unless options say otherwise. SN-7.2
const (
	snRetry   = 10 * time.Second
	snRetries = 4
)

// snOptions are the options of a scenario that are about its clients.
type snOptions struct {
	sockets bool          // each has its own
	retry   time.Duration // T_retry
}

func (s *Session) snOptions(scenario string) snOptions {
	return snOptions{
		sockets: s.plan.Option(scenario+".sockets", 0) > 0 || s.devices != nil && s.devices.endpoint.Scheme.TLS,
		retry:   time.Duration(s.plan.Option(scenario+".retry", snRetry.Seconds()) * float64(time.Second)),
	}
}

// snForwarders is how many sockets many clients share.
const snForwarders = 16

// snSockets is how many sockets a plan with n clients needs.
func snSockets(p *Plan, scenario string, n int) int {
	if p.Option(scenario+".sockets", 0) > 0 {
		return n
	}
	return min(n, snForwarders)
}

// newFleet makes n clients that have not connected yet, and their sockets. The
// engine ends them.
func (s *Session) newSNFleet(ctx context.Context, n int, o snOptions) (*snFleet, error) {
	if s.devices == nil {
		return nil, errNoDevices
	}
	f := &snFleet{s: s, places: make(chan struct{}, s.plan.ConnParallel), ended: make(chan struct{})}
	s.atEnd = append(s.atEnd, f.end)
	open, err := s.snDialer(ctx, n, o.sockets)
	if err != nil {
		return nil, err
	}
	ports := min(n, snForwarders)
	if o.sockets {
		ports = n
	}
	for k := range ports {
		c, err := open(ctx, k)
		if err != nil {
			return nil, fmt.Errorf("socket %d of %d: %w", k+1, ports, err)
		}
		p := &snPort{f: f, sh: s.rec.shard(), carrier: c, forward: !o.sockets}
		p.sink = &Client{s: s, sh: p.sh, sub: s.newTrackers(), place: -1}
		f.ports = append(f.ports, p)
		for i := k * n / ports; i < (k+1)*n/ports; i++ {
			c, err := p.client(i, o)
			if err != nil {
				return nil, err
			}
			f.clients = append(f.clients, c)
		}
	}
	for _, p := range f.ports {
		f.wg.Go(p.read)
	}
	f.wg.Go(f.clock)
	return f, nil
}

func (p *snPort) client(i int, o snOptions) (*snClient, error) {
	s := p.f.s
	said, _ := s.connectPacket(&ClientOptions{Index: i})
	c := &snClient{port: p, index: i, id: said.ClientID, qos: -1}
	cfg := mqttsn.Config{
		ClientID: said.ClientID, KeepAlive: uint16(max(s.plan.KeepAlive, 0)),
		Retry: o.retry, Retries: snRetries, Farewell: snFarewell, MaxQueued: 1,
	}
	if p.forward {
		cfg.Forwarded, cfg.NodeID = true, binary.BigEndian.AppendUint32(nil, uint32(len(p.clients)))
	}
	var err error
	c.core, err = mqttsn.New(cfg)
	p.clients = append(p.clients, c)
	return c, err
}

// lock is for calls of the core of a client; unlock sends what follows from them.
func (p *snPort) lock() {
	p.mu.Lock()
	p.sh.mu.Lock()
}

func (p *snPort) unlock() {
	p.sh.mu.Unlock()
	if p.fx.Len() > 0 {
		p.carrier.send(&p.fx)
	}
	p.fx.Reset()
	p.seen = 0
	p.mu.Unlock()
}

// settle works off the events that are new, which are c's.
func (p *snPort) settle(c *snClient, now int64) {
	for ; p.seen < len(p.fx.Events); p.seen++ {
		e := p.fx.Events[p.seen] // a copy: what follows may add to them
		if !c.isUp || c.gone {
			p.f.connecting(c, &e, now)
		} else if p.f.heard != nil {
			p.f.heard(c, &e, now)
		}
	}
}

// read is the goroutine of a port.
func (p *snPort) read() {
	for {
		ds, err := p.carrier.receive()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				p.f.s.problem("read", err)
			}
			return
		}
		p.lock()
		now, at := p.f.s.now(), time.Now()
		for _, d := range ds {
			p.sh.n.BytesIn += int64(len(d.Data))
			if c := p.addressee(d.Data); c != nil {
				_ = c.core.Handle(at, d.Data, &p.fx) // what has no place is dropped
				p.settle(c, now)
			}
		}
		p.unlock()
	}
}

// addressee is whom a datagram is for, nil for nobody.
func (p *snPort) addressee(b []byte) *snClient {
	if !p.forward {
		return p.clients[0]
	}
	const head, encapsulated = 7, 0xfe // an envelope with a node identifier of four bytes
	if len(b) < head || b[0] != head || b[1] != encapsulated {
		return nil
	}
	n := binary.BigEndian.Uint32(b[3:])
	if int64(n) >= int64(len(p.clients)) {
		return nil
	}
	return p.clients[n]
}

// snTick is how often the clock looks.
const snTick = 200 * time.Millisecond

// clock has the clients repeat what was not answered.
func (f *snFleet) clock() {
	tick := time.NewTicker(snTick)
	defer tick.Stop()
	for {
		select {
		case <-f.ended:
			return
		case <-tick.C:
		}
		for _, p := range f.ports {
			p.lock()
			now, at := f.s.now(), time.Now()
			for _, c := range p.clients {
				if due := c.core.Deadline(); due.IsZero() || at.Before(due) {
					continue
				}
				ping := c.core.State() == mqttsn.StateActive && c.core.Idle()
				before := p.fx.Len()
				c.core.Tick(at, &p.fx)
				if !ping {
					f.repeated.Add(int64(p.fx.Len() - before))
				}
				p.settle(c, now)
			}
			p.unlock()
		}
	}
}

// open connects all, at the plan's rate, has them subscribe and sleep as they are
// to, and returns when the last has done so or has failed.
func (f *snFleet) open(ctx context.Context) error {
	s := f.s
	start := s.now()
	for i, c := range f.clients {
		due := s.now()
		if s.plan.ConnRate > 0 {
			due = start + int64(float64(i)/s.plan.ConnRate*1e9)
			if d := due - s.now(); d > 0 && !pause(ctx, time.Duration(d)) {
				return context.Cause(ctx)
			}
		}
		select {
		case f.places <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		c.port.lock()
		c.due, c.begun = due, s.now()
		c.core.Connect(time.Now(), !s.plan.Persistent, &c.port.fx)
		c.port.settle(c, c.begun)
		c.port.unlock()
	}
	for range cap(f.places) { // until all are free
		select {
		case f.places <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for range cap(f.places) {
		<-f.places
	}
	up := f.up.Load()
	s.SetValue("connect.rate", float64(up)/(float64(s.now()-start)/1e9))
	if up == 0 {
		return s.nobody()
	}
	return nil
}

// connecting is about a client on its way, to where open wants it or to its end.
func (f *snFleet) connecting(c *snClient, e *mqttsn.Event, now int64) {
	p := c.port
	n := &p.sh.n
	switch e.Kind {
	case mqttsn.Connected:
		n.Connects++
		c.linked = true
		f.s.rec.connections.Add(1)
		p.sh.latency.record(PhaseConnack, c.due, c.begun, now)
		c.due, c.begun = now, now
		if c.qos < 0 {
			f.rest(c)
		} else if err := c.core.Subscribe(time.Now(), c.topic, c.qos, 0, &p.fx); err != nil {
			f.failed(c, "subscribe", err)
		}
	case mqttsn.Subscribed:
		if e.Code != wire.Accepted {
			n.SubscribeFail++
			f.failed(c, "subscribe", fmt.Errorf("refused: %v", e.Code))
			return
		}
		n.Subscribes++
		p.sh.latency.record(PhaseSuback, c.due, c.begun, now)
		f.rest(c)
	case mqttsn.Asleep:
		f.isUp(c)
	case mqttsn.Refused:
		n.ConnectFails++
		f.failed(c, "connect", fmt.Errorf("refused: %v", e.Code))
	case mqttsn.Lost:
		if c.gone {
			return
		}
		n.ConnectFails++
		f.failed(c, "connect", fmt.Errorf("%s: %w", f.s.devices.endpoint, e.Err))
	case mqttsn.Disconnected:
		f.release()
	}
}

// release gives a place back.
func (f *snFleet) release() {
	select {
	case <-f.places:
	default: // it came too late to have kept it
	}
}

// rest has a client that has connected sleep, if it is to.
func (f *snFleet) rest(c *snClient) {
	if c.sleep == 0 {
		f.isUp(c)
		return
	}
	_ = c.core.Sleep(time.Now(), c.sleep, &c.port.fx) // it is active
}

func (f *snFleet) isUp(c *snClient) {
	if c.isUp {
		return
	}
	c.isUp = true
	f.up.Add(1)
	f.release()
}

// failed gives a client up that could not be brought to where it should be.
func (f *snFleet) failed(c *snClient, what string, err error) {
	c.gone = true
	f.s.problem(what, err)
	f.release()
}

// lost counts a client whose connection the gateway has ended.
func (f *snFleet) lost(c *snClient, err error) {
	c.gone = true
	c.port.sh.n.Disconnects++
	f.unlink(c)
	f.s.problem("connection lost", err)
}

func (f *snFleet) unlink(c *snClient) {
	if c.linked {
		c.linked = false
		f.s.rec.connections.Add(-1)
	}
}

// snFarewell is T_retry of the last DISCONNECT.
const snFarewell = 500 * time.Millisecond

// end has every client say goodbye, and ends the goroutines.
func (f *snFleet) end() {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTime+time.Duration(len(f.clients))*200*time.Microsecond)
	defer cancel()
	f.part(ctx)
	close(f.ended)
	for _, p := range f.ports {
		p.carrier.close()
	}
	f.wg.Wait()
}

// part is the goodbyes, some at a time.
func (f *snFleet) part(ctx context.Context) {
	for len(f.places) > 0 { // who was connecting when the run ended is not waited for
		<-f.places
	}
	for _, c := range f.clients {
		c.port.lock()
		connected := c.core.State() != mqttsn.StateDisconnected
		c.port.unlock()
		if !connected {
			continue
		}
		select {
		case f.places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		c.port.lock()
		c.gone = true
		f.unlink(c)
		c.core.Disconnect(time.Now(), &c.port.fx)
		c.port.settle(c, f.s.now())
		c.port.unlock()
	}
	for range cap(f.places) {
		select {
		case f.places <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}
