package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The state of a broker is a directory: the files of the store, and the
// control socket as long as the broker runs. serve and store have the same
// default for it, or are told another one with --data.

// controlFile is the control socket in a data directory.
const controlFile = "control.sock"

func dataFlag(cmd *cobra.Command, dir *string, usage string) {
	cmd.Flags().Var((*namedDir)(dir), "data", usage)
}

// namedDir is a directory that has to have a name: an empty one is most often a
// variable of a script that is not set.
type namedDir string

func (d *namedDir) String() string { return string(*d) }
func (d *namedDir) Type() string   { return "string" }

func (d *namedDir) Set(name string) error {
	if name == "" {
		return errors.New("the name of the directory is empty")
	}
	*d = namedDir(name)
	return nil
}

// dataDir is the directory that --data names, or the default one, as an
// absolute path.
func dataDir(given string) (string, error) {
	if given == "" {
		given = defaultDataDir()
	}
	if given == "" {
		return "", fail(exitUsage, errors.New("where is the state to be kept? neither XDG_STATE_HOME nor HOME is set"),
			"name a directory with --data DIR")
	}
	return filepath.Abs(given)
}

// defaultDataDir is that of the service where systemd has made one, otherwise
// the user's; "" when there is none.
func defaultDataDir() string {
	if dirs := os.Getenv("STATE_DIRECTORY"); dirs != "" {
		first, _, _ := strings.Cut(dirs, ":")
		return first
	}
	return userStateDir()
}

// userStateDir is the user's; "" when there is none.
func userStateDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "iotctl")
	}
	if runtime.GOOS == "windows" {
		if dir := os.Getenv("LOCALAPPDATA"); dir != "" {
			return filepath.Join(dir, "iotctl", "state")
		}
	}
	if dir := os.Getenv("HOME"); dir != "" {
		return filepath.Join(dir, ".local", "state", "iotctl")
	}
	return ""
}

// ephemeralControl is the control socket of a broker that keeps nothing: a
// file with the number of its process in a directory of the user's own. What
// ended processes have left there goes away.
func ephemeralControl() (string, error) {
	dir := runtimeDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := mustBeOwn(dir); err != nil {
		return "", err
	}
	if _, err := ephemeralSockets(dir); err != nil {
		return "", err
	}
	return filepath.Join(dir, fmt.Sprintf("control-%d.sock", os.Getpid())), nil
}

// ephemeralSockets lists the control sockets in a directory of the user's own, and
// removes those of processes that have ended.
func ephemeralSockets(dir string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, "control-*.sock"))
	var living []string
	for _, socket := range all {
		if pid, err := strconv.Atoi(processOf(socket)); err == nil && hasEnded(pid) {
			_ = os.Remove(socket)
			continue
		}
		living = append(living, socket)
	}
	return living, err
}

// processOf is the number of the process in the name of its control socket.
func processOf(socket string) string {
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(socket), "control-"), ".sock")
}

func runtimeDir() string {
	if dirs := os.Getenv("RUNTIME_DIRECTORY"); dirs != "" {
		first, _, _ := strings.Cut(dirs, ":")
		return first
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "iotctl")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("iotctl-%d", os.Geteuid()))
}

// mustBeOwn refuses a directory that others may have prepared or may change.
func mustBeOwn(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 || !isOurs(info) {
		return fmt.Errorf("%q is not a directory that only this user can change", dir)
	}
	return nil
}

// hasEnded tells whether there is no such process any more.
func hasEnded(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	err = p.Signal(syscall.Signal(0))
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH)
}

// isEmptyOrMissing tells whether something may be put into dir.
func isEmptyOrMissing(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && len(entries) == 0, err
}
