//go:build linux

package interop

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestGarbageDisturbsNobody floods every port from several connections while an
// MQTT pair exchanges messages, and devices stay connected. Nothing is lost, and
// memory stays bounded.
func TestGarbageDisturbsNobody(t *testing.T) {
	const (
		floods = 3 // connections to a port at a time
		least  = 1000
		bound  = 512 << 20
	)
	rounds := 10 // connections that each makes
	if underRaceDetector() {
		rounds = 2
	}
	g := openGrounds(t)
	scripts := devicesAtOnce()
	devices := make(map[string]*wire)
	for _, s := range scripts {
		if len(s.login) > 0 && s.id != "line1" && s.id != "plc" { // those who only connect take over from each other
			devices[s.name] = perform(t, g, s)
		}
	}
	to, from := g.mqtt(t, "to", "exchange"), g.mqtt(t, "from")

	var flooding sync.WaitGroup
	for _, s := range deviceScripts {
		for seed := range floods {
			flooding.Go(func() { g.flood(s, rounds, rand.New(rand.NewPCG(uint64(seed), 1))) })
		}
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		flooding.Wait()
	}()
	defer func() { <-over }()

	var peak int64
	ended := func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	}
	sent := 0
	for ; sent < least || !ended(); sent++ {
		from.publish("exchange", strconv.Itoa(sent))
		to.receive("exchange", strconv.Itoa(sent))
		if sent%10 == 0 {
			peak = max(peak, resident(g.cmd.Process.Pid))
		}
	}
	for name, w := range devices {
		s := scripts[slices.IndexFunc(scripts, func(s deviceScript) bool { return s.name == name })]
		w.say(s.uplink.say)
		w.hear(s.uplink.hear)
	}
	for _, s := range scripts {
		p := g.mqtt(t, s.id)
		w := perform(t, g, s)
		p.subscribe(s.uplink.topic)
		p.drain()
		talk(t, p, w, s)
	}
	t.Logf("%d messages, at most %d MiB", sent, peak>>20)
	if !underRaceDetector() && peak > bound {
		t.Errorf("%d MiB of memory, more than %d", peak>>20, bound>>20)
	}
}

// flood sends what is wrong from the first byte, or from the middle of a login
// or frame on, over connection after connection.
func (g *grounds) flood(s deviceScript, rounds int, r *rand.Rand) {
	begin := [][]byte{nil, s.uplink.say[:len(s.uplink.say)/2]}
	if len(s.login) > 0 {
		begin = append(begin, s.login[0].say[:len(s.login[0].say)/2])
	}
	for range rounds {
		nc, err := dialScheme(s.url, g.open[s.name], filepath.Join(g.dir, "ca.pem"))
		if err != nil {
			continue // turned away, for now
		}
		b := slices.Clone(begin[r.IntN(len(begin))])
		for len(b) < 1200 {
			b = append(b, byte(r.Uint32()))
		}
		for range 64 {
			_ = nc.SetWriteDeadline(time.Now().Add(patience))
			if _, err := nc.Write(b); err != nil {
				break
			}
			b[r.IntN(len(b))]++
		}
		nc.Close()
	}
}
