//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// examplesOf are the command lines that help shows.
func examplesOf(t *testing.T, cmd *cobra.Command) []string {
	t.Helper()
	var all []string
	for l := range strings.SplitSeq(cmd.Example, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			all = append(all, l)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no examples", cmd.Name())
	}
	return all
}

// example prepares a line of help for the shell; the broker is at port.
func example(ctx context.Context, port, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
	cmd.Env = append(os.Environ(), "IOTCTL_HOST=127.0.0.1", "IOTCTL_PORT="+port, "XDG_CONFIG_HOME=/nonexistent", "XDG_STATE_HOME=/nonexistent", "IOTCTL_WAIT=60")
	cmd.WaitDelay = time.Second
	return cmd
}

// replying runs a line of iotctl reply until the test ends.
func replying(t *testing.T, port, line string) {
	t.Helper()
	cmd := example(t.Context(), port, line+" -d")
	log := newWatchedBuffer()
	cmd.Stderr = log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { <-ended })
	log.until(t, "SUBACK")
}

func TestExamplesOfRequest(t *testing.T) {
	t.Parallel()
	port := startServe(t)
	replying(t, port, "iotctl reply -t calc/add -t echo --echo")
	replying(t, port, "iotctl reply -t time/get -t discover -m noon")
	replying(t, port, "iotctl reply -V 311 -t echo -e '%t/reply' --echo")
	for _, line := range examplesOf(t, newRequest()) {
		out, err := example(t.Context(), port, line).Output()
		if err != nil || len(out) == 0 {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

func TestExamplesOfReply(t *testing.T) {
	t.Parallel()
	port := startServe(t)
	asked := map[string]struct{ request, want string }{
		"time/get":    {"iotctl request time/get -n", ":"},
		"'$share/wor": {`iotctl request calc/add -m '{"a":1,"b":2}'`, `{"sum":3}`},
		"echo":        {"iotctl request echo -m hello", "hello"},
		"'ask/+'":     {"iotctl request ask/me -n -F '%p %C'", "no text/plain"},
		"'ask/#'":     {"iotctl request -V 311 ask/me -e answer/me -m hello", "5"},
	}
	for _, line := range examplesOf(t, newReply()) {
		t.Run(line, func(t *testing.T) {
			found := false
			replying(t, port, line)
			for filter, ask := range asked {
				if !strings.Contains(line, "-t "+filter) {
					continue
				}
				found = true
				out, err := example(t.Context(), port, ask.request).CombinedOutput()
				if err != nil || !strings.Contains(string(out), ask.want) {
					t.Errorf("%s: %v\n%s", ask.request, err, out)
				}
			}
			if !found {
				t.Error("nobody asks")
			}
		})
	}
}

func TestExamplesOfTop(t *testing.T) {
	t.Parallel()
	port := startServe(t)
	publish(t, port, "plant/line-1/temperature", "21.5", "-r")
	for _, line := range examplesOf(t, newTop()) {
		t.Run(line, func(t *testing.T) {
			line := strings.NewReplacer("broker.example", "127.0.0.1:"+port, "10s", "5s", "1m", "5s").Replace(line)
			if strings.Contains(line, "--once") {
				out, err := example(t.Context(), port, line).Output()
				if err != nil || !strings.Contains(string(out), "plant/line-1/temperature") {
					t.Errorf("%v\n%s", err, out)
				}
				return
			}
			p := newPane(t, 80, 24, "IOTCTL_HOST=127.0.0.1", "IOTCTL_PORT="+port)
			p.run(line)
			p.shows("iotctl top", "q quit", "TOPIC")
			p.typed("q")
			p.back(0)
		})
	}
}
