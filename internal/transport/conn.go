package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Conn is one byte stream, or what comes from and goes to one remote address in
// datagrams (Info.Datagrams); accepted or dialed. What may be called from where
// stands in the package comment.
//
// With datagrams, each read returns one and each write sends one, of at most
// 65,507 bytes, or 16,384 in DTLS. One that does not fit the reader's buffer is
// lost, and the read returns io.ErrShortBuffer; more can be read after it. Empty
// ones are not passed on.
type Conn interface {
	net.Conn

	// Handshake completes what has to precede the first byte: PROXY header,
	// access rules for the address in it, TLS, WebSocket. It ends by itself
	// within ListenConfig.HandshakeTimeout and closes the connection when it
	// fails; the error is an *Error then. Later calls return the first result. Reads and
	// writes call it, so only those who want Info or the error need to.
	Handshake(ctx context.Context) error

	// Info is complete after Handshake.
	Info() Info

	// ReadWith waits until there is something to read, then calls borrow for a
	// buffer and reads into it: b is that buffer and b[:n] the bytes. b is nil
	// when the wait failed before borrow was called; otherwise it is the
	// caller's to keep or to return, whatever err says. Connections that are no
	// kernel sockets borrow before they wait, unless they are TLS. n is greater
	// than 0 when err is nil, and 0 otherwise. It honours the read deadline.
	// Passing the same func value each time keeps it free of allocations.
	ReadWith(borrow func() []byte) (b []byte, n int, err error)

	// Wait returns when there may be something to read, or the read deadline has
	// passed. On a plain socket it uses so little of the stack that a goroutine
	// which has done nothing else keeps its first, smallest one; other
	// connections do not wait.
	Wait()

	// TryWrite writes as much as the kernel takes now and never blocks. 0, nil
	// means that nothing went out: the kernel's buffer is full, a Write is in
	// progress, or the transport cannot know. The bytes not taken must be the
	// next ones to be written, in either way. With datagrams b is one of them, and
	// goes out whole or not at all: who has gathered several calls once for each.
	// One that no datagram can hold is refused with ErrTooLong, here and by Write.
	TryWrite(b []byte) (int, error)

	// CloseWrite ends the stream towards the peer and leaves the other
	// direction open: FIN, TLS close_notify and FIN, or a WebSocket close frame.
	// Rate limits end with it, because nothing that still comes has an effect on
	// the peer, and so do the pauses that read deadlines allow for.
	//
	// For what was written last to arrive, read until the peer ends its side, and
	// only then close: closing a socket with unread input makes the kernel reset
	// the connection, and the reset can overtake the last packet.
	//
	// Datagrams have no end that could be waited for: DTLS sends its close_notify,
	// and reads return io.EOF from then on.
	CloseWrite() error

	// CloseReason is Close that names what ListenerCounters count it under.
	// The reason comes from a small fixed set. The first call decides.
	CloseReason(reason string) error

	// ChargeMessages takes n messages from the connection's message rate. When
	// they exceed it, the next read waits. Nothing happens without a limit.
	ChargeMessages(n int)
}

// Info describes a connection.
type Info struct {
	Listener string         // ListenConfig.Name; "" when dialed
	Scheme   string         // of the URL: "mqtts"
	Protocol string         // spoken inside: "mqtt"
	Remote   netip.AddrPort // of the peer, or of the client in the PROXY header; zero for Unix sockets. A DTLS client with a connection id may change it
	Proxy    netip.AddrPort // of the proxy that sent a PROXY header
	// TLS holds the peer's certificates (PeerCertificates, VerifiedChains). DTLS
	// fills in these, Version (VersionDTLS12), CipherSuite and NegotiatedProtocol.
	TLS         *tls.ConnectionState
	PSKIdentity string // that a DTLS client has proved to have the key of; "" for none
	Subprotocol string // of the WebSocket
	ProxyTLVs   []byte // of a PROXY header of version 2, each with type and length; not to be changed
	Datagrams   bool   // each read and each write is one datagram
}

// Peer is the remote address for logs: "192.0.2.1:5000" or "unix".
func (i Info) Peer() string {
	if !i.Remote.IsValid() {
		return "unix"
	}
	return i.Remote.String()
}

// layer is one storey of a connection: socket, TLS, WebSocket or DTLS.
type layer interface {
	net.Conn
	ReadWith(borrow func() []byte) ([]byte, int, error)
	TryWrite(b []byte) (int, error)
	CloseWrite() error
}

// conn is every Conn: a socket, perhaps a handshake, and the storeys that the
// handshake puts on top.
type conn struct {
	top    layer     // where reads and writes go; settled by the handshake
	sock   layer     // the lowest storey: a *socket, *peer or *udpSocket
	ln     *listener // nil when dialed
	scheme *Scheme
	shake  *handshake // nil when there is none to do
	pause  *pause     // nil without rate limits
	remote netip.AddrPort
	proxy  netip.AddrPort
	tlvs   []byte // of the PROXY header
	closed atomic.Bool
	entry  entry // at the listener
}

