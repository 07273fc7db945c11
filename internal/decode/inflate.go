package decode

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
)

// inflater takes the compression of one direction away, message by message. // RFC 7692 §7.2.2
type inflater struct {
	fresh  bool   // each message begins anew
	window []byte // what the last ones have said
	reader io.ReadCloser
}

const (
	inflateWindow = 32 << 10
	mostInflated  = 16 << 20 // bytes of a message
)

// inflateError says why a message cannot be read.
type inflateError struct{ error }

func asInflate(err error, target **inflateError) bool { return errors.As(err, target) }

// inflate hands what message says to emit, in parts or, if whole is set, at once.
func (z *inflater) inflate(message []byte, whole bool, emit func([]byte) error) error {
	// The sender has cut off the end of an empty block; another ends the data.
	in := io.MultiReader(bytes.NewReader(message), bytes.NewReader([]byte("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	if z.reader == nil {
		z.reader = flate.NewReaderDict(in, z.window)
	} else if err := z.reader.(flate.Resetter).Reset(in, z.window); err != nil {
		return &inflateError{err}
	}
	part := make([]byte, inflateWindow)
	var all []byte
	for size := 0; ; {
		n, err := z.reader.Read(part)
		size += n
		if size > mostInflated {
			return &inflateError{fmt.Errorf("it is larger than %d MiB", mostInflated>>20)}
		}
		if !z.fresh {
			z.window = append(z.window, part[:n]...)
			z.window = z.window[max(len(z.window)-inflateWindow, 0):]
		}
		switch {
		case whole:
			all = append(all, part[:n]...)
		case n > 0:
			if err := emit(part[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if whole {
				return emit(all)
			}
			return nil
		case err != nil:
			return &inflateError{err}
		}
	}
}
