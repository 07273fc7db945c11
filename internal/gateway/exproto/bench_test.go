package exproto_test

import (
	"fmt"
	"testing"

	"github.com/iotctl/iotctl/internal/transport"
)

// A line of a device is told to a handler, which sends it back: two calls.
func BenchmarkRoundTrip(b *testing.B) {
	for _, devices := range []int{1, 100} {
		b.Run(fmt.Sprintf("devices=%d", devices), func(b *testing.B) {
			s := start(b, options{
				listen: transport.ListenConfig{MaxConnRate: -1},
				handler: &handler{forget: true, do: func(h *handler, e told) error {
					if e.what == "bytes" {
						return h.send(e.conn, e.bytes)
					}
					return nil
				}},
			})
			all := make([]*device, devices)
			for i := range all {
				all[i] = s.device()
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, d := range all {
					d.send("temperature 21\n")
				}
				for _, d := range all {
					d.expect("temperature 21\n")
				}
			}
			b.ReportMetric(float64(b.N*devices)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
