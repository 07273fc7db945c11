package proxy

import (
	"github.com/iotctl/iotctl/internal/transport"
)

// A session whose two sides are plain sockets, and which has no stages, needs no
// goroutines once the broker has answered: a relay moves what comes. One goroutine
// waits for the sockets of many sessions, reads, and writes at once; only what the
// other side does not take is kept, and then nothing more is read. So an idle session
// holds neither stacks nor buffers, and a message costs one read, one write and its
// share of a wait.

// handOver gives the session to a relay, if it can be.
func (s *session) handOver() bool {
	st := s.state
	if s.e.relays == nil || len(st.stages) > 0 || s.server == nil || !transport.Detachable(s.client) || !transport.Detachable(s.server) {
		return false
	}
	return s.e.relays.take(s)
}
