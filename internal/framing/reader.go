package framing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	readBytes    = 64 << 10
	maxSeparator = 4 << 10 // what a regular expression may match, in bytes
)

// Reader reads messages. It is for one goroutine.
type Reader struct {
	in      io.Reader
	framing Framing
	limit   int

	buf   []byte // what has been read, and not been given out
	start int    // of the message that comes next
	err   error  // what ended the input
	n     int
}

// NewReader reads messages of up to limit bytes from in.
func NewReader(in io.Reader, f Framing, limit int) *Reader {
	if f.kind == lines {
		f.delimiter = []byte{'\n'}
	}
	return &Reader{in: in, framing: f, limit: limit}
}

// N is how many messages Next has begun to read.
func (r *Reader) N() int { return r.n }

// Next returns the next message, which is valid until the next call; io.EOF at
// the end. What stands behind the last separator is a message unless it is empty.
// The error is an *Error, or that of the input.
func (r *Reader) Next() ([]byte, error) {
	r.n++
	switch r.framing.kind {
	case matched:
		return r.matched()
	case prefixed:
		return r.prefixed()
	}
	return r.delimited()
}

// ahead is what has been read of the message.
func (r *Reader) ahead() []byte { return r.buf[r.start:] }

// fill reads more; false: there is none.
func (r *Reader) fill() bool {
	if r.err != nil {
		return false
	}
	if r.start > 0 && cap(r.buf)-len(r.buf) < readBytes {
		r.buf = r.buf[:copy(r.buf, r.ahead())]
		r.start = 0
	}
	if cap(r.buf)-len(r.buf) < readBytes {
		r.buf = append(make([]byte, 0, max(2*cap(r.buf), 2*readBytes)), r.buf...)
	}
	for range 100 {
		n, err := r.in.Read(r.buf[len(r.buf) : len(r.buf)+readBytes])
		r.buf = r.buf[:len(r.buf)+n]
		if err != nil {
			r.err = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	r.err = io.ErrNoProgress
	return false
}

// take gives out n bytes and steps over them and what separates them.
func (r *Reader) take(n, separator int) ([]byte, error) {
	if n > r.limit {
		return nil, r.tooLong()
	}
	b := r.buf[r.start : r.start+n : r.start+n]
	r.start += n + separator
	return b, nil
}

func (r *Reader) tooLong() error {
	return &Error{r.n, true, fmt.Sprintf("%s %d is longer than %d bytes", r.framing.unit(), r.n, r.limit)}
}

// last gives out what stands at the end of the input.
func (r *Reader) last() ([]byte, error) {
	switch {
	case !errors.Is(r.err, io.EOF):
		return nil, fmt.Errorf("read %s %d: %w", r.framing.unit(), r.n, r.err)
	case len(r.ahead()) == 0:
		return nil, io.EOF
	}
	return r.take(len(r.ahead()), 0)
}

func (r *Reader) delimited() ([]byte, error) {
	for seen, delimiter := 0, r.framing.delimiter; ; {
		b := r.ahead()
		if i := bytes.Index(b[seen:], delimiter); i >= 0 {
			return r.take(seen+i, len(delimiter))
		}
		if seen = max(len(b)-len(delimiter)+1, 0); seen > r.limit {
			return nil, r.tooLong()
		}
		if !r.fill() {
			return r.last()
		}
	}
}

func (r *Reader) matched() ([]byte, error) {
	runes := &runeReader{r: r}
	at := r.framing.pattern.FindReaderIndex(runes)
	for at == nil && len(r.ahead()) <= r.limit && r.fill() {
		// an expression may give up before the input ends
	}
	switch {
	case at == nil && len(r.ahead()) > r.limit:
		return nil, r.tooLong()
	case at == nil:
		return r.last()
	case at[0] == at[1]:
		return nil, &Error{r.n, false, fmt.Sprintf("behind message %d, %q matches nothing at all, so that it would cut everywhere", r.n, strings.TrimPrefix(r.framing.pattern.String(), multiline))}
	}
	return r.take(at[0], at[1]-at[0])
}

// runeReader reads ahead without giving anything out. It ends, too, where what has
// been read ends with a match: package regexp would look at what comes behind, for
// which a pipe may have to be waited for.
type runeReader struct {
	r   *Reader
	off int
}

func (s *runeReader) ReadRune() (rune, int, error) {
	b := s.r.ahead()[s.off:]
	if len(b) == 0 && s.ends() {
		return 0, 0, io.EOF
	}
	for !utf8.FullRune(b) {
		if s.off > s.r.limit+maxSeparator || !s.r.fill() {
			break
		}
		b = s.r.ahead()[s.off:]
	}
	if len(b) == 0 || s.off > s.r.limit+maxSeparator {
		return 0, 0, io.EOF
	}
	c, n := utf8.DecodeRune(b)
	s.off += n
	return c, n, nil
}

// ends tells that what has been read ends with what stands between messages.
func (s *runeReader) ends() bool {
	b, f := s.r.ahead(), &s.r.framing
	if last, _ := utf8.DecodeLastRune(b); last == utf8.RuneError || !f.ends[last] {
		return false
	}
	at := f.pattern.FindIndex(b)
	return at != nil && at[1] == len(b)
}

func (r *Reader) prefixed() ([]byte, error) {
	for {
		n, size, err := r.length()
		if err != nil {
			return nil, err
		}
		switch b := r.ahead(); {
		case size > 0 && n > uint64(r.limit):
			return nil, &Error{r.n, true, fmt.Sprintf("message %d is longer than %d bytes: %d", r.n, r.limit, n)}
		case size > 0 && uint64(len(b)-size) >= n:
			r.start += size
			return r.take(int(n), 0)
		case r.fill():
		case !errors.Is(r.err, io.EOF):
			return r.last()
		case len(b) == 0:
			return nil, io.EOF
		case size == 0:
			return nil, &Error{r.n, false, fmt.Sprintf("the input ends within the length of message %d", r.n)}
		default:
			return nil, &Error{r.n, false, fmt.Sprintf("the input ends after %d of the %d bytes of message %d", len(b)-size, n, r.n)}
		}
	}
}

// length reads the length of the message; size is that of the length itself, 0 if
// more is needed.
func (r *Reader) length() (n uint64, size int, err error) {
	b := r.ahead()
	switch size = r.framing.size; {
	case size == 0:
		return r.varint()
	case len(b) < size:
		return 0, 0, nil
	case size == 1:
		n = uint64(b[0])
	case size == 2:
		n = uint64(r.framing.order.Uint16(b))
	default:
		n = uint64(r.framing.order.Uint32(b))
	}
	return n, size, nil
}

// varint reads 7 bits a byte, the lowest first, up to five of them.
func (r *Reader) varint() (n uint64, size int, err error) {
	for i, c := range r.ahead() {
		if i == 5 {
			return 0, 0, &Error{r.n, false, fmt.Sprintf("the length of message %d has more than 5 bytes", r.n)}
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, i + 1, nil
		}
	}
	return 0, 0, nil
}
