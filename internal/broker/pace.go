package broker

import "time"

// A client that publishes faster than its only receivers take it is read from
// more slowly, for a moment after each batch: its messages wait on its side,
// where nothing is lost, before they are dropped on ours. Nobody else waits for
// that client then, because a batch that has reached anybody else is not held
// up, nor one of a client whose acknowledgements messages wait for, and a
// receiver that takes nothing at all holds nobody up twice.

// crowding is what a batch has met.
type crowding struct {
	served  bool     // somebody took a message, or keeps it without haste
	crowded *Session // the last receiver that has too much waiting
}

// met notes what has become of a message for s. Called with its mu held.
func (c *crowding) met(s *Session) {
	if s.link != nil && !s.stuck && s.out.Crowded() {
		c.crowded = s
		return
	}
	c.served = true
}

// Pauses are that long, and that many at most.
const (
	pace   = time.Millisecond
	pauses = 10
)

// pace waits while the receiver of the last batch is crowded.
func (l *Link) pace(c crowding) {
	s := c.crowded
	if s == nil || c.served || s == l.s { // its own messages: only it can make room
		return
	}
	if l.awaited() {
		return
	}
	s.mu.Lock()
	before := s.progress
	s.mu.Unlock()
	for range pauses {
		time.Sleep(pace)
		s.mu.Lock()
		over := s.link == nil || !s.out.Crowded()
		s.mu.Unlock()
		if over || l.awaited() {
			return
		}
	}
	s.mu.Lock()
	s.stuck = s.progress == before
	s.mu.Unlock()
}

// awaited tells that messages for this client wait for what it has to say: its
// acknowledgements are not held up with its messages.
func (l *Link) awaited() bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	waiting, _ := l.s.out.Len()
	return waiting > 0
}

// moved notes that the client has taken something. Called with mu held.
func (s *Session) moved() {
	s.progress++
	s.stuck = false
}
