package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/transport"
)

// Conn is the common part of a client's connection. It is embedded in a Client.
// Its methods belong to the goroutine of the connection, except where they say
// otherwise.
type Conn struct {
	s        *Server
	client   Client
	listener transport.Listener
	nc       transport.Conn
	opened   bool // the first byte may come
	plain    bool // a socket: neither TLS nor WebSocket, and no datagrams
	packets  bool // datagrams
	ready    bool // retained messages follow the answers of this batch
	over     bool // guarded by using: Accept comes too late

	name     atomic.Pointer[string]      // client identifier, for the log; nil before Name
	link     atomic.Pointer[broker.Link] // nil before Accept
	using    sync.Mutex                  // taken around the link by Do, Accept, the end of a batch, and the end
	farewell broker.Farewell
	why      string // for the counters

	keepAlive time.Duration // 0: none
	lastRead  time.Time
	deadline  time.Time // that is set on nc

	partial []byte  // of a frame that is not complete
	want    int     // size of that frame, 0 for unknown
	acks    *buffer // of this batch, nil for none; they leave after it has been committed

	refusals *refusals // nil before the first
	w        writer
	ending   atomic.Pointer[End] // that somebody else has asked for
	closing  atomic.Bool         // the last words are written; the reader waits for the peer to close
	quiet    quiet
}

// conn implements Client.
func (c *Conn) conn() *Conn { return c }

func (c *Conn) init(s *Server, terms *ServerConfig, client Client, l transport.Listener, nc transport.Conn) {
	c.s, c.client, c.listener, c.nc = s, client, l, nc
	c.why, c.lastRead = "network", time.Now()
	c.farewell.Abnormal = true
	c.w.init(nc, terms.PendingBytes, terms.SendTimeout, c)
}

// writable implements writerOwner.
func (c *Conn) writable() {
	if l := c.link.Load(); l != nil {
		l.Writable()
	}
}

// tooLong implements writerOwner.
func (c *Conn) tooLong(err error) {
	c.Log().Warn("what is too long for a datagram is dropped, from now on without a word", "err", err)
}

// Info describes the connection; it is complete when Opened is called. From any
// goroutine.
func (c *Conn) Info() transport.Info { return c.nc.Info() }

// Local is the address of this side, in the form of net.Addr.String. From any
// goroutine.
func (c *Conn) Local() string { return c.nc.LocalAddr().String() }

// Listener is where the connection came in.
func (c *Conn) Listener() transport.Listener { return c.listener }

// Broker is what the client is attached to.
func (c *Conn) Broker() *broker.Broker { return c.s.cfg.Broker }

// Link is the client's link to its session; nil before Accept. From any
// goroutine.
func (c *Conn) Link() *broker.Link { return c.link.Load() }

// Name sets the client identifier for the log. It is called before Accept. From
// any goroutine.
func (c *Conn) Name(clientID string) { c.name.Store(&clientID) }

// Log returns a logger for something rare; an idle connection needs none. From
// any goroutine.
func (c *Conn) Log() *slog.Logger {
	name := ""
	if p := c.name.Load(); p != nil {
		name = *p
	}
	return c.s.cfg.Logger.With("remote", c.nc.Info().Peer(), "client", name)
}

// LastRead is when something was last read.
func (c *Conn) LastRead() time.Time { return c.lastRead }

// Charge takes n messages from the connection's message rate.
func (c *Conn) Charge(n int) { c.nc.ChargeMessages(n) }

// Farewell is what the session is told at the end. It is abnormal unless the
// gateway says otherwise.
func (c *Conn) Farewell() *broker.Farewell { return &c.farewell }

// Accept makes the connection that of l, which Broker.Attach has returned,
// writes the answer, and starts deliveries. Of an error nothing remains but that
// the connection has to end with it. It may be called from another goroutine
// where Do is used for all that follows.
func (c *Conn) Accept(l *broker.Link, answer []byte) error {
	c.using.Lock()
	defer c.using.Unlock()
	if c.over {
		l.Detach(broker.Farewell{})
		return broker.ErrEnded
	}
	c.Send(answer) // before Close, and what that says, can see the link
	c.link.Store(l)
	if e := c.ending.Load(); e != nil {
		return &End{Why: e.Why, Err: e.Err, Mute: true}
	}
	l.Start()
	c.w.flush()
	return nil
}

