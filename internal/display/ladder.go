package display

import (
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// Ladder shows what both sides of each stream have sent each other, as arrows:
//
//	       127.0.0.1:52658                              127.0.0.1:1883
//	0.108         1  │ CONNECT client "ana" ──────────────────────▶│
//	0.121         2  │◀───────────────── CONNACK success  +13.0 ms │
type Ladder struct {
	Style
	Start  time.Time // what seconds are counted from; zero: the first packet
	last   time.Time
	stream *decode.Stream
	begun  bool
}

// Columns of a ladder.
const (
	rungIndent = timeWidth + 2 + numberWidth + 2
	silence    = time.Second // from which on it is shown
)

// Append appends the rung of p; with a heading, where it is of another stream than
// the one before.
func (l *Ladder) Append(dst []byte, p *decode.Packet) []byte {
	if !l.begun || p.Stream != l.stream {
		dst = l.heading(dst, p.Stream)
	}
	if quiet := p.Time.Sub(l.last); !p.Time.IsZero() && !l.last.IsZero() && quiet >= silence && l.stream == p.Stream {
		dst = l.silence(dst, quiet)
	}
	if !p.Time.IsZero() {
		l.last = p.Time
	}
	l.stream, l.begun = p.Stream, true
	m := worst(p)
	list := List{Style: l.Style, Start: l.Start}
	if p.Time.IsZero() {
		dst = appendBlanks(dst, timeWidth)
	} else {
		dst = list.appendTime(dst, p.Time)
	}
	l.Start = list.Start
	dst = appendRight(append(dst, "  "...), int64(p.Number), numberWidth)
	dst = l.paint(append(dst, ' '), m.ink(plain), string(byte(m)))
	return l.rung(dst, p, m)
}

// rung appends the arrow with what it carries.
func (l *Ladder) rung(dst []byte, p *decode.Packet, m mark) []byte {
	room := l.width() - rungIndent - 2
	text := Safe(p.Type) + string(appendSummary(nil, p))
	if p.Answers > 0 && !p.Time.IsZero() {
		text += "  +" + string(appendShort(nil, p.After))
	}
	if m != clean {
		text += "  " + verdict(p)
	}
	if most := room - 6; columns(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	line := strings.Repeat("─", room-columns(text)-3)
	dst = append(dst, "│"...)
	c := m.ink(plain)
	switch p.Direction {
	case dissect.FromServer:
		dst = l.paint(dst, dim, "◀"+line)
		dst = append(l.paint(append(dst, ' '), c, text), ' ')
	case dissect.FromClient:
		dst = append(l.paint(append(dst, ' '), c, text), ' ')
		dst = l.paint(dst, dim, line+"▶")
	default:
		dst = l.paint(append(dst, ' '), c, text)
		dst = appendBlanks(dst, room-columns(text)-1)
	}
	return append(append(dst, "│"...), '\n')
}

func (l *Ladder) heading(dst []byte, s *decode.Stream) []byte {
	if l.begun {
		dst = append(dst, '\n')
	}
	if s == nil || !s.Client.IsValid() {
		return dst
	}
	left, right := s.Client.String(), s.Server.String()
	dst = append(l.Style.start(dst, bold), "stream "...)
	dst = l.stop(appendRight(dst, int64(s.Number), 0), bold)
	dst = append(appendSafe(append(dst, "  "...), Protocol(s)), '\n')
	dst = append(appendBlanks(dst, rungIndent), left...)
	dst = append(appendBlanks(dst, max(l.width()-rungIndent-len(left)-len(right), 2)), right...)
	return append(dst, '\n')
}

func (l *Ladder) silence(dst []byte, d time.Duration) []byte {
	text := "⋮ " + string(appendShort(nil, d))
	dst = append(appendBlanks(dst, rungIndent), "│"...)
	room := l.width() - rungIndent - 2
	left := (room - columns(text)) / 2
	dst = l.paint(appendBlanks(dst, left), dim, text)
	dst = appendBlanks(dst, room-left-columns(text))
	return append(append(dst, "│"...), '\n')
}
