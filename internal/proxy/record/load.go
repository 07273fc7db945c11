package record

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/proxy"
)

// Load reads a recording, or makes one of the MQTT in a capture. What is neither is
// ErrNoRecording.
func Load(r io.Reader) (*Recording, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	first, _ := in.Peek(1)
	if len(first) == 1 && first[0] == '{' {
		return Read(in)
	}
	c, err := capture.Open(in, capture.Options{})
	if err != nil {
		return nil, errors.Join(ErrNoRecording, err)
	}
	return fromCapture(c)
}

// fromCapture takes the sessions of MQTT that begin with their CONNECT.
func fromCapture(c *capture.Reader) (*Recording, error) {
	sink := &importer{
		rec: &Recording{Header: Header{Format: format, Program: "capture", Secrets: true}}, open: map[*decode.Stream]*Session{}, room: maxBytes,
	}
	e, err := decode.New(decode.Options{Dissectors: []dissect.Dissector{dissect.MQTT{}}}, sink)
	if err != nil {
		return nil, err
	}
	for {
		chunk, err := c.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, err
			}
			break
		}
		if err := e.Chunk(chunk); err != nil {
			return nil, err
		}
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	sink.finish()
	return sink.rec, nil
}

// importer is the sink that makes sessions of packets.
type importer struct {
	rec     *Recording
	open    map[*decode.Stream]*Session
	packets int
	room    room
}

// Packet implements decode.Sink.
func (i *importer) Packet(p *decode.Packet) error {
	if p.Protocol != "mqtt" || errors.Is(p.Err, dissect.ErrShort) || p.Direction == dissect.Unknown {
		return nil
	}
	if i.rec.Began.IsZero() {
		i.rec.Began = p.Time
	}
	at := p.Time.Sub(i.rec.Began)
	s := i.open[p.Stream]
	if s == nil {
		if s = i.begin(p, at); s == nil {
			return nil
		}
	}
	d := proxy.ToServer
	if p.Direction == dissect.FromServer {
		d = proxy.ToClient
	}
	if err := i.room.take(len(p.Bytes)); err != nil {
		return err
	}
	s.Packets = append(s.Packets, Packet{At: at, Direction: d, Bytes: bytes.Clone(p.Bytes), Order: i.packets})
	i.packets++
	return nil
}

// begin opens a session with its CONNECT.
func (i *importer) begin(p *decode.Packet, at time.Duration) *Session {
	packet, _, _ := mqtt.Parse(p.Bytes, mqtt.Options{Lenient: true, EitherSide: true}) // what is wrong is wrong on purpose
	c, ok := packet.(mqtt.Connect)
	if !ok {
		return nil
	}
	s := &Session{
		Number: uint64(len(i.rec.Sessions) + 1), ClientID: c.ClientID, Username: c.Username,
		Version: min(max(c.Version, mqtt.V31), mqtt.V5), Began: at,
	}
	if p.Stream.Client.IsValid() {
		s.Address = p.Stream.Client.String()
	}
	i.open[p.Stream] = s
	i.rec.Sessions = append(i.rec.Sessions, s)
	return s
}

// Note implements decode.Sink.
func (i *importer) Note(n *decode.Note) error {
	if s := i.open[n.Stream]; s != nil && n.Kind == decode.Ended {
		s.End, s.Ended = "ended", n.Time.Sub(i.rec.Began)
		delete(i.open, n.Stream)
	}
	return nil
}

// finish puts packets of the same time in their order.
func (i *importer) finish() {
	slices.SortStableFunc(i.rec.Sessions, func(a, b *Session) int { return int(a.Began - b.Began) })
}