// KeepAlive ends the connection when nothing has come for d; 0 is never. It is
// called after Accept, since before that the connect time-out holds.
func (c *Conn) KeepAlive(d time.Duration) {
	c.keepAlive, c.deadline = d, time.Time{}
	if d == 0 {
		c.setDeadline(time.Time{})
	}
}

// Goodbye limits the time for what is left after the client has said that it
// leaves.
func (c *Conn) Goodbye() { _ = c.nc.SetReadDeadline(time.Now().Add(goodbyeTimeout)) }

// Answers is where the answers of the batch are gathered, which leave after it
// has been committed: append a whole frame, and give the result to Answered.
func (c *Conn) Answers() []byte {
	c.acks = borrow(c.acks)
	return c.acks.b
}

// Answered takes the result of an append to Answers.
func (c *Conn) Answered(b []byte) {
	c.acks.b = b
	if c.packets {
		c.acks.cut()
	}
}

// Answer is Answers and Answered for a frame that is there already.
func (c *Conn) Answer(frame []byte) { c.Answered(append(c.Answers(), frame...)) }

// Ready lets retained messages follow the answers of the batch, after
// Link.Subscribe.
func (c *Conn) Ready() { c.ready = true }

// Send adds a frame to what is to be written, which no limit refuses; Flush
// writes it. From any goroutine.
func (c *Conn) Send(frame []byte) {
	c.w.append(frame, c.packets)
	c.s.cfg.Broker.Stats().BytesSent.Add(uint64(len(frame)))
}

// Append adds the frame of a delivery, which encode appends; with nothing
// appended, nothing is sent. ok is false when too much waits already, or the
// connection ends: then encode is not called. It is called with the writer
// locked, so it must not use the connection. Its panic is the end of this
// connection, and no concern of the publisher, whose goroutine it is. From any
// goroutine.
func (c *Conn) Append(encode func(dst []byte) []byte) (ok bool) {
	dst, ok := c.w.begin()
	if !ok {
		return false
	}
	whole := dst
	defer func() {
		p := recover()
		if p != nil {
			whole = dst
		}
		n := c.w.done(whole, c.packets)
		c.s.cfg.Broker.Stats().BytesSent.Add(uint64(n))
		if p != nil {
			c.stumbled(p)
			c.end(&End{Why: "panic", Err: errPanic, Mute: true})
		}
	}()
	whole = encode(dst)
	return true
}

// Flush implements broker.Receiver.
func (c *Conn) Flush() { c.w.flush() }

// Do is for gateways whose calls of the broker come from other goroutines than
// that of the connection: it calls fn with the link, commits what that has begun,
// and nobody else uses the link meanwhile. Such a gateway makes none of them in
// Data. The error is broker.ErrEnded without a link, that of fn, or that of the
// commit.
func (c *Conn) Do(ctx context.Context, fn func(*broker.Link) error) error {
	c.using.Lock()
	defer c.using.Unlock()
	l := c.link.Load()
	if l == nil || c.over {
		return broker.ErrEnded
	}
	err := fn(l)
	return errors.Join(err, l.Commit(ctx))
}

// serve handles the connection until its end, or until it is to be continued on
// another goroutine.
func (c *Conn) serve(ctx context.Context) (done bool) {
	done = true
	e := &End{Why: "panic", Mute: true}
	defer func() {
		if done {
			c.close(e)
		}
	}()
	defer c.survive()
	if !c.opened {
		if err := c.open(ctx); err != nil {
			e = endOf(err)
			c.finish(e)
			return true
		}
	}
	lasting := context.WithoutCancel(ctx)
	for {
		err := c.batch(ctx, lasting)
		switch {
		case err == nil:
		case errors.Is(err, errRest):
			done = false
			return false
		default:
			e = endOf(err)
			c.finish(e)
			return true
		}
	}
}

