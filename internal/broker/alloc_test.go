//go:build !race

// The race detector makes pools forget at random.

package broker

import "testing"

// A message at QoS 1 costs its one copy (the message and its payload), whatever
// the fan-out; one that nobody keeps costs nothing.
func TestPublishAllocatesOnceForAllReceivers(t *testing.T) {
	for qos, want := range []float64{0, 2} {
		for _, n := range []int{0, 1, 100} {
			b := idle(t, Config{})
			p, to := publisher(t, b, "p"), fanout(t, b, n, "a/b/c", uint8(qos))
			v := view("a/b/c=0123456789", uint8(qos))
			got := testing.AllocsPerRun(100, func() { publishAndAck(t, p, v, to) })
			if n == 0 && got != 0 || n > 0 && got != want {
				t.Errorf("QoS %d, fan-out %d: %v allocations, want %v", qos, n, got, want)
			}
		}
	}
}
