package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// conn is one network connection. Everything but the writer and the atomics
// belongs to the goroutine in serve.
type conn struct {
	g        *Gateway
	listener transport.Listener
	nc       transport.Conn
	opened   bool // the first packet may come
	plain    bool // neither TLS nor WebSocket
	opts     mqtt.Options
	creds    *auth.Credentials // nil when nobody needs them any more

	version  mqtt.Version
	clientID string
	link     atomic.Pointer[broker.Link] // nil before CONNECT is accepted
	farewell broker.Farewell
	why      string // for the counters and the log

	keepAlive time.Duration // 1.5 times what was agreed; 0: none
	lastRead  time.Time
	deadline  time.Time // that is set on nc

	partial []byte   // of a packet that is not complete
	want    int      // size of that packet, 0 when its header is incomplete
	acks    *buffer  // of this batch, nil for none; they leave after it has been committed
	ready   bool     // retained messages follow the acknowledgements
	qos1    int      // QoS 1 messages of this batch
	aliases [][]byte // by topic alias, from 1
	session sessionState

	refusals refusals

	pending *mqtt.Connect // waits for its enhanced authentication
	w       writer
	out     outbound
	kicked  atomic.Bool // Close was called
	closing atomic.Bool // the last packet is written; the reader waits for the peer to close
	quiet   quiet
}

// sessionState is what CONNECT has settled.
type sessionState struct {
	expiry      time.Duration // as requested or granted
	problemInfo bool          // the client wants reason strings
	method      string        // of the enhanced authentication
	exchange    auth.Exchange // re-authentication under way
	rounds      int
}

func newConn(g *Gateway, l transport.Listener, nc transport.Conn) *conn {
	c := &conn{g: g, listener: l, nc: nc, why: "network", lastRead: time.Now()}
	c.farewell.Abnormal = true
	c.opts.CheckPayload = true
	c.w.init(nc, g.cfg.PendingBytes, g.cfg.SendTimeout, func() {
		if l := c.link.Load(); l != nil {
			l.Writable()
		}
	})
	return c
}

// ended is how a connection comes to its end: what the peer is told, and what
// the log says.
type ended struct {
	code mqtt.ReasonCode // for DISCONNECT or CONNACK of 5.0
	why  string          // one of a small set, counted by the listener
	err  error
	last []byte // the packet to send instead of DISCONNECT, if not nil
	mute bool   // nothing is sent
}

func (e *ended) Error() string { return fmt.Sprintf("%s: %v", e.why, e.err) }
func (e *ended) Unwrap() error { return e.err }

// errBye: the client has said DISCONNECT.
var errBye = &ended{why: "disconnect", err: errors.New("client disconnected"), mute: true}

// errKicked: Close came before the client has heard that it is connected.
var errKicked = &ended{why: "kicked", err: errors.New("ended before it was connected"), mute: true}

// log returns a logger for something rare; an idle connection needs none.
func (c *conn) log() *slog.Logger {
	return c.g.cfg.Logger.With("remote", c.nc.Info().Peer(), "client", c.clientID)
}

// serve handles the connection until its end, or until it is to be continued on
// another goroutine.
func (c *conn) serve(ctx context.Context) (done bool) {
	done = true
	defer func() {
		if done {
			c.close()
		}
	}()
	defer c.survive()
	if !c.opened && !c.open(ctx) {
		return true
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
			c.finish(err)
			return true
		}
	}
}

// survive is deferred: what one client makes us stumble over is the end of its
// connection alone.
func (c *conn) survive() {
	if p := recover(); p != nil {
		c.why = "panic"
		c.log().Error("panic while serving a client", "panic", p, "stack", string(debug.Stack()))
	}
}

// open does what precedes the first packet.
func (c *conn) open(ctx context.Context) bool {
	start := time.Now()
	_ = c.nc.SetReadDeadline(start.Add(c.g.cfg.ConnectTimeout))
	if err := c.nc.Handshake(ctx); err != nil {
		c.why = "handshake"
		c.g.cfg.Logger.Info("connection refused", "listener", c.listener.URL(), "remote", c.nc.Info().Peer(), "err", err)
		return false
	}
	_ = c.nc.SetReadDeadline(start.Add(c.g.cfg.ConnectTimeout))
	info := c.nc.Info()
	c.opened, c.plain = true, info.TLS == nil && info.Subprotocol == ""
	return true
}

