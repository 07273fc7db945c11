package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func publishFrame(t testing.TB, p mqtt.Publish) Frame {
	t.Helper()
	b, err := p.Append(nil, mqtt.V5)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFrame(ToClient, b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestWindowKeepsOrderAndLimit has both directions at work at once, as in an engine.
func TestWindowKeepsOrderAndLimit(t *testing.T) {
	const messages, most = 2000, 7
	w := NewWindow(most, 200)
	var mu sync.Mutex
	var passed []uint16
	acks := make(chan uint16, messages)
	pass := func(f Frame, _ time.Duration) (bool, error) {
		p, err := ParsePublish(&f, mqtt.V5)
		if err != nil {
			return false, err
		}
		mu.Lock()
		passed = append(passed, p.PacketID)
		mu.Unlock()
		if open, _ := w.Sizes(); open > most {
			t.Errorf("%d are open", open)
		}
		acks <- p.PacketID
		return true, nil
	}
	done := make(chan error, 1)
	go func() {
		for range messages {
			if err := w.Leave(<-acks, pass); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for id := uint16(1); id <= messages; id++ {
		if err := w.Enter(t.Context(), id, publishFrame(t, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: id}), pass); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(passed) != messages || !slices.IsSorted(passed) {
		t.Errorf("%d messages, in order: %v", len(passed), slices.IsSorted(passed))
	}
	if open, held := w.Sizes(); open != 0 || held != 0 {
		t.Errorf("%d open, %d held", open, held)
	}
}

func TestWindowWaitsWhenItHoldsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(1, 10)
		pass := func(Frame, time.Duration) (bool, error) { return true, nil }
		frame := publishFrame(t, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1})
		for id := range uint16(2) { // one is open, one is held whatever its size
			if err := w.Enter(t.Context(), id+1, frame, pass); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Enter(ctx, 3, frame, pass); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		var stuck *End
		if err := w.Enter(t.Context(), 3, frame, pass); !errors.As(err, &stuck) || stuck.Client != mqtt.QuotaExceeded {
			t.Errorf("%v", err)
		}
		go func() {
			time.Sleep(time.Second)
			_ = w.Leave(1, pass)
		}()
		began := time.Now()
		if err := w.Enter(t.Context(), 3, frame, pass); err != nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestWindowLetsRetransmissionsPass(t *testing.T) {
	w := NewWindow(1, 100)
	n := 0
	pass := func(Frame, time.Duration) (bool, error) { n++; return true, nil }
	frame := publishFrame(t, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1})
	for range 2 {
		if err := w.Enter(t.Context(), 1, frame, pass); err != nil {
			t.Fatal(err)
		}
	}
	if n != 2 {
		t.Errorf("%d have passed", n)
	}
	if !w.Full(2) || w.Full(1) {
		t.Error("what is full is full for others alone")
	}
}

func TestExpire(t *testing.T) {
	for _, tt := range []struct {
		left   uint32
		waited time.Duration
		want   uint32 // 0: expired
	}{{10, 0, 10}, {10, 900 * time.Millisecond, 10}, {10, 3500 * time.Millisecond, 7}, {10, 10 * time.Second, 0}, {1 << 31, 1 << 62, 0}} {
		p := mqtt.Publish{Properties: mqtt.Properties{}.AppendUint32(mqtt.PropMessageExpiryInterval, tt.left)}
		ok := Expire(&p, tt.waited)
		if got, _ := p.Properties.Uint32(mqtt.PropMessageExpiryInterval); ok != (tt.want > 0) || ok && got != tt.want {
			t.Errorf("%+v: %d, %v", tt, got, ok)
		}
	}
	if p := (mqtt.Publish{}); !Expire(&p, time.Hour) {
		t.Error("a message without expiry has expired")
	}
}

func TestAliasesAreBounded(t *testing.T) {
	var a Aliases
	long := strings.Repeat("x", mqtt.MaxFieldBytes)
	for id := uint16(1); ; id++ {
		p := mqtt.Publish{Topic: []byte(long), Properties: mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, id)}
		if err := a.Resolve(&p); err != nil {
			var end *End
			if !errors.As(err, &end) || end.Client != mqtt.QuotaExceeded || int(id)*len(long) < MaxAliasBytes {
				t.Errorf("alias %d: %v", id, err)
			}
			return
		}
		a.Pass(&p)
	}
}

func TestAliasThatChangesIsToldAnew(t *testing.T) {
	var a Aliases
	alias := mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, 1)
	for i, tt := range []struct {
		topic, resolved, passed string
		drop                    bool
	}{
		{"a", "a", "a", false},
		{"", "a", "", false},
		{"a", "a", "", false},
		{"b", "b", "", true},
		{"", "b", "b", false},
		{"", "b", "", false},
	} {
		p := mqtt.Publish{Topic: []byte(tt.topic), Properties: alias}
		if err := a.Resolve(&p); err != nil || string(p.Topic) != tt.resolved {
			t.Fatalf("%d: %q, %v", i, p.Topic, err)
		}
		if tt.drop {
			continue
		}
		if a.Pass(&p); string(p.Topic) != tt.passed {
			t.Errorf("%d: %q goes on", i, p.Topic)
		}
	}
}

func TestRequestsMerge(t *testing.T) {
	var r Requests
	if err := r.Add(1, []mqtt.ReasonCode{0, mqtt.NotAuthorized, 0}); err != nil {
		t.Fatal(err)
	}
	if got, changed, err := r.Merge(2, []mqtt.ReasonCode{1}); changed || err != nil || len(got) != 1 {
		t.Errorf("%v, %v, %v", got, changed, err)
	}
	if got, changed, err := r.Merge(1, []mqtt.ReasonCode{2, mqtt.QuotaExceeded}); !changed || err != nil ||
		!slices.Equal(got, []mqtt.ReasonCode{2, mqtt.NotAuthorized, mqtt.QuotaExceeded}) {
		t.Errorf("%v, %v, %v", got, changed, err)
	}
	for _, codes := range [][]mqtt.ReasonCode{{}, {0, 0}} {
		_ = r.Add(1, []mqtt.ReasonCode{0, mqtt.NotAuthorized})
		if got, _, err := r.Merge(1, codes); err == nil {
			t.Errorf("%v becomes %v", codes, got)
		}
	}
	var err error
	for id := uint16(1); id <= maxRequests+1 && err == nil; id++ {
		err = r.Add(id, nil)
	}
	if err == nil {
		t.Error("requests are not bounded")
	}
}

// pings is a connection that gathers what is injected.
type pings struct {
	Powers
	sent chan time.Time
}

func (p *pings) Inject(Stage, Frame) error {
	p.sent <- time.Now()
	return nil
}

func TestPingerKeepsToTheKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := &pings{sent: make(chan time.Time, 100)}
		p := NewPinger(nil, &Conn{Powers: sent})
		began := time.Now()
		p.Start(10 * time.Second)
		next := func(want time.Duration) {
			t.Helper()
			if at := <-sent.sent; at.Sub(began) != want {
				t.Errorf("a ping after %v, want %v", at.Sub(began), want)
			}
		}
		next(5 * time.Second)
		p.Asked() // by the client, behind ours
		for _, want := range []bool{false, true, true} {
			if got := p.Answered(); got != want {
				t.Error("an answer has gone to the wrong one")
			}
		}
		time.Sleep(3 * time.Second)
		p.Sent()
		next(13 * time.Second)
		// No second one while the first is not answered.
		time.Sleep(time.Minute)
		if n := len(sent.sent); n != 0 {
			t.Errorf("%d more pings", n)
		}
		p.Stop()
		time.Sleep(time.Minute)
		if n := len(sent.sent); n != 0 {
			t.Errorf("%d pings after the end", n)
		}
	})
}

