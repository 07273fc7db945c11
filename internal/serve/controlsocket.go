package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is what the path of a Unix socket may have in bytes on every
// system; Linux takes a few more.
const maxSocketPath = 103

// listenControl opens the socket at path for nobody but this user. A socket
// that is there already is one that a process has left behind: the lock of the
// store keeps living ones apart.
func listenControl(path string) (*net.UnixListener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%q is in the way and is no socket", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	var l *net.UnixListener
	err := withShortPath(path, func(short string) (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the short path may be gone by then
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func dialControl(ctx context.Context, path string) (net.Conn, error) {
	var nc net.Conn
	err := withShortPath(path, func(short string) (err error) {
		nc, err = new(net.Dialer).DialContext(ctx, "unix", short)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoServer)
	}
	return nc, err
}

// withShortPath calls use with a path of the same file that fits into the
// address of a socket: where path is too long, by way of a symbolic link to
// its directory that lasts as long as the call.
func withShortPath(path string, use func(string) error) error {
	if len(path) <= maxSocketPath {
		return use(path)
	}
	tmp, err := os.MkdirTemp("", "iotctl")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return err
	}
	link := filepath.Join(tmp, "d")
	if err := os.Symlink(dir, link); err != nil {
		return err
	}
	short := filepath.Join(link, filepath.Base(path))
	if len(short) > maxSocketPath {
		return fmt.Errorf("the path of the socket %q is longer than the %d bytes that a socket's may have", path, maxSocketPath)
	}
	return use(short)
}
