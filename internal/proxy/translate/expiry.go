package translate

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// expiries remembers until when messages are of use that brokers of 3.x pass on without
// saying so. A message is known by its topic and payload. All connections share them.
type expiries struct {
	most int

	mu    sync.Mutex
	until map[message]time.Time // zero: for ever
	order []message             // in which they came, a ring when there are most of them
	next  int
}

type message [sha256.Size]byte

func newExpiries(most int) *expiries {
	return &expiries{most: most, until: make(map[message]time.Time)}
}

func messageOf(p *mqtt.Publish) (m message) {
	h := sha256.New()
	h.Write(p.Topic)
	h.Write([]byte{0}) // which no topic contains
	h.Write(p.Payload)
	h.Sum(m[:0])
	return m
}

// published learns of a message, or that one is of use for ever now.
func (e *expiries) published(p *mqtt.Publish, now time.Time) {
	if e == nil {
		return
	}
	m := messageOf(p)
	left, ok := p.Properties.Uint32(mqtt.PropMessageExpiryInterval)
	e.mu.Lock()
	defer e.mu.Unlock()
	_, known := e.until[m]
	switch {
	case ok:
		e.until[m] = now.Add(time.Duration(left) * time.Second)
	case known:
		e.until[m] = time.Time{}
	}
	if known || !ok {
		return
	}
	if len(e.order) < e.most {
		e.order = append(e.order, m)
		return
	}
	delete(e.until, e.order[e.next])
	e.order[e.next] = m
	e.next = (e.next + 1) % e.most
}

// delivered puts what is left of its expiry interval into p; it reports false if
// nothing is.
func (e *expiries) delivered(p *mqtt.Publish, now time.Time) bool {
	if e == nil {
		return true
	}
	m := messageOf(p)
	e.mu.Lock()
	until, ok := e.until[m]
	e.mu.Unlock()
	if !ok || until.IsZero() {
		return true
	}
	left := until.Sub(now)
	if left <= 0 {
		return false
	}
	seconds := uint32((left + time.Second - 1) / time.Second)
	p.Properties = p.Properties.AppendUint32(mqtt.PropMessageExpiryInterval, seconds)
	return true
}
