package record

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// format is the number in the first line.
const format = 1

// Header is the first line of a recording.
type Header struct {
	Format  int       `json:"iotctl_recording"`
	Program string    `json:"program"`
	Began   time.Time `json:"began"`
	Secrets bool      `json:"secrets"` // passwords and authentication data are in it
}

// Recording is what was recorded.
type Recording struct {
	Header
	Sessions []*Session // in the order of their beginning
}

// Session is one connection.
type Session struct {
	Number   uint64
	ClientID string
	Username string
	Address  string
	Version  mqtt.Version
	Began    time.Duration // since Header.Began
	Ended    time.Duration // 0 if the recording ends first
	End      string        // why, "" if the recording ends first
	Packets  []Packet

	Of   uint64 // of a replay: Number of the session that was played
	Copy int    // of a replay: from 1
}

// Packet is one packet of a session.
type Packet struct {
	At        time.Duration // since Header.Began
	Direction proxy.Direction
	Bytes     []byte
	Hidden    bool // secrets were taken out
	Order     int  // over all sessions
}

// line is one line behind the first.
type line struct {
	T      float64 `json:"t"`
	C      uint64  `json:"c"`
	Open   *opened `json:"open,omitempty"`
	D      string  `json:"d,omitempty"`
	Type   string  `json:"type,omitempty"`
	Packet string  `json:"packet,omitempty"`
	Hidden bool    `json:"hidden,omitempty"`
	Note   string  `json:"note,omitempty"`
	Rule   string  `json:"rule,omitempty"` // of a note: that of the fault
	End    *string `json:"end,omitempty"`
}

type opened struct {
	Client  string       `json:"client"`
	Version mqtt.Version `json:"version"`
	User    string       `json:"user,omitempty"`
	From    string       `json:"from,omitempty"`
	Of      uint64       `json:"of,omitempty"`
	Copy    int          `json:"copy,omitempty"`
}

// Writer writes a recording. It is a proxy.Sink, for one goroutine.
type Writer struct {
	w       *bufio.Writer
	json    *json.Encoder
	began   time.Time
	secrets bool
}

// NewWriter writes the first line. With secrets, passwords and authentication data
// are written down, too.
func NewWriter(w io.Writer, program string, began time.Time, secrets bool) (*Writer, error) {
	b := bufio.NewWriterSize(w, 64<<10)
	wr := &Writer{w: b, json: json.NewEncoder(b), began: began, secrets: secrets}
	return wr, wr.json.Encode(Header{format, program, began.UTC(), secrets})
}

// Take implements proxy.Sink.
func (w *Writer) Take(s *proxy.Seen) error {
	l := line{T: w.since(s.At), C: s.Conn.Number}
	switch s.Kind {
	case proxy.SeenOpened:
		c := s.Conn
		l.Open = &opened{Client: c.ClientID, Version: c.Version, User: c.Username, From: c.Client.Peer()}
	case proxy.SeenPacket:
		return w.packet(l, s.Direction, s.Bytes, s.Conn.Version)
	case proxy.SeenNote:
		l.Note, l.Rule = s.Text, s.Rule
	case proxy.SeenEnded:
		l.End = &s.Text
	}
	return w.json.Encode(l)
}

// since is in seconds, to the microsecond.
func (w *Writer) since(t time.Time) float64 { return float64(t.Sub(w.began).Microseconds()) / 1e6 }

func (w *Writer) packet(l line, d proxy.Direction, b []byte, v mqtt.Version) error {
	if !w.secrets {
		b, l.Hidden = redact(b, v)
	}
	l.D, l.Packet = d.String(), hex.EncodeToString(b)
	if len(b) > 0 {
		l.Type = mqtt.Type(b[0] >> 4).String()
	}
	return w.json.Encode(l)
}

// Flush implements proxy.Sink.
func (w *Writer) Flush() error { return w.w.Flush() }

