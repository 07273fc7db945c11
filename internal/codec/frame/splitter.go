package frame

import "errors"

// ErrShort says that the bytes end before the frame does: read more and call
// again with everything that was not consumed.
var ErrShort = errors.New("more bytes needed")

// ErrNotFramed ends a connection: what was received cannot be the codec's
// protocol. Errors of Next and Gap wrap it.
var ErrNotFramed = errors.New("not this protocol")

// Frame is one frame of a stream. Its slices are valid until the next call of
// the Splitter that returned it, and as long as the bytes given to that.
type Frame struct {
	Raw         []byte // as received, markers included
	Data        []byte // after strip and unescape: what fields, ranges and offsets count in
	BadChecksum bool   // on_bad_checksum: accept let it pass

	variant *variant
	escapes []int32 // offsets in Data of bytes that took two in Raw, ascending
	front   int     // bytes stripped off the front of Raw
}

// Splitter cuts one direction of a connection into frames. The zero value is
// of no use: see [Codec.Splitter].
type Splitter struct {
	c       *Codec
	dir     Direction
	later   bool // a frame has been seen
	discard bool // inside a line that is too long
	need    int
	skipped int
	dropped int
	plain   []byte // the unescaped frame
	escapes []int32
}

// Splitter returns a splitter for one direction of a new connection.
func (c *Codec) Splitter(dir Direction) Splitter { return Splitter{c: c, dir: dir} }

// Next returns the first frame in data and how many bytes of data are done
// with: those of the frame and those skipped before it. ErrShort comes with
// the bytes that could be skipped. Any other error wraps ErrNotFramed and is
// the end of the connection.
func (s *Splitter) Next(data []byte) (Frame, int, error) {
	return Frame{}, 0, ErrShort
}

// Gap is Next for when nothing more belongs to data: the idle gap has passed,
// the datagram or the connection has ended. An unfinished frame is consumed
// and counted as skipped. ErrShort says that nothing is left.
func (s *Splitter) Gap(data []byte) (Frame, int, error) {
	return Frame{}, len(data), ErrShort
}

// Need is how many bytes more, at least, the last ErrShort waits for: 1 or more.
func (s *Splitter) Need() int { return max(s.need, 1) }

// Skipped counts the bytes that belonged to no frame.
func (s *Splitter) Skipped() int { return s.skipped }

// Dropped counts frames that were left out because of their checksum.
func (s *Splitter) Dropped() int { return s.dropped }
