//go:build !unix

package transport

import "syscall"

// msgTruncated is no flag here: package net returns an error.
const msgTruncated = 0

// errnoTooLong refuses a datagram for its size: WSAEMSGSIZE.
const errnoTooLong = syscall.Errno(10040)

// sender takes nothing here, so every write may wait.
type sender struct{}

func (*sender) try(*peer, []byte) (bool, error) { return false, nil }

// offer sends b.
func (p *peer) offer(b []byte) { _, _ = p.in.sock.WriteToUDPAddrPort(b, p.to) }
