package exproto

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/gateway"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/message"
)

// client is a device's connection.
type client struct {
	gateway.Conn
	g         *Gateway
	p         *port
	conn      string // names it in calls
	datagrams bool
	split     *frame.Splitter // nil: bytes as they come
	q         queue
	watch     watch
	calls     context.Context // of the handler, until nothing more waits for it
	hangUp    context.CancelFunc
	stopped   chan struct{} // closed by shut
	told      chan struct{} // closed when the handler has been told of the end
	flushing  *time.Timer   // set by shut
	login     chan struct{} // taken by the Authenticate under way
	heard     bool          // something has come
	deaf      bool          // the handler cannot be told of the end, or knows nothing of the device

	ended atomic.Pointer[string] // reason; nil before shut

	mu         sync.Mutex
	known      bool // it has said who it is
	mountpoint string
}

// Opened implements gateway.Opener.
func (c *client) Opened(ctx context.Context) error {
	info := c.Info()
	c.p = c.g.port(c.Listener())
	c.datagrams = info.Datagrams
	if c.p.codec != nil {
		s := c.p.codec.Splitter(frame.Up)
		c.split = &s
	}
	c.q.init(&c.g.cfg)
	c.calls, c.hangUp = context.WithCancel(context.Background())
	c.stopped, c.told, c.login = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	c.g.clients.add(c)
	// Until the device has said who it is, this is what logs call it.
	c.Name(fmt.Sprintf("exproto-anonymous-%s-%d-%s", info.Remote.Addr(), info.Remote.Port(), rand.Text()[:6]))
	c.watch.start(c)
	known := make(chan struct{})
	c.push(event{kind: onCreated, told: known})
	if !c.datagrams {
		c.waitFor(ctx, known)
	}
	return nil
}

// waitFor keeps a device from being read from until the handler knows of it.
// Otherwise the end of one that sends and closes at once could be seen before the
// handler has said who it is. Datagrams have no end, and wait better in the queue
// than in that of the listener, which is short.
func (c *client) waitFor(ctx context.Context, known <-chan struct{}) {
	select {
	case <-known:
		c.watch.opened()
	case <-c.stopped:
	case <-ctx.Done():
		c.shut(reasonShutdown)
	}
}

// Data implements gateway.Client.
func (c *client) Data(ctx context.Context, data []byte) (rest []byte, want int, err error) {
	c.watch.heard()
	if !c.heard {
		if e, rest := c.strange(data); e != nil {
			return nil, 0, e
		} else if rest {
			return data, len(data) + 1, nil
		}
		c.heard = true
	}
	switch {
	case c.split != nil:
		return c.cut(data, func(f []byte) { c.pass(ctx, f) })
	case c.datagrams:
		c.pass(ctx, data)
	default:
		for chunk := range slices.Chunk(data, callBytes) {
			c.pass(ctx, chunk)
		}
	}
	return nil, 0, nil
}

// pass hands bytes on to the queue, and waits while there is no room.
func (c *client) pass(ctx context.Context, b []byte) {
	merge := c.split == nil && !c.datagrams
	for {
		switch c.q.pushBytes(b, merge) {
		case began:
			c.p.telling.Go(c.tellAll)
			return
		case queued, over:
			return
		}
		c.watch.withhold(true)
		select {
		case <-c.q.room:
		case <-c.stopped:
		case <-ctx.Done():
			c.shut(reasonShutdown)
		}
		c.watch.withhold(false)
	}
}

// push adds an event that no limit refuses.
func (c *client) push(e event) {
	if c.q.push(e) == began {
		c.p.telling.Go(c.tellAll)
	}
}

