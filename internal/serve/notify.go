package serve

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// How long a message may wait for room in the queue of a supervisor that does not
// read. Without the first ones the service would be taken for one that has failed;
// nobody needs the last one.
const (
	notifyTimeout   = 10 * time.Second
	stoppingTimeout = time.Second
)

// Notifier tells systemd how the service is (sd_notify(3)). nil tells nobody.
type Notifier struct {
	addr     *net.UnixAddr
	watchdog time.Duration // 0: none is wanted
}

// NewNotifier reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which
// getenv looks up. It returns nil when nobody wants to be told.
func NewNotifier(getenv func(string) string) *Notifier {
	name := getenv("NOTIFY_SOCKET")
	if len(name) < 2 || name[0] != '/' && name[0] != '@' {
		return nil
	}
	// Package net turns @ into the NUL byte of an abstract socket itself.
	n := &Notifier{addr: &net.UnixAddr{Name: name, Net: "unixgram"}}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	pid := getenv("WATCHDOG_PID")
	if err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// Interval is the time between two calls of Alive, half of what systemd
// allows. 0: none are wanted.
func (n *Notifier) Interval() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog / 2
}

// Ready says that clients can connect, after start and after a reload.
func (n *Notifier) Ready(status string) error {
	return n.send(notifyTimeout, "READY=1", "STATUS="+status)
}

// Reloading says that a reload has begun; Ready ends it.
func (n *Notifier) Reloading() error {
	if n == nil {
		return nil
	}
	return n.send(notifyTimeout, "RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", monotonic().Microseconds()))
}

// Stopping says that the end has begun.
func (n *Notifier) Stopping() error {
	return n.send(stoppingTimeout, "STOPPING=1", "STATUS=closing connections")
}

// Alive feeds the watchdog. It waits no longer than until the next time.
func (n *Notifier) Alive() error { return n.send(n.Interval(), "WATCHDOG=1") }

func (n *Notifier) send(timeout time.Duration, lines ...string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, n.addr)
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(timeout))
	if _, err = c.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
