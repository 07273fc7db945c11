package capture

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
)

// Writer writes streams as a pcapng with TCP segments made up for them, so that other
// programs open it. It belongs to one goroutine at a time.
type Writer struct{ w io.Writer }

// Conn is a connection that a Writer writes.
type Conn struct{ client, server netip.AddrPort }

// NewWriter writes the header of the file to w. Each call writes whole blocks, in one
// call of w.Write. application names the program that writes it: "iotctl 1.0".
func NewWriter(w io.Writer, application string) (*Writer, error) { return nil, errors.New("soon") }

// Open writes a handshake. An address that is not valid (Unix sockets have none) gets
// an invented one. comment, on its first packet, may be "".
func (w *Writer) Open(client, server netip.AddrPort, at time.Time, comment string) (*Conn, error) {
	return &Conn{client, server}, nil
}

// Data writes what one side has sent. comment, on its first packet, may be "".
func (w *Writer) Data(c *Conn, from dissect.Direction, at time.Time, b []byte, comment string) error {
	return nil
}

// Close writes the end of a connection: from is who has ended it first.
func (w *Writer) Close(c *Conn, from dissect.Direction, at time.Time, comment string) error {
	return nil
}
