package transport

import (
	"time"
)

// maxLinger bounds what CloseGracefully reads and throws away, in bytes.
const maxLinger = 1 << 20

// CloseGracefully closes c so that what was written last arrives: it ends the
// stream towards the peer, throws away what the peer still sends until it ends
// its side too, for at most timeout and 1 MiB, and closes. Closing a socket
// with unread input instead makes the kernel reset the connection, and the
// reset can overtake the last packet. Nobody may read c meanwhile. reason is
// as in Conn.CloseReason.
func CloseGracefully(c Conn, timeout time.Duration, reason string) error {
	deadline := time.Now().Add(timeout)
	_ = c.SetDeadline(deadline)
	if err := c.CloseWrite(); err == nil {
		drain(c)
	}
	return c.CloseReason(reason)
}

func drain(c Conn) {
	var read func([]byte) (int, error) = c.Read
	if own, ok := c.(*conn); ok {
		read = own.top.Read // past the rate limits
	}
	b := scratch.Get().(*[scratchBytes]byte)
	defer scratch.Put(b)
	for total := 0; total < maxLinger; {
		n, err := read(b[:])
		if err != nil {
			return
		}
		total += n
	}
}
