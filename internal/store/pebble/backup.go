package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iotctl/iotctl/internal/store"
)

// unfinished is added to the name of a directory until all of it is there.
const unfinished = ".partial"

// Backup copies the store as it is now into dir, which must not exist. Nothing
// waits for it meanwhile. Files are linked where they can be, so that a backup
// on the same file system takes little room at first.
func (s *Store) Backup(ctx context.Context, dir string) error {
	return wholly(ctx, s.config.fs, dir, func(dir string) error {
		if err := s.settle(); err != nil {
			return err
		}
		return s.read(ctx, func(*pebble.Snapshot) error {
			return s.guard(func() error { return s.db.Checkpoint(dir, pebble.WithFlushedWAL()) })
		})
	})
}

// Restore copies a backup into dir, which must be absent or empty. It checks the
// backup before.
func Restore(ctx context.Context, backup, dir string) error {
	return restore(ctx, vfs.Default, backup, dir)
}

func restore(ctx context.Context, files vfs.FS, backup, dir string) error {
	report, err := check(ctx, Config{Dir: backup, fs: files})
	if err != nil {
		return err
	}
	if len(report.Problems) > 0 {
		return fmt.Errorf("the backup in %q: %w: %s", backup, store.ErrDamaged, brief(report.Problems[0]))
	}
	if list, err := files.List(dir); err == nil && len(list) == 0 {
		if err := files.Remove(dir); err != nil {
			return err
		}
	}
	return wholly(ctx, files, dir, func(dir string) error {
		skip := vfs.CloneSkip(func(path string) bool { return files.PathBase(path) == "LOCK" || strings.HasSuffix(path, ".sock") })
		_, err := vfs.Clone(files, files, backup, dir, vfs.CloneSync, skip)
		return err
	})
}

// wholly lets make create a directory that gets its name dir when it is
// complete. Until then it lies in one that nobody else may enter.
func wholly(ctx context.Context, files vfs.FS, dir string, make func(dir string) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir = files.PathJoin(dir) // without a slash at its end
	partial := dir + unfinished
	for _, name := range []string{dir, partial} {
		switch _, err := files.Stat(name); {
		case err == nil:
			return fmt.Errorf("%q is there already: remove it or choose another directory", name)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if err := files.MkdirAll(partial, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.RemoveAll(partial)) }()
	inside := files.PathJoin(partial, "data")
	if err := make(inside); err != nil {
		return err
	}
	if files == vfs.Default { // pebble lets everybody read
		if err := os.Chmod(inside, 0o700); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := files.Rename(inside, dir); err != nil {
		return err
	}
	return syncDir(files, files.PathDir(dir))
}

// syncDir makes the names in a directory durable.
func syncDir(files vfs.FS, dir string) error {
	d, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
