package pebble

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/storetest"
)

func TestStore(t *testing.T) {
	for _, d := range []Durability{Sync, Interval, Memory} {
		t.Run(d.String(), func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			storetest.Run(t, func(t *testing.T) storetest.Reopen {
				dir := t.TempDir()
				return func() (store.Store, error) { return Open(Config{Dir: dir, Durability: d}) }
			})
		})
	}
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(t testing.TB) storetest.Reopen {
		dir := t.TempDir()
		return func() (store.Store, error) { return Open(Config{Dir: dir}) }
	})
}

// openMem opens the store on a disk in memory.
func openMem(t *testing.T, disk vfs.FS) *Store {
	t.Helper()
	s, err := Open(Config{Dir: "data", fs: disk, memTable: smallTables})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func apply(t *testing.T, s *Store, batch ...store.Op) {
	t.Helper()
	if err := s.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

func create(client string) store.Op { return store.Op{Record: store.Session{ClientID: client}} }

func wipe(client string) store.Op {
	return store.Op{Kind: store.Delete, Record: store.Session{ClientID: client}}
}

func TestBodyIsStoredOnceAndGoesWithItsLastReference(t *testing.T) {
	disk := vfs.NewMem()
	s := openMem(t, disk)
	large := &message.Message{Topic: "t", Payload: []byte(strings.Repeat("x", inlineBytes+1))}
	small := &message.Message{Topic: "t", Payload: []byte(strings.Repeat("x", inlineBytes))}
	var batch []store.Op
	for c := range 5 {
		client := fmt.Sprint("c", c)
		batch = append(batch, create(client), queued(client, 1, large), queued(client, 2, small))
	}
	apply(t, s, append(batch, queued("c0", 3, &message.Message{Payload: large.Payload}))...)
	bodies := func(want int) {
		t.Helper()
		if st := s.Stats(); st.Bodies != want {
			t.Errorf("%d bodies, want %d", st.Bodies, want)
		}
	}
	bodies(1)
	apply(t, s, removal("c0", 1))
	apply(t, s, store.Op{Record: store.Released{ClientID: "c1", Seq: 1}})
	apply(t, s, queued("c2", 1, small))
	apply(t, s, wipe("c3"))
	bodies(1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openMem(t, disk)
	bodies(1)
	page, err := s.Queue(t.Context(), "c4", 0, 1)
	if err != nil || len(page) != 1 || string(page[0].Message.Payload) != string(large.Payload) {
		t.Fatalf("%+v, %v", page, err)
	}
	apply(t, s, removal("c4", 1))
	bodies(0)
}

func TestRemovalsReachTheDiskWhileTheHeadIsStuck(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := openMem(t, disk)
	apply(t, s, create("c"))
	m := &message.Message{Topic: "t", Payload: make([]byte, 100)}
	apply(t, s, queued("c", 1, m))
	const n = 20000
	for seq := uint64(2); seq < n; seq += 10 {
		var puts, removals []store.Op
		for i := range uint64(10) {
			puts = append(puts, queued("c", seq+i, m))
			removals = append(removals, removal("c", seq+i))
		}
		apply(t, s, puts...)
		apply(t, s, removals...)
	}
	s.mu.Lock()
	if o := s.sessions["c"]; len(o.queue.keys) != 1 || len(o.gone) > maxRemovals+10 {
		t.Errorf("%d live, %d waiting", len(o.queue.keys), len(o.gone))
	}
	s.mu.Unlock()
	// Without Close, all but those that may still wait are gone.
	image := openMem(t, disk.CrashClone(vfs.CrashCloneCfg{}))
	if st := image.Stats(); st.Queued > maxRemovals+100 {
		t.Errorf("%d messages came back", st.Queued)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st := openMem(t, disk.CrashClone(vfs.CrashCloneCfg{})).Stats(); st.Queued != 1 {
		t.Errorf("%d messages after Close, want 1", st.Queued)
	}
}

func TestLoneRemovalIsWrittenSoon(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := openMem(t, disk)
	apply(t, s, create("c"), queued("c", 1, &message.Message{}))
	apply(t, s, removal("c", 1))
	eventually(t, func() bool {
		return openMem(t, disk.CrashClone(vfs.CrashCloneCfg{})).Stats().Queued == 0
	})
}

func TestSidIsNotUsedAgain(t *testing.T) {
	disk := vfs.NewMem()
	s := openMem(t, disk)
	apply(t, s, create("a"), queued("a", 1, &message.Message{}), wipe("a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openMem(t, disk)
	apply(t, s, create("b"))
	if sid := s.sessions["b"].sid; sid != 2 {
		t.Errorf("sid %d, want 2", sid)
	}
	if page, err := s.Queue(t.Context(), "b", 0, math.MaxUint64); err != nil || len(page) > 0 {
		t.Errorf("%v, %v", page, err)
	}
}

// What a crash, or another program, has left is no part of any session.
func TestWhatHasNoSessionIsSwept(t *testing.T) {
	disk := vfs.NewMem()
	s := openMem(t, disk)
	apply(t, s, store.Op{Record: store.Session{ClientID: "c", First: 10}}, queued("c", 10, &message.Message{Payload: []byte{}}))
	g := &group{batch: s.db.NewBatch()}
	entry := appendEntry(nil, store.Queued{Message: &message.Message{}}, 0)
	g.set(appendQueue(nil, 1, 8), entry)
	g.set(appendQueue(nil, 1, 9), []byte{entryReleased})
	g.set(append(appendPart(nil, 2, partSubscription), "a"...), appendSubscriptionValue(nil, store.Subscription{}))
	g.set(appendQueue(nil, 2, 1), entry)
	g.set(appendReceived(nil, 2, 1), []byte{version})
	g.set(append(appendPart(nil, 2, partKept), "k"...), []byte{version})
	if err := s.commit(g.batch, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := check(t.Context(), Config{Dir: "data", fs: disk})
	if err != nil || len(report.Problems) > 0 || report.Unused != 6 {
		t.Errorf("check: %+v, %v", report, err)
	}
	s = openMem(t, disk)
	if st := s.Stats(); st.Queued != 1 || st.Released+st.Subscriptions+st.Received+st.Kept > 0 {
		t.Errorf("%+v", st)
	}
	if got := records(t, s); len(got) != 2 {
		t.Errorf("%+v", got)
	}
	apply(t, s, create("new"))
	if sid := s.sessions["new"].sid; sid != 3 {
		t.Errorf("sid %d, want 3", sid)
	}
}

func TestWhatComesTooLateCostsNothing(t *testing.T) {
	disk := vfs.NewMem()
	s := openMem(t, disk)
	large := &message.Message{Topic: "t", Payload: make([]byte, inlineBytes+1)}
	apply(t, s, store.Op{Record: store.Session{ClientID: "c", First: 10}})
	for n := range 10 {
		late := fmt.Sprint("late", n)
		apply(t, s, queued(late, 1, large), queued(late, 2, large), queued("c", 9, large))
		apply(t, s, store.Op{Record: store.Received{ClientID: late, PacketID: 1}})
	}
	if err := s.settle(); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Bodies+st.Queued > 0 {
		t.Errorf("%+v", st)
	}
	if len(s.sessions) != 1 || len(s.bodies.keys) > 0 {
		t.Errorf("%d sessions, %d bodies", len(s.sessions), len(s.bodies.keys))
	}
	// What one session ignores, another may get.
	apply(t, s, queued("c", 9, large), queued("c", 10, large), queued("late", 1, large))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := check(t.Context(), Config{Dir: "data", fs: disk})
	if err != nil || len(report.Problems)+report.Unused > 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
	s = openMem(t, disk)
	if st := s.Stats(); st.Bodies != 1 || st.Queued != 1 {
		t.Errorf("%+v", st)
	}
	apply(t, s, store.Op{Record: store.Session{ClientID: "c", First: 11}})
	if st := s.Stats(); st.Bodies+st.Queued > 0 {
		t.Errorf("%+v", st)
	}
}

func TestLongNames(t *testing.T) {
	disk := vfs.NewMem()
	s := openMem(t, disk)
	long := strings.Repeat("\xff\x00", 32767)
	batch := []store.Op{
		create(long), create(long + "x"),
		{Record: store.Subscription{ClientID: long, Filter: long}},
		{Record: store.Retained{Message: &message.Message{Topic: long, Payload: []byte{}}}},
		{Record: store.Will{ClientID: long, Message: &message.Message{Topic: long, Payload: []byte{}}}},
	}
	apply(t, s, batch...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var got []store.Op
	if err := openMem(t, disk).Load(t.Context(), func(r store.Record) error {
		got = append(got, store.Op{Record: r})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	batch[1], batch[2] = batch[2], batch[1] // what belongs to a session comes before the next one
	if diff := cmp.Diff(batch, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestClosed(t *testing.T) {
	s := openMem(t, vfs.NewMem())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Queue(t.Context(), "c", 0, 1)
	for _, err := range []error{
		err, s.Apply(t.Context(), []store.Op{create("c")}), s.Apply(t.Context(), []store.Op{removal("c", 1)}),
		s.Load(t.Context(), nil), s.Backup(t.Context(), "b"),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestDurabilityText(t *testing.T) {
	for _, want := range []Durability{Sync, Interval, Memory} {
		var d Durability
		if err := d.UnmarshalText([]byte(want.String())); err != nil || d != want {
			t.Errorf("%v: %v, %v", want, d, err)
		}
	}
	var d Durability
	if err := d.UnmarshalText([]byte("never")); err == nil || !strings.Contains(err.Error(), "sync, interval or memory") {
		t.Errorf("never: %v", err)
	}
}

// eventually waits until ok, for a while.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not come true")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
