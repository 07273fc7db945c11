//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/child"
	"github.com/iotctl/iotctl/internal/transport"
)

// way is how the load comes to the broker.
type way int

const (
	direct way = iota
	haproxy
	transparent
	aware
)

var ways = []way{direct, haproxy, transparent, aware}

func (w way) String() string { return [...]string{"direct", "HAProxy", "transparent", "aware"}[w] }

// setup is a broker and perhaps a proxy before it.
type setup struct {
	entry         transport.Endpoint
	broker, proxy *exec.Cmd
}

func (s *setup) watched() int {
	if s.proxy == nil {
		return 0
	}
	return s.proxy.Process.Pid
}

func (s *setup) stop() error {
	var err error
	if s.proxy != nil {
		var exit *exec.ExitError // HAProxy ends with 143
		if err = child.End(s.proxy, 10*time.Second); errors.As(err, &exit) {
			err = nil
		}
	}
	return errors.Join(err, child.End(s.broker, 30*time.Second))
}

// start starts what belongs to the way.
func (o *options) start(dir string, w way) (*setup, error) {
	s := &setup{}
	conf := filepath.Join(dir, "broker.yaml")
	if err := os.WriteFile(conf, []byte("listeners: [{url: 'mqtt://127.0.0.1:0', max_conn_rate: -1}]\nlog: {level: error}\n"), 0o600); err != nil {
		return s, err
	}
	s.broker = exec.Command(o.iotctl, "serve", "--ephemeral", "-c", conf, "--ports", "-")
	ports, err := child.Open(s.broker, 1)
	if err != nil {
		return s, fmt.Errorf("start the broker: %w", err)
	}
	url := ports[0].URL
	switch w {
	case haproxy:
		url, err = s.startHAProxy(o, dir, ports[0].Address)
	case transparent, aware:
		url, err = s.startProxy(o, dir, url, w)
	default:
	}
	if err == nil {
		s.entry, err = transport.Parse(url, nil)
	}
	return s, err
}

func (s *setup) startProxy(o *options, dir, to string, w way) (string, error) {
	conf := filepath.Join(dir, "proxy.yaml")
	text := fmt.Sprintf("listen: [{url: 'mqtt://127.0.0.1:0', max_conn_rate: -1}]\nto: [{url: '%s'}]\ntransparent: %v\nlog: {level: error}\n", to, w == transparent)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return "", err
	}
	s.proxy = exec.Command(o.iotctl, "proxy", "-c", conf, "--ports", "-")
	ports, err := child.Open(s.proxy, 1)
	if err != nil {
		return "", fmt.Errorf("start the proxy: %w", err)
	}
	return ports[0].URL, nil
}

func (s *setup) startHAProxy(o *options, dir, to string) (string, error) {
	// It cannot say which port it has, so it gets one that was free just now.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := l.Addr().String()
	_ = l.Close()
	conf := filepath.Join(dir, "haproxy.cfg")
	text := strings.Join([]string{
		"global", fmt.Sprintf("  maxconn %d", max(o.idle, 100)+10),
		"defaults", "  mode tcp", "  timeout connect 5s", "  timeout client 1h", "  timeout server 1h",
		"frontend in", "  bind " + addr, "  default_backend out",
		"backend out", "  server broker " + to, "",
	}, "\n")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return "", err
	}
	s.proxy = exec.Command(o.haproxy, "-db", "-f", conf)
	s.proxy.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // it has no other way to notice
	s.proxy.Stderr = nil
	if err := s.proxy.Start(); err != nil {
		return "", err
	}
	var d net.Dialer
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if c, err := d.DialContext(context.Background(), "tcp", addr); err == nil {
			return "mqtt://" + addr, c.Close()
		}
	}
	return "", errors.New("HAProxy does not accept connections")
}
