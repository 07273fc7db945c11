package gatewaytest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

func await(t *testing.T, seen <-chan Message) Message {
	t.Helper()
	select {
	case m := <-seen:
		return m
	case <-time.After(Patience):
		t.Fatal("the broker has seen nothing")
		return Message{}
	}
}

// cut feeds the gateway with few bytes at a time.
func cut(t *testing.T, s Subject) {
	for _, n := range []int{1, 2, 3, 7, 1000} {
		t.Run(fmt.Sprintf("%d bytes a read", n), func(t *testing.T) {
			st := open(t, s, setting{readBytes: n})
			seen := st.watchUplink(t, "a")
			a := st.connect(t, "a")
			for i, length := range []int{1, 2, 10, 200, 40_000, 1} { // the long one is longer than a buffer
				payload := text(i, min(length, s.PayloadBytes))
				a.Send(payload)
				st.expect(t, seen, "a", payload)
			}
			st.down(t, "a", "one")
			a.receives(t, "one")
		})
	}
}

func thousand(t *testing.T, st *stage) {
	seen := st.watchUplink(t, "a")
	a := st.connect(t, "a")
	a.nc.gather()
	for i := range 1000 {
		a.Send(text(i, 8))
	}
	if err := a.nc.release(); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		st.expect(t, seen, "a", text(i, 8))
	}
	st.down(t, "a", "one")
	a.receives(t, "one")
	if len(seen) > 0 {
		t.Errorf("%d messages too many", len(seen))
	}
}

// What the suite lets the heap grow by, for a client that takes nothing and
// under a flood.
const (
	slowGrowth  = 6 << 20
	floodGrowth = 32 << 20
)

func slowClient(t *testing.T, st *stage) {
	slow, good := st.connect(t, "slow"), st.connect(t, "good")
	for _, c := range []connected{slow, good} {
		st.down(t, c.id, "one")
		c.receives(t, "one")
	}
	slow.nc.stall()
	length := min(4096, st.s.PayloadBytes)
	before := heap()
	const batch = 8
	for i := 0; i < 12<<20/length; i += batch { // far above what one connection may hold
		for k := range batch {
			payload := text(i+k, length)
			st.publish(t, st.s.Downlink("slow", payload))
			st.publish(t, st.s.Downlink("good", payload))
		}
		for k := range batch {
			good.receives(t, text(i+k, length))
		}
	}
	if grown := heap() - before; grown > slowGrowth {
		t.Errorf("the heap has grown by %d bytes for one slow client", grown)
	}
	if st.b.Stats().Dropped() == 0 {
		t.Error("nothing was dropped for the slow client")
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// silent connects and says nothing, or less than a login.
func silent(t *testing.T, s Subject) {
	before := open(t, s, setting{})
	login := before.connect(t, "eloquent").nc.remembered()
	before.hangUp()
	before.close(t)
	if len(login) < s.LoginBytes {
		t.Fatalf("a device has logged in with %d bytes", len(login))
	}
	st := open(t, s, setting{connectTimeout: 100 * time.Millisecond})
	nothing, little := st.dialed(t), st.dialed(t)
	if _, err := little.Write(login[:s.LoginBytes]); err != nil {
		t.Fatal(err)
	}
	nothing.ended(t)
	little.ended(t)
	if n := st.attached(); n != 0 {
		t.Errorf("%d devices are attached", n)
	}
}

// A flood: that many connections one after the other from each of that many
// sources, with that many bytes each.
const (
	floodSources = 6
	floodRounds  = 50
	floodBytes   = 48 << 10
)

func garbage(t *testing.T, st *stage) {
	// What another device says, for bytes that have the protocol's shape. Its
	// name is far from that of the device that is to be left alone.
	pattern := st.connect(t, "zzzzzzzzzzzz")
	pattern.Send("12345678")
	pattern.Send(text(0, min(300, st.s.PayloadBytes)))
	model := pattern.nc.remembered()
	pattern.Leave()

	seen := st.watchUplink(t, "good")
	good := st.connect(t, "good")
	before, highest := heap(), int64(0)
	roundTrip := func(i int) {
		payload := text(i, 8)
		good.Send(payload)
		if st.s.datagrams(st.s.URL) {
			good.insist(t, seen, st.s.Uplink("good", payload))
		} else {
			st.expect(t, seen, "good", payload)
		}
		st.down(t, "good", payload)
		good.receives(t, payload)
	}
	flooded := make(chan struct{})
	var wg sync.WaitGroup
	for source := range floodSources {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(source)))
			for range floodRounds {
				st.flood(r, model)
			}
		})
	}
	go func() { defer close(flooded); wg.Wait() }()
	for i := 0; ; i++ {
		roundTrip(i)
		if i%20 == 0 {
			highest = max(highest, heap()-before)
		}
		select {
		case <-flooded:
		default:
			continue
		}
		break
	}
	roundTrip(0)
	if grown := max(highest, heap()-before); grown > floodGrowth {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	late := st.connect(t, "late")
	st.down(t, "late", "welcome")
	late.receives(t, "welcome")
}

