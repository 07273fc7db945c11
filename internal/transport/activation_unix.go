//go:build unix

package transport

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Inherited is a listening socket that systemd opened for this process.
type Inherited struct {
	Name string // FileDescriptorName= of the socket unit; "" when there is none
	net.Listener
}

// Activation returns the sockets that systemd passed, by LISTEN_PID,
// LISTEN_FDS and LISTEN_FDNAMES, which getenv looks up; none when the variables
// are for another process. Give them to NewListener. Call it once: the
// descriptors are taken over.
func Activation(getenv func(string) string) ([]Inherited, error) {
	const first = 3 // SD_LISTEN_FDS_START
	if pid, err := strconv.Atoi(getenv("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return nil, nil //nolint:nilerr // meant for nobody, or for another process
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 1000 {
		return nil, fmt.Errorf("socket activation: LISTEN_FDS %q is no number of sockets", getenv("LISTEN_FDS"))
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	var all []Inherited
	for i := range n {
		name := ""
		if i < len(names) && names[i] != "unknown" {
			name = names[i]
		}
		syscall.CloseOnExec(first + i)
		f := os.NewFile(uintptr(first+i), name)
		l, err := net.FileListener(f) // duplicates the descriptor
		_ = f.Close()
		if err != nil {
			for _, other := range all {
				_ = other.Close()
			}
			return nil, fmt.Errorf("socket activation: descriptor %d, %q: %w", first+i, name, err)
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // systemd keeps the file
		}
		all = append(all, Inherited{Name: name, Listener: l})
	}
	return all, nil
}