// survive is deferred: what one client makes us stumble over is the end of its
// connection alone.
func (c *Conn) survive() {
	if p := recover(); p != nil {
		c.why = "panic"
		c.stumbled(p)
	}
}

// stumbled logs a panic. It is called where that is recovered.
func (c *Conn) stumbled(p any) {
	c.Log().Error("panic while serving a client", "panic", p, "stack", string(debug.Stack()))
}

// open does what precedes the first byte.
func (c *Conn) open(ctx context.Context) error {
	start := time.Now()
	_ = c.nc.SetReadDeadline(start.Add(c.s.terms.Load().ConnectTimeout))
	if err := c.nc.Handshake(ctx); err != nil {
		return &End{Why: "handshake", Err: err, Mute: true}
	}
	_ = c.nc.SetReadDeadline(start.Add(c.s.terms.Load().ConnectTimeout))
	info := c.nc.Info()
	c.packets = info.Datagrams
	c.opened, c.plain = true, info.TLS == nil && info.Subprotocol == "" && !c.packets
	if o, ok := c.client.(Opener); ok {
		return errors.Join(o.Opened(ctx), c.commit(ctx))
	}
	return nil
}

// batch reads once and works off everything that the read has brought. What has
// been begun is completed with lasting, which does not end with ctx.
func (c *Conn) batch(ctx, lasting context.Context) error {
	if err := c.w.throttle(); err != nil {
		return err
	}
	c.arm()
	if e := c.askedFirst(); e != nil {
		return e // its deadline may have been overwritten
	}
	buf, n, err := c.read()
	if err != nil {
		c.release(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return c.timedOut(ctx, lasting)
		}
		if c.packets && errors.Is(err, io.ErrShortBuffer) {
			return nil // one datagram is lost, and counted
		}
		return err
	}
	if c.closing.Load() {
		c.release(buf)
		return nil // discarded until the peer closes
	}
	c.lastRead = time.Now()
	c.quiet.end()
	c.s.cfg.Broker.Stats().BytesReceived.Add(uint64(n))
	data := buf[:n]
	if len(c.partial) > 0 {
		c.partial = append(c.partial, data...)
		data = c.partial
	}
	rest := data
	if len(data) >= c.want {
		rest, c.want, err = c.client.Data(ctx, data)
	}
	c.keep(rest)
	c.release(buf)
	if cerr := c.commit(lasting); err == nil {
		err = cerr
	}
	return err
}

// read reads once, into a borrowed buffer.
func (c *Conn) read() (buf []byte, n int, err error) {
	if c.packets {
		return c.nc.ReadWith(c.s.whole)
	}
	return c.nc.ReadWith(c.s.read)
}

func (c *Conn) release(buf []byte) {
	switch cap(buf) {
	case readBytes:
		c.s.bufs.Put((*[readBytes]byte)(buf[:readBytes]))
	case datagramBytes:
		c.s.large.Put((*[datagramBytes]byte)(buf[:datagramBytes]))
	}
}

// keep copies what is left of an incomplete frame out of the read buffer.
func (c *Conn) keep(rest []byte) {
	switch {
	case len(rest) == 0 || c.packets:
		c.partial, c.want = nil, 0
	case len(c.partial) > 0: // rest is its end
		c.partial = c.partial[:copy(c.partial, rest)]
	default:
		c.partial = append([]byte(nil), rest...)
	}
}

// commit lets the batch take effect, then its answers leave.
func (c *Conn) commit(ctx context.Context) error {
	l := c.link.Load()
	if l != nil {
		c.using.Lock()
		defer c.using.Unlock()
		if err := l.Commit(ctx); err != nil {
			return &End{Why: "store", Err: fmt.Errorf("%w: %w", ErrStore, err)}
		}
	}
	if c.acks != nil {
		n := c.w.take(c.acks)
		c.acks = nil
		c.s.cfg.Broker.Stats().BytesSent.Add(uint64(n))
	}
	if c.ready && l != nil {
		c.ready = false
		l.Ready()
		if err := l.Commit(ctx); err != nil {
			return &End{Why: "store", Err: fmt.Errorf("%w: %w", ErrStore, err)}
		}
	}
	c.w.flush()
	return nil
}
