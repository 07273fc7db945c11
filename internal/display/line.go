package display

import (
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// List shows each packet on a line:
//
//	    #      time  stream  from            packet
//	    1     0.108       1  :52658 →         CONNECT client "ana"
//	~   2     0.150       1         ← :1883   PUBACK id 11                (answers 1, 1.0 ms)
//
// It may be used for the packets of several connections, by one goroutine at a time.
type List struct {
	Style
	// Bare leaves out the columns time, stream and from, which pasted packets lack.
	Bare bool
	// Start is what seconds are counted from; zero: the first packet.
	Start time.Time

	from [3]origin // by direction
}

// origin is the columns of a stream and of who has sent, as they were last.
type origin struct {
	stream *decode.Stream
	sender netip.AddrPort
	text   []byte
}

// Columns of a line.
const (
	numberWidth = 5
	timeWidth   = 9
	clockLayout = "15:04:05.000000"
	streamWidth = 6
	portWidth   = 6
	typeWidth   = 11
	bareWidth   = numberWidth + 3 // in front of the packet
)

// Heading appends the line of the names of the columns.
func (l *List) Heading(dst []byte) []byte {
	dst = append(l.start0(dst), "    #"...)
	if !l.Bare {
		dst = appendBlanks(dst, l.timeColumns()-2)
		dst = append(dst, "time  stream  from             "...)
	} else {
		dst = append(dst, "  "...)
	}
	return append(l.stop(append(dst, "packet"...), dim), '\n')
}

func (l *List) start0(dst []byte) []byte { return append(l.Style.start(dst, dim), "  "...) }

func (l *List) timeColumns() int {
	if l.Clock == SinceStart {
		return timeWidth
	}
	return len(clockLayout)
}

// Append appends the line of p.
func (l *List) Append(dst []byte, p *decode.Packet) []byte {
	m := worst(p)
	if m != clean {
		dst = l.Style.start(dst, m.ink(plain))
		dst = l.stop(append(dst, byte(m)), m.ink(plain))
		dst = append(dst, ' ')
	} else {
		dst = append(dst, "  "...)
	}
	dst = appendRight(dst, int64(p.Number), numberWidth)
	if !l.Bare {
		dst = l.appendTime(append(dst, "  "...), p.Time)
		dst = append(dst, "  "...)
		dst = l.appendFrom(dst, p)
	}
	dst = append(dst, "  "...)
	dst = l.appendPacket(dst, p)
	return append(trimRight(dst), '\n')
}

// appendPacket appends type, summary, and what else there is to say.
func (l *List) appendPacket(dst []byte, p *decode.Packet) []byte {
	dst = l.Style.start(dst, bold)
	before := len(dst)
	dst = appendSafe(dst, p.Type)
	width := typeWidth - (len(dst) - before)
	dst = l.stop(dst, bold)
	dst = appendSummary(appendBlanks(dst, width), p)
	if p.Answers > 0 {
		dst = append(l.Style.start(append(dst, "  "...), dim), "(answers "...)
		dst = appendRight(dst, int64(p.Answers), 0)
		if !p.Time.IsZero() {
			dst = appendShort(append(dst, ", "...), p.After)
		}
		dst = l.stop(append(dst, ')'), dim)
	}
	if p.Err != nil || len(p.Problems) > 0 {
		dst = l.appendProblem(dst, p)
	}
	return dst
}

// appendSummary appends what Line has behind the type, or the summary.
func appendSummary(dst []byte, p *decode.Packet) []byte {
	if len(p.Summary) > 0 {
		return appendSafe(append(dst, ' '), p.Summary)
	}
	if n := len(p.Type); len(p.Line) > n+1 {
		return appendSafe(append(dst, ' '), p.Line[n+1:])
	}
	return dst
}

// appendProblem appends the first of the gravest.
func (l *List) appendProblem(dst []byte, p *decode.Packet) []byte {
	if errors.Is(p.Err, dissect.ErrShort) {
		dst = append(dst, "  "...)
		return append(l.paint(dst, broken.ink(plain), missing(p)), ""...)
	}
	all := problems(p)
	chosen := 0
	for i := range all {
		if !all[i].Warning {
			chosen = i
			break
		}
	}
	m := warning
	if !all[chosen].Warning {
		m = broken
	}
	dst = l.Style.start(append(dst, "  "...), m.ink(plain))
	dst = l.stop(appendSafe(dst, all[chosen].Text), m.ink(plain))
	if len(all) > 1 {
		dst = strconv.AppendInt(append(dst, " (1 of "...), int64(len(all)), 10)
		dst = append(dst, ')')
	}
	return dst
}

// Where appends the line that stands above a packet which is shown by itself: where
// in a capture it was.
func (l *List) Where(dst []byte, p *decode.Packet) []byte {
	dst = append(l.Style.start(dst, dim), "packet "...)
	dst = strconv.AppendInt(dst, int64(p.Number), 10)
	if s := p.Stream; s != nil && s.Client.IsValid() {
		dst = strconv.AppendInt(append(dst, "  stream "...), int64(s.Number), 10)
		arrow := [...]string{" – ", " → ", " ← "}[p.Direction]
		dst = append(s.Client.AppendTo(append(dst, "  "...)), arrow...)
		dst = s.Server.AppendTo(dst)
	}
	if !p.Time.IsZero() {
		dst = append(dst, "  at "...)
		if l.Clock == SinceStart {
			dst = append(appendSeconds(dst, p.Time.Sub(l.Start), 0), " s"...)
		} else {
			dst = l.appendTime(dst, p.Time)
		}
	}
	dst = strconv.AppendInt(append(dst, "  offset "...), p.Offset, 10)
	for i, f := range p.Frames {
		if i == 0 {
			dst = append(dst, "  frame"...)
		}
		dst = strconv.AppendInt(append(dst, ' '), int64(f), 10)
	}
	return append(l.stop(dst, dim), '\n')
}

func (l *List) appendTime(dst []byte, t time.Time) []byte {
	switch {
	case t.IsZero():
		return append(appendBlanks(dst, l.timeColumns()-1), '-')
	case l.Clock == UTC:
		return t.UTC().AppendFormat(dst, clockLayout)
	case l.Clock == Local:
		return t.Local().AppendFormat(dst, clockLayout)
	case l.Start.IsZero():
		l.Start = t
	}
	return appendSeconds(dst, t.Sub(l.Start), timeWidth)
}

// appendFrom appends the stream and who has sent p: the client on the left, the
// server on the right.
func (l *List) appendFrom(dst []byte, p *decode.Packet) []byte {
	s := p.Stream
	if s == nil {
		s = &nowhere
	}
	sender := s.Client
	if p.Direction == dissect.FromServer {
		sender = s.Server
	}
	o := &l.from[p.Direction]
	if o.stream != s || o.sender != sender {
		o.stream, o.sender, o.text = s, sender, appendOrigin(o.text[:0], s, p.Direction)
	}
	return append(dst, o.text...)
}

func appendOrigin(dst []byte, s *decode.Stream, dir dissect.Direction) []byte {
	dst = appendRight(dst, int64(s.Number), streamWidth)
	dst = append(dst, "  "...)
	switch dir {
	case dissect.FromClient:
		dst = appendPort(dst, s.Client)
		return append(dst, " →       "...)
	case dissect.FromServer:
		dst = append(appendBlanks(dst, portWidth+1), "← "...)
		return appendPort(dst, s.Server)
	}
	return appendBlanks(dst, 2*portWidth+3)
}

var nowhere decode.Stream

// appendPort appends ":1883".
func appendPort(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return appendBlanks(dst, portWidth)
	}
	before := len(dst)
	dst = strconv.AppendInt(append(dst, ':'), int64(a.Port()), 10)
	return appendBlanks(dst, portWidth-(len(dst)-before))
}

// Note appends the line of a note in the list.
func (l *List) Note(dst []byte, n *decode.Note) []byte {
	m := clean
	if n.Kind.Warns() || n.Kind == decode.Open {
		m = warning
	}
	dst = l.Style.start(dst, m.ink(dim))
	dst = append(dst, byte(m))
	if l.Bare {
		dst = appendBlanks(dst, bareWidth)
	} else {
		dst = appendBlanks(dst, numberWidth+3)
		dst = l.appendTime(dst, n.Time)
		dst = append(dst, "  "...)
		dst = l.appendFrom(dst, &decode.Packet{Stream: n.Stream, Direction: n.Direction})
		dst = append(dst, "  "...)
	}
	dst = append(appendSafe(append(dst, "… "...), n.Text), ""...)
	return append(l.stop(dst, m.ink(dim)), '\n')
}
