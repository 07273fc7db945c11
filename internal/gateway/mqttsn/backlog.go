package mqttsn

import (
	"net/netip"
	"sync"

	"github.com/iotctl/iotctl/internal/transport"
)

// backlog is what has been read from a socket and not been worked off. The kernel
// holds a few thousand datagrams, which is nothing when all clients wake at once: who
// is lost then comes again after its retry time, and so do all the others.
type backlog struct {
	mu     sync.Mutex
	more   sync.Cond // there is a chunk, or the end
	chunks []*chunk  // the last one is being filled
	free   []*chunk
	ended  bool
}

// chunk is some datagrams, one behind the other.
type chunk struct {
	bytes []byte
	items []packed
}

// packed is a datagram in a chunk, from the end of the one before.
type packed struct {
	from netip.AddrPort
	end  int
}

// Sizes of a backlog.
const (
	chunkBytes     = 64 << 10 // no datagram has more
	chunkDatagrams = 256      // and so a batch of them
	maxChunks      = 512      // 32 MiB
	freeChunks     = 8
)

func newBacklog() *backlog {
	b := &backlog{}
	b.more.L = &b.mu
	return b
}

// put adds copies of datagrams. It returns for how many there was no room.
func (b *backlog) put(ds []transport.Datagram) (dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range ds {
		c := b.room(len(ds[i].Data))
		if c == nil {
			dropped++
			continue
		}
		c.bytes = append(c.bytes, ds[i].Data...)
		c.items = append(c.items, packed{ds[i].Addr, len(c.bytes)})
	}
	b.more.Signal()
	return dropped
}

// room returns the chunk for n more bytes, or nil.
func (b *backlog) room(n int) *chunk {
	if last := len(b.chunks) - 1; last >= 0 {
		if c := b.chunks[last]; len(c.items) < chunkDatagrams && len(c.bytes)+n <= chunkBytes {
			return c
		}
	}
	if len(b.chunks) >= maxChunks || n > chunkBytes {
		return nil
	}
	var c *chunk
	if last := len(b.free) - 1; last >= 0 {
		c, b.free = b.free[last], b.free[:last]
	} else {
		c = &chunk{bytes: make([]byte, 0, chunkBytes), items: make([]packed, 0, chunkDatagrams)}
	}
	b.chunks = append(b.chunks, c)
	return c
}

// take waits for datagrams; nil is the end. They are the caller's until give.
func (b *backlog) take() *chunk {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.chunks) == 0 {
		if b.ended {
			return nil
		}
		b.more.Wait()
	}
	c := b.chunks[0]
	b.chunks[0] = nil
	if b.chunks = b.chunks[1:]; len(b.chunks) == 0 {
		b.chunks = nil
	}
	return c
}

// give returns a chunk.
func (b *backlog) give(c *chunk) {
	c.bytes, c.items = c.bytes[:0], c.items[:0]
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) < freeChunks {
		b.free = append(b.free, c)
	}
}

// end has take return nil when everything is worked off.
func (b *backlog) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.more.Signal()
}
