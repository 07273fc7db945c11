package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// session is one connection of a client, and that to its broker.
type session struct {
	e      *Engine
	client transport.Conn
	server transport.Conn // nil before it is dialed
	up     *upstream      // where server goes
	state  *state         // while the session has goroutines
	relay  *link          // instead of state
	ending atomic.Pointer[End]

	number   uint64
	began    time.Time
	version  mqtt.Version // of the client; 0 before CONNECT, and in transparent mode
	sversion mqtt.Version // of what the broker has been told
	answered bool         // CONNACK has come from the broker
	left     atomic.Bool  // the client has said DISCONNECT
	idle     time.Duration
	clientID string
	traffic  traffic
}

// state is what a session needs as long as goroutines serve it; a relay does not.
type state struct {
	conn   *Conn
	cancel context.CancelFunc
	stages []Stage
	emits  []func(Frame) error
	ctx    context.Context //nolint:containedctx // of the connection, for emit
	sinks  [2]sink         // by direction
	pumps  [2]*pump
	half   [2]atomic.Int64 // when the direction has ended, in Unix ns; 0: it has not

	mu      sync.Mutex
	running int      // goroutines that move a direction
	back    bool     // there is, or was, one towards the client
	errs    [2]error // why they have ended
	dialMu  sync.Mutex
	told    atomic.Bool // the client has had a CONNACK

	connect    []byte // what the broker was sent, until it has answered; nil unless it may refer to another
	challenged bool   // the broker has sent AUTH
	followed   bool   // the broker has referred to another
}

func newSession(e *Engine, nc transport.Conn) *session {
	s := &session{e: e, client: nc, number: e.numbers.Add(1), began: time.Now()}
	s.traffic.m = e.m
	return s
}

// shutdown is the end of connections when the engine stops.
func (e *Engine) shutdown() *End {
	end := &End{Why: "shutdown", Err: errors.New("the proxy stops")}
	if e.cfg.Farewell {
		end.Client = mqtt.ServerShuttingDown
	}
	return end
}

// serve brings client and broker together, and passes on what they say until one
// leaves, unless a relay takes over.
func (s *session) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	st := &state{ctx: ctx, cancel: cancel}
	st.sinks[ToClient].init(s, ToClient, s.client)
	s.e.mu.Lock() // end looks at it
	s.state = st
	s.e.mu.Unlock()
	if end := s.ending.Load(); end != nil {
		cancel()
	}
	err := s.open(ctx)
	if err == nil && s.handOver() {
		cancel()
		return
	}
	if err != nil {
		s.finish(endOf(err))
		return
	}
	s.start()
}

// open does everything up to the broker's answer.
func (s *session) open(ctx context.Context) error {
	late := s.began.Add(s.e.cfg.ConnectTimeout)
	hctx, cancel := context.WithDeadline(ctx, late)
	err := s.client.Handshake(hctx)
	cancel()
	if err != nil {
		return &End{Why: "handshake", Err: err}
	}
	_ = s.client.SetReadDeadline(late)
	if s.e.cfg.Transparent {
		return s.openTransparent(ctx)
	}
	return s.openMQTT(ctx)
}

func (s *session) openTransparent(ctx context.Context) error {
	s.idle = s.e.cfg.IdleTimeout
	key := s.client.Info().Remote.Addr().String()
	if err := s.dial(ctx, key); err != nil {
		return err
	}
	_ = s.client.SetReadDeadline(time.Time{})
	s.state.pumps = [2]*pump{newPump(s, ToServer), newPump(s, ToClient)}
	return nil
}

// start has both directions moved, each on a goroutine of its own, which forget the
// session when they have ended.
func (s *session) start() {
	st := s.state
	st.pumps[ToServer].plain = transport.Detachable(s.client)
	st.running = 1
	s.startBack()
	go s.turn(ToServer)
}

// startBack starts the direction towards the client once there is a broker.
func (s *session) startBack() {
	st := s.state
	if st.back || !s.connected() {
		return
	}
	st.back = true
	st.pumps[ToClient].plain = transport.Detachable(s.server)
	st.mu.Lock()
	st.running++
	st.mu.Unlock()
	go s.turn(ToClient)
}

