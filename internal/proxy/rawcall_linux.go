package proxy

import (
	"syscall"
	"unsafe"
)

// System calls of a relay that do not block, or not for long, are made without telling
// the scheduler, as transport does when it polls: that would cost as much again as some
// of them, and wake the runtime's monitor thousands of times a second.

func rawRead(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return result(n, errno)
}

func rawWrite(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return result(n, errno)
}

// briefly is how long rawWait waits at the most, in ms. A garbage collection that has to
// stop the goroutine ends the wait by a signal.
const briefly = 1

func rawWait(ep int, events []syscall.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), briefly, 0, 0)
	return result(n, errno)
}

func result(n uintptr, errno syscall.Errno) (int, syscall.Errno) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
