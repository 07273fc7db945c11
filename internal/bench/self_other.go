//go:build !linux

package bench

import (
	"errors"
	"time"
)

// Where there is no /proc, a run knows nothing about processes.

func processCPU() time.Duration { return 0 }

func processRSS() int64 { return 0 }

// Watched knows nothing about other processes here.
func Watched(int) (time.Duration, int64) { return 0, 0 }

type machine struct{}

func readMachine() machine { return machine{} }

func (machine) since(machine) float64 { return -1 }

// CheckPID tells whether a process can be watched.
func CheckPID(int) error { return errors.New("processes can be watched on Linux only") }

func readSystem(*Environment) {}
