//go:build !unix

package transport

func (*socket) detach() (fd int, ok bool) { return -1, false }
