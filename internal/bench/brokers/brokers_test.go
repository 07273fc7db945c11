//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryLine runs the comparison with runs too short to mean anything.
func TestEveryLine(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts programs")
	}
	o := options{rounds: 1, run: 100 * time.Millisecond, window: 20, idle: 40, settle: 200 * time.Millisecond}
	if err := o.findMosquitto(); err != nil {
		if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var out strings.Builder
	for {
		once := o
		_, err := once.compare(t.Context(), &out)
		if err == nil {
			break
		}
		// A busy machine may have had no time for a single message.
		if o.run > 5*time.Second || !strings.Contains(err.Error(), "nothing has arrived") {
			t.Fatal(err)
		}
		o.run *= 4
		out.Reset()
	}
	shape := regexp.MustCompile(`[1-9]\d*(\.\d+)?|0\.\d*[1-9]\d*`)
	lines := 0
	for _, l := range o.loads() {
		for i, f := range l.figures {
			head := f.name
			if i == 0 {
				head = l.name
			}
			_, rest, found := strings.Cut(out.String(), "\n"+head)
			if i > 0 {
				_, rest, found = strings.Cut(out.String(), " "+head)
			}
			line, _, _ := strings.Cut(rest, "\n")
			if !found || len(shape.FindAllString(line, -1)) < 2 {
				t.Errorf("%s, %s: %q", l.name, f.name, line)
			}
			lines++
		}
	}
	if lines != 16 {
		t.Errorf("%d lines", lines)
	}
	t.Log("\n" + out.String())
}

func TestNothingToCompareWith(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := os.Stat("/usr/sbin/mosquitto"); err == nil {
		t.Skip("mosquitto is where it is looked for without a path")
	}
	if _, err := (&options{rounds: 1, window: 10, idle: 1}).compare(t.Context(), new(strings.Builder)); err == nil || !strings.Contains(err.Error(), "apt install") {
		t.Error(err)
	}
}

func TestProgramsThatFail(t *testing.T) {
	sleep, err := exec.LookPath("false")
	if err != nil {
		t.Skip(err)
	}
	o := options{iotctl: sleep, mosquitto: filepath.Join(t.TempDir(), "nothing"), rounds: 1, window: 10, idle: 1}
	if _, err := o.compare(t.Context(), new(strings.Builder)); err == nil || !strings.Contains(err.Error(), "mosquitto") {
		t.Error(err)
	}
}

// fake is a run with n messages delivered in a second.
func fake(n int64, cpu time.Duration) sample {
	return sample{
		Final: &bench.Final{
			Measured: time.Second, Counters: bench.Counters{Sent: n, Received: n},
			Watch: &bench.Watch{CPU: cpu}, MeasureIntervals: 1,
		},
		environment: bench.Environment{CPUs: 2},
	}
}

func TestBars(t *testing.T) {
	for _, tt := range []struct {
		cpu    time.Duration // ours
		rate   int64
		missed int
	}{
		{250 * time.Millisecond, 2500, 0},
		{260 * time.Millisecond, 2500, 1},
		{1250 * time.Millisecond, 2000, 2}, // a quarter of the time of as many
	} {
		var out strings.Builder
		tab := table{out: &out}
		l := load{name: "l", figures: []figure{
			{"cpu", "µs", 2, cpuPerMessage, atMost(0.1)},
			{"rate", "", 0, rate, atLeast(2.5)},
		}}
		tab.load(l, pairs{theirs: {fake(1000, time.Second)}, ours: {fake(tt.rate, tt.cpu)}})
		met, err := tab.end()
		if err != nil || tab.missed != tt.missed || met != (tt.missed == 0) {
			t.Errorf("%+v: %d missed, %v, %v\n%s", tt, tab.missed, met, err, out.String())
		}
	}
	if b := oursAtMost(4.5); !b.holds(100, 4.5) || b.holds(0.1, 4.6) {
		t.Error("a bar for our own figure looks at the ratio")
	}
}

func TestRemarks(t *testing.T) {
	quiet, lossy, limited, busy := fake(10, time.Second), fake(10, time.Second), fake(10, time.Second), fake(10, time.Second/2)
	lossy.Account.QoS[1].Lost = 7
	limited.LimitedIntervals = 1
	busy.Self.CPU = 1490 * time.Millisecond
	for _, tt := range []struct {
		s    sample
		want string
	}{{quiet, ""}, {lossy, "7 messages were lost"}, {limited, "the limit in 1 of 1"}, {busy, "alone the broker would do more"}} {
		p := pairs{ours: {tt.s}}
		got := strings.Join(p.remarks("x", ours), "\n")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestUsable(t *testing.T) {
	for want, total := range map[string]bench.Counters{
		"failed": {ConnectFails: 1}, "lost": {Disconnects: 1}, "refused": {SubscribeFail: 1}, "nothing": {},
	} {
		if err := (sample{Final: &bench.Final{Total: total}, publishes: true}).usable(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", total, err)
		}
	}
}

func TestMedian(t *testing.T) {
	if got := median(ratios([]float64{10, 20, 10, 40}, []float64{20, 20, 30, 20})); got != 1.5 { // of 0.5, 1, 2, 3
		t.Errorf("median %v", got)
	}
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median %v", got)
	}
}
