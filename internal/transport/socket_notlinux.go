//go:build !linux

package transport

import (
	"io/fs"
	"syscall"
)

// limitSocket does nothing: a socket has no permissions here before its file.
func limitSocket(syscall.RawConn, fs.FileMode) error { return nil }
