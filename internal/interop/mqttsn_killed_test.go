//go:build unix

package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/iotctl/iotctl/internal/client/mqttsn"
)

// snSleeper is a client that sleeps and wakes, connects and leaves, and finds the
// server again at another port.
type snSleeper struct {
	t       *testing.T
	n       int
	core    *mqttsn.Core
	fx      mqttsn.Effects
	r       *rand.Rand
	address *atomic.Pointer[string]
	at      *string // that conn is connected to
	conn    net.Conn

	mu         sync.Mutex
	got        map[string]int
	subscribed bool
}

func newSNSleeper(t *testing.T, n int, seed uint64, address *atomic.Pointer[string]) *snSleeper {
	t.Helper()
	s := &snSleeper{t: t, n: n, r: rand.New(rand.NewPCG(seed, uint64(n))), address: address, got: map[string]int{}}
	var err error
	s.core, err = mqttsn.New(mqttsn.Config{
		ClientID: fmt.Sprint("sleeper", n), KeepAlive: 600, Retry: 300 * time.Millisecond, Retries: 5, Rand: s.r,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *snSleeper) run(ctx context.Context) {
	buf := make([]byte, 1<<16)
	for ctx.Err() == nil {
		if at := s.address.Load(); s.at != at {
			if s.conn != nil {
				_ = s.conn.Close()
			}
			var err error
			if s.conn, err = net.Dial("udp", *at); err != nil {
				s.t.Error(err)
				return
			}
			s.at = at
		}
		_ = s.conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if n, err := s.conn.Read(buf); err == nil {
			_ = s.core.Handle(time.Now(), buf[:n], &s.fx)
		} else { // nothing comes, or nobody is there
			s.core.Tick(time.Now(), &s.fx)
			s.act(time.Now())
		}
		s.work()
	}
	_ = s.conn.Close()
}

func (s *snSleeper) act(now time.Time) {
	switch s.core.State() {
	case mqttsn.StateDisconnected:
		s.core.Connect(now, false, &s.fx)
	case mqttsn.StateActive:
		switch {
		case !s.isSubscribed():
			if s.core.Idle() {
				_ = s.core.Subscribe(now, mqttsn.Named(fmt.Sprintf("to/%d/+", s.n)), 2, 0, &s.fx)
			}
		case s.r.IntN(20) == 0:
			_ = s.core.Sleep(now, 10*time.Minute, &s.fx)
		}
	case mqttsn.StateAsleep:
		if s.r.IntN(10) == 0 {
			s.core.Connect(now, false, &s.fx)
		} else if s.r.IntN(4) == 0 {
			_ = s.core.Wake(now, &s.fx)
		}
	default:
	}
}

func (s *snSleeper) work() {
	s.mu.Lock()
	for _, e := range s.fx.Events {
		switch e.Kind {
		case mqttsn.Message:
			s.got[string(e.Payload)]++
		case mqttsn.Subscribed:
			s.subscribed = true
		default:
		}
	}
	s.mu.Unlock()
	for b := range s.fx.Datagrams() {
		_, _ = s.conn.Write(b)
	}
	s.fx.Reset()
}

func (s *snSleeper) isSubscribed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscribed
}

// has is how often a message has arrived.
func (s *snSleeper) has(payload string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[payload]
}

// TestSleepersOutliveKills kills the server again and again while clients sleep and
// wake: what a publisher was told is safe arrives, at QoS 2 once.
func TestSleepersOutliveKills(t *testing.T) {
	const sleepers = 8
	rounds := 6
	if nightly() {
		rounds = 60
	}
	n := seed(t)
	r := rand.New(rand.NewPCG(n, 7))
	config := snConfig + "mqttsn: {timers: {retry: 300ms, retries: 20}}\n"
	g := newGrounds(t, map[string]string{"sn": "mqttsn://127.0.0.1:0"}, config, nil)
	var address atomic.Pointer[string]
	find := func() {
		a := g.open["sn"]
		address.Store(&a)
	}
	find()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer func() {
		cancel()
		running.Wait()
	}()
	all := make([]*snSleeper, sleepers)
	for i := range all {
		all[i] = newSNSleeper(t, i, n, &address)
		running.Go(func() { all[i].run(ctx) })
	}
	eventually(t, "everybody is subscribed", func() bool {
		for _, s := range all {
			if !s.isSubscribed() {
				return false
			}
		}
		return true
	})
	type message struct {
		to      *snSleeper
		payload string
		qos     byte
	}
	var safe, perhaps []message
	for round := range rounds {
		p := g.mqtt(t, fmt.Sprint("publisher", round))
		for i := range 40 + r.IntN(40) {
			m := message{all[r.IntN(sleepers)], fmt.Sprintf("%d-%d", round, i), byte(1 + r.IntN(2))}
			p.publishAt(m.qos, fmt.Sprintf("to/%d/%d", m.to.n, r.IntN(3)), m.payload)
			safe = append(safe, m)
		}
		last := message{all[0], fmt.Sprint(round, "-last"), 2}
		perhaps = append(perhaps, last)
		done := make(chan struct{})
		publishing, stop := context.WithCancel(ctx)
		go func() { // in the middle of this
			defer close(done)
			_, _ = p.c.Publish(publishing, &paho.Publish{Topic: "to/0/0", QoS: last.qos, Payload: []byte(last.payload)})
		}()
		_ = g.halt(syscall.SIGKILL)
		stop()
		<-done
		g.start()
		find()
	}
	eventually(t, "everything that is safe has arrived", func() bool {
		for _, m := range safe {
			if m.to.has(m.payload) == 0 {
				return false
			}
		}
		return true
	})
	for _, m := range append(safe, perhaps...) {
		if n := m.to.has(m.payload); n > 1 && m.qos == 2 {
			t.Errorf("%s at QoS 2 has arrived %d times", m.payload, n)
		}
	}
}
