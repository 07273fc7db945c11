// Package pebble is the store that survives the process and, as its Durability
// says, the power: a log-structured merge tree (cockroachdb/pebble) in one
// directory.
//
// An Apply returns when its batch is on the disk; many share one sync. What a
// crash may undo is the removal of a queued message, which is written within
// removalDelay, together with others: the message then comes again. It never
// comes back after its session has been deleted, nor in place of its Released.
//
// A message that several queues of one batch get is stored once. The records
// say so by its number; how many there are is counted in memory.
//
// # Concurrency
//
// Apply encodes on its caller's goroutine, adds to the group that is being
// gathered, under Store.mu, and waits. The one committer takes the group,
// writes and syncs it while the next one is gathered, and wakes everybody.
// Watching the disk's room has a goroutine too; pebble has its own. Close waits
// for all of them. Locks: Store.use, then Store.mu.
package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iotctl/iotctl/internal/store"
)

// Store implements store.Store, store.Fallible and store.Bounded.
type Store struct {
	config Config
	db     *pebble.DB
	cache  *pebble.Cache
	lock   *pebble.Lock

	// use is held for reading by whatever reads the database, for writing by
	// Close.
	use sync.RWMutex

	mu       sync.Mutex
	closed   bool
	sessions map[string]*session
	lastSID  uint64
	bodies   list // mid to the number of entries that refer to it
	gone     []uint64
	dirty    []*session          // with removals that are not written
	removals int                 // of entries, that are not written
	open     *group              // is being gathered
	scanned  map[uint64]*backlog // by sid, until something is applied
	unused   [][]byte            // keys of what Open has found that belongs to no session
	spare    *pebble.Batch

	lastMID atomic.Uint64
	poke    chan struct{}      // there is something to commit
	due     chan struct{}      // there are removals that will have to be written
	created bool               // there was nothing in the directory
	cancel  context.CancelFunc // ends the goroutines
	wait    sync.WaitGroup

	failure failure
	room    room
}

// session is what is known of a session without the disk.
type session struct {
	sid   uint64
	first uint64 // place of the queue
	more  bool   // it may have subscriptions, inbound markers or what is kept
	kept  bool   // it may have what is kept
	queue list   // seq to mid, 0 for what is no reference
	gone  []uint64
}

// ErrInUse is in the error of Open when another process has the directory open.
var ErrInUse = errors.New("in use by a running iotctl")

// ErrNoStore is in the error of Inspect and Check when there is no store in the
// directory.
var ErrNoStore = errors.New("holds no store")

