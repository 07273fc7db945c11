//go:build unix && !linux

package transport

import "net"

// limitToInterface does nothing: each socket hears the groups that it has joined
// here, on the interfaces where it has.
func limitToInterface(int, *net.Interface) {}
