package pebble

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iotctl/iotctl/internal/store"
)

// Report is what Check has found.
type Report struct {
	Tables  int // whose checksums were verified
	Records int // that were read
	// Unused counts records that a crash has left without what they belong to.
	// They do no harm and are swept at the next start.
	Unused   int
	Problems []string // in words; none if the store is sound
}

// maxProblems is how many problems a Report lists.
const maxProblems = 100

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Check reads all of the store in dir, which no process may have open, and
// changes nothing: every checksum is verified, every record decoded, and every
// reference followed. The error says why it could not; what is wrong with the
// store is in the Report.
func Check(ctx context.Context, dir string) (Report, error) {
	return check(ctx, Config{Dir: dir})
}

func check(ctx context.Context, c Config) (Report, error) {
	c = c.withDefaults()
	var r Report
	if _, err := c.fs.List(c.Dir); err != nil {
		return r, fmt.Errorf("data directory: %w", err)
	}
	s, err := open(c, true)
	switch {
	case errors.Is(err, ErrInUse), errors.Is(err, ErrNoStore):
		return r, err
	case err != nil:
		r.problem("%v", err)
		// Which table it is may be seen even so. Others may be left over.
		return r, checkTables(ctx, c, nil, &r)
	}
	tables, err := s.tables()
	err = errors.Join(err, checkTables(ctx, c, tables, &r), s.check(ctx, &r), ctx.Err())
	if e := s.Close(); e != nil {
		r.problem("%v", e)
	}
	return r, err
}

// tables are the names of the files that the store consists of, but for its log.
func (s *Store) tables() (map[string]bool, error) {
	levels, err := s.db.SSTables()
	names := map[string]bool{}
	for _, level := range levels {
		for _, t := range level {
			names[fmt.Sprintf("%06d.sst", uint64(t.BackingSSTNum))] = true
		}
	}
	return names, err
}

// checkTables verifies the tables in only, nil for every one.
func checkTables(ctx context.Context, c Config, only map[string]bool, r *Report) error {
	names, err := c.fs.List(c.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") || only != nil && !only[name] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r.Tables++
		if err := checkTable(ctx, c.fs, c.fs.PathJoin(c.Dir, name)); err != nil {
			r.problem("table %s: %v", name, err)
		}
	}
	return nil
}

// checkTable verifies the checksum of every block.
func checkTable(ctx context.Context, files vfs.FS, path string) (err error) {
	f, err := files.Open(path)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	t, err := sstable.NewReader(ctx, readable, sstable.ReaderOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	return t.ValidateBlockChecksums()
}

func (s *Store) check(ctx context.Context, r *Report) error {
	if err := s.db.CheckLevels(nil); err != nil {
		r.problem("levels: %v", err)
	}
	return s.read(ctx, func(snapshot *pebble.Snapshot) error {
		if err := s.checkRecords(ctx, snapshot, r); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.problem("%v", err)
		}
		return nil
	})
}

// checkRecords decodes everything. What is wrong with one record does not keep
// it from the next.
func (s *Store) checkRecords(ctx context.Context, snapshot *pebble.Snapshot, r *Report) (err error) {
	it, err := snapshot.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var owner store.Session
	var of uint64 // its sid
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.Records++
		key := it.Key()
		var err error
		switch key[0] {
		case familyMeta:
			err = (&Stats{}).meta(key, it.Value())
		case familySession:
			sid, part, rest, _ := sessionKey(key)
			if part == partSession {
				owner, err = decodeSession(it.Value())
				of = sid
			}
			if sid != of || unused(part, rest, owner.First) {
				r.Unused++
			} else if err == nil {
				_, err = readPart(snapshot, it, owner)
			}
		case familyBody:
			err = s.checkBody(key, it.Value(), r)
		case familyRetained:
			_, err = decodeMessage(it.Value())
		case familyWill:
			_, err = decodeWill(string(key[1:]), it.Value())
		default:
			err = fmt.Errorf("family %d: %w", key[0], errVersion)
		}
		if err != nil {
			r.problem("%v", corrupt(key, err))
		}
	}
	return it.Error()
}

func (s *Store) checkBody(key, value []byte, r *Report) error {
	mid, ok := number(key[1:])
	if !ok {
		return errCut
	}
	if _, referred := s.bodies.search(mid); !referred {
		r.Unused++
	}
	_, err := decodeMessage(value)
	return err
}
