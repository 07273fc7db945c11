package mqtt

import "sync"

// Connections borrow the buffers in which they gather what they write, so that
// an idle one holds none.

// pooledBytes is the largest buffer that is used again.
const pooledBytes = 256 << 10

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 2<<10)} }}

type buffer struct{ b []byte }

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
	b.b = b.b[:0]
	buffers.Put(b)
}

func (b *buffer) len() int {
	if b == nil {
		return 0
	}
	return len(b.b)
}
