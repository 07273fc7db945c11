package main

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/child"
)

// broker is a process that listens on a port of the loopback interface.
type broker struct {
	name string
	addr string
	cmd  *exec.Cmd
}

// startBroker starts mosquitto or our own with its defaults, but for
// mosquitto's log and its queues, which have no bound, and our store: neither
// keeps anything on disk.
func startBroker(name, iotctl, dir string) (*broker, error) {
	b := &broker{name: name}
	start := b.startIotctl
	switch name {
	case "iotctl":
	case "mosquitto":
		start = b.startMosquitto
	default:
		return nil, errors.New("unknown broker")
	}
	if err := start(iotctl, dir); err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

func (b *broker) startIotctl(program, _ string) error {
	b.cmd = exec.Command(program, "serve", "--ephemeral", "--listen", "mqtt://127.0.0.1:0", "--ports", "-")
	ports, err := child.Open(b.cmd, 1)
	if err != nil {
		return err
	}
	b.addr = ports[0].Address
	return nil
}

func (b *broker) startMosquitto(_, dir string) error {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // not on everybody's path
	}
	// It cannot say which port it has, so it gets one that was free just now.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.addr = l.Addr().String()
	_ = l.Close()
	conf := filepath.Join(dir, "mosquitto.conf")
	_, port, _ := strings.Cut(b.addr, ":")
	text := "listener " + port + " 127.0.0.1\nallow_anonymous true\nlog_type none\nmax_queued_messages 0\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	b.cmd = exec.Command(path, "-c", conf)
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
