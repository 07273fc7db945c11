package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/iotctl/iotctl/internal/store"
)

// failure is why a store can be trusted no more. The first one counts.
type failure struct {
	once     sync.Once
	err      error
	failed   chan struct{} // closed after err is set
	told     chan error
	opened   atomic.Bool  // pebble no longer returns what is wrong with the log
	stuck    atomic.Bool  // pebble has left its locks taken
	lastFull atomic.Int64 // Unix seconds, when the disk has last refused to take more
	readOnly bool
}

func (f *failure) init() {
	f.failed, f.told = make(chan struct{}), make(chan error, 1)
}

func (f *failure) fail(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.failed)
		f.told <- err
	})
}

// cause is nil while all is well.
func (f *failure) cause() error {
	select {
	case <-f.failed:
		return f.err
	default:
		return nil
	}
}

// noSpace notes that the disk has had no room for a table, and tells whether
// that is news of this second. What is in the log is safe, and pebble tries again.
func (f *failure) noSpace() (news bool) {
	now := time.Now().Unix()
	return f.lastFull.Swap(now) != now
}

// damaged marks errors that mean store.ErrDamaged, and leaves out what pebble
// says twice.
func damaged(err error) error {
	switch {
	case errors.Is(err, store.ErrDamaged):
		return err
	case pebble.IsCorruptionError(err), errors.Is(err, fs.ErrNotExist):
	case strings.Contains(err.Error(), "object size mismatch"): // not marked by pebble
	default:
		return err
	}
	return fmt.Errorf("%w: %s", store.ErrDamaged, brief(err.Error()))
}

// brief takes the first line of what pebble says, without the details that it
// repeats.
func brief(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text, _, _ = strings.Cut(text, ": corruption detail carrier")
	return strings.TrimPrefix(text, "pebble: ")
}

var errReadOnly = errors.New("the store is open for reading only")

// Failed implements store.Fallible.
func (s *Store) Failed() <-chan error { return s.failure.told }
