//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/child"
)

// contender is one of the two brokers.
type contender int

const (
	theirs contender = iota
	ours
)

func (c contender) String() string { return [...]string{"mosquitto", "iotctl"}[c] }

// broker is a process that listens on a port of the loopback interface.
type broker struct {
	addr string
	cmd  *exec.Cmd
}

// start starts a broker that keeps nothing, writes no log and lets clients
// have the window of the load on their way.
func (o *options) start(who contender, dir string) (*broker, error) {
	b := &broker{}
	start := b.startIotctl
	if who == theirs {
		start = b.startMosquitto
	}
	if err := start(o, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", who, err), b.stop())
	}
	return b, nil
}

func (b *broker) startIotctl(o *options, dir string) error {
	conf := filepath.Join(dir, "iotctl.yaml")
	text := fmt.Sprintf("listeners: [{url: 'mqtt://127.0.0.1:0', max_conn_rate: -1}]\nmqtt: {receive_maximum: %d, max_inflight: %d}\nlog: {level: error}\n", o.window, o.window)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	b.cmd = exec.Command(o.iotctl, "serve", "--ephemeral", "-c", conf, "--ports", "-")
	ports, err := child.Open(b.cmd, 1)
	if err != nil {
		return err
	}
	b.addr = ports[0].Address
	return nil
}

func (b *broker) startMosquitto(o *options, dir string) error {
	// It cannot say which port it has, so it gets one that was free just now.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := strings.Cut(b.addr, ":")
	conf := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nlog_type none\npersistence false\nmax_queued_messages 0\nmax_inflight_messages %d\n", port, o.window)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	b.cmd = exec.Command(o.mosquitto, "-c", conf)
	b.cmd.Stderr = io.Discard
	if err := b.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", b.addr); err == nil {
			return c.Close()
		}
	}
	return errors.New("does not accept connections")
}

func (b *broker) stop() error { return child.End(b.cmd, 10*time.Second) }

// resident is the broker's memory in bytes.
func (b *broker) resident() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", b.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0, err
	}
	return pages * int64(os.Getpagesize()), nil
}

// version is what mosquitto calls itself.
func version(ctx context.Context, program string) string {
	text, _ := exec.CommandContext(ctx, program, "-h").Output() // it ends with 3
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return string(line)
}

// spareFiles are descriptors of a process beside those of its connections.
const spareFiles = 100