func TestSettledExchanges(t *testing.T) {
	var s Settled
	for _, tt := range []struct {
		qos  uint8
		v    mqtt.Version
		code mqtt.ReasonCode
		want Ack
		open int
	}{
		{0, mqtt.V5, mqtt.NotAuthorized, Ack{}, 0},
		{1, mqtt.V5, mqtt.NotAuthorized, Ack{Type: mqtt.TypePuback, PacketID: 7, Code: mqtt.NotAuthorized}, 0},
		{1, mqtt.V311, mqtt.NotAuthorized, Ack{Type: mqtt.TypePuback, PacketID: 7}, 0},
		{2, mqtt.V5, mqtt.NotAuthorized, Ack{Type: mqtt.TypePubrec, PacketID: 7, Code: mqtt.NotAuthorized}, 0},
		{2, mqtt.V311, mqtt.NotAuthorized, Ack{Type: mqtt.TypePubrec, PacketID: 7}, 1},
	} {
		p := mqtt.Publish{QoS: tt.qos, PacketID: 7}
		if got, ok := s.Answer(&p, tt.v, tt.code); fmt.Sprint(got) != fmt.Sprint(tt.want) || ok != (tt.qos > 0) || s.Len() != tt.open {
			t.Errorf("%+v: %+v, %v, %d open", tt, got, ok, s.Len())
		}
	}
	if a, ok := s.Release(7); !ok || a.Type != mqtt.TypePubcomp {
		t.Errorf("%+v, %v", a, ok)
	}
	if _, ok := s.Release(7); ok {
		t.Error("released twice")
	}
}
