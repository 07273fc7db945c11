package bench

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// Client is one MQTT connection. Its methods may be called from any goroutine;
// one request (Subscribe, Unsubscribe) at a time.
type Client struct {
	s          *Session
	sh         *shard
	conn       transport.Conn
	index      int
	id         string
	opts       mqtt.Options // for what arrives
	plain      bool         // the kernel can be asked what it takes
	dialect    dialect      // nil: MQTT
	awaited    int          // answers to the login of a device
	unanswered bool         // there is none to it

	// SessionPresent is what CONNACK said.
	SessionPresent bool

	wmu     sync.Mutex
	out     *buffer // what waits to be written; nil: nothing
	writing bool    // a goroutine writes
	broken  bool
	leaving bool   // the last packet is in out, or gone
	slots   []slot // of messages in flight, by packet identifier - 1
	free    []uint16
	window  int

	pub       *publisher // nil: publishes nothing
	sub       *trackers  // nil: receives nothing that counts
	group     *group     // in place of sub
	unstamped bool
	onArrive  func(topic, payload []byte, due, now int64)
	pace      *brake          // nil: reads as fast as it can
	held      map[uint16]bool // QoS 2 messages that have arrived and are not released
	in        *buffer         // being read; nil while there is nothing
	kicks     []*publisher    // whose window this batch has opened

	answer   chan answer // to CONNECT, SUBSCRIBE and UNSUBSCRIBE
	closing  atomic.Bool // ended from here
	accepted bool        // by CONNACK; before, an end is told to who connects; of the reader
	place    int         // in Session.clients, -1: in no list any more; guarded by Session.mu
	isUp     bool        // counted as a connection; the same
	lastOut  atomic.Int64
	done     chan struct{} // closed when the reader has ended
	err      error         // why, once done is closed
}

// slot is a message in flight.
type slot struct {
	due, sent int64
	state     slotState
}

type slotState uint8

const (
	slotFree    slotState = iota
	slotPublish           // waits for PUBACK or PUBREC
	slotRelease           // waits for PUBCOMP
)

// answer is what a request waits for.
type answer struct {
	typ     mqtt.Type
	codes   []mqtt.ReasonCode
	refused error // to a device
	present bool
	max     int // receive maximum of CONNACK, 0: none
}

// buffer is a lent piece of memory; b[:n] is in use.
type buffer struct {
	b []byte
	n int
}

const (
	readBytes  = 64 << 10
	writeBytes = 16 << 10 // of a buffer when it is new
)

var (
	readBuffers  = sync.Pool{New: func() any { return &buffer{b: make([]byte, readBytes)} }}
	writeBuffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, writeBytes)} }}
)

// lend is the borrow function of the reader.
func (c *Client) lend() []byte {
	if c.in == nil {
		c.in = readBuffers.Get().(*buffer)
	}
	return c.in.b[c.in.n:]
}

// read is the connection's goroutine.
func (c *Client) read() {
	defer close(c.done)
	lend := c.lend
	for {
		_, n, err := c.conn.ReadWith(lend)
		if err == nil {
			err = c.arrived(n)
		}
		if err != nil {
			c.ended(err)
			return
		}
		for _, p := range c.kicks {
			p.kicked.Store(false)
			p.pump()
		}
		c.kicks = c.kicks[:0]
		if c.pace != nil {
			c.pace.wait(c.s.ctx)
		}
	}
}

// arrived works off the n bytes that have just been read.
func (c *Client) arrived(n int) error {
	in := c.in
	in.n += n
	now := c.s.now()
	if c.pace != nil {
		c.pace.read += n
	}
	used, err := c.batch(in.b[:in.n], now)
	c.sh.mu.Lock()
	c.sh.n.BytesIn += int64(n)
	c.sh.mu.Unlock()
	if err != nil {
		return err
	}
	if used == in.n {
		in.n = 0
		c.in = nil
		if len(in.b) == readBytes {
			readBuffers.Put(in)
		}
		return nil
	}
	in.n = copy(in.b, in.b[used:in.n])
	if in.n == len(in.b) { // a packet that is longer than the buffer
		if in.n > c.s.plan.Size+spareBytes {
			return fmt.Errorf("a frame is longer than %d bytes", in.n)
		}
		in.b = append(in.b, make([]byte, len(in.b))...)
	}
	return nil
}

// spareBytes is how much larger a packet may be than the payloads of the plan:
// others publish, too.
const spareBytes = 16 << 20

// batch handles the whole packets in b and flushes the answers once.
func (c *Client) batch(b []byte, now int64) (used int, err error) {
	c.wmu.Lock()
	c.sh.mu.Lock()
	if c.dialect != nil {
		used, err = c.frames(b, now)
	} else {
		used, err = c.packets(b, now)
	}
	c.sh.mu.Unlock()
	if err != nil {
		c.wmu.Unlock()
		return used, err
	}
	if c.pub != nil && c.pub.open() {
		c.pub.fill(now)
	}
	c.flush()
	unread := c.writing && c.out != nil && len(c.out.b) > maxUnread
	c.wmu.Unlock()
	if unread {
		return used, errUnread
	}
	return used, nil
}

