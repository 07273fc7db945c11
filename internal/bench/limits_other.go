//go:build !linux

package bench

func maxFiles() int { return 0 }

func localPorts() int { return 0 }