// batch reads once and works off everything that the read has brought. What has
// been begun is completed with lasting, which does not end with ctx.
func (c *conn) batch(ctx, lasting context.Context) error {
	if err := c.w.throttle(); err != nil {
		return err
	}
	c.armKeepAlive()
	if c.kicked.Load() && c.link.Load() == nil {
		return errKicked // its deadline may have been overwritten
	}
	buf, n, err := c.nc.ReadWith(c.g.read)
	if err != nil {
		c.release(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return c.timedOut(err)
		}
		return err
	}
	if c.closing.Load() {
		c.release(buf)
		return nil // discarded until the peer closes
	}
	c.lastRead = time.Now()
	c.quiet.end()
	c.g.b.Stats().BytesReceived.Add(uint64(n))
	data := buf[:n]
	if len(c.partial) > 0 {
		c.partial = append(c.partial, data...)
		data = c.partial
	}
	var rest []byte
	if len(data) >= c.want {
		rest, err = c.packetsIn(ctx, data)
	} else {
		rest = data
	}
	c.keep(rest)
	c.release(buf)
	if cerr := c.commit(lasting); err == nil {
		err = cerr
	}
	return err
}

func (c *conn) release(buf []byte) {
	if cap(buf) == readBytes {
		c.g.bufs.Put((*[readBytes]byte)(buf[:readBytes]))
	}
}

// keep copies what is left of an incomplete packet out of the read buffer.
func (c *conn) keep(rest []byte) {
	switch {
	case len(rest) == 0:
		c.partial = nil
	case len(c.partial) > 0: // rest is its end
		c.partial = c.partial[:copy(c.partial, rest)]
	default:
		c.partial = append([]byte(nil), rest...)
	}
}

// packetsIn handles the complete packets in data and returns what is left.
func (c *conn) packetsIn(ctx context.Context, data []byte) (rest []byte, err error) {
	for len(data) > 0 {
		if c.version == 0 { // Before looking at the length. // [MQTT-3.1.0-1]
			if what := describe(data); what != mqtt.TypeConnect.String() {
				return nil, &ended{why: "protocol", err: fmt.Errorf("first packet is not CONNECT but %s", what), mute: true}
			}
		}
		h, body, n, err := mqtt.Frame(data, c.g.cfg.MaxPacketBytes)
		if errors.Is(err, mqtt.ErrShort) {
			c.want = n
			return data, nil
		}
		if err != nil {
			return nil, c.malformed(err)
		}
		c.want = 0
		c.g.b.Stats().PacketsReceived[h.Type].Add(1)
		if err := c.handle(ctx, h, body); err != nil {
			return nil, err
		}
		data = data[n:]
	}
	c.want = 0
	return nil, nil
}

// describe names what a stranger seems to speak.
func describe(data []byte) string {
	if other := transport.Sniff(data); other != "" && other != "MQTT" {
		return other
	}
	return mqtt.Type(data[0] >> 4).String()
}

// malformed is the end of a connection for a packet that breaks a rule.
func (c *conn) malformed(err error) error {
	return &ended{code: reasonOf(err), why: "protocol", err: err}
}

// protocolError is malformed for rules that need memory of earlier packets.
func (c *conn) protocolError(code mqtt.ReasonCode, format string, args ...any) error {
	return &ended{code: code, why: "protocol", err: fmt.Errorf(format, args...)}
}

// commit lets the batch take effect, then its acknowledgements leave.
func (c *conn) commit(ctx context.Context) error {
	c.qos1 = 0
	l := c.link.Load()
	if l == nil {
		return nil
	}
	if err := l.Commit(ctx); err != nil {
		return &ended{code: mqtt.ImplementationSpecificError, why: "store", err: err}
	}
	if c.acks != nil {
		c.w.append(c.acks.b)
		giveBack(c.acks)
		c.acks = nil
	}
	if c.ready {
		c.ready = false
		l.Ready()
		if err := l.Commit(ctx); err != nil {
			return &ended{code: mqtt.ImplementationSpecificError, why: "store", err: err}
		}
	}
	c.w.flush()
	return nil
}

