package bench

import (
	"errors"
	"io"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// This file is what a client writes: it piles up in a lent buffer and leaves in
// one system call. While the kernel takes nothing more, a goroutine waits for it.

// add appends a packet to what is to be written. What is sent often does
// without the allocation of the interface.
func (c *Client) add(p mqtt.Packet) (err error) {
	o := c.output()
	o.b, err = p.Append(o.b, c.opts.Version)
	return err
}

func (c *Client) output() *buffer {
	if c.out == nil {
		c.out = writeBuffers.Get().(*buffer)
	}
	return c.out
}

// flush writes what is there, with wmu held.
func (c *Client) flush() {
	if c.out == nil || c.writing {
		return
	}
	if c.broken || len(c.out.b) == 0 {
		c.release()
		return
	}
	c.lastOut.Store(c.s.now())
	if c.plain {
		n, err := c.conn.TryWrite(c.out.b)
		if err != nil || n == len(c.out.b) {
			c.broken = err != nil
			c.release()
			return
		}
		c.out.b = c.out.b[:copy(c.out.b, c.out.b[n:])]
		c.s.blocked.Add(1)
	}
	// Whether TLS and WebSocket have to wait cannot be known, and whoever calls
	// has other clients to serve.
	c.writing = true
	c.s.wg.Go(c.writeRest)
}

// release gives the output buffer back.
func (c *Client) release() {
	o := c.out
	c.out = nil
	if cap(o.b) <= 1<<20 {
		o.b = o.b[:0]
		writeBuffers.Put(o)
	}
}

// writeRest waits for the kernel to take what has piled up.
func (c *Client) writeRest() {
	for {
		c.wmu.Lock()
		o := c.out
		c.out = nil
		if o == nil || len(o.b) == 0 || c.broken {
			c.writing = false
			pub := c.pub
			if c.leaving {
				_ = c.conn.CloseWrite()
			}
			c.wmu.Unlock()
			if pub != nil {
				pub.pump()
			}
			return
		}
		c.wmu.Unlock()
		_, err := c.conn.Write(o.b)
		o.b = o.b[:0]
		writeBuffers.Put(o)
		if err != nil {
			c.wmu.Lock()
			c.broken = true
			c.wmu.Unlock()
		}
	}
}

// What waits for a broker that does not read: messages up to maxPending, and
// acknowledgements, of which even the largest window has less, up to maxUnread.
const (
	maxPending = 256 << 10
	maxUnread  = 4 << 20
)

var errUnread = errors.New("the broker has not read what it was answered")

// full tells that more cannot be written now, with wmu held.
func (c *Client) full() bool {
	return c.broken || c.writing && c.out != nil && len(c.out.b) >= maxPending
}

// send writes a packet at once.
func (c *Client) send(p mqtt.Packet) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.broken {
		return io.ErrClosedPipe
	}
	if err := c.add(p); err != nil {
		return err
	}
	c.flush()
	return nil
}
