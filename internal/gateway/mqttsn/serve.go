package mqttsn

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/transport"
)

// Reading from sockets.
const (
	batch       = 64       // datagrams that are read at a time
	datagramMax = 64 << 10 // bytes
)

// servePackets reads what comes to a socket; another goroutine works it off.
func (g *Gateway) servePackets(l transport.PacketListener) error {
	p := g.open(l)
	defer g.close(p, l)
	leave := g.join(l, p, rejoinPause)
	defer leave()
	waiting := newBacklog()
	var working sync.WaitGroup
	working.Go(func() { g.workOff(p, waiting) })
	defer working.Wait()
	defer waiting.end()
	ds := transport.NewDatagrams(batch, datagramMax)
	for {
		n, err := l.ReadBatch(ds)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		g.counts.flooded.Add(uint64(waiting.put(ds[:n])))
	}
}

// workOff works off what has come to a port.
func (g *Gateway) workOff(p *port, waiting *backlog) {
	w := g.newWork()
	for c := waiting.take(); c != nil; c = waiting.take() {
		w.begin()
		begin := 0
		for _, d := range c.items {
			g.receive(w, path{port: p, addr: d.from}, c.bytes[begin:d.end:d.end])
			begin = d.end
		}
		w.end()
		waiting.give(c)
	}
}

// dismissal is how long clients may take to be told.
const dismissal = 5 * time.Second

// dismiss tells clients that the server ends, as the broker does if it ends, too.
func (g *Gateway) dismiss(cs []*client) {
	for _, c := range cs {
		c.Close(broker.ReasonShutdown)
	}
	g.crew.waitFor(dismissal)
}

// of returns the clients of a listener, and who publishes there without being one.
func (g *Gateway) of(listener string) []*client {
	all := g.clients.of(listener)
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.pseudo[listener]; c != nil {
		all = append(all, c)
	}
	return all
}

// listenerName is what the listener is called in credentials.
func listenerName(l transport.Listener) string { return cmp.Or(l.Config().Name, l.URL()) }

// open returns the port of a listener: one that its clients know from before the
// start of the gateway, or from a listener of its name that is gone.
func (g *Gateway) open(l transport.PacketListener) *port {
	p := g.portNamed(listenerName(l))
	p.carrier.(*socket).open(l)
	p.crowd.listener.Store(&l)
	return p
}

// close has nothing more leave by l.
func (*Gateway) close(p *port, l transport.PacketListener) { p.carrier.(*socket).close(l) }

// portNamed is the port of the plain listener of that name, open or not.
func (g *Gateway) portNamed(listener string) *port {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.ports[listener]
	if p == nil {
		p = &port{listener: listener, carrier: &socket{g: g}, crowd: new(crowd)}
		g.ports[listener] = p
	}
	return p
}

// idleAssociation is how long a DTLS association may have no client.
const idleAssociation = 30 * time.Second

// serveAssociations accepts DTLS associations, and reads from each on a goroutine of
// its own, which its library needs anyway.
func (g *Gateway) serveAssociations(ctx context.Context, l transport.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		wg.Go(func() { g.serveAssociation(ctx, conn, listenerName(l)) })
	}
}

// associationBuffers are for reading.
var associationBuffers = sync.Pool{New: func() any { return new([datagramMax]byte) }}

func (g *Gateway) serveAssociation(ctx context.Context, conn transport.Conn, listener string) {
	defer func() { _ = conn.Close() }()
	if err := conn.Handshake(ctx); err != nil { // the listener counts it
		if now := g.now(); ctx.Err() == nil && g.rates.log(now) {
			g.log.Info("connection refused", "listener", listener, "remote", conn.Info().Peer(), "err", err)
		}
		return
	}
	p := &port{listener: listener, carrier: association{conn, g}, info: conn.Info(), members: &members{}}
	stop := context.AfterFunc(ctx, func() {
		g.dismiss(p.members.all())
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	var lent *[datagramMax]byte
	borrow := func() []byte {
		lent = associationBuffers.Get().(*[datagramMax]byte)
		return lent[:]
	}
	w := g.newWork()
	for {
		_ = conn.SetReadDeadline(time.Now().Add(idleAssociation))
		if ctx.Err() != nil {
			break
		}
		b, n, err := conn.ReadWith(borrow)
		if err == nil {
			w.begin()
			g.receive(w, path{port: p}, b[:n])
			w.end()
			conn.ChargeMessages(1)
		}
		if lent != nil {
			associationBuffers.Put(lent)
			lent = nil
		}
		if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && p.members.any()) {
			break
		}
	}
	g.ended(w, p, ctx.Err() != nil)
}

// ended sees to the clients of an association that is gone. The server's own end
// has told them.
func (g *Gateway) ended(w *work, p *port, shutdown bool) {
	w.begin()
	for _, c := range p.members.all() {
		if !shutdown {
			c.post(w, event{do: func(c *client, w *work) { c.cutOff(w, p) }})
		}
	}
	w.end()
}
