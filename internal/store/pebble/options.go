package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// cacheBytes is what is kept of tables in memory. pebble counts memory tables as
// part of its cache, of which nothing would be left beside them.
const cacheBytes = 8 << 20

func (c Config) cacheBytes() int64 { return cacheBytes + 2*int64(c.memTable) }

// options is tuned for little writing: a message is written to the log, most
// often once more when the memory table is flushed, and seldom again, because
// it is acknowledged before enough tables have gathered for a compaction.
func (c Config) options(f *failure) *pebble.Options {
	o := &pebble.Options{
		FormatMajorVersion:          pebble.FormatValueSeparation,
		MemTableSize:                c.memTable,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       l0Threshold,
		L0StopWritesThreshold:       2 * l0Threshold,
		LBaseMaxBytes:               256 << 20,
		Logger:                      pebbleLog{c.Logger, f},
		EventListener:               c.listener(f),
	}
	if c.fs != vfs.Default { // left out, pebble also watches for a slow disk
		o.FS = c.fs
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	o.Experimental.ReadSamplingMultiplier = -1 // no compactions because of reads
	return o
}

// l0Threshold is half the number of flushes after which tables are compacted:
// 32 memory tables, so at most 512 MiB, of which much has been removed by then.
const l0Threshold = 64

func (c Config) listener(f *failure) *pebble.EventListener {
	var l pebble.EventListener
	if c.Logger.Enabled(context.Background(), slog.LevelDebug) {
		l = pebble.MakeLoggingEventListener(pebbleLog{c.Logger, f})
	}
	l.BackgroundError = func(err error) {
		if vfs.IsNoSpaceError(err) {
			if f.noSpace() {
				c.Logger.Warn("the disk is full", "dir", c.Dir, "error", err.Error())
			}
			return // pebble tries again, at once
		}
		f.fail(fmt.Errorf("write %q: %w", c.Dir, err))
	}
	l.DataCorruption = func(info pebble.DataCorruptionInfo) {
		f.fail(fmt.Errorf("read %q: %w", info.Path, info.Details))
	}
	created := l.WALCreated
	l.WALCreated = func(info pebble.WALCreateInfo) {
		if created != nil {
			created(info)
		}
		if info.Err != nil && f.opened.Load() {
			// pebble would panic without a lock that is then unlocked, which
			// nothing can recover from.
			f.fail(fmt.Errorf("create %q: %w", info.Path, info.Err))
			f.stuck.Store(true)
			select {}
		}
	}
	l.DiskSlow = func(info pebble.DiskSlowInfo) {
		c.Logger.Warn("the disk is slow", "file", info.Path, "operation", info.OpType.String(), "took", info.Duration)
	}
	return &l
}

// pebbleLog takes what pebble has to say. Its chatter is for debugging; what it
// would end the process for is a failure of the store.
type pebbleLog struct {
	*slog.Logger
	f *failure
}

func (l pebbleLog) Infof(format string, args ...any) {
	if l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug("pebble", "event", fmt.Sprintf(format, args...))
	}
}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.Warn("pebble", "event", fmt.Sprintf(format, args...))
}

// Fatalf takes the first line; a stack may follow.
func (l pebbleLog) Fatalf(format string, args ...any) {
	line, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	l.f.fail(errors.New(line))
}
