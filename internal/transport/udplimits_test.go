package transport

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestFullQueuesDropTheNewest(t *testing.T) {
	for _, tc := range []struct {
		name, why string
		cfg       ListenConfig
	}{
		{"count", DroppedQueue, ListenConfig{QueueDatagrams: 3}},
		{"bytes", DroppedQueue, ListenConfig{QueueBytes: 11}},
		{"all queues", DroppedMemory, ListenConfig{AllQueuesBytes: 11}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, conns := packetServer(t, "frame+udp://127.0.0.1:0", tc.cfg)
			client := packetDial(t, l, DialConfig{})
			for _, s := range []string{"one", "two", "three", "four", "five"} {
				send(t, client, s)
			}
			srv := next(t, conns)
			eventually(t, "two are dropped", func() bool { return l.Counters().Dropped[tc.why] == 2 })
			for _, want := range []string{"one", "two", "three"} {
				if got := receive(t, srv); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
			send(t, client, "six")
			if got := receive(t, srv); got != "six" {
				t.Errorf("%q after the queue was empty", got)
			}
		})
	}
}

func TestOneDatagramAlwaysFitsAnEmptyQueue(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{QueueBytes: 1})
	client := packetDial(t, l, DialConfig{})
	send(t, client, "longer than that")
	if got := receive(t, next(t, conns)); got != "longer than that" {
		t.Errorf("%q", got)
	}
}

func TestAQueueThatIsNeverEmptyDoesNotGrow(t *testing.T) {
	p := &peer{in: &datagrams{tally: &tally{}}}
	cfg := ListenConfig{}.withDefaults()
	for i := range 10_000 {
		p.push([]byte{byte(i)}, p.addr, &cfg)
		if i < 5 {
			continue
		}
		if got, err := p.pop(); err != nil || got.b[0] != byte(i-5) {
			t.Fatalf("%d: %v, %v", i, got, err)
		}
	}
	if n := cap(p.queue); n > 4*keptQueue {
		t.Errorf("%d places for 5 datagrams", n)
	}
}

func TestLimitsOfPeers(t *testing.T) {
	for _, tc := range []struct {
		name, why string
		cfg       ListenConfig
		first     int // let in before the limit
	}{
		{"rule", RefusedRule, ListenConfig{Access: []string{"deny 127.0.0.0/8"}}, 0},
		{"max", RefusedMax, ListenConfig{MaxConnections: 2}, 2},
		{"source", RefusedSource, ListenConfig{MaxPerSource: 3}, 3},
		{"rate", RefusedRate, ListenConfig{MaxConnRate: 1}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, conns := packetServer(t, "frame+udp://127.0.0.1:0", tc.cfg)
			var known Conn
			for range tc.first {
				c := packetDial(t, l, DialConfig{})
				send(t, c, "hello")
				known = next(t, conns)
				receive(t, known)
				send(t, c, "known") // and is so whatever the limit
				if got := receive(t, known); got != "known" {
					t.Errorf("%q", got)
				}
			}
			c := packetDial(t, l, DialConfig{})
			send(t, c, "hello")
			eventually(t, "refused", func() bool { return l.Counters().Refused[tc.why] == 1 })
			counters := l.Counters()
			if counters.Open != tc.first || counters.Accepted != uint64(tc.first) || len(counters.Refused) != 1 {
				t.Errorf("%+v", counters)
			}
		})
	}
}

