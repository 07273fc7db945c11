package recording

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/iotctl/iotctl/internal/format"
)

// gapPrefix begins the lines that tell of a gap.
const gapPrefix = `{"gap":`

// gapLine is such a line.
type gapLine struct {
	Gap *struct {
		From    time.Time `json:"from"`
		To      time.Time `json:"to"`
		Session string    `json:"session"` // "kept" or "new"
		Reason  string    `json:"reason,omitempty"`
	} `json:"gap"`
}

// AppendGap appends the line of a gap, with its newline.
func AppendGap(dst []byte, g *Gap) []byte {
	l := gapLine{}
	l.Gap = &struct {
		From    time.Time `json:"from"`
		To      time.Time `json:"to"`
		Session string    `json:"session"`
		Reason  string    `json:"reason,omitempty"`
	}{g.From, g.To, "new", g.Reason}
	if g.Kept {
		l.Gap.Session = "kept"
	}
	b, _ := json.Marshal(l) // of these types it cannot fail
	return append(append(dst, b...), '\n')
}

// parseGap reads the line of a gap.
func parseGap(line []byte) (*Gap, error) {
	var l gapLine
	if err := json.Unmarshal(line, &l); err != nil || l.Gap == nil {
		return nil, fmt.Errorf("no gap can be read there: %w", err)
	}
	return &Gap{From: l.Gap.From, To: l.Gap.To, Kept: l.Gap.Session == "kept", Reason: l.Gap.Reason}, nil
}

// Malformed is an error in the form of a recording.
type Malformed struct {
	Line   int // from 1; 0: it has none
	Reason string
	// Cut says that the last line has no end, as when the one who wrote it was
	// killed: all before it is right.
	Cut bool
}

// Error implements error.
func (m *Malformed) Error() string {
	if m.Line == 0 {
		return m.Reason
	}
	return fmt.Sprintf("line %d: %s", m.Line, m.Reason)
}

// lineReader reads records.
type lineReader struct {
	r    *bufio.Reader
	most int
	n    int // of the line at hand
	long []byte
}

// Next implements Reader.
func (l *lineReader) Next() (Item, error) {
	for {
		line, whole, err := l.line()
		if err != nil {
			return Item{}, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		item, err := parseLine(line)
		if err != nil {
			return Item{}, &Malformed{Line: l.n, Reason: err.Error(), Cut: !whole}
		}
		return item, nil
	}
}

// line reads a line without its newline; whole says that it had one. It is valid
// until the next call.
func (l *lineReader) line() (line []byte, whole bool, err error) {
	l.n++
	line, err = l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = l.long[:0]
		for errors.Is(err, bufio.ErrBufferFull) {
			if l.long = append(l.long, line...); len(l.long) > l.most {
				return nil, false, &Malformed{Line: l.n, Reason: fmt.Sprintf("longer than %d bytes", l.most)}
			}
			line, err = l.r.ReadSlice('\n')
		}
		l.long = append(l.long, line...)
		line = l.long
	}
	switch {
	case err == nil:
		return line[:len(line)-1], true, nil
	case errors.Is(err, io.EOF) && len(line) > 0:
		return line, false, nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, gzip.ErrChecksum), errors.As(err, new(flate.CorruptInputError)): // of gzip
		return nil, false, &Malformed{Line: l.n, Reason: err.Error(), Cut: errors.Is(err, io.ErrUnexpectedEOF)}
	}
	return nil, false, err
}

func parseLine(line []byte) (Item, error) {
	if bytes.HasPrefix(line, []byte(gapPrefix)) {
		g, err := parseGap(line)
		return Item{Gap: g}, err
	}
	r, err := format.ParseRecord(line)
	switch {
	case err != nil:
		return Item{}, err
	case r.Topic == "":
		return Item{}, errors.New("a record without a topic")
	case r.Payload == nil:
		return Item{}, errors.New("a record without a payload")
	}
	return Item{Message: Message{
		Time: r.Time, Topic: r.Topic, Payload: r.Payload, QoS: r.QoS, Retain: r.Retain, PacketID: r.PacketID, Properties: r.Properties,
	}}, nil
}

// Lines writes records.
type Lines struct {
	w   *bufio.Writer
	n   *int64
	buf []byte
}

// NewLines returns a Writer of records to w.
func NewLines(w io.Writer) *Lines {
	c := &counter{w: w}
	return &Lines{w: bufio.NewWriterSize(c, writeBuffer), n: &c.n}
}

// Message implements Writer.
func (l *Lines) Message(m *Message) error {
	l.buf = format.AppendRecord(l.buf[:0], &format.Message{
		Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, PacketID: m.PacketID, Properties: m.Properties, Arrived: m.Time,
	}, false)
	l.buf = append(l.buf, '\n')
	return l.write()
}

// Gap implements Writer.
func (l *Lines) Gap(g *Gap) error {
	l.buf = AppendGap(l.buf[:0], g)
	return l.write()
}

func (l *Lines) write() error {
	// A line is never in two calls, if it fits into the buffer.
	if len(l.buf) > l.w.Available() {
		if err := l.w.Flush(); err != nil {
			return err
		}
	}
	_, err := l.w.Write(l.buf)
	if cap(l.buf) > writeBuffer {
		l.buf = nil
	}
	return err
}

// Flush implements Writer.
func (l *Lines) Flush() error { return l.w.Flush() }

// Size implements Writer.
func (l *Lines) Size() int64 { return *l.n + int64(l.w.Buffered()) }
