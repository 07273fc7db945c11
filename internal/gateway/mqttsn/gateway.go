// Package mqttsn serves clients of MQTT-SN 1.2 over UDP and DTLS, inside the
// broker's process, so that an MQTT client cannot tell what they publish from
// what others do.
//
// # Goroutines
//
// Two goroutines per plain listener: one reads, so that nothing is lost in the
// kernel when everybody wakes at once (backlog.go), and the other works off batches
// of datagrams. What may wait for the store or an authenticator goes to one of a
// crew, which is there only while there is something to do (work.go). DTLS costs
// what its library costs: see transport. One timer wheel serves all clients.
//
// # Memory
//
// No datagram but a valid CONNECT makes the gateway remember its sender. What
// waits for a client is bounded, asleep or not (Config.Sleep), and so are half-open
// connections, clients, and datagrams that wait for somebody to work them off.
package mqttsn

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

// Protocol is the name of the protocol for listeners and authenticators.
const Protocol = "mqttsn"

// Gateway serves such clients on any number of listeners.
type Gateway struct {
	broker *broker.Broker
	ctx    context.Context // for calls of the broker
	auth   auth.Authenticator
	log    *slog.Logger
	now    func() time.Time // of timers
	inline bool             // no goroutine is started: tests are the same every time
	random func() uint32    // nil: numbers that nobody can tell

	terms    atomic.Pointer[terms]
	counts   counts
	clients  clients
	halfOpen atomic.Int64
	lobby    lobby
	wheel    wheel
	lent     atomic.Int64 // bytes of messages at QoS 0 that wait for clients
	crew     crew
	rates    rates

	neighbours neighbours

	mu      sync.Mutex
	ports   map[string]*port   // plain listeners, and those of restored clients, by name
	pseudo  map[string]*client // who publishes without a connection, by listener
	serving int                // calls of Serve
	rest    func()             // ends the goroutine of the wheel
}

// terms are the settings of the moment.
type terms struct {
	Config     // with defaults
	predefined *predefinedTopics
	forwarders forwarders
	groups     []netip.AddrPort
}

func newTerms(cfg Config) (*terms, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &terms{Config: cfg.withDefaults()}
	t.predefined, _ = newPredefinedTopics(&t.Topics) // it is valid, and so are the others
	t.forwarders, _ = newForwarders(t.Forwarders)
	t.groups, _ = t.Multicast.groups()
	return t, nil
}

// New returns a gateway to b. It goes on with the clients that were connected when
// the broker ended, or asleep, so it has to be called before b.Run.
func New(cfg Config, b *broker.Broker) (*Gateway, error) {
	return newGateway(cfg, b, time.Now, false)
}

func newGateway(cfg Config, b *broker.Broker, now func() time.Time, inline bool) (*Gateway, error) {
	t, err := newTerms(cfg)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		broker: b, auth: cfg.Authenticator, log: t.Logger, now: now, inline: inline,
		ctx: context.Background(), ports: map[string]*port{}, pseudo: map[string]*client{},
	}
	if inline {
		g.random = rand.New(rand.NewPCG(1, 2)).Uint32
	}
	g.terms.Store(t)
	g.clients.init()
	g.wheel.init(now())
	g.crew.init(g)
	g.rates.init(t, now())
	if err := g.restore(); err != nil {
		return nil, fmt.Errorf("restore clients: %w", err)
	}
	return g, nil
}

// Reload replaces the settings, for what is still to come. Authenticator and
// Logger stay.
func (g *Gateway) Reload(cfg Config) error {
	cfg.Authenticator, cfg.Logger = g.auth, g.log
	t, err := newTerms(cfg)
	if err != nil {
		return err
	}
	g.terms.Store(t)
	g.rates.set(t, g.now())
	return nil
}

// Serve implements gateway.Gateway.
func (g *Gateway) Serve(ctx context.Context, l transport.Listener) error {
	g.begin()
	defer g.end()
	stop := context.AfterFunc(ctx, func() {
		g.dismiss(g.of(listenerName(l)))
		_ = l.Close()
	})
	defer stop()
	if p, ok := l.(transport.PacketListener); ok {
		return g.servePackets(p)
	}
	return g.serveAssociations(ctx, l)
}

// begin notes that another listener is served; the first has the wheel turn.
func (g *Gateway) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serving++
	if g.serving > 1 {
		return
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		g.turn(stop)
	}()
	g.rest = func() {
		close(stop)
		<-done
	}
}

// end notes that a listener is not served any more. With the last one goes every
// goroutine.
func (g *Gateway) end() {
	g.mu.Lock()
	g.serving--
	last, rest := g.serving == 0, g.rest
	g.mu.Unlock() // the crew may need it
	if last {
		rest()
		g.crew.wait()
	}
}

// turn has the wheel turn until stop is closed.
func (g *Gateway) turn(stop chan struct{}) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			g.fire(g.now())
		}
	}
}

// fire has everything happen that is due.
func (g *Gateway) fire(now time.Time) {
	w := g.newWork()
	w.now = now
	for _, c := range g.wheel.advance(now, nil) {
		c.post(w, event{do: (*client).onTimer, quick: true})
	}
	w.end()
}

// receive works off one datagram. One that makes the program panic is dropped.
func (g *Gateway) receive(w *work, p path, b []byte) {
	defer func() {
		if p := recover(); p != nil {
			g.counts.panics.Add(1)
			g.log.Error("internal error", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	h, body, n, err := mqttsn.Frame(b, mqttsn.Version12)
	if err != nil {
		g.counts.malformed.Add(1)
		return
	}
	g.counts.received(h.Type)
	switch {
	case h.Type == mqttsn.TypeEncapsulated && !p.node.forwarded:
		g.unwrap(w, p, h, body, b[n:])
		return
	case h.Type == mqttsn.TypeAuth && n == len(b) && g.terms.Load().wantsAuth(p):
	case !h.Type.Known() || h.Type == mqttsn.TypeEncapsulated: // none within another: SN-5.4.20
		g.counts.unknownType.Add(1)
		return
	case n < len(b):
		g.counts.trailing.Add(1) // two messages in one datagram: SN-5.1
		return
	case h.Type == mqttsn.TypeSearchGW || h.Type == mqttsn.TypeAdvertise || h.Type == mqttsn.TypeGWInfo:
		g.discover(w, p, h.Type, body)
		return
	}
	e := event{from: p, header: h, body: body}
	if c := g.clients.at(p); c != nil {
		c.out.count(c, len(b)+p.overhead())
		c.post(w, e)
		return
	}
	g.stranger(w, e)
}
