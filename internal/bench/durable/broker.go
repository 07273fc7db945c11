package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/child"
)

// broker is a child process.
type broker struct {
	addr string
	cmd  *exec.Cmd
}

// queues have no bound worth the name: what a limit drops is not measured.
const queues = "broker: {queue: {messages: 100000000, bytes: 100GiB}}\n"

func startBroker(program, dir string, args ...string) (*broker, error) {
	config := filepath.Join(dir, "iotctl.yaml")
	if err := os.WriteFile(config, []byte(queues), 0o600); err != nil {
		return nil, err
	}
	args = append([]string{"serve", "-c", config, "--listen", "mqtt://127.0.0.1:0", "--ports", "-", "--log-level", "warn"}, args...)
	b := &broker{cmd: exec.Command(program, args...)}
	ports, err := child.Open(b.cmd, 1)
	if err != nil {
		return nil, errors.Join(err, b.stop())
	}
	b.addr = ports[0].Address
	return b, nil
}

func (b *broker) stop() error { return child.End(b.cmd, 20*time.Second) }

// written is how many bytes the process has given to the disk, 0 where nobody
// counts.
func (b *broker) written() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", b.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\nwrite_bytes:")
	var n float64
	_, _ = fmt.Sscan(rest, &n)
	return n
}
