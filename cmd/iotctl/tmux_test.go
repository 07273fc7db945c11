//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/serve"
)

// A pane is a shell on a terminal that tmux plays, with a server of its own.
type pane struct {
	t      *testing.T
	socket string
}

// prompt ends every line that the shell of a pane shows when it waits.
const prompt = "ready> "

const panePatience = time.Minute

// newPane starts a shell on a terminal of that size. env is added to what the test
// has, IOTCTL_… taken away.
func newPane(t *testing.T, width, height int, env ...string) *pane {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		missingTool(t, "tmux")
	}
	dir, err := os.MkdirTemp("", "pane") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &pane{t, filepath.Join(dir, "s")}
	cmd := p.command("-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height), "env", "PS1="+prompt, "sh")
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "IOTCTL_") && !strings.HasPrefix(name, "TMUX") && name != "NO_COLOR" && name != "FORCE_COLOR" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(append(cmd.Env, "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "XDG_CONFIG_HOME="+t.TempDir()), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = p.command("kill-server").Run() })
	p.until("a prompt", func(screen string) bool { return strings.Contains(screen, strings.TrimSpace(prompt)) })
	return p
}

func (p *pane) command(args ...string) *exec.Cmd {
	return exec.Command("tmux", append([]string{"-u", "-S", p.socket}, args...)...)
}

func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// typed sends keys as they are; press sends those that have names, as Enter or C-c.
func (p *pane) typed(text string) { p.t.Helper(); p.tmux("send-keys", "-l", text) }

func (p *pane) press(keys ...string) { p.t.Helper(); p.tmux(append([]string{"send-keys"}, keys...)...) }

// run types a line.
func (p *pane) run(line string) {
	p.t.Helper()
	p.typed(line)
	p.press("Enter")
}

func (p *pane) resize(width, height int) {
	p.t.Helper()
	p.tmux("resize-window", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height))
}

// screen is what the terminal shows, without colours; lines have no blanks at
// their ends.
func (p *pane) screen() string { p.t.Helper(); return p.tmux("capture-pane", "-p") }

// coloured is screen with escape sequences.
func (p *pane) coloured() string { p.t.Helper(); return p.tmux("capture-pane", "-p", "-e") }

// alternate tells whether the alternate screen shows.
func (p *pane) alternate() bool {
	p.t.Helper()
	return strings.TrimSpace(p.tmux("display-message", "-p", "#{alternate_on}")) == "1"
}

// until waits for a screen, and returns it.
func (p *pane) until(what string, condition func(screen string) bool) string {
	p.t.Helper()
	var screen string
	for deadline := time.Now().Add(panePatience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if screen = p.screen(); condition(screen) {
			return screen
		}
	}
	p.t.Fatalf("no %s on the screen:\n%s", what, screen)
	return ""
}

// shows waits for all of the texts.
func (p *pane) shows(texts ...string) string {
	p.t.Helper()
	return p.until(fmt.Sprintf("%q", texts), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// back waits until the shell has its screen again, with the status of what has run
// on it, and the terminal as it was.
func (p *pane) back(status int) {
	p.t.Helper()
	p.until("prompt", func(screen string) bool {
		return strings.HasSuffix(strings.TrimRight(screen, "\n"), strings.TrimSpace(prompt)) && !p.alternate()
	})
	p.run("echo status=$?; stty -a | tr ' ' '\\n' | grep -x -e icanon -e echo -e isig | tr '\\n' ' '")
	p.shows(fmt.Sprintf("status=%d\n", status), "isig icanon echo")
	if cursor := strings.TrimSpace(p.tmux("display-message", "-p", "#{cursor_flag} #{wrap_flag}")); cursor != "1 1" {
		p.t.Errorf("cursor and wrapping: %s", cursor)
	}
}

// fits checks that every line of a screen is one of the terminal's.
func fits(t *testing.T, screen string, width, height int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(screen, "\n"), "\n")
	if len(lines) > height {
		t.Errorf("%d lines on a terminal of %d", len(lines), height)
	}
	for _, l := range lines {
		if cellsOf(l) > width {
			t.Errorf("%d cells on a terminal of %d: %q", cellsOf(l), width, l)
		}
	}
}

// startServe runs iotctl serve on a port of its own.
func startServe(t *testing.T, args ...string) (port string) {
	t.Helper()
	dir := t.TempDir()
	list := filepath.Join(dir, "ports")
	cmd := exec.Command("iotctl", append([]string{"serve", "--ephemeral", "--listen", "mqtt://127.0.0.1:0", "--ports", list}, args...)...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+dir, "XDG_RUNTIME_DIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(panePatience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var ports []serve.Port
		if b, err := os.ReadFile(list); err != nil || json.Unmarshal(b, &ports) != nil {
			continue
		}
		_, port, _ = strings.Cut(ports[0].Address, ":")
		return port
	}
	t.Fatal("iotctl serve does not start")
	return ""
}
