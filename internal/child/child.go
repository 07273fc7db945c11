// Package child is what commands that measure share: they build the program, and run
// it in processes of its own.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// Main is all of a command that measures, after its flags: measure writes to standard
// output until it is done or interrupted. Its error ends the process with 1.
func Main(name string, measure func(ctx context.Context, out io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := measure(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Program returns path, or, if that is empty, that of a program which it builds in dir.
func Program(ctx context.Context, path, dir string) (string, error) {
	if path != "" {
		return path, nil
	}
	path = filepath.Join(dir, "iotctl")
	return path, Build(ctx, path)
}

// Build makes the program as releases do.
func Build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/iotctl/iotctl/cmd/iotctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, text)
	}
	return nil
}

// Port is one that a server has opened.
type Port struct {
	Address string // "127.0.0.1:1883"
	URL     string
}

// Open starts iotctl serve, which has --ports - among its arguments, and returns
// when it has opened so many ports. With an error the process may be there: see End.
func Open(cmd *exec.Cmd, ports int) ([]Port, error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("read the ports: %w", err)
	}
	var all []Port
	if err := json.Unmarshal(line, &all); err != nil || len(all) != ports {
		return nil, fmt.Errorf("ports %q: %w", line, err)
	}
	return all, nil
}

// End asks a process to end, and kills it if that takes longer than patience. One
// that has never started has ended.
func End(cmd *exec.Cmd, patience time.Duration) error {
	if cmd == nil || cmd.Process == nil {
		return nil
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	return cmd.Wait()
}
