//go:build unix

package interop

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// TestLongQueue leaves a queue that is far larger than what the broker may
// keep in memory to a client that is away: a million messages in nightly mode.
func TestLongQueue(t *testing.T) {
	n := 50_000
	if nightly() {
		n = 1_000_000
	}
	const most = 200 << 20 // bytes resident
	d := newDaemon(t, unlimited+"mqtt: {receive_maximum: 1000, max_inflight: 1000}\n")
	away := d.session(named("away"), false)
	away.subscribe(mqtt.Subscription{Filter: "long", QoS: 1})
	_ = away.nc.Close()

	var peak atomic.Int64
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				peak.Store(max(peak.Load(), resident(d.pid())))
			}
		}
	})
	began := time.Now()
	fill(d, n)
	t.Logf("%d messages queued in %v, at most %d MB resident", n, time.Since(began).Round(time.Millisecond), peak.Load()>>20)
	close(stop)
	watching.Wait()

	took := d.restart()
	t.Logf("ready after %v, with %d MB resident", took.Round(time.Millisecond), resident(d.pid())>>20)
	away = d.session(named("away"), true)
	began = time.Now()
	for i := range n {
		if got := number(away.receive()); got != i {
			t.Fatalf("received %d, want %d", got, i)
		}
		if i%10_000 == 0 {
			peak.Store(max(peak.Load(), resident(d.pid())))
		}
	}
	away.nothing()
	t.Logf("delivered in %v, at most %d MB resident", time.Since(began).Round(time.Millisecond), peak.Load()>>20)
	if peak.Load() > most && !underRaceDetector() {
		t.Errorf("%d MB resident, want at most %d", peak.Load()>>20, most>>20)
	}
}

// fill publishes n numbered messages of 200 bytes, a window at a time.
func fill(d *daemon, n int) {
	d.t.Helper()
	const window = 1000
	p := d.session(named("pub"), false)
	for sent := 0; sent < n; {
		var batch []mqtt.Packet
		for range min(window, n-sent) {
			m := text("long", fmt.Sprintf("%-200d", sent), 1)
			m.PacketID = uint16(len(batch) + 1)
			batch = append(batch, m)
			sent++
		}
		p.send(batch...)
		for range batch {
			if code := expect[mqtt.Puback](p).Code; code.IsError() {
				d.t.Fatalf("PUBACK %s", code)
			}
		}
	}
}

func number(m mqtt.Publish) int {
	var n int
	if _, err := fmt.Sscan(string(m.Payload), &n); err != nil {
		return -1
	}
	return n
}

// resident is the memory of a process in bytes, 0 when it is not there.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	var kb int64
	_, _ = fmt.Sscan(rest, &kb)
	return kb << 10
}
