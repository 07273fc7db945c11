//go:build unix

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// ledger writes the history of many clients, as it passes on their sockets:
// whatever library stands above, what counts is the wire.
type ledger struct {
	t  *testing.T
	mu sync.Mutex
	history
	now       tick
	published map[messageKey]int // index
	arrived   map[arrival]bool
	settled   map[string]int // by subscriber: so many of Published have arrived
	clients   map[string]*tap
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, published: make(map[messageKey]int), arrived: make(map[arrival]bool), settled: make(map[string]int), clients: make(map[string]*tap)}
}

// tick is called with mu held.
func (l *ledger) tick() tick { l.now++; return l.now }

// counts returns how many messages have been acknowledged and received.
func (l *ledger) counts() (acked, received int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.Published {
		if l.Published[i].Acked > 0 {
			acked++
		}
	}
	return acked, len(l.Delivered)
}

// open returns how many messages wait for their acknowledgement.
func (l *ledger) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, c := range l.clients {
		n += len(c.sent)
	}
	return n
}

// owed returns how many messages have yet to arrive at the subscribers in
// question. What has arrived at one of them once is not looked at again, so
// everything has been acknowledged before.
func (l *ledger) owed(who map[string]bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	missing := make(map[string]int)
	for i := range l.Subscribed {
		s := &l.Subscribed[i]
		late := l.Published[min(l.settled[s.Subscriber], len(l.Published)):]
		if !who[s.Subscriber] || len(late) == 0 || s.Left > 0 && s.Left < late[0].Sent {
			continue
		}
		for j := range late {
			if p := &late[j]; s.mustReceive(p) && !l.arrived[arrival{s.Subscriber, p.key()}] {
				missing[s.Subscriber]++
			}
		}
	}
	all := 0
	for subscriber, online := range who {
		if online && missing[subscriber] == 0 {
			l.settled[subscriber] = len(l.Published)
		}
		all += missing[subscriber]
	}
	return all
}

// tap is one client of the ledger, over all of its connections. It keeps the
// state of the session that MQTT asks of a client.
type tap struct {
	l       *ledger
	id      string
	version mqtt.Version

	// All with l.mu.
	connections int
	keeps       bool // the session has been made by an earlier connection
	clean       bool // what the last CONNECT asked for
	sent        map[uint16]messageKey
	received    map[uint16]bool // PUBREC has come for it
	incoming    map[uint16]bool // QoS 2, until PUBREL
	asked       map[uint16][]int
	left        map[uint16][]int
	acked       int // own messages
	arrived     int
}

// tap returns the client with that identifier.
func (l *ledger) tap(id string, version mqtt.Version) *tap {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[id]
	if c == nil {
		c = &tap{
			l: l, id: id, version: version,
			sent: make(map[uint16]messageKey), received: make(map[uint16]bool), incoming: make(map[uint16]bool),
			asked: make(map[uint16][]int), left: make(map[uint16][]int),
		}
		l.clients[id] = c
	}
	return c
}

// progress returns how many messages of the client have been acknowledged and
// how many it has received.
func (c *tap) progress() int {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.acked + c.arrived
}

// settledSoFar returns how many messages of the client have been acknowledged.
func (c *tap) settledSoFar() int {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.acked
}

// conn records what passes over nc.
func (c *tap) conn(nc net.Conn) net.Conn {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.connections++
	return &tapped{Conn: nc, c: c, connection: c.connections}
}

// tapped is one connection.
type tapped struct {
	net.Conn
	c          *tap
	connection int
	in, out    []byte
}

// Read implements net.Conn.
func (w *tapped) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.in = w.cut(append(w.in, b[:n]...), true)
	return n, err
}

// Write implements net.Conn. What is about to be sent counts as sent.
func (w *tapped) Write(b []byte) (int, error) {
	w.out = w.cut(append(w.out, b...), false)
	return w.Conn.Write(b)
}

// cut records the packets in b and returns the rest.
func (w *tapped) cut(b []byte, fromServer bool) []byte {
	for {
		p, n, err := mqtt.Parse(b, mqtt.Options{Version: w.c.version, FromServer: fromServer})
		switch {
		case errors.Is(err, mqtt.ErrShort):
			return b
		case err != nil:
			w.c.l.t.Errorf("%s: a packet that breaks a rule (from the broker: %v): %v", w.c.id, fromServer, err)
			return nil
		}
		b = b[n:]
		w.c.l.mu.Lock()
		if fromServer {
			w.c.read(p, w.connection)
		} else {
			w.c.wrote(p)
		}
		w.c.l.mu.Unlock()
	}
}

func (c *tap) wrote(p mqtt.Packet) {
	switch p := p.(type) {
	case mqtt.Connect:
		c.clean = p.CleanStart
	case mqtt.Publish:
		c.publishes(&p)
	case mqtt.Subscribe:
		for _, f := range p.Filters {
			c.asked[p.PacketID] = append(c.asked[p.PacketID], len(c.l.Subscribed))
			c.l.Subscribed = append(c.l.Subscribed, subscribed{Subscriber: c.id, Filter: f.Filter, QoS: f.QoS, Asked: c.l.tick()})
		}
	case mqtt.Unsubscribe:
		c.left[p.PacketID] = nil
		for i := range c.l.Subscribed {
			s := &c.l.Subscribed[i]
			for _, f := range p.Filters {
				if s.Subscriber == c.id && s.Filter == f && s.Gone == 0 {
					if s.Left == 0 {
						s.Left = c.l.tick()
					}
					c.left[p.PacketID] = append(c.left[p.PacketID], i)
				}
			}
		}
	}
}

