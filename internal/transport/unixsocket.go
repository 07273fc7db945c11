package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// listenUnix opens a socket file. One that a dead process left behind is
// replaced; one that somebody listens on, and a file that is no socket, are
// errors. The file goes away when the listener closes.
func listenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	l, err := bindUnix(ctx, path, mode)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err = removeStale(ctx, path); err != nil {
			return nil, err
		}
		l, err = bindUnix(ctx, path, mode)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// bindUnix opens a socket file that at no time lets in more than mode does: on
// Linux it gets the permissions of the socket, less the umask. Elsewhere there
// is a moment with those of the umask alone.
func bindUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return limitSocket(raw, mode)
	}}
	return lc.Listen(ctx, "unix", path)
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%q is in the way and is no socket", path)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%q: another process listens on it", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%q exists, and whether anybody listens on it cannot be told: %w", path, err)
	}
	return os.Remove(path)
}
