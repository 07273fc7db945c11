//go:build !unix

package transport

import "syscall"

// Elsewhere reads borrow before they wait, and TryWrite takes nothing.
const rawSupported = false

type rawRead struct{}

func (*rawRead) read(syscall.RawConn, func() []byte) ([]byte, int, error) {
	panic("transport: raw read without support for it")
}

func (*rawRead) wait(syscall.RawConn) {}

type rawWrite struct{}

func (*rawWrite) write(syscall.RawConn, []byte) (int, error) {
	panic("transport: raw write without support for it")
}
