package transport

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSocketFileIsNeverOpenToMoreThanItsMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	defer syscall.Umask(syscall.Umask(0))
	l, err := bindUnix(t.Context(), path, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if p := info.Mode().Perm(); p != 0o640 { // before anybody has changed it
		t.Errorf("permissions %#o", p)
	}
}
