// Package compress has the formats that unpack: gzip, deflate, zstd and brotli.
// What comes out is bounded by payload.MaxBytes, and memory grows with what comes
// out, not with what a header claims.
//
// The standard library has neither zstd nor brotli: klauspost/compress and
// andybalholm/brotli are Go alone, and read and write.
package compress

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"

	"github.com/iotctl/iotctl/internal/payload"
)

// Gzip is the format gzip: RFC 1952, several members one after the other as one.
func Gzip() payload.Format {
	return payload.Format{
		Name: "gzip", Kind: payload.Packs, About: "gzip (RFC 1952)", Example: "gzip|json",
		Types: []string{"application/gzip", "application/x-gzip", "+gzip"},
		Guess: func(c *payload.Content) bool { return bytes.HasPrefix(c.Bytes, []byte{0x1f, 0x8b, 8}) },
		New: stateless(stream{
			read:  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			write: func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		}),
	}
}

// Deflate is the format deflate: RFC 1950 as HTTP means it, or bare RFC 1951.
func Deflate() payload.Format {
	return payload.Format{
		Name: "deflate", Kind: payload.Packs, About: "deflate in the frame of zlib, or bare; :raw is bare only", Args: "[:raw]", Example: "deflate|json",
		Types: []string{"application/zlib"},
		Guess: func(c *payload.Content) bool { return framed(c.Bytes) },
		New: func(arg string) (payload.Codec, error) {
			switch arg {
			case "":
				return stream{
					read: func(r io.Reader) (io.Reader, error) {
						if b := r.(*bytes.Reader); framed(peek(b)) {
							return zlib.NewReader(r)
						}
						return flate.NewReader(r), nil
					},
					write: func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
				}, nil
			case "raw":
				return stream{
					read: func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil },
					write: func(w io.Writer) io.WriteCloser {
						f, _ := flate.NewWriter(w, flate.DefaultCompression) // the level is right
						return f
					},
				}, nil
			}
			return nil, fmt.Errorf("%q is no kind of it: deflate or deflate:raw", arg)
		},
	}
}

// framed reports whether b begins as zlib does. RFC 1950 §2.2
func framed(b []byte) bool {
	return len(b) >= 2 && b[0]&15 == 8 && b[0]>>4 <= 7 && (uint(b[0])<<8|uint(b[1]))%31 == 0
}

func peek(r *bytes.Reader) []byte {
	var b [2]byte
	n, _ := r.ReadAt(b[:], 0)
	return b[:n]
}

// Brotli is the format brotli: RFC 7932.
func Brotli() payload.Format {
	return payload.Format{
		Name: "brotli", Kind: payload.Packs, About: "Brotli (RFC 7932), which auto cannot tell", Example: "brotli|json",
		Types: []string{"application/brotli", "application/x-brotli"},
		New: stateless(stream{
			read:  func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
			write: func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
		}),
	}
}

// stream packs by a reader and a writer.
type stream struct {
	read  func(io.Reader) (io.Reader, error) // given a *bytes.Reader
	write func(io.Writer) io.WriteCloser
}

func (s stream) Decode(c *payload.Content) error {
	in := bytes.NewReader(c.Bytes)
	at := func() int { return len(c.Bytes) - in.Len() }
	r, err := s.read(in)
	if err != nil {
		return broken(at(), err)
	}
	out, err := io.ReadAll(io.LimitReader(r, payload.MaxBytes+1))
	switch {
	case err != nil:
		return broken(at(), err)
	case len(out) > payload.MaxBytes:
		return payload.Malformedf(at(), "more than %d bytes come out", payload.MaxBytes)
	case in.Len() > 0:
		return payload.Malformedf(at(), "%d bytes behind the end", in.Len())
	}
	c.Bytes = out
	return nil
}

// broken says in words what a reader has found.
func broken(offset int, err error) error {
	reason := err.Error()
	switch corrupt := flate.CorruptInputError(0); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		reason = "the end is missing"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, zlib.ErrHeader):
		reason = "the header is none"
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, zlib.ErrChecksum):
		reason = "the checksum differs"
	case errors.As(err, &corrupt):
		reason = "compressed data that is none"
	}
	return payload.Malformedf(offset, "%s", reason)
}

func (s stream) Encode(c *payload.Content) error {
	var out bytes.Buffer
	w := s.write(&out)
	_, err := w.Write(c.Bytes)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	c.Bytes = out.Bytes()
	return nil
}

func stateless(c payload.Codec) func(string) (payload.Codec, error) {
	return func(string) (payload.Codec, error) { return c, nil }
}
