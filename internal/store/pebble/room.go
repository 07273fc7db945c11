package pebble

import (
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/store"
)

const (
	roomPeriod = time.Second
	// refusedFor is how long the store counts as full after the disk has
	// refused to take a table, whatever the file system says.
	refusedFor = 10 * time.Second
)

// room is what was known of the file system a moment ago.
type room struct {
	free      atomic.Uint64
	low, full atomic.Bool
}

// Room implements store.Bounded. Before the file system has been asked, and
// where it does not say, there is room.
func (s *Store) Room() store.Room {
	return store.Room{Free: s.room.free.Load(), Low: s.room.low.Load(), Full: s.room.full.Load()}
}

func (s *Store) watchRoom() {
	ticker := time.NewTicker(roomPeriod)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.measure(now)
		case <-s.quit:
			return
		}
	}
}

// measure asks the file system. A store that was full needs a quarter more than
// MinFree before it is not, so that it does not change its mind all the time.
func (s *Store) measure(now time.Time) {
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
	s.room.low.Store(full || usage.AvailBytes < max(4*s.config.MinFree, usage.TotalBytes/10))
}
