// Package trace shows what passes a proxy: a line per packet while it goes on, and a
// capture that packet analysers open. Both are sinks of proxy.Tap.
package trace

import (
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/display"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/selector"
)

// LogConfig are the options of a Log.
type LogConfig struct {
	Out    io.Writer
	Filter *selector.Expr // nil: all packets
	JSON   bool           // an object per line
	Quiet  bool           // faults only
	Lines  int            // of packets per second, at most; 0: all
	Style  display.Style
}

// Log writes a line per packet, as decode does. It is a proxy.Sink.
type Log struct {
	cfg     LogConfig
	dissect dissect.MQTT
	list    display.List
	subject display.Subject
	streams map[uint64]*stream
	buf     []byte
	packet  decode.Packet
	headed  bool

	lost    uint64 // what the tap has left out, as told
	second  int64  // that lines are counted in
	lines   int
	skipped uint64 // above Lines, not told yet
}

// stream is a connection as the dissector sees it.
type stream struct {
	decode.Stream
	state  dissect.Stream
	client string
	lost   uint64
}

// NewLog makes a log.
func NewLog(cfg LogConfig) *Log {
	l := &Log{cfg: cfg, streams: map[uint64]*stream{}}
	l.list.Style = cfg.Style
	l.subject.Secrets = cfg.Style.Secrets
	return l
}

// Take implements proxy.Sink.
func (l *Log) Take(s *proxy.Seen) error {
	l.passed(s.At)
	if s.Lost > l.lost {
		l.note(nil, s.At, strconv.FormatUint(s.Lost-l.lost, 10)+" packets are not shown: the output is too slow")
		l.lost = s.Lost
	}
	switch s.Kind {
	case proxy.SeenOpened:
		l.open(s)
	case proxy.SeenPacket:
		l.take(s)
	case proxy.SeenNote:
		l.note(l.streams[s.Conn.Number], s.At, s.Text)
	case proxy.SeenEnded:
		st := l.streams[s.Conn.Number]
		delete(l.streams, s.Conn.Number)
		if st != nil {
			l.subject.Forget(&st.Stream)
		}
		if l.cfg.Filter == nil && !l.cfg.Quiet && st != nil {
			l.note(st, s.At, st.client+" ended: "+s.Text)
		}
	}
	if len(l.buf) > 32<<10 {
		return l.Flush()
	}
	return nil
}

// Flush implements proxy.Sink.
func (l *Log) Flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	_, err := l.cfg.Out.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}

func (l *Log) open(s *proxy.Seen) {
	c := s.Conn
	st := &stream{client: "client " + strconv.Quote(c.ClientID), lost: s.Lost}
	st.Stream = decode.Stream{Number: int(c.Number), Transport: "tcp", Client: c.Client.Remote, Protocol: "mqtt", Version: c.Version.String()}
	st.state.Version = uint8(c.Version)
	l.streams[c.Number] = st
}

// take shows a packet, if it is to be shown.
func (l *Log) take(s *proxy.Seen) {
	st := l.streams[s.Conn.Number]
	if st == nil || l.cfg.Quiet {
		return
	}
	if s.Lost > st.lost {
		st.state.Missed()
		st.lost = s.Lost
	}
	if !st.Server.IsValid() {
		st.Server = serverOf(s.Conn)
	}
	st.state.Direction = direction(s.Direction)
	st.state.Number, st.state.Time = int(s.Number), s.At
	p := &l.packet
	*p = decode.Packet{
		Number: int(s.Number), Stream: &st.Stream, Direction: st.state.Direction, Time: s.At, Bytes: s.Bytes,
	}
	p.Packet, _, p.Err = l.dissect.Dissect(s.Bytes, &st.state)
	if l.cfg.Filter != nil && !l.cfg.Filter.Match(l.subject.Of(p)) {
		return
	}
	if l.cfg.Lines > 0 {
		if l.lines++; l.lines > l.cfg.Lines {
			l.skipped++
			return
		}
	}
	if l.cfg.JSON {
		l.buf = display.JSON(l.buf, p, l.cfg.Style)
		return
	}
	l.heading()
	l.buf = l.list.Append(l.buf, p)
}

// passed begins the count of a second anew.
func (l *Log) passed(at time.Time) {
	if l.cfg.Lines == 0 || at.Unix() == l.second {
		return
	}
	l.second, l.lines = at.Unix(), 0
	if n := l.skipped; n > 0 {
		l.skipped = 0
		l.note(nil, at, strconv.FormatUint(n, 10)+" packets are not shown: more than "+strconv.Itoa(l.cfg.Lines)+" lines in a second")
	}
}

func (l *Log) heading() {
	if !l.headed {
		l.headed = true
		l.buf = l.list.Heading(l.buf)
	}
}

// note writes a line that is about no packet.
func (l *Log) note(st *stream, at time.Time, text string) {
	n := decode.Note{Kind: decode.Comment, Time: at, Text: text}
	if st != nil {
		n.Stream = &st.Stream
	}
	if l.cfg.JSON {
		l.buf = display.NoteJSON(l.buf, &n)
		return
	}
	l.heading()
	l.buf = l.list.Note(l.buf, &n)
}

// direction is who has sent what goes in d.
func direction(d proxy.Direction) dissect.Direction {
	if d == proxy.ToServer {
		return dissect.FromClient
	}
	return dissect.FromServer
}

// serverOf is the address of the broker, if it is known by number.
func serverOf(c *proxy.Conn) netip.AddrPort {
	if c.Powers == nil {
		return netip.AddrPort{}
	}
	name := c.Server()
	for i := 0; i+3 <= len(name); i++ {
		if name[i:i+3] == "://" {
			name = name[i+3:]
			break
		}
	}
	a, _ := netip.ParseAddrPort(name)
	return a
}
