package proxy

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
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
	Lost      uint64 // what was left out before this, of all connections
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
	// Bytes is how much may wait for the sink. 0: 4 MiB. What no traffic can wait for,
	// notes and new connections, is left out beyond four times as much.
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

	taken atomic.Uint64 // by the sink
	done  chan struct{}
}

// batch is a row of Seen, whose Bytes lie behind each other.
type batch struct {
	all   []Seen
	sizes []int
	bytes []byte
	text  int // bytes of texts
}

const (
	tapBytes = 4 << 20
	tapSpare = 4 // times Bytes
)

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

// How long a sink may take for the rest in the end: one that traffic does not wait
// for, and one that it does wait for until it takes the next.
const (
	stuck     = 2 * time.Second
	stuckNext = 10 * time.Second
)

// Close waits until the sink has taken everything, and returns its error. It does not
// wait long for a sink that takes nothing, nor for one that traffic does not wait for.
func (t *Tap) Close() error {
	t.mu.Lock()
	t.closed = true
	t.more.Signal()
	t.room.Broadcast()
	t.mu.Unlock()
	patience := stuck
	if t.cfg.Wait {
		patience = stuckNext
	}
	timer := time.NewTicker(patience)
	defer timer.Stop()
	for {
		taken := t.taken.Load()
		select {
		case <-t.done:
			return t.err
		case <-timer.C:
			if !t.cfg.Wait || t.taken.Load() == taken {
				return ErrStuck
			}
		}
	}
}

// Lost is how much has been left out so far.
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
	switch s.Conn = t.open[connection]; {
	case s.Conn == nil:
	case t.full(tapSpare):
		t.lost++
	default:
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
	t.waiting.text += len(s.Text)
	t.more.Signal()
}

// seenBytes is what a Seen takes up beside its bytes, about.
const seenBytes = 160

func (b *batch) size() int { return len(b.bytes) + b.text + seenBytes*len(b.all) }

// full tells whether more than that many times Bytes wait. The caller holds the mutex.
func (t *Tap) full(times int) bool { return t.waiting.size() > times*t.cfg.Bytes }

// packet is put for packets, which wait for room or are left out.
func (t *Tap) packet(ctx context.Context, c *Conn, f *Frame) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number++
	number := t.number
	if t.cfg.Wait && t.full(1) {
		defer context.AfterFunc(ctx, t.wake)()
	}
	for t.full(1) && t.err == nil && !t.closed {
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

// wake has those who wait for room look again.
func (t *Tap) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.room.Broadcast()
}

func (t *Tap) run() {
	defer close(t.done)
	var b batch
	for {
		t.mu.Lock()
		for len(t.waiting.all) == 0 && !t.closed {
			t.more.Wait()
		}
		b, t.waiting = t.waiting, batch{b.all[:0], b.sizes[:0], b.bytes[:0], 0}
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
		t.taken.Add(1)
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
	defer t.mu.Unlock()
	if t.full(tapSpare) {
		t.lost++
		return nil, nil //nolint:nilnil // no stage for this connection
	}
	t.open[c.Number] = c
	t.put(Seen{Kind: SeenOpened, Conn: c, At: time.Now()})
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
