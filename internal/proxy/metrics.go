package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Metrics is what an engine counts. The zero value is ready. All methods may be
// called from any goroutine.
type Metrics struct {
	opened, closed atomic.Uint64
	packets        [2][16]atomic.Uint64 // by direction and type, as they leave the proxy
	bytes          [2]atomic.Uint64
	unacked        [2]atomic.Int64 // QoS 1 and 2 messages on their way, by their direction
	stalls         [2]atomic.Uint64
	stalled        [2]atomic.Int64 // right now
	pairs          [pairKinds]histogram

	mu     sync.Mutex
	events map[event]uint64
}

// event is something that is counted under words.
type event struct{ what, a, b string }

// maxEvents bounds the map against a caller that puts input into words.
const maxEvents = 1000

func (m *Metrics) count(what, a, b string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.events == nil {
		m.events = map[event]uint64{}
	}
	e := event{what, a, b}
	if _, ok := m.events[e]; !ok && len(m.events) >= maxEvents {
		e = event{what, "other", ""}
	}
	m.events[e]++
}

// What is counted under words.
const (
	eventFault   = "fault"
	eventRefused = "refused"
	eventDropped = "dropped"
	eventEnded   = "ended"
)

// Fault counts a fault that was injected, by its action: "drop".
func (m *Metrics) Fault(action string) { m.count(eventFault, action, "") }

// Refused counts what a rule of a stage has refused: "access", "deny[0]".
func (m *Metrics) Refused(stage, rule string) { m.count(eventRefused, stage, rule) }

// Dropped counts what a stage could not pass on: "translate", "user-property".
func (m *Metrics) Dropped(stage, what string) { m.count(eventDropped, stage, what) }

// pair is a packet and its answer.
type pair uint8

const (
	pairConnect   pair = iota // CONNECT to CONNACK
	pairPublish1              // PUBLISH of QoS 1 of a client to PUBACK
	pairPublish2              // PUBLISH of QoS 2 of a client to PUBREC
	pairDeliver1              // PUBLISH of QoS 1 of the broker to PUBACK
	pairDeliver2              // PUBLISH of QoS 2 of the broker to PUBREC
	pairSubscribe             // SUBSCRIBE to SUBACK
	pairPing                  // PINGREQ to PINGRESP
	pairKinds
)

var pairNames = [pairKinds]string{"connect", "publish_qos1", "publish_qos2", "deliver_qos1", "deliver_qos2", "subscribe", "ping"}

// bounds are the upper limits of the classes of a histogram.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// histogram counts durations by class.
type histogram struct {
	class [len(bounds) + 1]atomic.Uint64
	sum   atomic.Int64
}

func (h *histogram) add(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.class[i].Add(1)
	h.sum.Add(int64(d))
}

// timing measures one pair of packets at a time on a connection: the first request
// that comes while none is being measured.
type timing struct {
	pair pair
	id   uint16
	at   time.Time // zero: none is being measured
}

// asked notes that a packet which will be answered goes by.
func (t *timing) asked(p pair, id uint16, now time.Time) {
	if t.at.IsZero() {
		t.pair, t.id, t.at = p, id, now
	}
}

// answered takes the time if that is the answer.
func (t *timing) answered(m *Metrics, p pair, id uint16, now time.Time) {
	if !t.at.IsZero() && t.pair == p && t.id == id {
		m.pairs[p].add(now.Sub(t.at))
		t.at = time.Time{}
	}
}

// traffic is what is known of the packets of one connection from their headers; of
// both directions, so it has a lock.
type traffic struct {
	m       *Metrics
	mu      sync.Mutex
	times   [2]timing // by the direction of the request
	unacked [2]int64
	done    bool
}

// passed takes a packet that leaves the proxy in direction d. body is what is there
// of its body, all or less.
func (t *traffic) passed(d Direction, h mqtt.Header, size int, body []byte) {
	t.m.packets[d][h.Type&15].Add(1)
	t.m.bytes[d].Add(uint64(size))
	if h.Type == mqtt.TypePublish && h.Flags&6 == 0 {
		return
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch h.Type {
	case mqtt.TypePublish:
		t.waits(d, 1)
		if id, ok := publishID(body); ok {
			t.times[d].asked(publishPair(d, h.Flags>>1&3), id, now)
		}
	case mqtt.TypePuback:
		t.waits(d.Back(), -1)
		t.answered(d, publishPair(d.Back(), 1), body, now)
	case mqtt.TypePubrec:
		t.answered(d, publishPair(d.Back(), 2), body, now)
		if len(body) > 2 && body[2] >= 0x80 {
			t.waits(d.Back(), -1)
		}
	case mqtt.TypePubcomp:
		t.waits(d.Back(), -1)
	case mqtt.TypeSubscribe:
		t.asked(d, pairSubscribe, body, now)
	case mqtt.TypeSuback:
		t.answered(d, pairSubscribe, body, now)
	case mqtt.TypePingreq:
		t.times[d].asked(pairPing, 0, now)
	case mqtt.TypePingresp:
		t.times[d.Back()].answered(t.m, pairPing, 0, now)
	case mqtt.TypeConnect:
		t.times[d].asked(pairConnect, 0, now)
	case mqtt.TypeConnack:
		t.times[d.Back()].answered(t.m, pairConnect, 0, now)
	default:
	}
}

func (t *traffic) asked(d Direction, p pair, body []byte, now time.Time) {
	if len(body) >= 2 {
		t.times[d].asked(p, uint16(body[0])<<8|uint16(body[1]), now)
	}
}

func (t *traffic) answered(d Direction, p pair, body []byte, now time.Time) {
	if len(body) >= 2 {
		t.times[d.Back()].answered(t.m, p, uint16(body[0])<<8|uint16(body[1]), now)
	}
}

// waits counts n messages more that wait for their last acknowledgement. What is
// acknowledged without having been seen was sent before.
func (t *traffic) waits(d Direction, n int64) {
	if t.done || t.unacked[d]+n < 0 {
		return
	}
	t.unacked[d] += n
	t.m.unacked[d].Add(n)
}

// end takes back what will not be acknowledged any more.
func (t *traffic) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for d, n := range t.unacked {
		t.m.unacked[d].Add(-n)
	}
	t.unacked, t.done = [2]int64{}, true
}

func publishPair(d Direction, qos uint8) pair {
	return pairPublish1 + pair(d)*2 + pair(qos-1)&1
}

// publishID reads the packet identifier behind the topic.
func publishID(body []byte) (uint16, bool) {
	if len(body) < 2 {
		return 0, false
	}
	at := 2 + int(body[0])<<8 + int(body[1])
	if len(body) < at+2 {
		return 0, false
	}
	return uint16(body[at])<<8 | uint16(body[at+1]), true
}
