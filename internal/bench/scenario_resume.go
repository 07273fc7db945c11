package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Resume is sessions with a backlog.
func Resume() Spec {
	return Spec{
		Name: "resume", Summary: "sessions get messages while their clients are away (resume.backlog, 100; resume.cut, 0: 1 breaks connections off); an operation is a return",
		Options: []string{"backlog", "cut"},
		Defaults: func(p *Plan) {
			Default(&p.Clients, 20)
			p.defaultRate(20)
			p.defaultQoS(1)
			if p.Version == mqtt.V5 {
				Default(&p.Expiry, 3600)
			}
			p.Persistent = true
		},
		New: func() Scenario { return resume{} },
	}
}

type resume struct{}

// sleeper is one session with the client that fills its queue.
type sleeper struct {
	c, author *Client
	account   *trackers
	stream    int
	payload   []byte
}

// Open implements Scenario.
func (resume) Open(ctx context.Context, s *Session) (Load, error) {
	n := s.plan.Clients
	all, err := s.connectAll(ctx, 2*n, func(i int, o *ClientOptions) {
		o.Receives = i < n
		if i >= n {
			o.CleanStart, o.Expiry = true, 0
		}
	})
	if err != nil {
		return nil, err
	}
	s.own = true
	var sleepers []*sleeper
	for i := range n {
		c, author := all[i], all[n+i]
		if c == nil || author == nil {
			continue
		}
		topic := s.topic(i, 0, c)
		if err := c.Subscribe(ctx, 0, s.subscription(topic)); err != nil {
			return nil, err
		}
		sleepers = append(sleepers, &sleeper{c: c, author: author, account: c.sub, stream: len(s.streams), payload: noise(s.plan.Size, uint64(i))})
		s.streams = append(s.streams, &stream{topic: topic, name: []byte(topic), qos: uint8(s.plan.QoS), targets: 1})
	}
	backlog := int(s.plan.Option("resume.backlog", 100))
	return operations{
		s: s, workers: len(sleepers),
		do: func(_ context.Context, w int, _, _ int64) error {
			// What has begun is finished, or the account would not come out even.
			ctx, cancel := context.WithTimeout(s.ctx, s.plan.ConnectTimeout)
			defer cancel()
			return sleepers[w].cycle(ctx, s, backlog)
		},
		drain: func(ctx context.Context) error {
			for _, l := range sleepers { // nothing is left behind
				l.c.Disconnect()
				o := s.clientOptions(l.c.index)
				o.CleanStart, o.Expiry = true, 0
				if c, err := s.Connect(ctx, o); err == nil {
					c.Disconnect()
				}
			}
			return nil
		},
	}, nil
}

// cycle leaves, has the queue filled, and comes back for what is in it.
func (l *sleeper) cycle(ctx context.Context, s *Session, backlog int) error {
	if s.plan.Option("resume.cut", 0) > 0 {
		l.c.Cut() // acknowledgements on their way are lost, and QoS 1 may repeat
	} else {
		l.c.Disconnect()
	}
	st := s.streams[l.stream]
	err := l.author.burst(ctx, backlog, func(_ int, now int64) mqtt.Publish {
		stamp := stamp{run: s.run, stream: uint32(l.stream), seq: st.sent.Add(1) - 1, due: s.unix + now, sent: s.unix + now}
		stamp.put(l.payload)
		return mqtt.Publish{Topic: st.name, QoS: st.qos, Payload: l.payload}
	})
	o := s.clientOptions(l.c.index)
	o.account, o.held = l.account, l.c.held // QoS 2 goes on where it was
	left := int(st.sent.Load()) - l.got()
	all := make(chan struct{})
	o.OnArrive = func([]byte, []byte, int64, int64) {
		if left--; left == 0 {
			close(all)
		}
	}
	c, e := s.Connect(ctx, o)
	if e != nil {
		return e
	}
	l.c = c
	switch {
	case err != nil:
		return err
	case !c.SessionPresent && s.plan.Version != mqtt.V31:
		return fmt.Errorf("the broker has forgotten the session of %q", c.id)
	}
	select {
	case <-all:
		return nil
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return fmt.Errorf("the backlog did not arrive within %v: %w", s.plan.ConnectTimeout.Round(time.Second), ErrNoAnswer)
	}
}

// got is what has arrived; only while the client is away.
func (l *sleeper) got() int {
	n := 0
	for _, t := range l.account.all {
		n += int(t.got)
	}
	return n
}
