package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// stalling is operations that take no time until a moment, and then do not end
// before another one, nor before the measurement.
type stalling struct {
	after, resume time.Duration
	measured      chan struct{}
}

func (d stalling) Open(_ context.Context, s *Session) (Load, error) {
	return operations{s: s, workers: 4, do: func(ctx context.Context, _ int, _, _ int64) error {
		at := time.Duration(s.now() - s.start.Load())
		if at < d.after {
			return nil
		}
		if at < d.resume && !pause(ctx, d.resume-at) {
			return ctx.Err()
		}
		select {
		case <-d.measured:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}, nil
}

func operated(t *testing.T, after, resume time.Duration, p Plan) *Final {
	t.Helper()
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	d := stalling{after, resume, make(chan struct{})}
	p.Sampling = time.Hour // one interval to a stage
	f, err := Run(t.Context(), Options{
		Spec: Spec{Name: "stalling", New: func() Scenario { return d }}, Endpoint: e, Plan: p,
		Watch: func(record any) {
			if i, ok := record.(*Interval); ok && i.Stage == StageMeasure && i.Duration > p.Duration/2 {
				close(d.measured)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Operations that a stall at the end has held up are not left out.
func TestStallAtTheEnd(t *testing.T) {
	p := Plan{Rate: 1000, Duration: time.Second, Drain: time.Minute}
	f := operated(t, 500*time.Millisecond, 1500*time.Millisecond, p)
	h := f.Latency["op"]
	if f.Account.Unsent != 0 || h.TotalCount() != 1000 || h.Quantile(0.9) < 700*time.Millisecond {
		t.Errorf("%d undone, %d latencies, p90 %v", f.Account.Unsent, h.TotalCount(), h.Quantile(0.9))
	}
	if f.Measured != time.Second || f.Counters.Operations > 600 {
		t.Errorf("%d operations in %v", f.Counters.Operations, f.Measured)
	}

	p.Drain = 100 * time.Millisecond
	f = operated(t, 500*time.Millisecond, time.Hour, p)
	if n := f.Total.Operations; n+f.Account.Unsent != 1000 || n > 600 {
		t.Errorf("%d done, %d undone", n, f.Account.Unsent)
	}
}

// The summary says what has become of the operations, also of those that ended
// behind the measurement.
func TestSummaryOfOperations(t *testing.T) {
	for _, c := range []struct {
		resume, drain time.Duration
		want          string
	}{
		{0, time.Minute, "operations: 10 done, 0 failed, 0 due and not done\n"},
		{time.Hour, time.Millisecond, "10 were due and never left, 0 were not acknowledged\n"},
	} {
		f := operated(t, 0, c.resume, Plan{Rate: 100, Duration: 100 * time.Millisecond, Drain: c.drain})
		var text strings.Builder
		if err := WriteSummary(&text, &Header{Plan: Plan{Scenario: "stalling"}}, f, nil); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), c.want) || f.Counters.Operations != 0 {
			t.Errorf("%q is not in\n%s", c.want, text.String())
		}
	}
}

// A rate that nobody can send is counted, and not gone through one by one.
func TestRateBeyondAllMeasure(t *testing.T) {
	f, _ := try(t, Pub(), Plan{Clients: 3, Rate: 1e12, Duration: 200 * time.Millisecond, Drain: 50 * time.Millisecond})
	if n := f.Account.Sum().Sent + f.Account.Unsent; n != 2e11 {
		t.Errorf("%d were due", n)
	}
}
