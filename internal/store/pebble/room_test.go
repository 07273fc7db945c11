package pebble

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iotctl/iotctl/internal/store"
)

// tightDisk says how much room it has.
type tightDisk struct {
	vfs.FS
	avail atomic.Uint64
}

func (d *tightDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.avail.Load(), TotalBytes: 1000 << 20}, nil
}

func TestNoRoomToOpen(t *testing.T) {
	disk := &tightDisk{FS: vfs.NewMem()}
	disk.avail.Store(500 << 20)
	c := Config{Dir: "data", fs: disk}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, create("c"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	disk.avail.Store(openingBytes) // and nothing for the log
	if _, err := Open(c); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: %v", err)
	}
	s, err = open(c.withDefaults(), true)
	if err != nil {
		t.Fatalf("for reading: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	disk.avail.Store(500 << 20)
	if s, err = Open(c); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestRoom(t *testing.T) {
	disk := &tightDisk{FS: vfs.NewMem()}
	disk.avail.Store(500 << 20)
	s, err := Open(Config{Dir: "data", fs: disk, MinFree: 20 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	now := time.Now()
	for _, c := range []struct {
		avail     uint64
		low, full bool
	}{
		{500, false, false},
		{99, true, false}, // below a tenth
		{21, true, false},
		{19, true, true},
		{21, true, true}, // it takes a quarter more
		{26, true, false},
		{500, false, false},
	} {
		disk.avail.Store(c.avail << 20)
		s.measure(t.Context(), now)
		if got, want := s.Room(), (store.Room{Free: c.avail << 20, Low: c.low, Full: c.full}); got != want {
			t.Errorf("%d MiB: %+v, want %+v", c.avail, got, want)
		}
	}
	s.failure.noSpace()
	s.measure(t.Context(), time.Now())
	if !s.Room().Full {
		t.Error("not full after the disk has refused")
	}
	s.measure(t.Context(), time.Now().Add(refusedFor))
	if s.Room().Full {
		t.Error("still full")
	}
	disk.avail.Store(0)
	s.measure(t.Context(), now)
	apply(t, s, create("c")) // it is for the broker to refuse
}
