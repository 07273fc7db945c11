package exproto

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/iotctl/iotctl/internal/transport"
)

// admit lets a call in, by its headers: what it brings has not been read yet.
func (a *adapter) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	if !a.knows(info.Header) {
		return nil, status.Error(codes.Unauthenticated, "the adapter wants its token in the metadata: authorization: Bearer …")
	}
	if p, ok := peer.FromContext(ctx); ok {
		if from, ok := p.Addr.(callerAddr); ok {
			from.c.silence.Stop()
		}
	}
	return ctx, nil
}

// knows reports whether the caller has the token, if there is one. The name of the
// scheme has no case. // RFC 9110 §11.1
func (a *adapter) knows(md metadata.MD) bool {
	if a.token == "" {
		return true
	}
	for _, v := range md.Get("authorization") {
		scheme, token, _ := strings.Cut(v, " ")
		if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(token), []byte(a.token)) == 1 {
			return true
		}
	}
	return false
}

// door is the adapter's listener, as gRPC wants one.
type door struct {
	l transport.Listener
	a *adapter
}

func (d door) Close() error   { return d.l.Close() }
func (d door) Addr() net.Addr { return d.l.Addr() }

func (d door) Accept() (net.Conn, error) {
	nc, err := d.l.Accept()
	if err != nil {
		return nil, err
	}
	c := &caller{Conn: nc, a: d.a}
	c.silence = time.AfterFunc(callsToWait*d.a.cfg.Timeout, func() { _ = nc.Close() })
	return c, nil
}

// caller is a connection of somebody who calls the adapter, and should speak
// HTTP/2.
type caller struct {
	transport.Conn
	a       *adapter
	seen    bool
	silence *time.Timer // until the first call that is let in
}

// callsToWait times the time-out of calls is how long a caller may be connected
// without one.
const callsToWait = 3

// callerAddr lets admit find the connection.
type callerAddr struct {
	net.Addr
	c *caller
}

// RemoteAddr implements net.Conn.
func (c *caller) RemoteAddr() net.Addr { return callerAddr{c.Conn.RemoteAddr(), c} }

// Close implements net.Conn.
func (c *caller) Close() error {
	c.silence.Stop()
	return c.Conn.Close()
}

// Read implements net.Conn.
func (c *caller) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.seen || n == 0 && err == nil {
		return n, err
	}
	c.seen = true
	failed := &transport.Error{}
	switch {
	case errors.As(err, &failed): // the handshake
		c.a.warn("the handshake has failed", c.Info().Peer(), failed.Error())
	case n > 0 && !bytes.HasPrefix([]byte(preface), b[:min(n, len(preface))]):
		c.a.warn("this is no gRPC; the adapter is for handlers, and devices connect to the listeners", c.Info().Peer(), transport.Sniff(b[:n]))
	}
	return n, err
}
