//go:build unix

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is a broker with a data directory that can be killed and started
// again, on another port each time: a port that nobody listens on could be
// taken meanwhile.
type daemon struct {
	t    *testing.T
	dir  string
	args []string
	log  *output

	mu   sync.Mutex
	cmd  *exec.Cmd
	addr string
	up   chan struct{} // closed while clients can connect
}

// newDaemon starts a broker that syncs before it acknowledges. config is YAML.
func newDaemon(t *testing.T, config string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir(), log: new(output), up: make(chan struct{})}
	writeFile(t, d.dir, "iotctl.yaml", config)
	d.args = append([]string{
		"serve", "-c", filepath.Join(d.dir, "iotctl.yaml"), "--listen", "mqtt://127.0.0.1:0", "--ports", "-", "--data", d.data(),
	}, args...)
	t.Cleanup(d.end)
	d.start()
	return d
}

func (d *daemon) data() string { return filepath.Join(d.dir, "data") }

// start returns the time until clients can connect.
func (d *daemon) start() time.Duration {
	d.t.Helper()
	cmd := d.command(d.log)
	began := time.Now()
	if err := d.run(cmd); err != nil {
		d.t.Fatalf("the broker does not start: %v", err)
	}
	return time.Since(began)
}

func (d *daemon) command(log io.Writer) *exec.Cmd {
	cmd := exec.Command(program, d.args...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+d.dir, "XDG_RUNTIME_DIR="+d.dir)
	cmd.Stderr = log
	return cmd
}

// run starts the process and returns once clients can connect. On error it has
// ended.
func (d *daemon) run(cmd *exec.Cmd) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var ports []struct{ Address string }
	if err := json.NewDecoder(out).Decode(&ports); err != nil || len(ports) == 0 {
		return errors.Join(err, cmd.Wait())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cmd, d.addr = cmd, netip.MustParseAddrPort(ports[0].Address).String()
	close(d.up)
	return nil
}

// halt lets clients wait for the next start, sends the signal and returns how
// the process has ended.
func (d *daemon) halt(s syscall.Signal) error {
	d.mu.Lock()
	cmd := d.cmd
	d.cmd = nil
	select {
	case <-d.up:
		d.up = make(chan struct{})
	default:
	}
	d.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("the broker had ended by itself: %w", err)
	}
	err := cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s == syscall.SIGKILL && ws.Signaled() && ws.Signal() == s {
		return nil
	}
	return err
}

// kill gives the broker no time to do anything.
func (d *daemon) kill() {
	d.t.Helper()
	if err := d.halt(syscall.SIGKILL); err != nil {
		d.t.Fatalf("the broker ended with %v", err)
	}
}

// stop ends the broker orderly.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.halt(syscall.SIGTERM); err != nil {
		d.t.Fatalf("the broker ended with %v", err)
	}
}

func (d *daemon) end() {
	if err := d.halt(syscall.SIGTERM); err != nil {
		d.t.Errorf("the broker ended with %v", err)
	}
	if d.t.Failed() {
		lines := strings.Split(d.log.String(), "\n")
		d.t.Logf("the broker said at last:\n%s", strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

// restart kills the broker and starts it again.
func (d *daemon) restart() time.Duration {
	d.t.Helper()
	d.kill()
	return d.start()
}

// pid of the running process.
func (d *daemon) pid() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cmd.Process.Pid
}

// dial connects as soon as there is a broker.
func (d *daemon) dial(ctx context.Context) (net.Conn, error) {
	for {
		d.mu.Lock()
		up, addr := d.up, d.addr
		d.mu.Unlock()
		select {
		case <-up:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr); err == nil || ctx.Err() != nil {
			return nc, err
		}
		select { // it has been killed just now
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// check looks for damage in the directory of a broker that does not run.
func (d *daemon) check() {
	d.t.Helper()
	out, err := exec.Command(program, "store", "check", "--data", d.data()).CombinedOutput()
	if err != nil {
		d.t.Errorf("store check: %v\n%s", err, out)
	}
}

// nightly allows tests to take long.
func nightly() bool { return os.Getenv("IOTCTL_NIGHTLY") == "1" }
