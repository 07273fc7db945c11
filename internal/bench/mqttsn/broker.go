package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/transport"
)

// broker is a child process.
type broker struct {
	mqtt, devices transport.Endpoint
	cmd           *exec.Cmd
}

func startBroker(program string, args ...string) (*broker, error) {
	args = append([]string{"serve", "--listen", "mqtt://127.0.0.1:0", "--listen", "mqttsn://127.0.0.1:0", "--ports", "-", "--log-level", "warn"}, args...)
	b := &broker{cmd: exec.Command(program, args...)}
	stdout, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the ports: %w", err), b.stop())
	}
	var ports []struct{ URL string }
	if err := json.Unmarshal(line, &ports); err != nil || len(ports) != 2 {
		return nil, errors.Join(fmt.Errorf("ports %q: %w", line, err), b.stop())
	}
	b.mqtt, err = transport.Parse(ports[0].URL, nil)
	if err == nil {
		b.devices, err = transport.Parse(ports[1].URL, transport.MQTTSNSchemes())
	}
	if err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

func (b *broker) pid() int { return b.cmd.Process.Pid }

// load runs o against the broker.
func (b *broker) load(ctx context.Context, o bench.Options) (*bench.Final, error) {
	o.Endpoint, o.Devices, o.Plan.WatchPID = b.mqtt, b.devices, b.pid()
	f, err := bench.Run(ctx, o)
	if err == nil && f.Ended != "complete" {
		err = errors.New(f.Ended)
	}
	return f, err
}

func (b *broker) stop() error {
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(30*time.Second, func() { _ = b.cmd.Process.Kill() })
	defer timer.Stop()
	return b.cmd.Wait()
}
