package pebble

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/iotctl/iotctl/internal/store"
)

var errDisk = errors.New("the disk has had enough")

// breaking fails the nth operation of some kinds, and with forever all later
// ones too.
type breaking struct {
	nth     int64
	forever bool
	kinds   map[errorfs.OpKind]bool
	count   atomic.Int64
	armed   atomic.Bool
}

func (*breaking) String() string { return "breaking" }

func (b *breaking) MaybeError(op errorfs.Op) error {
	if !b.armed.Load() || !b.kinds[op.Kind] {
		return nil
	}
	if n := b.count.Add(1); n == b.nth || b.forever && n > b.nth {
		return errDisk
	}
	return nil
}

// isDisk reports whether err tells of errDisk. pebble keeps no more than its text.
func isDisk(err error) bool { return err != nil && strings.Contains(err.Error(), errDisk.Error()) }

// TestBrokenDisk fails one write or sync, or all from one on. What was
// acknowledged is there afterwards, and nothing is acknowledged after a failure
// that the store has told of.
func TestBrokenDisk(t *testing.T) {
	nths := []int64{1, 2, 3, 4, 5, 7, 9, 12, 17, 25, 40, 65, 100, 150, 230}
	if testing.Short() {
		nths = []int64{1, 4, 25, 150}
	}
	for name, kinds := range map[string]map[errorfs.OpKind]bool{
		"write": {errorfs.OpFileWrite: true, errorfs.OpFileWriteAt: true, errorfs.OpCreate: true, errorfs.OpRename: true, errorfs.OpReuseForWrite: true},
		"sync":  {errorfs.OpFileSync: true, errorfs.OpFileSyncData: true, errorfs.OpFileSyncTo: true},
	} {
		for _, nth := range nths {
			for _, forever := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/forever=%v", name, nth, forever), func(t *testing.T) {
					t.Parallel()
					testBrokenDisk(t, &breaking{nth: nth, forever: forever, kinds: kinds})
				})
			}
		}
	}
}

func testBrokenDisk(t *testing.T, b *breaking) {
	disk := vfs.NewCrashableMem()
	s, err := Open(Config{Dir: "data", fs: errorfs.Wrap(disk, b), memTable: smallTables})
	if err != nil {
		t.Fatal(err)
	}
	b.armed.Store(true)
	writers, wait := startWriters(t, s, 4, uint64(b.nth), func() bool { return s.failure.cause() != nil })
	wait()
	select {
	case err := <-s.Failed():
		if !isDisk(err) {
			t.Errorf("failed with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no failure after %d operations", b.count.Load())
	}
	if err := s.Apply(t.Context(), []store.Op{removal("w0/1", 1)}); !isDisk(err) {
		t.Errorf("Apply after the failure: %v", err)
	}
	least, most := acked(writers), began(writers)
	if err := s.Close(); !isDisk(err) {
		t.Errorf("Close: %v", err)
	}
	verifyImage(t, disk.CrashClone(vfs.CrashCloneCfg{}), writers, least, most)
}
