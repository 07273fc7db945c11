//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/store/pebble"
)

func TestWhereTheStateIs(t *testing.T) {
	for _, tt := range []struct{ given, service, xdg, home, want string }{
		{"/data", "/service", "/xdg", "/home", "/data"},
		{"", "/service", "/xdg", "/home", "/service"},
		{"", "/service:/more", "", "", "/service"},
		{"", "", "/xdg", "/home", "/xdg/iotctl"},
		{"", "", "relative", "/home", "/home/.local/state/iotctl"}, // which the specification tells to ignore
		{"", "", "", "/home", "/home/.local/state/iotctl"},
		{"", "", "", "", ""},
	} {
		t.Setenv("STATE_DIRECTORY", tt.service)
		t.Setenv("XDG_STATE_HOME", tt.xdg)
		t.Setenv("HOME", tt.home)
		got, err := dataDir(tt.given)
		if got != tt.want || tt.want == "" && codeOf(err) != exitUsage || tt.want != "" && err != nil {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
}

// Sockets of processes that have ended go away, those of others stay.
func TestEphemeralControlSockets(t *testing.T) {
	run := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	dir := filepath.Join(run, "iotctl")
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	left := func(pid int) string { return filepath.Join(dir, fmt.Sprintf("control-%d.sock", pid)) }
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{left(ended.Process.Pid), left(os.Getppid()), filepath.Join(dir, "control-x.sock")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ephemeralControl()
	if err != nil || got != left(os.Getpid()) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(left(ended.Process.Pid)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the socket of an ended process is still there")
	}
	for _, name := range []string{left(os.Getppid()), filepath.Join(dir, "control-x.sock")} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := ephemeralControl(); err == nil {
		t.Error("a directory that everybody can change is trusted")
	}
}

// Every durability has words for what a broken store means, and the code is
// its own.
func TestABrokenStoreIsExplained(t *testing.T) {
	broken := &serve.StoreError{Store: "pebble", Err: errors.New("sync: input/output error")}
	for d, want := range map[pebble.Durability]string{
		pebble.Sync:     "everything that was acknowledged before is on disk",
		pebble.Interval: "what was acknowledged last may be lost (durability: interval)",
		pebble.Memory:   "what was acknowledged may be lost (durability: memory)",
	} {
		err := explainBroken(serve.Config{StoreSettings: storeSettings{Dir: "/a b", Durability: d}}, broken)
		if codeOf(err) != exitStore {
			t.Errorf("exit code %d", codeOf(err))
		}
		if got := "the store in /a b has failed: sync: input/output error; " + want; err.Error() != got {
			t.Errorf("%q, want %q", err, got)
		}
		if diff := cmp.Diff([]string{
			"the system log may say more about the disk:  dmesg | tail",
			"before the next start:  iotctl store check --data '/a b'",
		}, hintsOf(err)); diff != "" {
			t.Errorf("hints -want +got:\n%s", diff)
		}
	}
}