// Deliver implements broker.Receiver.
func (c *client) Deliver(d *message.Delivery) bool {
	m := d.Message
	c.mu.Lock()
	mp := c.mountpoint
	c.mu.Unlock()
	out := &pb.Message{
		Node: c.g.cfg.Node, Id: messageID(), Qos: uint32(m.QoS), From: text(gateway.PlainID(m.Publisher)),
		Topic: text(strings.TrimPrefix(m.Topic, mp)), Payload: m.Payload, Timestamp: uint64(m.Published.UnixMilli()),
	}
	if d.QoS == 0 { // it is lent
		out.Payload = append([]byte(nil), m.Payload...)
	}
	switch c.q.pushMessage(out, d.PacketID) {
	case full, over:
		return false
	case began:
		c.p.telling.Go(c.tellAll)
	}
	return true
}

// Close implements broker.Receiver.
func (c *client) Close(r broker.Reason) {
	c.shut(closedBy(r))
	c.Conn.Close(r)
}

// stop ends the connection, telling the handler why. The session ends at once;
// the device may take its time to notice.
func (c *client) stop(reason string, err error) {
	c.shut(reason)
	c.End(reason, err)
	_ = c.Do(context.Background(), func(l *broker.Link) error { // none: it was not known
		l.Detach(broker.Farewell{})
		return nil
	})
}

// shut lets the end follow what waits for the handler. The first reason counts.
func (c *client) shut(reason string) {
	if !c.ended.CompareAndSwap(nil, &reason) {
		return
	}
	close(c.stopped)
	c.watch.end()
	c.flushing = time.AfterFunc(c.g.cfg.FlushTimeout, c.giveUp)
	if c.q.close() == began {
		c.p.telling.Go(c.tellAll)
	}
}

// giveUp is called when the handler has not heard everything in time.
func (c *client) giveUp() {
	if n := c.drop(); n > 0 {
		c.Log().Warn("the handler was too slow to hear everything of a device that is gone", "events_lost", n)
	}
	c.hangUp()
}

// drop forgets what waits for the handler.
func (c *client) drop() int {
	n := c.q.drop()
	c.g.count.eventsLost.Add(uint64(n))
	return n
}

// over tells why the connection has ended; "" while it has not.
func (c *client) over() string {
	if r := c.ended.Load(); r != nil {
		return *r
	}
	return ""
}

// Drain implements gateway.Drainer: when the device has gone by itself, what it
// sent last may still be published, and answered.
func (c *client) Drain(e *gateway.End) {
	if c.told == nil { // never opened
		return
	}
	c.shut(reasonOf(e))
	if c.over() == reasonPeer {
		<-c.told
	}
}

// Ended implements gateway.Ender.
func (c *client) Ended(e *gateway.End) {
	if c.told != nil {
		c.shut(reasonOf(e))
	}
}

// LastWords implements gateway.Client: what the handler has sent is waited for.
func (c *client) LastWords(*gateway.End) []byte { return []byte{} }

// Deadline implements gateway.Watch, to be rid of the time-outs of gateway.Conn:
// see watch.
func (c *client) Deadline(time.Time) time.Time { return time.Time{} }

// Expired implements gateway.Watch.
func (c *client) Expired(context.Context) error { return nil }

// connInfo is what the handler is told about the connection.
func (c *client) connInfo() *pb.ConnInfo {
	info := c.Info()
	ci := &pb.ConnInfo{Peername: address(info.Remote)}
	if local, err := netip.ParseAddrPort(c.Local()); err == nil {
		ci.Sockname = address(local)
	}
	switch s := c.Listener().Scheme(); {
	case c.datagrams && s.TLS:
		ci.Socktype = pb.SocketType_DTLS
	case c.datagrams:
		ci.Socktype = pb.SocketType_UDP
	case s.TLS:
		ci.Socktype = pb.SocketType_SSL
	}
	if info.TLS != nil && len(info.TLS.PeerCertificates) > 0 {
		subject := info.TLS.PeerCertificates[0].Subject
		ci.Peercert = &pb.CertificateInfo{Cn: text(subject.CommonName), Dn: text(subject.String())}
	}
	return ci
}

// text is what a string field may hold: gRPC refuses a message with anything else.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func address(a netip.AddrPort) *pb.Address {
	return &pb.Address{Host: a.Addr().Unmap().String(), Port: uint32(a.Port())}
}

var errByHandler = errors.New("the handler has closed it")
