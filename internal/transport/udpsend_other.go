//go:build !unix

package transport

// msgTruncated is no flag here: package net returns an error.
const msgTruncated = 0

// sender takes nothing here, so every write may wait.
type sender struct{}

func (*sender) try(*peer, []byte) (bool, error) { return false, nil }
