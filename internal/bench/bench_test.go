package bench

import (
	"bytes"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// try runs a plan against a broker of its own.
func try(t *testing.T, spec Spec, p Plan) (*Final, *Result) {
	t.Helper()
	e, err := transport.Parse(servetest.Start(t, nil).URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	var record bytes.Buffer
	f, err := Run(t.Context(), Options{Plan: p, Spec: spec, Endpoint: e, Record: &record})
	if err != nil {
		t.Fatal(err)
	}
	res, err := ReadResult(&record)
	if err != nil {
		t.Fatal(err)
	}
	return f, res
}

func TestPairs(t *testing.T) {
	for qos := range 3 {
		for _, closed := range []bool{false, true} {
			p := Plan{Publishers: 4, QoS: qos, Messages: 2000, Duration: 20 * time.Second, ClosedLoop: closed, Window: 20}
			if !closed {
				p.Rate = 10000
			}
			f, res := try(t, Pair(), p)
			sum := f.Account.QoS[qos]
			if want := (Tally{Sent: 2000, Expected: 2000, Received: 2000}); sum != want {
				t.Errorf("QoS %d, closed loop %v: %+v, want %+v", qos, closed, sum, want)
			}
			if f.Account.Unacked != 0 || f.Account.Unsent != 0 || f.Ended != "complete" {
				t.Errorf("QoS %d, closed loop %v: %+v", qos, closed, f)
			}
			if n := f.Latency["e2e"].TotalCount(); n != 2000 {
				t.Errorf("QoS %d, closed loop %v: %d latencies", qos, closed, n)
			}
			if res.Final == nil || res.Header.Plan.Publishers != 4 || len(res.Intervals) == 0 {
				t.Errorf("record: %+v", res)
			}
		}
	}
}
