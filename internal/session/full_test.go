package session

import "testing"

// A QoS 2 message that the client may have been sent before a restart stays
// when others have to go: the client waits for its PUBREL.
func TestFullQueueKeepsWhatTheClientWaitsFor(t *testing.T) {
	o := NewOutbound(Limits{MaxQueued: 2})
	sent := deliver("sent", 2)
	sent.Dup = true
	o.Restore(1, sent)
	o.Restore(2, deliver("new", 2))
	if got, want := render(o.Offer(start, o.Reserve(), deliver("third", 1), nil)), "drop new queue-full"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := render(o.Resume(start, Window{ReceiveMaximum: 10}, nil)), "sent@1!, third@3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
