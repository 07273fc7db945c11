package transport

import "sync"

// scratchBytes is the size of the buffers that bytes pass through when they
// must not be changed in place or have to leave together with a header.
const scratchBytes = 8 << 10

var scratch = sync.Pool{New: func() any { return new([scratchBytes]byte) }}
