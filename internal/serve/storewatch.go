package serve

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/store"
)

// roomCheck is the time between looks at how much a store can still take.
const roomCheck = time.Second

// StoreError ends a server whose store has broken. Nothing has been
// acknowledged since.
type StoreError struct {
	Store string // its name in the table
	Err   error
}

// Error implements error.
func (e *StoreError) Error() string {
	return fmt.Sprintf("the %s store has failed: %v", e.Store, e.Err)
}

// Unwrap gives access to the cause.
func (e *StoreError) Unwrap() error { return e.Err }

// watchStore ends the server when the store breaks, and logs when it runs out
// of room and when that is over.
func (s *Server) watchStore(ctx context.Context) {
	var failed <-chan error
	if f, ok := s.store.(store.Fallible); ok {
		failed = f.Failed()
	}
	var look <-chan time.Time
	bounded, ok := s.store.(store.Bounded)
	if ok {
		tick := time.NewTicker(roomCheck)
		defer tick.Stop()
		look = tick.C
	}
	var was store.Room
	for {
		if bounded != nil {
			is := bounded.Room()
			s.logRoom(was, is)
			was = is
		}
		select {
		case <-ctx.Done():
			return
		case err := <-failed:
			s.report(&StoreError{Store: s.started.store.Name, Err: err})
			return
		case <-look:
		}
	}
}

func (s *Server) logRoom(was, is store.Room) {
	switch {
	case is.Full && !was.Full:
		s.log.Error("the store is full: no messages above QoS 0 are taken until there is room", "free", is.Free)
	case was.Full && !is.Full:
		s.log.Info("the store has room again", "free", is.Free)
	case is.Low && !was.Low:
		s.log.Warn("the store is running out of room", "free", is.Free)
	case was.Low && !is.Low:
		s.log.Info("the store has enough room again", "free", is.Free)
	}
}

// storeValues are what $SYS says about a store that may run out of room.
func (s *Server) storeValues(values map[string]string) {
	b, ok := s.store.(store.Bounded)
	if !ok {
		return
	}
	room := b.Room()
	full := "0"
	if room.Full {
		full = "1"
	}
	values["store/full"] = full
	values["store/free"] = strconv.FormatUint(room.Free, 10)
}