// packets handles those in b, with both locks held.
func (c *Client) packets(b []byte, now int64) (used int, err error) {
	for used < len(b) {
		h, body, n, err := mqtt.Frame(b[used:], c.s.plan.Size+spareBytes)
		if errors.Is(err, mqtt.ErrShort) {
			break
		}
		if err == nil {
			err = c.packet(h, body, now)
		}
		if err != nil {
			return used, err
		}
		used += n
	}
	return used, nil
}

// packet handles one, with both locks held.
func (c *Client) packet(h mqtt.Header, body []byte, now int64) error {
	switch h.Type {
	case mqtt.TypePublish:
		p, err := mqtt.ParsePublish(body, h.Flags, &c.opts)
		if err != nil {
			return err
		}
		return c.publish(&p, now)
	case mqtt.TypePuback:
		p, err := mqtt.ParsePuback(body, h.Flags, &c.opts)
		if err != nil {
			return err
		}
		c.acked(p.PacketID, p.Code, PhasePuback, now)
		return nil
	case mqtt.TypePubrec:
		p, err := mqtt.ParsePubrec(body, h.Flags, &c.opts)
		if err != nil {
			return err
		}
		return c.received(p.PacketID, p.Code, now)
	case mqtt.TypePubcomp:
		p, err := mqtt.ParsePubcomp(body, h.Flags, &c.opts)
		if err != nil {
			return err
		}
		c.acked(p.PacketID, p.Code, PhasePubcomp, now)
		return nil
	case mqtt.TypePubrel:
		p, err := mqtt.ParsePubrel(body, h.Flags, &c.opts)
		if err != nil {
			return err
		}
		delete(c.held, p.PacketID)
		o := c.output()
		o.b, err = mqtt.Pubcomp{PacketID: p.PacketID}.Append(o.b, c.opts.Version)
		return err
	case mqtt.TypeConnack, mqtt.TypeSuback, mqtt.TypeUnsuback:
		return c.answered(h, body)
	case mqtt.TypePingresp:
		return nil
	case mqtt.TypeDisconnect:
		p, err := mqtt.ParseDisconnect(body, h.Flags, &c.opts)
		if err != nil {
			return err
		}
		return fmt.Errorf("the broker ended the connection: %v", p.Code)
	}
	return fmt.Errorf("unexpected %v", h.Type)
}

func (c *Client) answered(h mqtt.Header, body []byte) error {
	a := answer{typ: h.Type}
	switch h.Type {
	case mqtt.TypeConnack:
		p, err := mqtt.ParseConnack(body, h.Flags, &c.opts)
		if err != nil {
			return err
		}
		a.codes, a.present = []mqtt.ReasonCode{p.Code}, p.SessionPresent
		c.accepted = p.Code == mqtt.Success
		if !p.SessionPresent && c.opts.Version != mqtt.V31 { // 3.1 does not say
			c.held = nil // the session is a new one
		}
		if n, ok := p.Properties.Uint16(mqtt.PropReceiveMaximum); ok {
			a.max = int(n)
		}
	case mqtt.TypeSuback:
		p, err := mqtt.ParseSuback(body, h.Flags, &c.opts)
		if err != nil {
			return err
		}
		a.codes = p.Codes
	default:
		p, err := mqtt.ParseUnsuback(body, h.Flags, &c.opts)
		if err != nil {
			return err
		}
		a.codes = p.Codes
	}
	select {
	case c.answer <- a:
		return nil
	default:
		return fmt.Errorf("%v that nobody has asked for", h.Type)
	}
}

// ended is the reader's last act.
func (c *Client) ended(err error) {
	c.wmu.Lock()
	c.broken = true
	c.wmu.Unlock()
	_ = c.conn.Close()
	c.err = err
	if c.accepted && !c.closing.Load() {
		c.sh.count(func(n *Counters) { n.Disconnects++ })
		c.s.problem("connection lost", err)
	}
	c.s.gone(c)
}

// Done is closed when the connection has ended; Err tells why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the connection has ended. Call it after Done is closed.
func (c *Client) Err() error { return c.err }

// ID is the client identifier.
func (c *Client) ID() string { return c.id }

// farewellTime is how long a broker may take to end its side of a connection.
const farewellTime = 2 * time.Second

// Disconnect says goodbye, closes the connection and waits for its goroutine.
func (c *Client) Disconnect() {
	c.leave()
	c.finish(time.Now().Add(farewellTime))
}

// leave says goodbye and waits for nothing.
func (c *Client) leave() {
	c.closing.Store(true)
	_ = c.bye()
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.leaving = true
	if !c.writing {
		_ = c.conn.CloseWrite()
	}
}

// finish waits for the broker to close its side, so that nothing is cut off,
// and closes ours at the deadline at the latest.
func (c *Client) finish(deadline time.Time) {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
		_ = c.conn.Close()
		<-c.done
	}
}

// Cut closes the connection without a word, so that the broker publishes its
// will and keeps its session.
func (c *Client) Cut() {
	c.closing.Store(true)
	_ = c.conn.Close()
	<-c.done
}