// turn moves a direction until it ends, or is quiet: a new goroutine waits for more
// then.
func (s *session) turn(d Direction) {
	st := s.state
	after := func() {}
	if d == ToServer {
		after = s.startBack
	}
	err := st.pumps[d].run(st.ctx, after)
	if errors.Is(err, errRest) {
		go func() {
			if st.ctx.Err() == nil { // otherwise the deadline that interrupts may have been overwritten
				st.pumps[d].from().Wait()
			}
			s.turn(d)
		}()
		return
	}
	st.half[d].CompareAndSwap(0, time.Now().UnixNano())
	if err != nil {
		s.interrupt(st)
	}
	st.mu.Lock()
	st.errs[d] = err
	st.running--
	last := st.running == 0
	st.mu.Unlock()
	if !last {
		return
	}
	if err = st.errs[ToServer]; err == nil || errors.Is(err, errInterrupted) {
		err = st.errs[ToClient]
	}
	s.finish(endOf(err))
}

// connected reports whether there is a broker.
func (s *session) connected() bool {
	s.state.dialMu.Lock()
	defer s.state.dialMu.Unlock()
	return s.server != nil
}

// end ends the session. It does not wait.
func (s *session) end(e *End) {
	if !s.ending.CompareAndSwap(nil, e) {
		return
	}
	s.e.mu.Lock() // a session has a state, then perhaps a relay, and never both
	st, l := s.state, s.relay
	s.e.mu.Unlock()
	switch {
	case l != nil:
		l.loop.post(func() { l.finish(e) })
	case st != nil:
		s.interrupt(st)
	}
}

// farewellTime bounds the last words, and the wait for a side to have read them.
const farewellTime = 2 * time.Second

// interrupt makes all that reads and writes return.
func (s *session) interrupt(st *state) {
	st.cancel()
	_ = s.client.SetReadDeadline(time.Unix(1, 0))
	_ = s.client.SetWriteDeadline(time.Now().Add(farewellTime))
	st.dialMu.Lock()
	defer st.dialMu.Unlock()
	if s.server != nil {
		_ = s.server.SetReadDeadline(time.Unix(1, 0))
		_ = s.server.SetWriteDeadline(time.Now().Add(farewellTime))
	}
}

// errInterrupted: the other direction knows why.
var errInterrupted = errors.New("interrupted")

// endOf is err as an End; nil is that both sides have closed.
func endOf(err error) *End {
	var e *End
	var bad *mqtt.Malformed
	switch {
	case err == nil:
		return &End{Why: "closed", Err: io.EOF}
	case errors.As(err, &e):
		return e
	case errors.As(err, &bad):
		return &End{Why: "protocol", Err: err, Client: bad.Code, Server: bad.Code}
	}
	return &End{Why: "network", Err: err}
}

// finish tells both sides why the session ends, closes, and forgets it.
func (s *session) finish(e *End) {
	if !s.ending.CompareAndSwap(nil, e) {
		e = s.ending.Load()
	}
	st := s.state
	st.cancel()
	_ = s.client.SetWriteDeadline(time.Now().Add(farewellTime))
	if e.Manner == Reset {
		_ = transport.Abort(s.client, e.Why)
		if s.server != nil {
			_ = transport.Abort(s.server, e.Why)
		}
	} else {
		s.sayGoodbye(e)
	}
	for _, stage := range st.stages {
		if x, ok := stage.(Ender); ok {
			x.Ended(e)
		}
	}
	s.over(e)
}

// sayGoodbye writes the last words and closes both sides.
func (s *session) sayGoodbye(e *End) {
	st := s.state
	var wg sync.WaitGroup
	if s.server != nil {
		wg.Go(func() {
			_ = s.server.SetWriteDeadline(time.Now().Add(farewellTime))
			st.sinks[ToServer].last(s.wordsForServer(e))
			linger(s.e, s.server)
			_ = s.server.CloseReason(e.Why)
		})
	}
	st.sinks[ToClient].last(s.wordsForClient(e, st.told.Load()))
	linger(s.e, s.client)
	_ = s.client.CloseReason(e.Why)
	wg.Wait()
}

