package bench

import (
	"bytes"
	"testing"
	"time"
)

// FuzzReadResult: what can be read can be written and read again, and its
// histograms answer.
func FuzzReadResult(f *testing.F) {
	var b bytes.Buffer
	w := NewResultWriter(&b)
	h := NewHistogram()
	h.Record(5e6)
	for _, r := range []any{
		&Header{Plan: Plan{Scenario: "pair", Target: "mqtt://127.0.0.1", Steps: []Step{{time.Second, 1, 2}}}},
		&Interval{Stage: StageMeasure, At: 1, Duration: 2, Latency: Latencies{"e2e": h, "e2e.sent": h}, Limited: []string{"cpu"}},
		&Event{At: 3, Text: "x", Count: 2},
		&Final{Ended: "complete", Latency: Latencies{"e2e": h}, Assertions: []Verdict{{Expression: "loss==0", OK: true}}},
	} {
		if err := w.Write(r); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()/2])
	f.Add([]byte(`{"kind":"header","format":"iotctl-bench","version":99}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		res, err := ReadResult(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		w := NewResultWriter(&out)
		records := []any{&res.Header}
		for i := range res.Intervals {
			for _, h := range res.Intervals[i].Latency {
				if h.Quantile(1) < h.Quantile(0.5) {
					t.Errorf("half of the latencies are above %v, all below %v", h.Quantile(0.5), h.Quantile(1))
				}
			}
			records = append(records, &res.Intervals[i])
		}
		if res.Final != nil {
			records = append(records, res.Final)
		}
		for _, r := range records {
			if err := w.Write(r); err != nil {
				t.Fatal(err)
			}
		}
		again, err := ReadResult(&out)
		if err != nil || len(again.Intervals) != len(res.Intervals) || (again.Final == nil) != (res.Final == nil) {
			t.Errorf("read again: %v", err)
		}
	})
}
