package pebble

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/store"
)

const (
	roomPeriod = time.Second
	// refusedFor is how long the store counts as full after the disk has
	// refused to take a table, whatever the file system says.
	refusedFor = 10 * time.Second
)

// openingBytes is what opening a store writes besides its log.
const openingBytes = 1 << 20

// roomToOpen gives an error that is syscall.ENOSPC if the disk may not have the
// room to open the store: pebble writes what is in the log into tables then, and
// where it cannot it tries again without end, and nothing stops it.
func (c Config) roomToOpen() error {
	usage, err := c.fs.GetDiskUsage(c.Dir)
	if err != nil {
		return nil //nolint:nilerr // not every file system says
	}
	names, err := c.fs.List(c.Dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	need := uint64(openingBytes)
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		if info, err := c.fs.Stat(c.fs.PathJoin(c.Dir, name)); err == nil {
			need += uint64(info.Size())
		}
	}
	if usage.AvailBytes < need {
		return fmt.Errorf("data directory %q: %w: %d bytes are free, and to open the store takes %d", c.Dir, syscall.ENOSPC, usage.AvailBytes, need)
	}
	return nil
}

// room is what was known of the file system a moment ago.
type room struct {
	free      atomic.Uint64
	low, full atomic.Bool
	compacted bool // since it has become low
}

// Room implements store.Bounded. Before the file system has been asked, and
// where it does not say, there is room.
func (s *Store) Room() store.Room {
	return store.Room{Free: s.room.free.Load(), Low: s.room.low.Load(), Full: s.room.full.Load()}
}

func (s *Store) watchRoom(ctx context.Context) {
	ticker := time.NewTicker(roomPeriod)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.measure(ctx, now)
		case <-ctx.Done():
			return
		}
	}
}

// measure asks the file system. A store that was full needs a quarter more than
// MinFree before it is not, so that it does not change its mind all the time.
func (s *Store) measure(ctx context.Context, now time.Time) {
	usage, err := s.config.fs.GetDiskUsage(s.config.Dir)
	if err != nil {
		s.config.Logger.Debug("room of the data directory", "error", err)
		return
	}
	least := s.config.MinFree
	if s.room.full.Load() {
		least += least / 4
	}
	refused := now.Sub(time.Unix(s.failure.lastFull.Load(), 0)) < refusedFor
	full := usage.AvailBytes < least || refused
	s.room.free.Store(usage.AvailBytes)
	s.room.full.Store(full)
	low := full || usage.AvailBytes < max(4*s.config.MinFree, usage.TotalBytes/10)
	s.room.low.Store(low)
	if low && !s.room.compacted {
		s.wait.Go(func() { s.compact(ctx) })
	}
	s.room.compacted = low
}

// worthCompacting is how much must lie in tables that were never compacted.
const worthCompacting = 64 << 20

// compact gives the room back of what has been removed, which otherwise waits
// for more tables.
func (s *Store) compact(ctx context.Context) {
	s.use.RLock()
	defer s.use.RUnlock()
	if s.db.Metrics().Levels[0].TablesSize < worthCompacting {
		return
	}
	var err error // which is no reason to give up
	_ = s.guard(func() error {
		err = s.db.Compact(ctx, []byte{familyMeta}, []byte{familyWill + 1}, false)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.config.Logger.Warn("compact to make room", "error", err)
	}
}
