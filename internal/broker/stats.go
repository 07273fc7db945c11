package broker

import (
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/session"
)

// Stats are the counters behind $SYS. Gateways add what only they can see:
// bytes and packets.
type Stats struct {
	BytesReceived, BytesSent     atomic.Uint64
	PacketsReceived, PacketsSent Packets
	PublishReceived, PublishSent atomic.Uint64
	PublishBytesReceived         atomic.Uint64 // payloads
	PublishBytesSent             atomic.Uint64
	Completed                    atomic.Uint64 // acknowledged QoS 1 and 2 deliveries
	NoSubscribers                atomic.Uint64 // published, but nobody was there
	Redelivered                  atomic.Uint64 // given to another member of a shared subscription
	Connections                  atomic.Uint64 // accepted, whatever became of them
	TakenOver, SessionsExpired   atomic.Uint64
	Connected                    atomic.Int64
	ConnectedMax                 maximum
	Subscriptions                atomic.Int64 // shared ones included
	SharedSubscriptions          atomic.Int64
	Drops                        [session.Drops]atomic.Uint64 // by session.Drop
}

// Packets counts MQTT control packets by their type, 1 to 15.
type Packets [16]atomic.Uint64

// Total returns the sum over all types.
func (p *Packets) Total() uint64 {
	var n uint64
	for i := range p {
		n += p[i].Load()
	}
	return n
}

func (s *Stats) dropped(why session.Drop) { s.Drops[why].Add(1) }

// Dropped returns the sum over all reasons.
func (s *Stats) Dropped() uint64 {
	var n uint64
	for i := range s.Drops {
		n += s.Drops[i].Load()
	}
	return n
}

// Stats returns the live counters.
func (b *Broker) Stats() *Stats { return &b.stats }

// Sessions returns the number of sessions, connected or not.
func (b *Broker) Sessions() int { return int(b.sessions.Load()) }

// maximum remembers the highest value that it has been shown.
type maximum struct{ atomic.Int64 }

func (m *maximum) raise(v int64) {
	for {
		old := m.Load()
		if v <= old || m.CompareAndSwap(old, v) {
			return
		}
	}
}