// Write writes a recording.
func (r *Recording) Write(out io.Writer) error {
	w, err := NewWriter(out, r.Program, r.Began, true) // what is hidden is so already
	if err != nil {
		return err
	}
	type event struct {
		at time.Duration
		n  int
		l  line
	}
	var all []event
	add := func(at time.Duration, l line) {
		l.T = float64(at.Microseconds()) / 1e6
		all = append(all, event{at, len(all), l})
	}
	for _, s := range r.Sessions {
		add(s.Began, line{C: s.Number, Open: &opened{s.ClientID, s.Version, s.Username, s.Address, s.Of, s.Copy}})
		for _, p := range s.Packets {
			add(p.At, line{C: s.Number, D: p.Direction.String(), Type: mqtt.Type(p.Bytes[0] >> 4).String(), Packet: hex.EncodeToString(p.Bytes), Hidden: p.Hidden})
		}
		if s.End != "" {
			add(s.Ended, line{C: s.Number, End: &s.End})
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.n, b.n)) })
	for _, e := range all {
		if err := w.json.Encode(e.l); err != nil {
			return err
		}
	}
	return w.Flush()
}

// ErrNoRecording is what Read returns for what does not begin like one.
var ErrNoRecording = errors.New("not a recording of iotctl proxy")

// maxLine is how long a line may be, in bytes: two digits per byte of a packet.
const maxLine = 40 << 20

// maxBytes is how much a recording may have when it is read: it is kept in memory.
// packetBytes is what a packet takes up beside its own bytes, about.
const (
	maxBytes    room = 1 << 30
	packetBytes      = 128
)

// room is how many bytes may still come.
type room int

func (r *room) take(n int) error {
	if *r -= room(n + packetBytes); *r < 0 {
		return fmt.Errorf("more than %d MiB of packets", maxBytes>>20)
	}
	return nil
}

// Read reads a recording. A last line that was cut off, since its writer was, is left
// out.
func Read(r io.Reader) (*Recording, error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), maxLine)
	rec := &Recording{}
	if !in.Scan() || json.Unmarshal(in.Bytes(), &rec.Header) != nil || rec.Format == 0 {
		return nil, errors.Join(ErrNoRecording, in.Err())
	}
	if rec.Format != format {
		return nil, fmt.Errorf("the recording has format %d, and this program reads %d", rec.Format, format)
	}
	reader := reader{rec: rec, open: map[uint64]*Session{}, room: maxBytes}
	var last error
	for number := 2; in.Scan(); number++ {
		if last != nil {
			return nil, last
		}
		if err := reader.line(in.Bytes()); err != nil {
			last = fmt.Errorf("line %d: %w", number, err)
		}
	}
	return rec, in.Err()
}

type reader struct {
	rec     *Recording
	open    map[uint64]*Session
	packets int
	room    room
}

func (r *reader) line(b []byte) error {
	var l line
	if err := r.room.take(len(b) / 2); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return err
	}
	at := time.Duration(l.T * float64(time.Second)).Round(time.Microsecond)
	s := r.open[l.C]
	if l.Open != nil {
		s = &Session{
			Number: l.C, ClientID: l.Open.Client, Username: l.Open.User, Address: l.Open.From, Version: l.Open.Version,
			Began: at, Of: l.Open.Of, Copy: l.Open.Copy,
		}
		if s.Version < mqtt.V31 || s.Version > mqtt.V5 {
			return fmt.Errorf("version %d is none of 3, 4 and 5", s.Version)
		}
		r.open[l.C] = s
		r.rec.Sessions = append(r.rec.Sessions, s)
		return nil
	}
	if s == nil {
		return fmt.Errorf("connection %d has not been opened", l.C)
	}
	if l.End != nil {
		s.End, s.Ended = cmp.Or(*l.End, "ended"), at
		delete(r.open, l.C)
		return nil
	}
	if l.Packet == "" {
		return nil // a note
	}
	p := Packet{At: at, Hidden: l.Hidden, Order: r.packets}
	switch l.D {
	case proxy.ToServer.String():
	case proxy.ToClient.String():
		p.Direction = proxy.ToClient
	default:
		return fmt.Errorf("direction %.10q is neither c2s nor s2c", l.D)
	}
	var err error
	if p.Bytes, err = hex.DecodeString(l.Packet); err != nil {
		return err
	}
	r.packets++
	s.Packets = append(s.Packets, p)
	return nil
}