// wordsForClient is what a client is told at the end, which has been told the broker's
// answer to its CONNECT or not; nil for nothing.
func (s *session) wordsForClient(e *End, told bool) []byte {
	if e.Client == 0 || s.version == 0 {
		return nil
	}
	var p mqtt.Packet
	var props mqtt.Properties
	if e.Text != "" && s.version == mqtt.V5 {
		props = props.AppendString(mqtt.PropReasonString, e.Text)
	}
	switch {
	case !told:
		p = mqtt.Connack{Code: e.Client, Properties: props}
	case s.version == mqtt.V5 && e.Client.AllowedIn(mqtt.TypeDisconnect):
		p = mqtt.Disconnect{Code: e.Client, Properties: props}
	case s.version == mqtt.V5:
		p = mqtt.Disconnect{Code: mqtt.UnspecifiedError, Properties: props}
	default:
		return nil
	}
	b, err := p.Append(nil, s.version)
	if err != nil {
		return nil
	}
	return b
}

// wordsForServer is what a broker is told at the end; nil for nothing.
func (s *session) wordsForServer(e *End) []byte {
	if e.Server == 0 || s.sversion != mqtt.V5 || !e.Server.AllowedIn(mqtt.TypeDisconnect) {
		return nil
	}
	b, err := mqtt.Disconnect{Code: e.Server}.Append(nil, mqtt.V5)
	if err != nil {
		return nil
	}
	return b
}

// lingerBytes is how much of what a peer still sends is thrown away while it has not
// noticed the end.
const lingerBytes = 1 << 20

// linger ends the stream towards nc and waits for it to have heard: closing a socket
// with unread input resets it, which can overtake the last words.
func linger(e *Engine, nc transport.Conn) {
	if nc.CloseWrite() != nil {
		return
	}
	_ = nc.SetReadDeadline(time.Now().Add(farewellTime))
	for total := 0; total < lingerBytes; {
		b, n, err := nc.ReadWith(e.borrow)
		e.release(b)
		if err != nil {
			return
		}
		total += n
	}
}

// over counts and logs the end.
func (s *session) over(e *End) {
	s.traffic.end()
	if s.left.Load() && (e.Why == "closed" || e.Why == "network") {
		e = &End{Why: "disconnect", Err: e.Err}
	}
	if s.up != nil {
		s.up.open.Add(-1)
	}
	s.e.m.count(eventEnded, e.Why, "")
	log := s.e.log.With("conn", s.number, "remote", s.client.Info().Peer(), "client", s.clientID)
	switch {
	case e.Why == "closed" || e.Why == "disconnect":
		log.Debug("connection ended", "reason", e.Why)
	default:
		log.Info("connection ended", "reason", e.Why, "err", e.Err)
	}
	s.e.gone(s)
}

// isTimeout reports an expired deadline.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// dial connects to the first broker in the order of key that can be reached.
func (s *session) dial(ctx context.Context, key string) error {
	err := errNoBroker
	for _, u := range s.e.pool.order(key) {
		var nc transport.Conn
		if nc, err = s.dialTo(ctx, u); err == nil {
			s.use(u, nc)
			return nil
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
		s.e.log.Warn("broker cannot be reached", "conn", s.number, "broker", u.name, "err", err)
	}
	return &End{Why: "no-broker", Err: fmt.Errorf("no broker can be reached: %w", err), Client: mqtt.ServerUnavailable, Text: "no broker can be reached"}
}

func (s *session) dialTo(ctx context.Context, u *upstream) (transport.Conn, error) {
	sub := ""
	if s.e.cfg.Transparent {
		sub = s.client.Info().Subprotocol
	}
	return u.dial(ctx, s.e.cfg.DialTimeout, s.header(), sub)
}

// use makes nc the connection to the broker.
func (s *session) use(u *upstream, nc transport.Conn) {
	u.open.Add(1)
	st := s.state
	st.dialMu.Lock()
	s.server = nc
	st.dialMu.Unlock()
	s.e.mu.Lock()
	s.up = u
	s.e.mu.Unlock()
	st.sinks[ToServer].init(s, ToServer, nc)
	if st.ctx.Err() != nil {
		s.interrupt(st)
	}
}

// header is the PROXY header for the broker, nil for none.
func (s *session) header() []byte {
	if s.e.cfg.SendProxy == 0 {
		return nil
	}
	return clientHeader(s.e.cfg.SendProxy, s.client.Info(), s.client.LocalAddr())
}

// boundary reports whether no packet is cut in what went out in direction d.
func (s *session) boundary(d Direction) bool {
	p := s.state.pumps[d]
	return p == nil || p.walk.whole()
}

// isAt reports whether the session goes to that broker.
func (s *session) isAt(u *upstream) bool {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	return s.up == u
}