func (c *tap) publishes(p *mqtt.Publish) {
	publisher, seq, whole := parsePayload(p.Payload)
	if p.QoS == 0 || publisher != c.id || !whole {
		return // not of this history
	}
	key := messageKey{publisher, string(p.Topic), seq}
	i, again := c.l.published[key]
	if !again {
		i = len(c.l.Published)
		c.l.published[key] = i
		c.l.Published = append(c.l.Published, published{
			Publisher: publisher, Topic: key.topic, Seq: seq, QoS: p.QoS, Sent: c.l.tick(),
		})
	}
	m := &c.l.Published[i]
	m.Sends++
	if again && (c.sent[p.PacketID] != key || c.received[p.PacketID]) {
		m.Anew = true
	}
	c.sent[p.PacketID], c.received[p.PacketID] = key, false
}

func (c *tap) read(p mqtt.Packet, connection int) {
	switch p := p.(type) {
	case mqtt.Connack:
		c.connacked(p)
	case mqtt.Puback:
		c.settled(p.PacketID, p.Code)
	case mqtt.Pubrec:
		c.received[p.PacketID] = true
		if p.Code.IsError() {
			c.l.t.Errorf("%s: PUBREC with %s", c.id, p.Code)
		}
	case mqtt.Pubcomp:
		c.settled(p.PacketID, mqtt.Success) // PUBREL for an unknown identifier is answered, too
	case mqtt.Pubrel:
		delete(c.incoming, p.PacketID)
	case mqtt.Publish:
		c.receives(&p, connection)
	case mqtt.Suback:
		for i, at := range c.asked[p.PacketID] {
			s := &c.l.Subscribed[at]
			s.Granted, s.QoS = c.l.tick(), byte(p.Codes[i])
			if p.Codes[i].IsError() {
				c.l.t.Errorf("%s: subscription to %s: %s", c.id, s.Filter, p.Codes[i])
			}
		}
		delete(c.asked, p.PacketID)
	case mqtt.Unsuback:
		for _, at := range c.left[p.PacketID] {
			if s := &c.l.Subscribed[at]; s.Gone == 0 {
				s.Gone = c.l.tick()
			}
		}
		delete(c.left, p.PacketID)
	}
}

func (c *tap) connacked(p mqtt.Connack) {
	if p.Code != mqtt.Success {
		c.l.t.Errorf("%s: CONNACK with %s", c.id, p.Code)
		return
	}
	if c.keeps && !c.clean {
		c.l.Resumed = append(c.l.Resumed, resumed{Client: c.id, Present: p.SessionPresent, At: c.l.tick()})
	}
	if !p.SessionPresent {
		clear(c.incoming)
	}
	c.keeps = true
	clear(c.asked) // nobody answers on another connection
	clear(c.left)
}

func (c *tap) settled(id uint16, code mqtt.ReasonCode) {
	key, ok := c.sent[id]
	if !ok {
		return
	}
	if code.IsError() {
		c.l.t.Errorf("%s: PUBACK with %s for %s", c.id, code, key)
		return
	}
	delete(c.sent, id)
	delete(c.received, id)
	if m := &c.l.Published[c.l.published[key]]; m.Acked == 0 {
		m.Acked = c.l.tick()
		c.acked++
	}
}

func (c *tap) receives(p *mqtt.Publish, connection int) {
	if p.QoS == 2 {
		if c.incoming[p.PacketID] {
			return // [MQTT-4.3.3-10]
		}
		c.incoming[p.PacketID] = true
	}
	publisher, seq, whole := parsePayload(p.Payload)
	c.arrived++
	c.l.arrived[arrival{c.id, messageKey{publisher, string(p.Topic), seq}}] = true
	c.l.Delivered = append(c.l.Delivered, delivered{
		Subscriber: c.id, Publisher: publisher, Topic: string(p.Topic), Seq: seq, QoS: p.QoS, Dup: p.Dup,
		Connection: connection, At: c.l.tick(), Damaged: !whole,
	})
}

// payload is that of message seq of a publisher, with some bytes behind it.
func payload(publisher string, seq, filler int) []byte {
	return fmt.Appendf(nil, "%s %d %d %s", publisher, seq, filler, bytes.Repeat([]byte{'a' + byte(seq%26)}, filler))
}

// parsePayload is the other way round; whole says that nothing has changed.
func parsePayload(b []byte) (publisher string, seq int, whole bool) {
	var filler int
	if _, err := fmt.Sscanf(string(b), "%s %d %d ", &publisher, &seq, &filler); err != nil || filler > len(b) {
		return publisher, seq, false
	}
	return publisher, seq, filler >= 0 && bytes.Equal(b, payload(publisher, seq, filler))
}
