package transport

import (
	"io/fs"
	"syscall"
)

// limitSocket sets the permissions that a socket's file begins with. Where
// the kernel refuses, the file has its permissions a moment later.
func limitSocket(raw syscall.RawConn, mode fs.FileMode) error {
	return raw.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), uint32(mode.Perm())) })
}
