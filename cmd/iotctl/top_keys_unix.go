//go:build unix

package main

import (
	"os"
	"time"
)

// openKeys opens the terminal of the process once more, so that a read of it can be
// ended.
func openKeys() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }

// interruptKeys ends a read. It reports whether that is possible.
func interruptKeys(f *os.File) bool { return f.SetReadDeadline(time.Now()) == nil }
