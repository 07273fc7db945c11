package recording

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/dissect"
)

// captureMark begins the comment on a connection of a Capture: what the broker has
// sent there is the recording.
const captureMark = "iotctl record: "

// What a comment says of a gap.
const (
	gapComment = "not connected for "
	gapKept    = "the broker had kept the session"
	gapNew     = "the broker had forgotten the session"
)

// Capture writes the connections of a subscriber as a pcapng. It has to see their
// packets, too; a CONNECT goes in without credentials.
type Capture struct {
	w       *bufio.Writer
	n       *int64
	out     *capture.Writer
	broker  string
	version mqtt.Version
	conn    *capture.Conn
	skipped map[uint16]bool // messages that are left out, and so are their acknowledgements
	buf     []byte
}

// NewCapture writes the header of a capture to w. broker is what the connections
// are to, application the program that writes.
func NewCapture(w io.Writer, broker, application string) (*Capture, error) {
	n := &counter{w: w}
	c := &Capture{w: bufio.NewWriterSize(n, writeBuffer), n: &n.n, broker: broker, skipped: map[uint16]bool{}}
	var err error
	c.out, err = capture.NewWriter(c.w, application)
	return c, err
}

// Packet takes a packet of the connection. Messages that the broker sends are for
// Message or Skip.
func (c *Capture) Packet(from dissect.Direction, at time.Time, raw []byte) error {
	kind := mqtt.Type(raw[0] >> 4)
	if kind == mqtt.TypePublish && from == dissect.FromServer {
		return nil
	}
	p, _, err := mqtt.Parse(raw, mqtt.Options{Version: c.version, Lenient: true, EitherSide: true})
	if err != nil {
		return nil //nolint:nilerr // the client complains
	}
	if connect, ok := p.(mqtt.Connect); ok {
		return c.connect(at, &connect)
	}
	if auth, ok := p.(mqtt.Auth); ok {
		auth.Properties = auth.Properties.Without(mqtt.PropAuthenticationData)
		if raw, err = auth.Append(nil, c.version); err != nil {
			return err
		}
	}
	if c.conn == nil || c.leftOut(p) {
		return nil
	}
	return c.out.Data(c.conn, from, at, raw, "")
}

// connect begins a connection.
func (c *Capture) connect(at time.Time, p *mqtt.Connect) error {
	if err := c.end(at, ""); err != nil {
		return err
	}
	clear(c.skipped)
	c.version = p.Version
	p.HasPassword, p.Password, p.HasUsername, p.Username = false, nil, false, ""
	p.Properties = p.Properties.Without(mqtt.PropAuthenticationData)
	raw, err := p.Append(nil, p.Version)
	if err != nil {
		return err
	}
	if c.conn, err = c.out.Open(inventedClient(at), netip.AddrPort{}, at, captureMark+c.broker); err != nil {
		return err
	}
	return c.out.Data(c.conn, dissect.FromClient, at, raw, "")
}

// inventedClient is an address for documentation (RFC 5737) that differs from those of
// other connections in the file, which may have been begun by another process.
func inventedClient(at time.Time) netip.AddrPort {
	n := uint64(at.UnixNano()) * 0x9E3779B97F4A7C15 >> 32
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(2 + n%250)}), uint16(10_000+n/250%50_000))
}

// end closes the connection, if there is one.
func (c *Capture) end(at time.Time, reason string) error {
	if c.conn == nil {
		return nil
	}
	conn := c.conn
	c.conn = nil
	return c.out.Close(conn, dissect.FromServer, at, reason)
}

// leftOut tells whether p belongs to a message that was skipped.
func (c *Capture) leftOut(p mqtt.Packet) bool {
	id := uint16(0)
	last := false
	switch p := p.(type) {
	case mqtt.Puback:
		id, last = p.PacketID, true
	case mqtt.Pubrec:
		id = p.PacketID
	case mqtt.Pubrel:
		id = p.PacketID
	case mqtt.Pubcomp:
		id, last = p.PacketID, true
	}
	skip := c.skipped[id]
	if skip && last {
		delete(c.skipped, id)
	}
	return skip
}

// Message implements Writer.
func (c *Capture) Message(m *Message) error {
	if c.conn == nil {
		return nil // nothing comes before CONNECT
	}
	delete(c.skipped, m.PacketID)
	var err error
	c.buf, err = mqtt.Publish{
		Dup: m.Dup, QoS: m.QoS, Retain: m.Retain, Topic: []byte(m.Topic), PacketID: m.PacketID,
		Properties: m.Properties.Without(mqtt.PropTopicAlias), Payload: m.Payload,
	}.Append(c.buf[:0], c.version)
	if err != nil {
		return err
	}
	err = c.out.Data(c.conn, dissect.FromServer, m.Time, c.buf, "")
	if cap(c.buf) > writeBuffer {
		c.buf = nil
	}
	return err
}

// Skip says that a message is not for the recording.
func (c *Capture) Skip(m *Message) {
	if m.QoS > 0 {
		c.skipped[m.PacketID] = true
	}
}

// Lost says that the connection has ended, and why.
func (c *Capture) Lost(at time.Time, reason string) error { return c.end(at, reason) }

// Gap implements Writer: it is a comment on the connection that is there again.
func (c *Capture) Gap(g *Gap) error {
	if c.conn == nil {
		return nil
	}
	session := gapNew
	if g.Kept {
		session = gapKept
	}
	text := fmt.Sprintf("%s%s, since %s; %s", gapComment, g.To.Sub(g.From), g.From.Format(time.RFC3339Nano), session)
	return c.out.Data(c.conn, dissect.FromServer, g.To, nil, text)
}

// Flush implements Writer.
func (c *Capture) Flush() error { return c.w.Flush() }

// Size implements Writer.
func (c *Capture) Size() int64 { return *c.n + int64(c.w.Buffered()) }

// Close ends the connection at hand.
func (c *Capture) Close(at time.Time) error {
	if err := c.end(at, ""); err != nil {
		return err
	}
	return c.Flush()
}
