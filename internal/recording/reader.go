package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
)

// Reader reads a recording.
type Reader interface {
	// Next returns what comes next; what it points to is valid until the next call.
	// Errors: io.EOF; *Malformed; *capture.Damaged; those of the input.
	Next() (Item, error)
}

// Directions say whose messages of a capture are read.
type Directions uint8

const (
	// Auto is what was recorded, of connections of a Capture, and else Published.
	Auto Directions = iota
	// Published is what clients have sent to a broker.
	Published
	// Delivered is what brokers have sent to clients.
	Delivered
	// Both is all.
	Both
)

// ParseDirections reads "auto", "published", "delivered" or "both".
func ParseDirections(s string) (Directions, error) {
	for i, name := range []string{"auto", "published", "delivered", "both"} {
		if s == name {
			return Directions(i), nil
		}
	}
	return 0, fmt.Errorf("%q: must be auto, published, delivered or both", s)
}

// Options are how to read.
type Options struct {
	// MaxLine bounds the bytes of a line. 0: 64 MiB.
	MaxLine int
	// Directions are for captures.
	Directions Directions
	// Keys decrypt the TLS of a capture, beside those that are in it; nil: none.
	Keys *capture.KeyLog
	// Dissectors recognise the streams of a capture.
	Dissectors []dissect.Dissector
}

// ErrNoRecording says that the input is of neither form.
var ErrNoRecording = errors.New("neither a capture nor lines of JSON")

// linesInGzip tells whether in begins with gzip in which there are lines: captures in
// gzip are read by package capture.
func linesInGzip(in *bufio.Reader) bool {
	if magic, _ := in.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return false
	}
	start, _ := in.Peek(512)
	plain, err := gzip.NewReader(bytes.NewReader(start))
	if err != nil {
		return false
	}
	first := make([]byte, 1)
	_, _ = io.ReadFull(plain, first)
	return bytes.IndexByte(lineStarts, first[0]) >= 0
}

// lineStarts are the bytes that a recording in lines may begin with.
var lineStarts = []byte("{ \t\r\n")

// Open finds out what r is: lines of records, or a capture (pcap, pcapng), each also in
// gzip.
func Open(r io.Reader, o Options) (Reader, error) {
	if o.MaxLine <= 0 {
		o.MaxLine = 64 << 20
	}
	in := bufio.NewReaderSize(r, writeBuffer)
	if linesInGzip(in) {
		plain, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReaderSize(plain, writeBuffer)
	}
	first, err := in.Peek(4)
	pcapng := bytes.HasPrefix(first, []byte{0x0a, 0x0d, 0x0d, 0x0a})
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case len(first) == 0, !pcapng && bytes.IndexByte(lineStarts, first[0]) >= 0:
		return &lineReader{r: in, most: o.MaxLine}, nil
	}
	p, err := openPackets(in, o)
	if errors.As(err, new(*capture.Damaged)) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: %w", ErrNoRecording, err)
	}
	return p, err
}
