package gateway

import "sync"

// Connections borrow the buffers in which they gather what they write, so that
// an idle one holds none.

// pooledBytes is the largest buffer that is used again.
const pooledBytes = 256 << 10

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 2<<10)} }}

// buffer holds frames. Those of datagrams leave one by one, so their ends are
// noted.
type buffer struct {
	b    []byte
	ends []int // of datagrams, in b
}

// cut notes the end of a datagram.
func (b *buffer) cut() {
	if n := len(b.b); n > 0 && (len(b.ends) == 0 || b.ends[len(b.ends)-1] < n) {
		b.ends = append(b.ends, n)
	}
}

// drop removes the first n bytes, which are whole datagrams if b holds such.
func (b *buffer) drop(n int) {
	b.b = append(b.b[:0], b.b[n:]...)
	kept := b.ends[:0]
	for _, end := range b.ends {
		if end > n {
			kept = append(kept, end-n)
		}
	}
	b.ends = kept
}

// add appends the frames of more.
func (b *buffer) add(more *buffer) {
	for _, end := range more.ends {
		b.ends = append(b.ends, len(b.b)+end)
	}
	b.b = append(b.b, more.b...)
}

// borrow returns a buffer to append to: have, or an empty one when have is nil.
func borrow(have *buffer) *buffer {
	if have == nil {
		return buffers.Get().(*buffer)
	}
	return have
}

// giveBack ends the use of a buffer, which may be nil.
func giveBack(b *buffer) {
	if b == nil || cap(b.b) > pooledBytes {
		return
	}
	b.b, b.ends = b.b[:0], b.ends[:0]
	buffers.Put(b)
}

func (b *buffer) len() int {
	if b == nil {
		return 0
	}
	return len(b.b)
}
