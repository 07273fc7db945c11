package main

import (
	"container/list"
	"crypto/sha256"
)

// Bounds of what lastSeen keeps: of all topics, with their names, and of one.
// An entry counts entryBytes beside its name and its payload.
const (
	maxLastSeenBytes = 32 << 20
	maxLastSeenEntry = 4 << 20
	entryBytes       = 200
)

// lastSeen keeps the last payload of each topic. When there are more than it may
// keep it forgets the topics that have been quiet for longest, and of a payload
// that is too long it knows nothing. The zero value is ready.
type lastSeen struct {
	topics map[string]*list.Element
	order  list.List // of *seen, the latest in front
	bytes  int
}

type seen struct {
	topic   string
	payload []byte
}

func (e *seen) size() int { return len(e.topic) + len(e.payload) + entryBytes }

// swap keeps payload, which it copies, and returns the one before.
func (l *lastSeen) swap(topic string, payload []byte) (last []byte, known bool) {
	if l.topics == nil {
		l.topics = map[string]*list.Element{}
	}
	if at, ok := l.topics[topic]; ok {
		last, known = at.Value.(*seen).payload, true
		l.forget(at)
	}
	e := &seen{topic, append([]byte(nil), payload...)}
	if e.size() > maxLastSeenEntry {
		return last, known
	}
	l.topics[topic] = l.order.PushFront(e)
	for l.bytes += e.size(); l.bytes > maxLastSeenBytes; {
		l.forget(l.order.Back())
	}
	return last, known
}

func (l *lastSeen) forget(at *list.Element) {
	e := l.order.Remove(at).(*seen)
	delete(l.topics, e.topic)
	l.bytes -= e.size()
}

// differs keeps a fingerprint of payload, or itself where it is shorter, and
// tells whether it is another than that before.
func (l *lastSeen) differs(topic string, payload []byte) bool {
	if len(payload) >= sha256.Size {
		sum := sha256.Sum256(payload)
		payload = sum[:]
	}
	last, known := l.swap(topic, payload)
	return !known || string(last) != string(payload)
}

// told remembers what has been reported about topics: fingerprints, maxTold of
// them, of which it then forgets all. The zero value is ready.
type told map[[sha256.Size]byte]struct{}

const maxTold = 4096

// first tells that what has not been said of the topic yet.
func (t *told) first(topic, what string) bool {
	key := sha256.Sum256([]byte(topic + "\x00" + what))
	if _, known := (*t)[key]; known {
		return false
	}
	if *t == nil || len(*t) >= maxTold {
		*t = told{}
	}
	(*t)[key] = struct{}{}
	return true
}
