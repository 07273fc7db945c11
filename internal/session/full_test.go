package session

import "testing"

// A QoS 2 message that the client may have been sent before a restart stays
// when others have to go: the client waits for its PUBREL.
func TestFullQueueKeepsWhatTheClientWaitsFor(t *testing.T) {
	c := newClient(t, Limits{MaxQueued: 2})
	sent := deliver("sent", 2)
	sent.Dup = true
	c.restore(Item{Seq: 1, Delivery: sent}, Item{Seq: 2, Delivery: deliver("new", 2)})
	c.put(deliver("third", 1), "drop new queue-full")
	c.resume(10, "sent@1!, third@3")
}
