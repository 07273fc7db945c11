package bench

import "runtime"

// ReadEnvironment tells where this program runs; tool is what it calls itself.
func ReadEnvironment(tool string) Environment {
	e := Environment{Tool: tool, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
	readSystem(&e)
	return e
}