func TestWhatDatagramsCannotHave(t *testing.T) {
	schemes := append(packetSchemes(), Scheme{Name: "ws+udp", Network: "udp", WebSocket: true})
	for url, tc := range map[string]struct {
		cfg  ListenConfig
		want string
	}{
		"frame+udp://127.0.0.1:0":    {ListenConfig{Proxies: []string{"127.0.0.1"}}, "proxies"},
		"ws+udp://127.0.0.1:0":       {ListenConfig{}, "WebSocket"},
		"exproto+dtls://127.0.0.1:0": {ListenConfig{}, "certificate"},
	} {
		tc.cfg.Schemes = schemes
		if _, err := Listen(t.Context(), url, tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := Dial(t.Context(), "frame+udp://127.0.0.1:9", DialConfig{Schemes: schemes, Proxy: "socks5h://127.0.0.1:1"}); err == nil || !strings.Contains(err.Error(), "UDP") {
		t.Errorf("through a proxy: %v", err)
	}
	err := ListenConfig{QueueDatagrams: -1, QueueBytes: -1, AllQueuesBytes: -1}.Validate()
	for _, want := range []string{"queue.datagrams", "queue.bytes", "queue.all_bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// What a rate limit holds back waits in the queue.
func TestByteRateOfDatagrams(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{ByteRate: Rate{Count: 10, Per: time.Hour}})
	client := packetDial(t, l, DialConfig{})
	send(t, client, strings.Repeat("x", 20))
	send(t, client, "y")
	srv := next(t, conns)
	receive(t, srv)
	read := make(chan error)
	go func() {
		_, err := srv.Read(make([]byte, 9))
		read <- err
	}()
	_ = srv.SetReadDeadline(time.Unix(1, 0))
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestReadAndTryWriteOfDatagramsAllocateLittle(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{})
	client := packetDial(t, l, DialConfig{})
	send(t, client, "x")
	srv := next(t, conns)
	receive(t, srv)
	buf := bytes.Repeat([]byte("x"), 100)
	borrow := func() []byte { return buf }
	if n := testing.AllocsPerRun(100, func() {
		for {
			if n, err := srv.TryWrite(buf); n > 0 || err != nil {
				break
			}
		}
		if _, _, err := client.ReadWith(borrow); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations out and in at the client", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		_, _ = client.TryWrite(buf)
		if _, _, err := srv.ReadWith(borrow); err != nil {
			t.Error(err)
		}
	}); n > 1 { // the copy
		t.Errorf("%v allocations in at the server", n)
	}
}

// TestFloodOfSources: what many addresses cost stays within MaxConnections, and
// a peer that was there before is still heard.
func TestFloodOfSources(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{MaxConnections: 10})
	client := packetDial(t, l, DialConfig{})
	send(t, client, "x")
	srv := next(t, conns)
	receive(t, srv)
	for range 200 {
		c, err := net.Dial("udp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(make([]byte, 1000))
		_ = c.Close()
	}
	send(t, client, "still here")
	if got := receive(t, srv); got != "still here" {
		t.Errorf("%q", got)
	}
	d := l.(*listener).inner.(*datagrams)
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, bytes := len(d.peers), d.queued.Load(); n > 10 || bytes > 10*1000 {
		t.Errorf("%d peers, %d bytes", n, bytes)
	}
}

// BenchmarkDatagrams is what one peer's datagrams cost from socket to socket:
// out of the client, through queue and reader, and the same way back.
func BenchmarkDatagrams(b *testing.B) {
	l, conns := packetServer(b, "frame+udp://127.0.0.1:0", ListenConfig{})
	client := packetDial(b, l, DialConfig{})
	send(b, client, "x")
	srv := next(b, conns)
	receive(b, srv)
	_, _ = srv.SetDeadline(time.Time{}), client.SetDeadline(time.Time{})
	buf, in := make([]byte, 100), make([]byte, 1<<16)
	borrow := func() []byte { return in }
	b.Run("batches of 100 in", func(b *testing.B) { // ns/op is for 100
		b.ReportAllocs()
		for b.Loop() {
			for range 100 {
				_, _ = client.TryWrite(buf)
			}
			for range 100 {
				_, _, _ = srv.ReadWith(borrow)
			}
		}
	})
	b.Run("there and back", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = client.TryWrite(buf)
			_, _, _ = srv.ReadWith(borrow)
			for n := 0; n == 0; {
				n, _ = srv.TryWrite(buf)
			}
			_, _, _ = client.ReadWith(borrow)
		}
	})
}