// Open opens the store in c.Dir, and creates it if there is none.
func Open(c Config) (*Store, error) {
	c = c.withDefaults()
	if err := c.fs.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	s, err := open(c, false)
	if err == nil && s.created {
		// Pebble notes in a log how much of it has been synced, by which damage
		// is told from its end, but not in the very first one.
		if err = s.closeFiles(); err == nil {
			s, err = open(c, false)
		}
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.measure(ctx, time.Now())
	s.wait.Go(func() { s.commitAll(ctx) })
	s.wait.Go(func() { s.watchRoom(ctx) })
	return s, nil
}

// Inspect opens the store in dir for reading and changes nothing. No other
// process may have it open; Apply gives an error.
func Inspect(dir string) (*Store, error) {
	return open(Config{Dir: dir}.withDefaults(), true)
}

func open(c Config, readOnly bool) (_ *Store, err error) {
	s := &Store{
		config: c, sessions: map[string]*session{},
		poke: make(chan struct{}, 1), due: make(chan struct{}, 1),
		cancel: func() {},
	}
	s.failure.init()
	if readOnly {
		if _, err := c.fs.Stat(c.Dir); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
		s.closedForWriting()
	}
	if s.lock, err = pebble.LockDirectory(c.Dir, c.fs); err != nil {
		if file := (*fs.PathError)(nil); errors.As(err, &file) { // not even opened
			return nil, fmt.Errorf("data directory: %w", err)
		}
		return nil, fmt.Errorf("data directory %q is %w: stop that one or choose another directory (%w)", c.Dir, ErrInUse, err)
	}
	s.cache = pebble.NewCache(c.cacheBytes())
	defer func() {
		if err != nil {
			_ = s.closeFiles()
		}
	}()
	if !readOnly {
		if err := c.roomToOpen(); err != nil {
			return nil, err
		}
	}
	options := c.options(&s.failure)
	options.Cache, options.Lock, options.ReadOnly = s.cache, s.lock, readOnly
	if s.db, err = pebble.Open(c.Dir, options); err != nil {
		if errors.Is(err, pebble.ErrDBDoesNotExist) {
			return nil, fmt.Errorf("data directory %q %w", c.Dir, ErrNoStore)
		}
		return nil, fmt.Errorf("open %q: %w", c.Dir, damaged(err))
	}
	s.failure.opened.Store(true)
	if err := s.failure.cause(); err != nil {
		return nil, fmt.Errorf("open %q: %w", c.Dir, err)
	}
	if err := s.prepare(readOnly); err != nil {
		return nil, fmt.Errorf("open %q: %w", c.Dir, damaged(err))
	}
	s.open = s.newGroup()
	return s, nil
}

// prepare brings the schema up to date and reads what Apply has to know.
func (s *Store) prepare(readOnly bool) error {
	if err := s.checkSchema(readOnly); err != nil {
		return err
	}
	if err := s.scan(); err != nil {
		return err
	}
	if readOnly {
		return nil
	}
	return s.sweep()
}

// closedForWriting is the state of a store that is only inspected.
func (s *Store) closedForWriting() { s.failure.readOnly = true }

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	if !s.committed() {
		// pebble has stopped in the middle of a commit that will not end, and
		// would wait for it.
		return s.failure.cause()
	}
	s.use.Lock()
	defer s.use.Unlock()
	err := s.closeFiles()
	if cause := s.failure.cause(); cause != nil {
		return cause
	}
	return err
}

// committed waits for the goroutines of the store; false if the committer hangs
// in a database that has failed.
func (s *Store) committed() bool {
	all := make(chan struct{})
	go func() {
		s.wait.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-s.failure.failed:
		select {
		case <-all:
		case <-time.After(time.Second):
			return false
		}
	}
	return !s.failure.stuck.Load()
}

func (s *Store) closeFiles() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	s.cache.Unref()
	return errors.Join(append(errs, s.lock.Close())...)
}

// read calls fn with what was committed when it was called.
func (s *Store) read(ctx context.Context, fn func(*pebble.Snapshot) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.use.RLock()
	defer s.use.RUnlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return store.ErrClosed
	}
	snapshot := s.db.NewSnapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	return fn(snapshot)
}

// Config says where and how a store keeps its records.
type Config struct {
	Dir        string
	Durability Durability
	Interval   time.Duration // between syncs, for Durability Interval; 0: 1 s
	// MinFree is the number of bytes of the file system below which the store
	// is full; 0: 128 MiB.
	MinFree uint64
	Logger  *slog.Logger // nil: none

	fs       vfs.FS
	memTable uint64
}

func (c Config) withDefaults() Config {
	if c.Interval <= 0 {
		c.Interval = time.Second
	}
	if c.MinFree == 0 {
		c.MinFree = 128 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.fs == nil {
		c.fs = vfs.Default
	}
	if c.memTable == 0 {
		c.memTable = 16 << 20
	}
	return c
}

// Durability is what an Apply that has returned is worth.
type Durability uint8

const (
	Sync     Durability = iota // it survives a power cut
	Interval                   // it survives one after the next sync
	Memory                     // it survives Close
)

var durabilities = []string{Sync: "sync", Interval: "interval", Memory: "memory"}

func (d Durability) String() string { return durabilities[d] }

// UnmarshalText takes sync, interval and memory.
func (d *Durability) UnmarshalText(text []byte) error {
	for i, name := range durabilities {
		if name == string(text) {
			*d = Durability(i)
			return nil
		}
	}
	return fmt.Errorf("durability %q: want sync, interval or memory", text)
}
