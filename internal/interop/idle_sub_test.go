//go:build linux

package interop

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// TestIdleSubIsSmall measures what a sub holds that waits for messages, with and
// without all that looks into them.
func TestIdleSubIsSmall(t *testing.T) {
	const most = 20 << 20 // bytes resident
	d := newDaemon(t, unlimited)
	p := d.session(named("pub"), false)
	kept := text("kept", `{"temp":21.5}`, 1)
	kept.Retain, kept.PacketID = true, 1
	p.send(kept)
	expect[mqtt.Puback](p)
	d.mu.Lock()
	host, port, err := net.SplitHostPort(d.addr)
	d.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		nil,
		{"--jq", ".payload", "--until", ".payload.temp > 30", "--changes", "--payload", "auto"},
	} {
		cmd := exec.Command(program, append([]string{"sub", "-h", host, "-p", port, "-t", "kept", "--no-defaults"}, args...)...)
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+d.dir, "XDG_CONFIG_HOME="+d.dir) // nobody else's defaults
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || line != `{"temp":21.5}`+"\n" {
			t.Errorf("%q, %v", line, err)
		}
		first := resident(cmd.Process.Pid)
		held, before := first, int64(0)
		for end := time.Now().Add(20 * time.Second); (held > most || held != before) && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond)
			held, before = resident(cmd.Process.Pid), held
		}
		t.Logf("sub %q: %.1f MB resident after its first message, then %.1f MB", args, float64(first)/1e6, float64(held)/1e6)
		if held > most && !underRaceDetector() {
			t.Errorf("%d bytes resident, want at most %d", held, most)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
}
