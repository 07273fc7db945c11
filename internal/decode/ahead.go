package decode

import "github.com/iotctl/iotctl/internal/capture"

// Ahead reads chunks before they are asked for, on a goroutine of its own, so that a
// file is put together on one core and read on another. It is not for what comes
// slowly: a chunk waits until others have come.
type Ahead struct {
	full chan *batch
	free chan *batch
	stop chan struct{}
	now  *batch // that chunks are taken from
	at   int
}

// batch is chunks with what they alias.
type batch struct {
	chunks []capture.Chunk
	bytes  []byte
	frames []int
	err    error // behind the last; nil: there is another batch
}

// Bounds of a batch.
const (
	batches     = 4
	batchChunks = 512
	batchBytes  = 128 << 10
)

// ReadAhead reads ahead of next, which is Reader.Next of a capture, until that returns
// an error. Nothing else may use the reader until Close has returned.
func ReadAhead(next func() (capture.Chunk, error)) *Ahead {
	a := &Ahead{full: make(chan *batch, batches), free: make(chan *batch, batches), stop: make(chan struct{})}
	for range batches {
		a.free <- new(batch)
	}
	go a.read(next)
	return a
}

func (a *Ahead) read(next func() (capture.Chunk, error)) {
	defer close(a.full)
	for {
		select {
		case <-a.stop:
			return
		case b := <-a.free:
			b.fill(next)
			a.full <- b // there is room for all
			if b.err != nil {
				return
			}
		}
	}
}

// fill takes chunks until there are enough.
func (b *batch) fill(next func() (capture.Chunk, error)) {
	b.chunks, b.bytes, b.frames = b.chunks[:0], b.bytes[:0], b.frames[:0]
	for len(b.chunks) < batchChunks && len(b.bytes) < batchBytes {
		c, err := next()
		if err != nil {
			b.err = err
			return
		}
		// What was kept before stays where it is when these grow.
		n, f := len(b.bytes), len(b.frames)
		b.bytes, b.frames = append(b.bytes, c.Bytes...), append(b.frames, c.Frames...)
		c.Bytes, c.Frames = b.bytes[n:len(b.bytes):len(b.bytes)], b.frames[f:len(b.frames):len(b.frames)]
		b.chunks = append(b.chunks, c)
	}
}

// Next is what next has returned, in its order.
func (a *Ahead) Next() (capture.Chunk, error) {
	for a.now == nil || a.at == len(a.now.chunks) {
		if a.now != nil {
			if a.now.err != nil {
				return capture.Chunk{}, a.now.err
			}
			a.free <- a.now // there is room for all
		}
		a.now, a.at = <-a.full, 0
	}
	a.at++
	return a.now.chunks[a.at-1], nil
}

// Close ends the reading, and returns when it has ended.
func (a *Ahead) Close() {
	close(a.stop)
	for range a.full {
	}
}
