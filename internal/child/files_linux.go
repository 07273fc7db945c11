package child

import "syscall"

// RaiseFiles lets the programs started from here open as many files as they may, and
// returns how many. The runtime would give them the limit that this process was
// started with.
func RaiseFiles() (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	return int(min(l.Cur, 1<<20)), nil
}
