package mqttsn

import (
	"strings"
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// counts is what happens to datagrams and clients.
type counts struct {
	in, out [0x20]atomic.Uint64 // by the octet of the message type

	// Why a client's datagram has come to nothing. Each that has raises one.
	malformed   atomic.Uint64 // cannot be read
	trailing    atomic.Uint64 // has more behind the message
	unknownType atomic.Uint64 // has a type that does not exist
	violation   atomic.Uint64 // is illegal, and no answer says so
	unexpected  atomic.Uint64 // means nothing in the state that the client is in
	stranger    atomic.Uint64 // comes from somebody who is not connected; answered or not
	crowded     atomic.Uint64 // found too much that waits
	flooded     atomic.Uint64 // found too much that had been read and not worked off
	limited     atomic.Uint64 // would have needed an answer to a stranger, of which there were too many
	halfOpen    atomic.Uint64 // is a CONNECT that found too many connecting, or too many clients
	minusOneOff atomic.Uint64 // has QoS -1, which is not enabled
	minusOneBad atomic.Uint64 // has QoS -1 and a topic that is unknown or not allowed
	foreignID   atomic.Uint64 // is a PINGREQ that names another client
	moved       atomic.Uint64 // comes from an address that the client has left
	refused     atomic.Uint64 // was refused with a return code
	// comes by a forwarder that the settings do not let
	foreignForwarder atomic.Uint64

	// What else there is.
	unsent        atomic.Uint64 // datagrams that the kernel or the queue has not taken
	unbudgeted    atomic.Uint64 // datagrams to an address that has not shown yet that it receives
	oversize      atomic.Uint64 // messages that no datagram to the client can hold
	retransmitted atomic.Uint64 // datagrams that were sent again
	sleepDropped  atomic.Uint64 // messages at QoS 0 that waited behind too many
	duplicates    atomic.Uint64 // requests that were repeated, and answered as before
	connected     atomic.Uint64 // CONNACKs that accept
	resumed       atomic.Uint64 // those of clients that were still there
	denied        atomic.Uint64 // CONNACKs that refuse
	abandoned     atomic.Uint64 // clients that have not finished to connect
	tookOver      atomic.Uint64 // clients that have connected at another address
	rebound       atomic.Uint64 // clients that have gone on at another address
	notRebound    atomic.Uint64 // those that were not let
	lost          atomic.Uint64 // clients that were silent for too long
	left          atomic.Uint64 // clients that have said DISCONNECT
	slept         atomic.Uint64 // DISCONNECTs with a duration
	restored      atomic.Uint64 // clients that the start has found in the store
	told          atomic.Uint64 // DISCONNECTs to those who are not connected
	published     atomic.Uint64 // messages of clients
	predefined    atomic.Uint64 // those of them with a predefined topic
	short         atomic.Uint64 // those with a short one
	minusOne      atomic.Uint64 // those without a connection
	unwanted      atomic.Uint64 // messages with a topic that the client has refused
	declined      atomic.Uint64 // messages that the client has refused
	expired       atomic.Uint64 // messages that have waited for longer than they may
	topicsFull    atomic.Uint64 // topics for which there was no identifier any more
	woken         atomic.Uint64 // PINGREQs of clients that were asleep
	unstored      atomic.Uint64 // batches that the store has not taken
	panics        atomic.Uint64 // faults of the program
	found         atomic.Uint64 // answers to SEARCHGW
	advertised    atomic.Uint64 // ADVERTISEs, each to all groups
}

// received counts a message that can be read so far.
func (n *counts) received(t mqttsn.Type) {
	if octet := t.Octet(); int(octet) < len(n.in) {
		n.in[octet].Add(1)
	}
}

// Counters are for $SYS, by topic level.
func (g *Gateway) Counters() map[string]uint64 {
	n := &g.counts
	all := map[string]uint64{
		"clients":   uint64(max(0, g.clients.n.Load())),
		"half_open": uint64(max(0, g.halfOpen.Load())),

		"dropped/malformed":     n.malformed.Load(),
		"dropped/trailing":      n.trailing.Load(),
		"dropped/unknown_type":  n.unknownType.Load(),
		"dropped/violation":     n.violation.Load(),
		"dropped/unexpected":    n.unexpected.Load(),
		"dropped/stranger":      n.stranger.Load(),
		"dropped/crowded":       n.crowded.Load(),
		"dropped/flooded":       n.flooded.Load(),
		"dropped/limited":       n.limited.Load(),
		"dropped/half_open":     n.halfOpen.Load(),
		"dropped/minus_one_off": n.minusOneOff.Load(),
		"dropped/minus_one_bad": n.minusOneBad.Load(),
		"dropped/foreign_id":    n.foreignID.Load(),
		"dropped/moved":         n.moved.Load(),
		"dropped/refused":       n.refused.Load(),
		"dropped/forwarder":     n.foreignForwarder.Load(),

		"unsent":        n.unsent.Load(),
		"unbudgeted":    n.unbudgeted.Load(),
		"oversize":      n.oversize.Load(),
		"retransmitted": n.retransmitted.Load(),
		"sleep_dropped": n.sleepDropped.Load(),
		"duplicates":    n.duplicates.Load(),
		"connected":     n.connected.Load(),
		"resumed":       n.resumed.Load(),
		"denied":        n.denied.Load(),
		"abandoned":     n.abandoned.Load(),
		"took_over":     n.tookOver.Load(),
		"rebound":       n.rebound.Load(),
		"not_rebound":   n.notRebound.Load(),
		"lost":          n.lost.Load(),
		"left":          n.left.Load(),
		"slept":         n.slept.Load(),
		"restored":      n.restored.Load(),
		"told":          n.told.Load(),
		"published":     n.published.Load(),
		"predefined":    n.predefined.Load(),
		"short":         n.short.Load(),
		"minus_one":     n.minusOne.Load(),
		"unwanted":      n.unwanted.Load(),
		"declined":      n.declined.Load(),
		"expired":       n.expired.Load(),
		"topics_full":   n.topicsFull.Load(),
		"woken":         n.woken.Load(),
		"unstored":      n.unstored.Load(),
		"panics":        n.panics.Load(),
		"found":         n.found.Load(),
		"advertised":    n.advertised.Load(),
	}
	for octet := range len(n.in) {
		if t := mqttsn.Version12.Type(byte(octet)); t.Known() {
			all["received/"+strings.ToLower(t.String())] = n.in[octet].Load()
			all["sent/"+strings.ToLower(t.String())] = n.out[octet].Load()
		}
	}
	return all
}
