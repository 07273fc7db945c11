package mqttsn

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// A network may bring a copy of a PUBLISH with QoS 2 late, behind the PUBREL that has
// freed its MsgId. So the last exchanges are remembered for a while, by what they
// were about. They are kept with the session: the process may have ended between.

// keptReceipts is the key of what is kept of them.
const keptReceipts = "q"

// receipts are the last of a client's.
type receipts struct {
	all  [8]receipt
	next uint8 // the oldest
}

// receipt is one PUBLISH with QoS 2.
type receipt struct {
	hash     uint64
	released time.Duration // since the wheel began; 0: PUBREL has not come
	msgID    uint16
}

// undoubted is how long a PUBLISH that does not claim to be a copy may still be one:
// longer than a network keeps a datagram.
const undoubted = 5 * time.Second

// hashOf is the same for the same message.
func hashOf(p *mqttsn.Publish, topic []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(topic)
	_, _ = h.Write([]byte{0}) // in no topic
	_, _ = h.Write(p.Payload)
	return h.Sum64()
}

// hasReceived reports whether p is a copy of a message that has been published, and
// released.
func (c *client) hasReceived(w *work, p *mqttsn.Publish, topic []byte) bool {
	if c.receipts == nil {
		return false
	}
	t := &c.g.terms.Load().Timers
	now, within := c.g.since(w.now), undoubted
	if p.Dup {
		within = t.Retry * time.Duration(t.Retries+1)
	}
	for i := range c.receipts.all {
		if r := &c.receipts.all[i]; r.msgID == p.MsgID && r.released != 0 && now-r.released <= within {
			return r.hash == hashOf(p, topic)
		}
	}
	return false
}

// receive remembers a message until it is released, and for a while after that. It is
// kept with the next commit.
func (c *client) receive(p *mqttsn.Publish, topic []byte) {
	if c.receipts == nil {
		c.receipts = new(receipts)
	}
	rs := c.receipts
	place := -1
	for i := range rs.all {
		if rs.all[i].msgID == p.MsgID {
			place = i
		}
	}
	if place < 0 {
		place = int(rs.next)
		rs.next = (rs.next + 1) % uint8(len(rs.all))
	}
	rs.all[place] = receipt{hash: hashOf(p, topic), msgID: p.MsgID}
	c.link.Keep(keptReceipts, rs.encode())
}

// release notes when the client has ended the exchange, and has that kept with the
// next commit.
func (c *client) release(w *work, msgID uint16) {
	if c.receipts == nil {
		return
	}
	for i := range c.receipts.all {
		if r := &c.receipts.all[i]; r.msgID == msgID && r.released == 0 {
			r.released = max(1, c.g.since(w.now)) // 0 is for those that are not
			c.link.Keep(keptReceipts, c.receipts.encode())
		}
	}
}

// receiptBytes is what one takes in the store: MsgId, hash, and 1 if it has been
// released.
const receiptBytes = 11

func (rs *receipts) encode() []byte {
	b := make([]byte, 0, len(rs.all)*receiptBytes)
	for i := range rs.all {
		r := &rs.all[(int(rs.next)+i)%len(rs.all)] // the oldest first
		if r.msgID == 0 {
			continue
		}
		var released byte
		if r.released != 0 {
			released = 1
		}
		b = append(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16(b, r.msgID), r.hash), released)
	}
	return b
}

// decodeReceipts is the reverse of encode, with another time; nil if there are none.
func decodeReceipts(b []byte, now time.Duration) *receipts {
	if len(b) < receiptBytes {
		return nil
	}
	rs := &receipts{}
	for i := 0; i < len(rs.all) && len(b) >= receiptBytes; i++ {
		r := receipt{msgID: binary.BigEndian.Uint16(b), hash: binary.BigEndian.Uint64(b[2:])}
		if b[10] != 0 {
			r.released = max(1, now)
		}
		rs.all[i], b = r, b[receiptBytes:]
		rs.next = uint8((i + 1) % len(rs.all))
	}
	return rs
}
