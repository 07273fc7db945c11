//go:build unix

package bench

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// startBroker runs a broker in a process of its own.
func startBroker(t *testing.T) (e transport.Endpoint, p *os.Process) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asBroker+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if e, err = transport.Parse(strings.TrimSpace(url), nil); err != nil {
		t.Fatal(err)
	}
	return e, cmd.Process
}

// TestStalledBroker freezes the broker for 2 s under 1,000 messages per second:
// what the report says agrees with what the schedule says. A generator that
// takes the time of sending for the intended one hardly notices, because a full
// window keeps it from sending.
func TestStalledBroker(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 8 s")
	}
	const (
		rate   = 1000
		whole  = 8 * time.Second
		stall  = 2 * time.Second
		sample = 50 * time.Millisecond
	)
	e, process := startBroker(t)
	var frozen time.Duration
	var thawed atomic.Pointer[time.Time]
	errs := make(chan error, 1)
	o := Options{
		Spec: FanIn(), Endpoint: e,
		Plan: Plan{Publishers: 10, Subscribers: 1, Rate: rate, QoS: 1, Window: 10, Duration: whole, Sampling: sample, WatchPID: process.Pid},
	}
	begun := false
	var full, recovery time.Duration // 0: not yet
	o.Watch = func(record any) {
		i, ok := record.(*Interval)
		if !ok {
			return
		}
		if slices.Contains(i.Limited, LimitedByWindow) {
			full += i.Duration
		}
		if at := thawed.Load(); at != nil && recovery == 0 && i.Gauges.Behind <= rate/50 {
			recovery = time.Since(*at)
		}
		if i.Stage != StageMeasure || i.At < whole/4 || begun {
			return
		}
		begun = true
		go func() {
			err := process.Signal(syscall.SIGSTOP)
			since := time.Now()
			time.Sleep(stall)
			now := time.Now()
			if err == nil {
				err = process.Signal(syscall.SIGCONT)
			}
			frozen = now.Sub(since)
			thawed.Store(&now)
			errs <- err
		}()
	}
	f, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	h := f.Latency["e2e"]
	if n := int64(rate * whole.Seconds()); h.TotalCount() != n || f.Account.Sum().Lost > 0 {
		t.Fatalf("%d of %d messages counted, %+v", h.TotalCount(), n, f.Account)
	}
	// What was due at x of the freeze waits for frozen-x, and at most until the
	// broker has recovered. The others take no time.
	byModel := func(q float64) float64 { return frozen.Seconds() - (1-q)*whole.Seconds() }
	for _, q := range []float64{0.9, 0.99, 1} {
		got, want := h.Quantile(q).Seconds(), byModel(q)
		t.Logf("p%g: %.3f s, by the schedule %.3f s and %.3f s of recovery; from the time of sending %.3f s",
			q*100, got, want, recovery.Seconds(), f.Latency["e2e"+Sent].Quantile(q).Seconds())
		if got < 0.95*want || got > 1.05*want+recovery.Seconds() {
			t.Errorf("p%g: %.3f s, by the schedule %.3f s and %.3f s of recovery", q*100, got, want, recovery.Seconds())
		}
	}
	if got := f.Latency["e2e"+Sent].Quantile(0.9).Seconds(); got > byModel(0.9)/2 {
		t.Errorf("p90 from the time of sending is %.3f s: the window did not hide the stall from it", got)
	}
	if full < frozen/2 || f.LimitedIntervals < 2 {
		t.Errorf("the window was full for %v of %v, %d intervals were limited", full, frozen, f.LimitedIntervals)
	}
	if f.Watch == nil || f.Watch.CPU <= 0 || f.Watch.RSS <= 0 {
		t.Errorf("watched process: %+v", f.Watch)
	}
}

// TestPauseAtTheEnd freezes the broker for longer than silence is waited for at
// QoS 0: what QoS 1 protects comes late and is not lost.
func TestPauseAtTheEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 4 s")
	}
	e, process := startBroker(t)
	errs := make(chan error, 1)
	begun := false
	f, err := Run(t.Context(), Options{
		Spec: Pair(), Endpoint: e,
		Plan: Plan{
			Publishers: 2, QoS: 1, SubQoS: -1, Rate: 500, Duration: 500 * time.Millisecond, Sampling: 50 * time.Millisecond, Drain: time.Minute,
		},
		Watch: func(record any) {
			if i, ok := record.(*Interval); !ok || i.Stage != StageMeasure || begun {
				return
			}
			begun = true
			if err := process.Signal(syscall.SIGSTOP); err != nil {
				errs <- err
				return
			}
			time.AfterFunc(quiet+1500*time.Millisecond, func() { errs <- process.Signal(syscall.SIGCONT) })
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	if sum := f.Account.QoS[1]; sum.Received != 250 || sum.Lost != 0 || f.Account.Unacked != 0 || f.Account.Unsent != 0 {
		t.Errorf("%+v", f.Account)
	}
}

// A process that ends while it is watched is an event, and has no CPU per
// message.
func TestWatchedProcessEnds(t *testing.T) {
	if err := CheckPID(os.Getpid()); err != nil {
		t.Skip(err)
	}
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	watched := exec.Command("sleep", "3600")
	if err := watched.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var events []string
	var once sync.Once
	f, err := Run(ctx, Options{
		Spec: Pair(), Endpoint: e,
		Plan: Plan{Publishers: 1, Rate: 100, Duration: time.Minute, Sampling: 50 * time.Millisecond, WatchPID: watched.Process.Pid},
		Watch: func(record any) {
			switch r := record.(type) {
			case *Event:
				events = append(events, r.Text)
			case *Interval:
				if r.Stage != StageMeasure {
					return
				}
				once.Do(func() {
					_ = watched.Process.Kill()
					_ = watched.Wait()
				})
				if r.Watch.Ended {
					cancel()
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 || !strings.Contains(events[0], "has ended") {
		t.Errorf("events: %q", events)
	}
	var text strings.Builder
	if err := WriteSummary(&text, &Header{Plan: Plan{Scenario: "pair"}}, f, nil); err != nil {
		t.Fatal(err)
	}
	if f.Watch == nil || !f.Watch.Ended || f.Watch.RSS == 0 || !strings.Contains(text.String(), "until its process ended") {
		t.Errorf("%+v\n%s", f.Watch, text.String())
	}
}
