package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/store/pebble"
)

// What iotctl store has a running broker do.
const (
	commandStats  = "store.stats"
	commandBackup = "store.backup"
)

type backupArguments struct {
	To string `json:"to"` // absolute
}

var errKeepsNothing = errors.New("the broker keeps nothing: it was started with --ephemeral or store type mem")

func answerStats(_ context.Context, s *serve.Server, _ struct{}) (storeStats, error) {
	st, ok := s.Store().(*pebble.Store)
	if !ok {
		return storeStats{}, errKeepsNothing
	}
	return statsOf(st), nil
}

func answerBackup(ctx context.Context, s *serve.Server, q backupArguments) (struct{}, error) {
	st, ok := s.Store().(*pebble.Store)
	switch {
	case !ok:
		return struct{}{}, errKeepsNothing
	case !filepath.IsAbs(q.To):
		return struct{}{}, errors.New("the directory of a backup must be an absolute path")
	}
	return struct{}{}, st.Backup(ctx, q.To)
}

// storeStats is what `iotctl store stats --json` prints.
type storeStats struct {
	Sessions      int         `json:"sessions"`
	Subscriptions int         `json:"subscriptions"`
	Queued        queuedStats `json:"queued"`
	Released      int         `json:"released"`
	Received      int         `json:"received"`
	Kept          int         `json:"kept"`
	Retained      int         `json:"retained"`
	Wills         int         `json:"wills"`
	Disk          diskStats   `json:"disk"`
	Schema        uint64      `json:"schema"`
	Created       time.Time   `json:"created"`
}

// queuedStats counts a message for every queue that it is in.
type queuedStats struct {
	Messages int   `json:"messages"`
	Bytes    int64 `json:"bytes"`
	Shared   int   `json:"shared"` // messages that several queues hold
}

// diskStats are bytes.
type diskStats struct {
	Used    uint64 `json:"used"`
	Log     uint64 `json:"log"`     // of used
	Written uint64 `json:"written"` // since the store was opened
	Free    uint64 `json:"free"`    // of the file system
}

func statsOf(st *pebble.Store) storeStats {
	s := st.Stats()
	return storeStats{
		Sessions: s.Sessions, Subscriptions: s.Subscriptions,
		Queued:   queuedStats{Messages: s.Queued, Bytes: s.QueuedBytes, Shared: s.Bodies},
		Released: s.Released, Received: s.Received, Kept: s.Kept, Retained: s.Retained, Wills: s.Wills,
		Disk:   diskStats{Used: s.DiskBytes, Log: s.LogBytes, Written: s.WrittenBytes, Free: s.FreeBytes},
		Schema: s.Schema, Created: s.Created,
	}
}

// write is for people.
func (s storeStats) write(w io.Writer, dir string, running bool) error {
	broker := "none"
	if running {
		broker = "running"
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range []struct {
		name  string
		value any
	}{
		{"directory", dir},
		{"broker", broker},
		{"created", s.Created.Format(time.RFC3339)},
		{"schema", s.Schema},
		{"sessions", s.Sessions},
		{"subscriptions", s.Subscriptions},
		{"queued messages", s.Queued.Messages},
		{"bytes in queues", s.Queued.Bytes},
		{"QoS 2 half sent", s.Released},
		{"QoS 2 half received", s.Received},
		{"kept by gateways", s.Kept},
		{"retained messages", s.Retained},
		{"wills", s.Wills},
		{"bytes on disk", s.Disk.Used},
		{"bytes free", s.Disk.Free},
	} {
		fmt.Fprintf(tw, "%s\t%v\n", line.name, line.value)
	}
	return tw.Flush()
}