// insist repeats an uplink until it has been seen: in a flood the kernel has no
// room for every datagram.
func (c connected) insist(t *testing.T, seen <-chan Message, want Message) {
	t.Helper()
	end := time.After(Patience)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case got := <-seen:
			if got == want {
				return
			}
		case <-again.C:
			c.Send(want.Payload)
		case <-end:
			t.Fatalf("the broker has not seen %s on %q", short(want.Payload), want.Topic)
		}
	}
}

// flood sends one connection's worth of garbage; the gateway may end it at any
// point.
func (st *stage) flood(r *rand.Rand, model []byte) {
	nc, err := st.dialRaw()
	if err != nil {
		return // full, for the moment
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(Patience))
	var reading sync.WaitGroup
	defer reading.Wait()
	defer func() { _ = nc.SetReadDeadline(time.Now()) }()
	reading.Go(func() { _, _ = io.Copy(io.Discard, nc) })
	kind := r.IntN(3)
	for sent := 0; sent < floodBytes; {
		b := rubbish(r, model, kind)
		if _, err := nc.Write(b); err != nil {
			return
		}
		sent += len(b)
	}
}

// endlessBytes is how much a device sends of a frame without an end.
const endlessBytes = 64 << 20

func endless(t *testing.T, st *stage) {
	for _, name := range []string{"that has logged in", "that has not"} {
		nc := st.dialed(t)
		if name == "that has logged in" {
			st.s.Connect(t, nc, "talkative", nil)
		}
		before, highest, sent := heap(), int64(0), 0
		_ = nc.SetWriteDeadline(time.Now().Add(Patience))
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		_, err := nc.Conn.Write(st.s.Endless)
		for ; err == nil && sent < endlessBytes; sent += len(chunk) {
			_, err = nc.Conn.Write(chunk)
			highest = max(highest, heap()-before)
		}
		if highest > floodGrowth {
			t.Errorf("the heap has grown by %d bytes for %d of one frame, from a device %s", highest, sent, name)
		}
		nc.ended(t)
	}
}

// rubbish is random bytes, or what a device says with a few bytes changed, cut
// out or doubled.
func rubbish(r *rand.Rand, model []byte, kind int) []byte {
	if kind == 0 {
		b := make([]byte, 1200)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	b := append([]byte(nil), model...)
	for range 1 + r.IntN(4) {
		at := r.IntN(len(b))
		switch r.IntN(3) {
		case 0:
			b[at] = byte(r.Uint32())
		case 1:
			end := min(len(b), at+1+r.IntN(8))
			b = append(b[:at], b[end:]...)
		default:
			end := min(len(b), at+1+r.IntN(8))
			b = append(b[:end], append(append([]byte(nil), b[at:end]...), b[end:]...)...)
		}
		if len(b) == 0 {
			return append(b, 0)
		}
	}
	return b
}
