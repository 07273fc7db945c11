package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
)

const (
	bufferSize = 256 << 10
	// maxBlock bounds a packet or block: jumbo frames and offloaded segments have
	// 64 KiB, and what claims more than this is damage.
	maxBlock = 16 << 20
)

// source reads what is there, and no more, into one buffer. It grows with what has
// come in, not with what is asked for.
type source struct {
	r      io.Reader
	buf    []byte
	at     int   // what is before it is done with
	offset int64 // of buf[at] in the input
	err    error // of r, once it has one
}

// peek returns the next n bytes, valid until the next call. The error is io.EOF when
// nothing is left, io.ErrUnexpectedEOF when less than n is.
func (s *source) peek(n int) ([]byte, error) {
	if len(s.buf)-s.at >= n {
		return s.buf[s.at : s.at+n], nil
	}
	return s.fill(n)
}

func (s *source) fill(n int) ([]byte, error) {
	if s.buf == nil {
		s.buf = make([]byte, 0, bufferSize)
	}
	if s.at+n > cap(s.buf) && s.at > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[s.at:])]
		s.at = 0
	}
	for empty := 0; len(s.buf)-s.at < n; {
		if s.err != nil {
			if errors.Is(s.err, io.EOF) && len(s.buf) > s.at {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, s.err
		}
		if len(s.buf) == cap(s.buf) {
			bigger := make([]byte, len(s.buf), 2*cap(s.buf))
			copy(bigger, s.buf)
			s.buf = bigger
		}
		got, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf, s.err = s.buf[:len(s.buf)+got], err
		if empty++; got > 0 {
			empty = 0
		} else if empty == 100 && err == nil {
			s.err = io.ErrNoProgress
		}
	}
	return s.buf[s.at : s.at+n], nil
}

// left is how much was read and not yet skipped.
func (s *source) left() int { return len(s.buf) - s.at }

// skip says that n bytes that peek has returned are done with.
func (s *source) skip(n int) {
	s.at += n
	s.offset += int64(n)
}

// discard skips n bytes, which need not have been read.
func (s *source) discard(n int64) error {
	for n > 0 {
		step := int(min(n, int64(max(s.left(), 1))))
		if _, err := s.peek(step); err != nil {
			return err
		}
		s.skip(step)
		n -= int64(step)
	}
	return nil
}

// unzip returns r, decompressed if it is compressed, and the name of the compression.
func unzip(r io.Reader) (io.Reader, string, error) {
	var magic [2]byte
	n, _ := io.ReadFull(r, magic[:]) // who reads on finds an error again
	r = io.MultiReader(bytes.NewReader(magic[:n]), r)
	if magic != [2]byte{0x1f, 0x8b} {
		return r, "", nil
	}
	z, err := gzip.NewReader(bufio.NewReaderSize(r, 4096))
	if err != nil {
		return nil, "", &Damaged{Part: "gzip header", Reason: err.Error(), Err: err}
	}
	return z, "gzip", nil
}
