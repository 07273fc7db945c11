package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/iotctl/iotctl/internal/client/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

// snCarrier takes datagrams to the gateway and back.
type snCarrier interface {
	// receive waits for datagrams, which are valid until the next call. After close
	// it is net.ErrClosed.
	receive() ([]transport.Datagram, error)
	// send sends all of fx. What does not get away is lost, as on the way.
	send(fx *mqttsn.Effects)
	close()
}

// snDialer is how the sockets of n clients are made: each client's own, or a few
// forwarders'.
func (s *Session) snDialer(ctx context.Context, n int, own bool) (func(ctx context.Context, k int) (snCarrier, error), error) {
	d := s.devices
	if d.endpoint.Scheme.TLS {
		return func(ctx context.Context, _ int) (snCarrier, error) {
			ctx, cancel := context.WithTimeout(ctx, s.plan.ConnectTimeout)
			defer cancel()
			conn, err := transport.DialEndpoint(ctx, d.endpoint, d.cfg)
			if err != nil {
				return nil, err
			}
			return &snAssociation{conn: conn, buf: make([]byte, snDatagram(s.plan))}, nil
		}, nil
	}
	to, err := snResolve(ctx, d.endpoint)
	if err != nil {
		return nil, err
	}
	from := "0.0.0.0"
	switch {
	case d.cfg.LocalAddress != "":
		from = d.cfg.LocalAddress
	case to.Addr().IsLoopback():
		from = to.Addr().String()
	case to.Addr().Is6():
		from = "::"
	}
	room := snBatch
	if own {
		room = 2
	}
	return func(ctx context.Context, k int) (snCarrier, error) {
		host := from
		if a := source(k, n); own && d.loopback && a != "" {
			host = a
		}
		// Nothing limits what a listener takes but its buffers.
		l, err := transport.Listen(ctx, "mqttsn://"+net.JoinHostPort(host, "0"), transport.ListenConfig{Schemes: transport.MQTTSNSchemes()})
		if err != nil {
			return nil, err
		}
		packets, ok := l.(transport.PacketListener)
		if !ok {
			_ = l.Close()
			return nil, fmt.Errorf("%s takes no datagrams", l.Addr())
		}
		return &snSocket{l: packets, to: to, in: transport.NewDatagrams(room, snDatagram(s.plan))}, nil
	}, nil
}

// snBatch is how many datagrams a forwarder's socket reads at a time.
const snBatch = 64

// snDatagram is room for the longest datagram that is expected.
func snDatagram(p *Plan) int { return p.Size + 512 }

func snResolve(ctx context.Context, e transport.Endpoint) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(e.Host); err == nil {
		return netip.AddrPortFrom(a.Unmap(), e.Port), nil
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", e.Host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(all[0].Unmap(), e.Port), nil
}

// snSocket is a socket of UDP.
type snSocket struct {
	l   transport.PacketListener
	to  netip.AddrPort
	in  []transport.Datagram
	out []transport.Datagram // of send
}

func (c *snSocket) receive() ([]transport.Datagram, error) {
	n, err := c.l.ReadBatch(c.in)
	return c.in[:n], err
}

func (c *snSocket) send(fx *mqttsn.Effects) {
	for b := range fx.Datagrams() {
		c.out = append(c.out, transport.Datagram{Addr: c.to, Data: b})
	}
	_ = c.l.WriteBatch(c.out)
	clear(c.out)
	c.out = c.out[:0]
}

func (c *snSocket) close() { _ = c.l.Close() }

// snAssociation is one of DTLS.
type snAssociation struct {
	conn transport.Conn
	buf  []byte
	one  [1]transport.Datagram
}

func (c *snAssociation) receive() ([]transport.Datagram, error) {
	n, err := c.conn.Read(c.buf)
	c.one[0].Data = c.buf[:n]
	return c.one[:], err
}

func (c *snAssociation) send(fx *mqttsn.Effects) {
	for b := range fx.Datagrams() {
		_, _ = c.conn.Write(b)
	}
}

func (c *snAssociation) close() { _ = c.conn.Close() }
