package main

import (
	"context"
	"errors"
	"os/exec"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/child"
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
	ports, err := child.Open(b.cmd, 2)
	if err != nil {
		return nil, errors.Join(err, b.stop())
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

func (b *broker) stop() error { return child.End(b.cmd, 30*time.Second) }
