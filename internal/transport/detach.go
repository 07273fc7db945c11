package transport

import "net"

// Detach takes the file descriptor of a connection that is a plain socket, with
// nothing above it and no rate limits, out of the hands of the runtime and gives it
// to the caller, who reads, writes and closes it by system calls; it does not block.
// c is only good for Info and for Close then, which counts the connection out. ok is
// false, and nothing has changed, for other connections, and where there is no such
// thing. Nobody may read or write c meanwhile.
func Detach(c Conn) (fd int, ok bool) {
	if !Detachable(c) {
		return -1, false
	}
	return plain(c).detach()
}

// Detachable reports whether Detach would do, as long as there are descriptors left.
func Detachable(c Conn) bool {
	s := plain(c)
	return s != nil && s.raw != nil
}

// Abort closes c in such a way that its peer sees a reset, where there is one.
func Abort(c Conn, reason string) error {
	if own, ok := c.(*conn); ok {
		if s := lowest(own.sock); s != nil {
			if t, ok := s.Conn.(*net.TCPConn); ok {
				_ = t.SetLinger(0)
			}
			_ = s.Conn.Close() // before TLS and WebSocket can say goodbye
		}
	}
	return c.CloseReason(reason)
}

// plain is the socket that is all of c, or nil.
func plain(c Conn) *socket {
	own, ok := c.(*conn)
	if !ok || own.pause != nil || !own.settled() {
		return nil
	}
	top := own.top
	if g, ok := top.(*greeting); ok {
		top = g.layer
	}
	s, _ := top.(*socket)
	return s
}

func lowest(l layer) *socket {
	s, _ := l.(*socket)
	return s
}
