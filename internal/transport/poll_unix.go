//go:build unix && !linux

package transport

import "golang.org/x/sys/unix"

// pollNow reports whether p has events, or an error.
func pollNow(p *[1]unix.PollFd) bool {
	n, err := unix.Poll(p[:], 0)
	return err != nil || n > 0
}
