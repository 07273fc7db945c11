package session

import (
	"fmt"
	"testing"
)

// BenchmarkAcked measures an offer and its acknowledgement in a full window.
func BenchmarkAcked(b *testing.B) {
	for _, window := range []int{1, 32, 20000} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			c := online(b, window)
			for range window {
				c.o.Offer(start, c.o.Reserve(), deliver("a", 1), nil)
			}
			d := deliver("a", 1)
			actions := make([]Action, 0, 4)
			id := uint16(1)
			b.ReportAllocs()
			for b.Loop() {
				actions = c.o.Offer(start, c.o.Reserve(), d, actions[:0])
				actions, _ = c.o.Acked(start, Puback, id, actions[:0])
				if id++; id == 0 {
					id = 1
				}
			}
		})
	}
}