// answers is where the acknowledgements of the batch are gathered.
func (c *conn) answers() []byte {
	c.acks = borrow(c.acks)
	return c.acks.b
}

// answer adds a packet to the acknowledgements of the batch, as in
// c.answer(p.Append(c.answers(), c.version)).
func (c *conn) answer(b []byte, err error) {
	if err != nil { // our own packet
		c.log().Error("packet not sent", "err", err)
		return
	}
	c.g.count(b[len(c.acks.b):])
	c.acks.b = b
}

// count adds a packet to what has been sent.
func (g *Gateway) count(packet []byte) {
	st := g.b.Stats()
	st.PacketsSent[packet[0]>>4].Add(1)
	st.BytesSent.Add(uint64(len(packet)))
}

// finish tells the peer why the connection ends, and waits for it to have
// heard.
func (c *conn) finish(err error) {
	var e *ended
	if !errors.As(err, &e) {
		e = &ended{why: "network", err: err, mute: true}
	}
	if !c.closing.Load() {
		c.why = e.why
		level := slog.LevelInfo
		if e == errBye {
			level = slog.LevelDebug
		}
		c.log().Log(context.Background(), level, "connection ended", "reason", e.why, "err", e.err)
	}
	c.tellRefusals()
	if l := c.link.Load(); l != nil {
		l.Detach(c.farewell)
	}
	if last := c.lastPacket(e); last != nil && c.sayLast(last) {
		c.closing.Store(true)
		c.linger()
	}
}

// sayLast writes the last packet, if there is one.
func (c *conn) sayLast(packet []byte) bool {
	if !c.w.finish(packet) {
		return false
	}
	if len(packet) > 0 {
		c.g.count(packet)
	}
	return true
}

// lastPacket is what the peer is told.
func (c *conn) lastPacket(e *ended) []byte {
	switch {
	case e.mute:
		return nil
	case e.last != nil:
		return e.last
	case c.version < mqtt.V5 || c.link.Load() == nil:
		return nil
	}
	d := mqtt.Disconnect{Code: e.code}
	if c.session.problemInfo && e.err != nil {
		d.Properties = d.Properties.AppendString(mqtt.PropReasonString, clip(e.err.Error()))
	}
	b, err := d.Append(nil, c.version)
	if err != nil || c.out.tooLarge(len(b)) {
		b, err = mqtt.Disconnect{Code: e.code}.Append(nil, c.version)
	}
	if err != nil || c.out.tooLarge(len(b)) {
		return nil
	}
	return b
}

// clip bounds a reason string. Reasons quote outside input with %q, so they
// are valid UTF-8, of which the cut may leave half a character.
func clip(s string) string {
	const most = 256
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-3], "") + "..."
	}
	return s
}

// lingerBytes is how much of a client's input is discarded while it has not
// noticed the end: closing with unread input would reset the connection and
// could destroy the last packet on its way.
const lingerBytes = 1 << 20

func (c *conn) linger() {
	_ = c.nc.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	for total := 0; total < lingerBytes; {
		buf, n, err := c.nc.ReadWith(c.g.read)
		c.release(buf)
		if err != nil {
			return
		}
		total += n
	}
}

// Close implements broker.Receiver.
func (c *conn) Close(r broker.Reason) {
	c.kicked.Store(true)
	if c.link.Load() == nil { // it has not heard that it is connected
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // it has not even said CONNECT
		return
	}
	last := c.lastPacket(&ended{code: farewellOf(r), err: errors.New(r.String())})
	if c.sayLast(last) {
		c.closing.Store(true)
		_ = c.nc.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	}
}

// close releases everything.
func (c *conn) close() {
	if l := c.link.Load(); l != nil {
		l.Detach(c.farewell) // nothing, when finish has done it
	}
	c.w.stop()
	_ = c.nc.CloseReason(c.why)
}
