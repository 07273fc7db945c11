package bench

import "runtime"

func readEnvironment(tool string) Environment {
	e := Environment{Tool: tool, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
	readSystem(&e)
	return e
}
