package iottext_test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/broker"

	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	gw "github.com/iotctl/iotctl/internal/gateway/iottext"
)

var sessions = regexp.MustCompile("(?s)```session (\\w+)\n(.*?)```")

// play goes through the sessions of the README, on a terminal per name, which it
// returns.
func play(t *testing.T, open func() *terminal) map[string]*terminal {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := sessions.FindAllStringSubmatch(string(text), -1)
	if len(found) < 3 {
		t.Fatalf("%d sessions in README.md", len(found))
	}
	terminals := map[string]*terminal{}
	for _, s := range found {
		c := terminals[s[1]]
		if c == nil {
			c = open()
			terminals[s[1]] = c
		}
		for line := range strings.Lines(s[2]) {
			line = strings.TrimSuffix(line, "\n")
			if typed, ok := strings.CutPrefix(line, "> "); ok {
				c.typed(typed)
			} else {
				c.reads(strings.TrimPrefix(line, "< "))
			}
		}
	}
	return terminals
}

func TestReadmeSessions(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, c := range play(t, s.dial) {
		c.ended()
	}
}

// TestNetcat plays them with the program that people type into.
func TestNetcat(t *testing.T) {
	nc, err := exec.LookPath("nc")
	if err != nil {
		if os.Getenv("IOTCTL_REQUIRE_TOOLS") != "" {
			t.Fatal("nc is not installed: install netcat-openbsd")
		}
		t.Skip("nc is not installed: install netcat-openbsd")
	}
	s := start(t, broker.Config{}, gw.Config{})
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	play(t, func() *terminal { return netcat(t, nc, host, port) })
	gatewaytest.Eventually(t, "both have left", func() bool { return s.b.Stats().Connected.Load() == 0 })
}

// netcat is a terminal whose keyboard and screen are those of a process, which
// ends when nobody types any more.
func netcat(t *testing.T, name, host, port string) *terminal {
	t.Helper()
	ours, its := net.Pipe()
	cmd := exec.CommandContext(t.Context(), name, host, port)
	cmd.Stdin, cmd.Stdout = its, its
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ours.Close()
		_ = cmd.Wait()
		_ = its.Close()
	})
	return &terminal{t, ours, bufio.NewReader(ours)}
}
