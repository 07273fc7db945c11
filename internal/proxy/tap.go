package proxy

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Seen is something that a Tap has seen of a connection.
type Seen struct {
	Kind      SeenKind
	Conn      *Conn
	At        time.Time
	Number    uint64 // of packets, over all connections, from 1
	Direction Direction
	Bytes     []byte // of packets, and of notes what went out that is no packet
	Text      string // of notes and ends
	Rule      string // of notes: the rule that did it
	Lost      uint64 // packets of all connections that were left out before this
}

// SeenKind is what was seen.
type SeenKind uint8

// Kinds of Seen.
const (
	SeenOpened SeenKind = iota
	SeenPacket
	SeenNote // something was done to the connection
	SeenEnded
)

// Sink takes what a Tap has seen, on one goroutine, in order. What it is given is
// valid until it returns.
type Sink interface {
	Take(s *Seen) error
	// Flush is called when nothing more waits.
	Flush() error
}

// TapConfig are the options of a Tap.
type TapConfig struct {
	Sink Sink
	// Bytes is how much may wait for the sink. 0: 4 MiB.
	Bytes int
	// Wait has traffic wait for a sink that is too slow. Otherwise packets are left
	// out of what it gets, and counted in Seen.Lost.
	Wait bool
	// Notes: packets are not looked at.
	Notes bool
	// Keep says which connections are looked at; nil: all.
	Keep func(c *Conn) bool
	// Logger is told when the sink fails, after which it gets nothing more.
	Logger *slog.Logger
}

// Tap is a Factory whose stages look at packets and change nothing. What they see is
// what passes their place: as the first stage of all, what the client sends and gets.
type Tap struct {
	cfg TapConfig

	mu      sync.Mutex
	room    sync.Cond // something was taken
	more    sync.Cond // something has come
	waiting batch
	number  uint64
	lost    uint64
	closed  bool
	err     error
	open    map[uint64]*Conn

	done chan struct{}
}

// batch is a row of Seen, whose Bytes lie behind each other.
type batch struct {
	all   []Seen
	sizes []int
	bytes []byte
}

const tapBytes = 4 << 20

// NewTap starts a goroutine that ends with Close.
func NewTap(cfg TapConfig) *Tap {
	cfg.Bytes = cmp.Or(cfg.Bytes, tapBytes)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Tap{cfg: cfg, open: map[uint64]*Conn{}, done: make(chan struct{})}
	t.room.L, t.more.L = &t.mu, &t.mu
	go t.run()
	return t
}

// ErrStuck is what Close returns for a sink that takes nothing.
var ErrStuck = errors.New("what was to be written is taken by nobody")

// stuck is how long a sink that traffic does not wait for may take for the rest.
const stuck = 2 * time.Second

// Close waits until the sink has taken everything, and returns its error. For a sink
// that traffic does not wait for it does not wait long, either.
func (t *Tap) Close() error {
	t.mu.Lock()
	t.closed = true
	t.more.Signal()
	t.room.Broadcast()
	t.mu.Unlock()
	var late <-chan time.Time
	if !t.cfg.Wait {
		timer := time.NewTimer(stuck)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-t.done:
		return t.err
	case <-late:
		return ErrStuck
	}
}

// Lost is how many packets have been left out so far.
func (t *Tap) Lost() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// Note hands a note about an open connection to the sink. It never waits.
func (t *Tap) Note(s Seen, connection uint64) {
	s.Kind = SeenNote
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.Conn = t.open[connection]; s.Conn != nil {
		t.put(s)
	}
}

// put appends to what waits, if there is a sink still. The caller holds the mutex.
func (t *Tap) put(s Seen) {
	if t.closed || t.err != nil {
		return
	}
	s.Lost = t.lost
	t.waiting.all = append(t.waiting.all, s)
	t.waiting.sizes = append(t.waiting.sizes, len(s.Bytes))
	t.waiting.bytes = append(t.waiting.bytes, s.Bytes...)
	t.more.Signal()
}

// seenBytes is what a Seen takes up beside its bytes, about.
const seenBytes = 160

func (b *batch) size() int { return len(b.bytes) + seenBytes*len(b.all) }

// packet is put for packets, which wait for room or are left out.
func (t *Tap) packet(ctx context.Context, c *Conn, f *Frame) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number++
	number := t.number
	for t.waiting.size() > t.cfg.Bytes && t.err == nil && !t.closed {
		if !t.cfg.Wait {
			t.lost++
			return
		}
		if ctx.Err() != nil {
			return
		}
		t.room.Wait()
	}
	t.put(Seen{Kind: SeenPacket, Conn: c, At: now, Number: number, Direction: f.Direction, Bytes: f.Bytes})
}

func (t *Tap) run() {
	defer close(t.done)
	var b batch
	for {
		t.mu.Lock()
		for len(t.waiting.all) == 0 && !t.closed {
			t.more.Wait()
		}
		b, t.waiting = t.waiting, batch{b.all[:0], b.sizes[:0], b.bytes[:0]}
		last := t.closed && len(b.all) == 0
		t.room.Broadcast()
		t.mu.Unlock()
		if last {
			return
		}
		if err := t.hand(&b); err != nil {
			t.mu.Lock()
			t.err = err
			t.waiting = batch{}
			t.room.Broadcast()
			t.mu.Unlock()
			t.cfg.Logger.Error("nothing more is written down", "err", err)
			return
		}
		clear(b.all)
	}
}

func (t *Tap) hand(b *batch) error {
	at := 0
	for i := range b.all {
		s := &b.all[i]
		s.Bytes = b.bytes[at : at+b.sizes[i] : at+b.sizes[i]]
		at += b.sizes[i]
		if err := t.cfg.Sink.Take(s); err != nil {
			return err
		}
	}
	t.mu.Lock()
	idle := len(t.waiting.all) == 0
	t.mu.Unlock()
	if !idle {
		return nil
	}
	return t.cfg.Sink.Flush()
}

// Open implements Factory.
func (t *Tap) Open(c *Conn) (Stage, error) {
	if t.cfg.Keep != nil && !t.cfg.Keep(c) {
		return nil, nil //nolint:nilnil // no stage for this connection
	}
	t.mu.Lock()
	t.open[c.Number] = c
	t.put(Seen{Kind: SeenOpened, Conn: c, At: time.Now()})
	t.mu.Unlock()
	return &tapStage{t, c}, nil
}

type tapStage struct {
	t *Tap
	c *Conn
}

// Handle implements Stage.
func (s *tapStage) Handle(ctx context.Context, f Frame, emit func(Frame) error) error {
	if !s.t.cfg.Notes {
		s.t.packet(ctx, s.c, &f)
	}
	return emit(f)
}

// Ended implements Ender.
func (s *tapStage) Ended(why *End) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	delete(s.t.open, s.c.Number)
	s.t.put(Seen{Kind: SeenEnded, Conn: s.c, At: time.Now(), Text: why.Error()})
}
