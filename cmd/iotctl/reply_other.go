//go:build !unix

package main

import (
	"context"
	"os/exec"
)

// shell prepares a command, which ends with ctx.
func shell(ctx context.Context, command string) *exec.Cmd {
	return exec.CommandContext(ctx, "cmd", "/C", command)
}

// killGroup does nothing where there are no process groups.
func killGroup(*exec.Cmd) {}
