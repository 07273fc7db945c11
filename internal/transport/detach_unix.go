//go:build unix

package transport

import "golang.org/x/sys/unix"

func (s *socket) detach() (fd int, ok bool) {
	fd = -1
	err := s.raw.Control(func(old uintptr) {
		if n, err := unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			fd = n
		}
	})
	if err != nil || fd < 0 {
		return -1, false
	}
	_ = s.Close() // the copy keeps the connection
	return fd, true
}
