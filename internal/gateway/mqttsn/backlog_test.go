package mqttsn

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/transport"
)

func numbered(n, size int) []transport.Datagram {
	b := bytes.Repeat([]byte{byte(n)}, size)
	return []transport.Datagram{{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(n)), Data: b}}
}

func TestABacklogKeepsTheOrder(t *testing.T) {
	const n = 20_000
	b := newBacklog()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			for b.put(numbered(i, i%300)) > 0 { // until there is room
			}
		}
		b.end()
	})
	next := 0
	for c := b.take(); c != nil; c = b.take() {
		begin := 0
		for _, d := range c.items {
			want := numbered(next, next%300)[0]
			if d.from != want.Addr || !bytes.Equal(c.bytes[begin:d.end], want.Data) {
				t.Fatalf("datagram %d: from %v, %d bytes", next, d.from, d.end-begin)
			}
			begin = d.end
			next++
		}
		b.give(c)
	}
	wg.Wait()
	if next != n {
		t.Errorf("%d of %d datagrams", next, n)
	}
}

func TestABacklogIsBounded(t *testing.T) {
	b := newBacklog()
	taken, dropped := 0, 0
	for range 2 * maxChunks {
		n := b.put(numbered(1, chunkBytes-1))
		dropped += n
		taken += 1 - n
	}
	if taken != maxChunks || dropped != maxChunks {
		t.Errorf("%d of the largest are taken and %d dropped, want %d of each", taken, dropped, maxChunks)
	}
	if b.put(numbered(1, 1)) != 0 {
		t.Error("what fits behind another is dropped")
	}
	for range maxChunks {
		b.give(b.take())
	}
	if len(b.free) != freeChunks {
		t.Errorf("%d chunks are kept for the next, want %d", len(b.free), freeChunks)
	}
}
