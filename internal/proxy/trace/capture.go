package trace

import (
	"io"
	"net/netip"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/proxy"
)

// Capture writes what passes as a pcapng that packet analysers open: decrypted, in
// TCP segments made up for it, from the client's own address. Faults are comments.
// It is a proxy.Sink.
type Capture struct {
	w     *capture.Writer
	conns map[uint64]*capture.Conn
}

// NewCapture writes the header of the file to w. application names the program.
func NewCapture(w io.Writer, application string) (*Capture, error) {
	cw, err := capture.NewWriter(w, application)
	if err != nil {
		return nil, err
	}
	return &Capture{cw, map[uint64]*capture.Conn{}}, nil
}

// Take implements proxy.Sink.
func (c *Capture) Take(s *proxy.Seen) error {
	number := s.Conn.Number
	if s.Kind == proxy.SeenOpened {
		client := s.Conn.Client.Remote
		comment := "client " + s.Conn.ClientID
		if via := s.Conn.Client.Proxy; via.IsValid() {
			comment += ", through " + via.String()
		}
		conn, err := c.w.Open(client, netip.AddrPort{}, s.At, comment)
		c.conns[number] = conn
		return err
	}
	conn := c.conns[number]
	if conn == nil {
		return nil
	}
	switch s.Kind {
	case proxy.SeenPacket:
		return c.w.Data(conn, direction(s.Direction), s.At, s.Bytes, "")
	case proxy.SeenNote:
		b := s.Bytes
		if s.Direction == proxy.ToServer {
			b = nil // the client's side has seen the packet as it was
		}
		return c.w.Data(conn, direction(s.Direction), s.At, b, s.Text)
	}
	delete(c.conns, number)
	return c.w.Close(conn, dissect.FromClient, s.At, s.Text)
}

// Flush implements proxy.Sink.
func (c *Capture) Flush() error { return nil }
