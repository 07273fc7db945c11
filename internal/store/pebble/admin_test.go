package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/storetest"
)

// openDir opens the store on the real disk.
func openDir(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir, memTable: smallTables})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// sound checks a store that nobody has open.
func sound(t *testing.T, dir string) Report {
	t.Helper()
	report, err := Check(t.Context(), dir)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("check: %+v, %v", report, err)
	}
	return report
}

func TestBackupOfALiveStore(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, filepath.Join(dir, "data"))
	ctx, cancel := context.WithCancel(t.Context())
	writers, wait := startWriters(t, s, 4, 1, func() bool { return ctx.Err() != nil })
	defer func() { cancel(); wait() }()
	eventually(t, func() bool { return total(acked(writers)) > 1000 })
	backup := filepath.Join(dir, "backup")
	least := acked(writers)
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	most := began(writers)
	cancel()
	wait()
	if report := sound(t, backup); report.Records == 0 || report.Tables == 0 {
		t.Errorf("%+v", report)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := s.Backup(t.Context(), backup); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("a second backup: %v", err)
	}
	restored := filepath.Join(dir, "restored")
	if err := os.Mkdir(restored, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), backup, restored); err != nil {
		t.Fatal(err)
	}
	got := records(t, openDir(t, restored))
	for i, w := range writers {
		w.verify(t, got, least[i], most[i])
	}
	if err := Restore(t.Context(), backup, restored); err == nil {
		t.Error("restored over a store")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*"+unfinished)); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestCancelledBackupLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, filepath.Join(dir, "data"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, filepath.Join(dir, "backup")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// filled makes a store with tables and a log, and returns its directory.
func filled(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := Open(Config{Dir: dir, Durability: Memory, memTable: smallTables}) // a disk may be slow
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter("w", 1)
	if err := w.run(s, func() bool { return len(w.batches) == 1000 }); err != nil {
		t.Fatal(err)
	}
	storetest.Fill(t, s, "c")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheckFindsAFlippedByte(t *testing.T) {
	dir := filled(t)
	if report := sound(t, dir); report.Tables == 0 {
		t.Fatalf("%+v", report)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	table := tables[0]
	sane, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{10, len(sane) / 3, len(sane) / 2, len(sane) - 60} {
		broken := append([]byte(nil), sane...)
		broken[at] ^= 0x10
		if err := os.WriteFile(table, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := Check(t.Context(), dir)
		if err != nil || len(report.Problems) == 0 {
			t.Errorf("byte %d of %d: %+v, %v", at, len(sane), report, err)
			continue
		}
		if !strings.Contains(strings.Join(report.Problems, "\n"), filepath.Base(table)) {
			t.Errorf("byte %d: the table is not named: %q", at, report.Problems)
		}
		if err := Restore(t.Context(), dir, filepath.Join(t.TempDir(), "restored")); err == nil {
			t.Errorf("byte %d: a damaged backup was restored", at)
		}
	}
}

func TestCheckFindsWhatIsMissing(t *testing.T) {
	disk := vfs.NewMem()
	s := openMem(t, disk)
	large := &message.Message{Topic: "t", Payload: make([]byte, 100)}
	apply(t, s, create("a"), create("b"), queued("a", 1, large), queued("b", 1, large))
	g := &group{batch: s.db.NewBatch()}
	g.delete(appendBody(nil, s.lastMID.Load()))
	g.set(append([]byte{familyRetained}, "t"...), []byte{version, 0xff})
	g.set([]byte{0x7f}, nil)
	if err := s.commit(g.batch, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := check(t.Context(), Config{Dir: "data", fs: disk})
	if err != nil || len(report.Problems) != 4 {
		t.Errorf("%q, %v", report.Problems, err)
	}
}

func TestInspectChangesNothing(t *testing.T) {
	dir := filled(t)
	before := contents(t, dir)
	s, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Sessions != 3 || st.Kept == 0 || st.Schema != schema || st.Created.IsZero() || st.DiskBytes == 0 || st.FreeBytes == 0 {
		t.Errorf("%+v", st)
	}
	if err := s.Apply(t.Context(), []store.Op{create("x")}); !errors.Is(err, errReadOnly) {
		t.Errorf("Apply: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sound(t, dir)
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var b []byte
			b, err = os.ReadFile(filepath.Join(dir, name))
			all[name] = string(b)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDump(t *testing.T) {
	dir := filled(t)
	s := openDir(t, dir)
	want := records(t, without(s))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]store.Record{}
	if err := Dump(t.Context(), dir, func(r store.Record) error {
		if _, ok := r.(store.Will); !ok {
			got[key(r)] = r
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-loaded +dumped):\n%s", diff)
	}
	stop := errors.New("enough")
	if err := Dump(t.Context(), dir, func(store.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// without removes the will, of which the model knows nothing.
func without(s *Store) *Store {
	_ = s.Apply(context.Background(), []store.Op{{Kind: store.Delete, Record: store.Will{ClientID: "c"}}})
	return s
}

func TestTwoAtOnce(t *testing.T) {
	dir := filled(t)
	openDir(t, dir)
	_, err := Open(Config{Dir: dir})
	_, e := Inspect(dir)
	_, e2 := Check(t.Context(), dir)
	for _, err := range []error{err, e, e2} {
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v", err)
		}
	}
}

func TestNoStore(t *testing.T) {
	dir := t.TempDir()
	if _, err := Inspect(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := Inspect(dir); !errors.Is(err, ErrNoStore) {
		t.Errorf("empty: %v", err)
	}
	if _, err := Check(t.Context(), filepath.Join(dir, "absent")); err == nil {
		t.Error("an absent store was checked")
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: file}); err == nil {
		t.Error("a file was opened")
	}
}

func TestSchema(t *testing.T) {
	for _, c := range []struct {
		name              string
		schema, minReader uint64
		want              string
	}{
		{"of now", schema, minReader, ""},
		{"newer, still readable", schema + 5, minReader, ""},
		{"newer", schema + 5, schema + 1, "newer iotctl (schema 7, readable from 3 on; this one knows 2)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := vfs.NewMem()
			s := openMem(t, disk)
			g := &group{batch: s.db.NewBatch()}
			g.set(keySchema, schemaValue(c.schema, c.minReader))
			if err := s.commit(g.batch, true); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := Open(Config{Dir: "data", fs: disk})
			if err == nil {
				_ = s.Close()
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestMigration(t *testing.T) {
	disk := vfs.NewMem()
	s := openMem(t, disk)
	apply(t, s, create("c"))
	fails := errors.New("not yet")
	before := fmt.Sprint("data.before-schema-", schema+1)
	err := s.migrate(schema, append(steps[:], func(*pebble.DB, *pebble.Batch) error { return fails }))
	if !errors.Is(err, fails) || !strings.Contains(err.Error(), before) {
		t.Errorf("%v", err)
	}
	apply(t, s, create("d"))
	if err := s.migrate(schema, append(steps[:], func(_ *pebble.DB, b *pebble.Batch) error {
		return b.Delete(appendPart(nil, 1, partSession), nil)
	})); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Schema != schema+1 || st.Sessions != 1 {
		t.Errorf("%+v", st)
	}
	copied, err := Open(Config{Dir: before, fs: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if st := copied.Stats(); st.Schema != schema || st.Sessions != 1 {
		t.Errorf("before: %+v", st)
	}
}

func TestStoreOfTheFirstSchemaIsReadAndBroughtUpToDate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := openDir(t, dir)
	storetest.Fill(t, s, "c")
	apply(t, s, store.Op{Kind: store.Delete, Record: store.Kept{ClientID: "c", Key: "k"}})
	want := records(t, without(s))
	g := &group{batch: s.db.NewBatch()}
	g.set(keySchema, schemaValue(1, 1))
	if err := s.commit(g.batch, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Schema != 1 {
		t.Errorf("inspected: %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	if st := s.Stats(); st.Schema != schema {
		t.Errorf("opened: %+v", st)
	}
	if diff := cmp.Diff(want, records(t, s)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	apply(t, s, store.Op{Record: store.Kept{ClientID: "c", Key: "k"}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sound(t, dir)
	sound(t, dir+".before-schema-2")
}

func TestShortTableIsDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for range 2 { // what the log held is a table at the second start
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context(), []store.Op{{Record: store.Session{ClientID: "c"}}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	if err := os.Truncate(tables[0], 100); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(Config{Dir: dir}); !errors.Is(err, store.ErrDamaged) {
		_ = s.Close()
		t.Errorf("a table that was cut: %v, want ErrDamaged", err)
	}
}
