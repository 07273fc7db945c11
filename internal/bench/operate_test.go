package bench

import (
	"context"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// stalling is operations that take no time until a moment, and then never end.
type stalling struct{ after, resume time.Duration }

func (d stalling) Open(_ context.Context, s *Session) (Load, error) {
	return operations{s: s, workers: 4, do: func(ctx context.Context, _ int, _, _ int64) error {
		if at := time.Duration(s.now() - s.start.Load()); at > d.after && at < d.resume && !pause(ctx, d.resume-at) {
			return ctx.Err()
		}
		return nil
	}}, nil
}

func operated(t *testing.T, d stalling, p Plan) *Final {
	t.Helper()
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Run(t.Context(), Options{Spec: Spec{Name: "stalling", New: func() Scenario { return d }}, Endpoint: e, Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Operations that a stall at the end has held up are not left out.
func TestStallAtTheEnd(t *testing.T) {
	p := Plan{Rate: 1000, Duration: time.Second, Drain: 5 * time.Second}
	f := operated(t, stalling{500 * time.Millisecond, 1500 * time.Millisecond}, p)
	h := f.Latency["op"]
	if f.Account.Unsent != 0 || h.TotalCount() != 1000 || h.Quantile(0.9) < 700*time.Millisecond {
		t.Errorf("%d undone, %d latencies, p90 %v", f.Account.Unsent, h.TotalCount(), h.Quantile(0.9))
	}
	if f.Measured != time.Second || f.Counters.Operations > 600 {
		t.Errorf("%d operations in %v", f.Counters.Operations, f.Measured)
	}

	p.Drain = 100 * time.Millisecond
	f = operated(t, stalling{500 * time.Millisecond, time.Hour}, p)
	if n := f.Total.Operations; n+f.Account.Unsent != 1000 || n > 600 {
		t.Errorf("%d done, %d undone", n, f.Account.Unsent)
	}
}

// A rate that nobody can send is counted, and not gone through one by one.
func TestRateBeyondAllMeasure(t *testing.T) {
	f, _ := try(t, Pub(), Plan{Clients: 3, Rate: 1e12, Duration: 200 * time.Millisecond, Drain: 50 * time.Millisecond})
	if n := f.Account.Sum().Sent + f.Account.Unsent; n != 2e11 {
		t.Errorf("%d were due", n)
	}
}
