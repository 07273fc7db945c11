package bench

import (
	"fmt"
	"os"
	"syscall"
)

// maxFiles is how many descriptors this process may have, 0 if unknown. Go has
// raised the limit to what it may be.
func maxFiles() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(l.Cur, 1<<31))
}

// localPorts is how many connections one address can have to one other.
func localPorts() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	var from, to int
	if n, _ := fmt.Sscan(string(b), &from, &to); n != 2 {
		return 0
	}
	return to - from + 1
}
