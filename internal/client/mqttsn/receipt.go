package mqttsn

import (
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// receipt is a QoS 2 message that has been handed over. It is kept beyond PUBREL,
// since in a network that delays and doubles datagrams a PUBLISH may come behind
// it: then it is that message again if it says the same, and little time has
// passed. Gateways do not use an identifier again at once.
type receipt struct {
	msgID    uint16
	released time.Time // by PUBREL; zero: not yet
	sum      uint64    // of topic and payload
}

// maxReceipts bounds them. A gateway has one message open, or few.
const maxReceipts = 64

// receipt notes a QoS 2 message; false when it has been handed over before.
func (c *Core) receipt(now time.Time, m *wire.Publish, name string) bool {
	r := receipt{msgID: m.MsgID, sum: sum(name, m.Payload)}
	for i := range c.receipts {
		old := &c.receipts[i]
		if old.msgID != r.msgID {
			continue
		}
		same := old.sum == r.sum
		switch {
		case old.released.IsZero() && (same || m.Dup):
			return false
		case !old.released.IsZero() && same && now.Sub(old.released) < c.lifetime():
			return false
		}
		c.receipts = append(append(c.receipts[:i], c.receipts[i+1:]...), r)
		return true
	}
	if len(c.receipts) == maxReceipts {
		copy(c.receipts, c.receipts[1:])
		c.receipts = c.receipts[:maxReceipts-1]
	}
	c.receipts = append(c.receipts, r)
	return true
}

func (c *Core) release(now time.Time, id uint16) {
	for i := range c.receipts {
		if r := &c.receipts[i]; r.msgID == id && r.released.IsZero() {
			r.released = now
		}
	}
}

// lifetime is how long a datagram may be under way, as far as we care.
func (c *Core) lifetime() time.Duration {
	return c.cfg.Retry * time.Duration(c.cfg.Retries+1)
}

// sum is FNV-1a.
func sum(name string, payload []byte) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h *= 1099511628211 // a byte of 0 between them
	for _, b := range payload {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}
