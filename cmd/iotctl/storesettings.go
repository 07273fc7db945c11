package main

import (
	"errors"
	"log/slog"
	"time"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/pebble"
)

// The names of the stores, as in store.type of the configuration file.
const (
	storePebble = "pebble"
	storeMem    = "mem"
)

// storeSettings is the section "store" of the configuration file where the
// type is pebble.
type storeSettings struct {
	Dir          serve.File
	Durability   pebble.Durability
	Interval     time.Duration
	MinFreeBytes int `yaml:"min_free"`
}

// Validate returns every problem, with the names of the file.
func (s storeSettings) Validate() error {
	var errs []error
	if s.Interval < 0 {
		errs = append(errs, errors.New("interval: it is negative"))
	}
	if s.MinFreeBytes < 0 {
		errs = append(errs, errors.New("min_free: it is negative"))
	}
	return errors.Join(errs...)
}

func openPebble(log *slog.Logger, s storeSettings) (store.Store, error) {
	if s.Dir == "" {
		return nil, errors.New("it needs a directory") // pebble would take the working directory
	}
	return pebble.Open(pebble.Config{
		Dir: string(s.Dir), Durability: s.Durability, Interval: s.Interval, MinFree: uint64(s.MinFreeBytes), Logger: log,
	})
}
