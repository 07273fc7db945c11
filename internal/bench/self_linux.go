package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processCPU is what this process has used.
func processCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func processRSS() int64 {
	_, rss := Watched(os.Getpid())
	return rss
}

// clockTick is the unit of /proc's processor times, USER_HZ, the same on every
// platform that Go supports.
const clockTick = 10 * time.Millisecond

// Watched is what a process has used, in steps of 10 ms, and its resident
// memory. Zero if there is no such process.
func Watched(pid int) (cpu time.Duration, rss int64) {
	if pid <= 0 {
		return 0, 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	// The name stands in brackets and may hold anything.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 22 {
		return 0, 0
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(f[i], 10, 64)
		return n
	}
	return time.Duration(number(11)+number(12)) * clockTick, number(21) * int64(os.Getpagesize())
}

// machine is what all processors have done, in ticks.
type machine struct{ idle, all float64 }

func readMachine() (m machine) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line)[1:] {
		n, _ := strconv.ParseFloat(f, 64)
		if i >= 8 { // guests are part of user time
			break
		}
		m.all += n
		if i == 3 || i == 4 { // idle, waiting for a disk
			m.idle += n
		}
	}
	return m
}

// since is the share of idle time, negative if unknown.
func (m machine) since(before machine) float64 {
	if m.all <= before.all {
		return -1
	}
	return (m.idle - before.idle) / (m.all - before.all)
}

// CheckPID tells whether a process can be watched.
func CheckPID(pid int) error {
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/stat", pid)); err != nil {
		return fmt.Errorf("there is no process %d", pid)
	}
	return nil
}

func readSystem(e *Environment) {
	var u syscall.Utsname
	if syscall.Uname(&u) == nil {
		var b strings.Builder
		for _, c := range u.Release {
			if c == 0 {
				break
			}
			b.WriteByte(byte(c))
		}
		e.Kernel = b.String()
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				e.CPU = strings.TrimSpace(model)
				break
			}
		}
	}
	var si syscall.Sysinfo_t
	if syscall.Sysinfo(&si) == nil {
		e.Memory = int64(si.Totalram) * int64(si.Unit)
	}
}
