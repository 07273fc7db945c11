//go:build !linux

package main

// shrink does nothing: it is for Linux.
func shrink() {}
