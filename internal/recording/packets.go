package recording

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// Packets reads the PUBLISHes of a capture.
type Packets struct {
	in      *capture.Reader
	engine  *decode.Engine
	err     error // why there is no more
	queue   []Item
	head    int
	want    Directions
	streams map[*decode.Stream]*stream
	sent    repeats
	seed    maphash.Seed
	left    Left
}

// Left counts what of a capture was left out.
type Left struct {
	Published, Delivered int      // for their direction
	Repeated             int      // sent again with DUP
	Nameless             int      // topic aliases that were there before the capture
	Broken               int      // PUBLISHes that cannot be read
	Notes                []string // on what cannot be read at all
}

// stream is what is to be known of one.
type stream struct {
	recorded bool // by a Capture
	aliases  [3]map[uint16]string
}

// repeats remembers the last messages with a packet identifier, to know those again
// that are sent again.
type repeats struct {
	known map[uint64]bool
	order []uint64
	next  int
}

const (
	mostRepeats = 1 << 16
	mostNotes   = 10
)

func (r *repeats) add(sum uint64) {
	if r.known == nil {
		r.known = map[uint64]bool{}
	}
	if r.known[sum] {
		return
	}
	if len(r.order) < mostRepeats {
		r.order = append(r.order, sum)
	} else {
		delete(r.known, r.order[r.next])
		r.order[r.next] = sum
		r.next = (r.next + 1) % mostRepeats
	}
	r.known[sum] = true
}

func openPackets(r io.Reader, o Options) (*Packets, error) {
	keys := o.Keys
	if keys == nil {
		keys = new(capture.KeyLog)
	}
	in, err := capture.Open(r, capture.Options{KeyLog: keys})
	if err != nil {
		return nil, err
	}
	p := &Packets{in: in, want: o.Directions, streams: map[*decode.Stream]*stream{}, seed: maphash.MakeSeed()}
	p.engine, err = decode.New(decode.Options{Dissectors: o.Dissectors, Keys: keys}, (*packetSink)(p))
	return p, err
}

// Left tells what was left out so far.
func (p *Packets) Left() Left { return p.left }

// Next implements Reader. The error at the end of a capture that is cut wraps
// io.ErrUnexpectedEOF.
func (p *Packets) Next() (Item, error) {
	for p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
		if p.err != nil {
			return Item{}, p.err
		}
		p.more()
	}
	p.head++
	return p.queue[p.head-1], nil
}

// more reads what fills the queue.
func (p *Packets) more() {
	chunk, err := p.in.Next()
	if err == nil {
		p.err = p.engine.Chunk(chunk)
		return
	}
	p.err = errors.Join(p.engine.Close(), err)
	if errors.Is(err, io.EOF) && p.err.Error() == err.Error() {
		p.err = io.EOF
	}
}

// packetSink is Packets as a decode.Sink.
type packetSink Packets

func (s *packetSink) stream(d *decode.Stream) *stream {
	st := s.streams[d]
	if st == nil {
		st = &stream{}
		s.streams[d] = st
	}
	return st
}

// Packet implements decode.Sink.
func (s *packetSink) Packet(p *decode.Packet) error {
	if p.Protocol != "mqtt" || len(p.Bytes) == 0 || mqtt.Type(p.Bytes[0]>>4) != mqtt.TypePublish {
		return nil
	}
	if errors.Is(p.Err, dissect.ErrShort) {
		s.left.Broken++
		return nil
	}
	parsed, _, err := mqtt.Parse(p.Bytes, mqtt.Options{Version: versionOf(cmp.Or(p.Version, p.Stream.Version)), Lenient: true, EitherSide: true})
	m, ok := parsed.(mqtt.Publish)
	if err != nil || !ok {
		s.left.Broken++
		return nil //nolint:nilerr // it is counted
	}
	st := s.stream(p.Stream)
	topic, ok := st.topic(p.Direction, &m)
	if !s.wanted(st, p.Direction) {
		return nil
	}
	if !ok {
		s.left.Nameless++
		return nil
	}
	if m.QoS > 0 && s.repeated(p.Direction, topic, &m) {
		s.left.Repeated++
		return nil
	}
	s.queue = append(s.queue, Item{Message: Message{
		Time: p.Time, Topic: topic, Payload: append([]byte{}, m.Payload...), QoS: m.QoS, Retain: m.Retain, Dup: m.Dup,
		PacketID: m.PacketID, Properties: append(mqtt.Properties(nil), m.Properties...),
	}})
	return nil
}

// wanted tells whether a message is for who reads, and counts it if not.
func (s *packetSink) wanted(st *stream, from dissect.Direction) bool {
	delivered := from == dissect.FromServer
	switch {
	case s.want == Both, s.want == Published && !delivered, s.want == Delivered && delivered, s.want == Auto && delivered == st.recorded:
		return true
	case delivered:
		s.left.Delivered++
	default:
		s.left.Published++
	}
	return false
}

// repeated tells whether m was there before.
func (s *packetSink) repeated(from dissect.Direction, topic string, m *mqtt.Publish) bool {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.Write([]byte{byte(from), byte(m.PacketID), byte(m.PacketID >> 8)})
	_, _ = h.WriteString(topic)
	_ = h.WriteByte(0)
	_, _ = h.Write(m.Payload)
	sum := h.Sum64()
	if m.Dup && s.sent.known[sum] {
		return true
	}
	s.sent.add(sum)
	return false
}

// topic is the topic name of m, by its alias if that is all it has.
func (st *stream) topic(from dissect.Direction, m *mqtt.Publish) (string, bool) {
	alias, aliased := m.Properties.Uint16(mqtt.PropTopicAlias)
	if len(m.Topic) == 0 {
		topic, ok := st.aliases[from][alias]
		return topic, ok && aliased
	}
	topic := string(m.Topic)
	if aliased {
		if st.aliases[from] == nil {
			st.aliases[from] = map[uint16]string{}
		}
		st.aliases[from][alias] = topic
	}
	return topic, true
}

// Note implements decode.Sink.
func (s *packetSink) Note(n *decode.Note) error {
	switch {
	case n.Kind == decode.Comment && n.Stream != nil && strings.HasPrefix(n.Text, captureMark):
		s.stream(n.Stream).recorded = true
	case n.Kind == decode.Comment && n.Stream != nil && s.stream(n.Stream).recorded:
		if g, ok := commentedGap(n); ok {
			s.queue = append(s.queue, Item{Gap: g})
		}
	case n.Kind == decode.Ended:
		delete(s.streams, n.Stream)
	case n.Kind.Warns() && len(s.left.Notes) < mostNotes:
		text := n.Text
		if n.Stream != nil {
			text = fmt.Sprintf("stream %d: %s", n.Stream.Number, text)
		}
		s.left.Notes = append(s.left.Notes, text)
	}
	return nil
}

// versionOf reads Stream.Version; 0 is not known.
func versionOf(name string) mqtt.Version {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		if v.String() == name {
			return v
		}
	}
	return 0
}

// commentedGap reads what Capture.Gap has written.
func commentedGap(n *decode.Note) (*Gap, bool) {
	rest, ok := strings.CutPrefix(n.Text, gapComment)
	_, rest, since := strings.Cut(rest, ", since ")
	from, session, _ := strings.Cut(rest, "; ")
	at, err := time.Parse(time.RFC3339Nano, from)
	return &Gap{From: at, To: n.Time, Kept: session == gapKept}, ok && since && err == nil
}
