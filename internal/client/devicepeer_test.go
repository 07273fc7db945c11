package client_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/iottext"
)

const devicePatience = 30 * time.Second

// server is the other side of a device, by hand: each connection is given to
// serve.
type server struct {
	addr string
	l    net.Listener
}

func newServer(t *testing.T, serve func(c *serverConn)) server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(devicePatience))
			wg.Go(func() {
				defer func() { _ = nc.Close() }()
				serve(&serverConn{nc, bufio.NewReader(nc)})
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return server{l.Addr().String(), l}
}

type serverConn struct {
	net.Conn
	r *bufio.Reader
}

// line is the next line of the device without START and END; "" at the end.
func (c *serverConn) line() string {
	s, _ := c.r.ReadString('\n')
	s = strings.TrimPrefix(strings.TrimSuffix(s, " | END\n"), "START | COMMAND=")
	return s
}

func (c *serverConn) say(lines ...string) {
	for _, l := range lines {
		_, _ = c.Write([]byte("START | COMMAND=" + l + " | END\n"))
	}
}

// login lets the device in.
func (c *serverConn) login() {
	c.line()
	c.line()
	c.say("OK", "OK")
}

// rest answers everything with OK until the device has gone.
func (c *serverConn) rest() {
	for l := c.line(); l != ""; l = c.line() {
		if l == "CLOSE" {
			c.say("CLOSE")
			return
		}
		c.say("OK")
	}
}

func textDevice(t *testing.T, s server, o client.Options) *client.Device {
	t.Helper()
	d, err := iottext.New(iottext.Config{ID: "dev1"})
	if err != nil {
		t.Fatal(err)
	}
	return newDevice(t, s, client.DeviceOptions{Options: o, Dialect: d})
}

func newDevice(t *testing.T, s server, o client.DeviceOptions) *client.Device {
	t.Helper()
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.addr)
	}
	dev, err := client.NewDevice(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = dev.Close()
		<-dev.Done()
	})
	return dev
}

func connect(t *testing.T, d *client.Device) {
	t.Helper()
	if _, err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), devicePatience)
	t.Cleanup(cancel)
	return ctx
}

func ended(t *testing.T, d *client.Device) error {
	t.Helper()
	select {
	case <-d.Done():
		return d.Err()
	case <-time.After(devicePatience):
		t.Fatal("the device goes on")
		return nil
	}
}