func (c *conn) ready() error {
	if c.shake == nil {
		return nil
	}
	return c.shake.wait(c)
}

func (c *conn) settled() bool { return c.shake == nil || c.shake.done.Load() }

// Handshake implements Conn.
func (c *conn) Handshake(ctx context.Context) error {
	if c.shake == nil {
		return nil
	}
	return c.shake.run(ctx, c)
}

// Info implements Conn.
func (c *conn) Info() Info {
	i := Info{Scheme: c.scheme.Name, Protocol: c.scheme.Protocol, Remote: addrPort(c.sock.RemoteAddr()), Datagrams: c.scheme.datagrams()}
	if c.ln != nil {
		i.Listener = c.ln.name
	}
	if !c.settled() {
		return i
	}
	i.Remote, i.Proxy, i.ProxyTLVs = c.remote, c.proxy, c.tlvs
	top := c.top
	if w, ok := top.(*wsLayer); ok {
		i.Subprotocol, top = w.subprotocol, w.under
	}
	switch t := top.(type) {
	case *tlsLayer:
		s := t.ConnectionState()
		i.TLS = &s
	case *dtlsLayer:
		s := t.state
		i.TLS, i.PSKIdentity, i.Remote = &s, t.identity, addrPort(t.RemoteAddr())
	}
	return i
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if err := c.ready(); err != nil {
		return 0, err
	}
	if c.pause == nil {
		return c.top.Read(b)
	}
	if err := c.pause.wait(); err != nil {
		return 0, err
	}
	n, err := c.top.Read(b)
	c.pause.bytesRead(n)
	return n, err
}

// ReadWith implements Conn.
func (c *conn) ReadWith(borrow func() []byte) ([]byte, int, error) {
	if err := c.ready(); err != nil {
		return nil, 0, err
	}
	if c.pause == nil {
		return c.top.ReadWith(borrow)
	}
	if err := c.pause.wait(); err != nil {
		return nil, 0, err
	}
	b, n, err := c.top.ReadWith(borrow)
	c.pause.bytesRead(n)
	return b, n, err
}

// Wait implements Conn.
func (c *conn) Wait() {
	if s := plain(c); s != nil && s.raw != nil {
		s.in.wait(s.raw)
	}
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.ready(); err != nil {
		return 0, err
	}
	n, err := c.top.Write(b)
	return n, c.sized(err)
}

// TryWrite implements Conn. It does not wait for a handshake.
func (c *conn) TryWrite(b []byte) (int, error) {
	if !c.settled() || len(b) == 0 {
		return 0, nil
	}
	if err := c.ready(); err != nil {
		return 0, err
	}
	n, err := c.top.TryWrite(b)
	return n, c.sized(err)
}

// sized counts datagrams that are too long to be sent, and says so in err.
func (c *conn) sized(err error) error {
	if err == nil || !errors.Is(err, errnoTooLong) {
		return err
	}
	if c.ln != nil {
		c.ln.tally.dropped(DroppedSize)
	}
	return fmt.Errorf("%w: %w", ErrTooLong, err)
}

// CloseWrite implements Conn.
func (c *conn) CloseWrite() error {
	if err := c.ready(); err != nil {
		return err
	}
	if c.pause != nil {
		c.pause.lift()
	}
	return c.top.CloseWrite()
}

// Close implements net.Conn.
func (c *conn) Close() error { return c.CloseReason("closed") }

// CloseReason implements Conn.
func (c *conn) CloseReason(reason string) error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if c.ln != nil {
		c.ln.tally.close(&c.entry, reason)
	}
	if c.pause != nil {
		c.pause.lift()
	}
	if !c.settled() {
		return c.sock.Close()
	}
	return c.top.Close()
}

// ChargeMessages implements Conn.
func (c *conn) ChargeMessages(n int) {
	if c.pause != nil {
		c.pause.messagesRead(n)
	}
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.sock.LocalAddr() }

// RemoteAddr implements net.Conn. It is the client's address once a PROXY
// header has named it, and the newest one of a DTLS client.
func (c *conn) RemoteAddr() net.Addr {
	if !c.settled() {
		return c.sock.RemoteAddr()
	}
	if c.proxy.IsValid() {
		return net.TCPAddrFromAddrPort(c.remote)
	}
	return c.top.RemoteAddr()
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.pause != nil {
		c.pause.setDeadline(t)
	}
	if c.shake != nil {
		return c.shake.setReadDeadline(c, t)
	}
	return c.top.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.shake != nil {
		return c.shake.setWriteDeadline(c, t)
	}
	return c.top.SetWriteDeadline(t)
}

// addrPort is zero for addresses that are not IP. IPv4-mapped IPv6 becomes
// IPv4, so that one client has one address whatever socket it came through.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(interface{ AddrPort() netip.AddrPort }) // *net.TCPAddr and *net.UDPAddr
	if !ok {
		return netip.AddrPort{}
	}
	return unmapped(t.AddrPort())
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
