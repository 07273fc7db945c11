package mqttsn

import "sync"

// lobby is those who have no session yet and have been asked for something, a will or
// AUTH, in the order in which they have been. When too many are connecting, the first
// of them goes, who has had the longest time to answer: so that whoever sends CONNECTs
// and never answers keeps nobody out.
type lobby struct {
	mu          sync.Mutex
	first, last *setup
}

// guest is the place of a setup in the lobby; the zero value is none.
type guest struct {
	client     *client
	prev, next *setup
}

// enter has c wait, whose setup leaves before it ends. Those who have a session do not.
func (l *lobby) enter(c *client) {
	if c.link != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := c.setup
	s.guest = guest{client: c, prev: l.last}
	if l.last == nil {
		l.first = s
	} else {
		l.last.guest.next = s
	}
	l.last = s
}

// leave has s wait no more, if it does.
func (l *lobby) leave(s *setup) {
	if s == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take(s)
}

func (l *lobby) take(s *setup) {
	if s.guest.client == nil {
		return
	}
	if s.guest.prev == nil {
		l.first = s.guest.next
	} else {
		s.guest.prev.guest.next = s.guest.next
	}
	if s.guest.next == nil {
		l.last = s.guest.prev
	} else {
		s.guest.next.guest.prev = s.guest.prev
	}
	s.guest = guest{}
}

// evict has the first one go. ok is false if there is none.
func (l *lobby) evict() (ok bool) {
	l.mu.Lock()
	s := l.first
	if s == nil {
		l.mu.Unlock()
		return false
	}
	c := s.guest.client
	l.take(s)
	l.mu.Unlock()
	c.later(func(c *client, _ *work) {
		if c.setup == s && c.link == nil { // still
			c.abandon()
		}
	})
	return true
}
