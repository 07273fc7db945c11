package bench

import (
	"syscall"
	"time"
)

// nap sleeps for a short time, more exactly than the runtime's timers.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil)
}
