//go:build linux

package main

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryLine measures with runs too short to mean anything.
func TestEveryLine(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts programs")
	}
	if _, err := exec.LookPath("haproxy"); err != nil {
		t.Skip("there is no haproxy")
	}
	var out strings.Builder
	o := options{haproxy: "haproxy", rate: 500, idle: 20, rounds: 1, settle: 200 * time.Millisecond, run: 200 * time.Millisecond}
	if err := o.measure(t.Context(), &out); err != nil && !errors.Is(err, errMissed) {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 1+3*4+3 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, want := range []string{
		`HAProxy version .*`,
		`rate, direct +\d+ messages/s; p50 \S+, p99 \S+`,
		`rate, HAProxy +\d+ messages/s; p50 \S+, p99 \S+ \(added \S+, \S+\); CPU \S+ µs per message`,
		`rate, transparent +\S+ +\d+ messages/s; .*, HAProxy × \S+, at most 1`,
		`rate, aware +\S+ +\d+ messages/s; .*, HAProxy × \S+, at most 2`,
	} {
		if !regexp.MustCompile("^" + want + "$").MatchString(lines[i]) {
			t.Errorf("line %q, want %s", lines[i], want)
		}
	}
	if want := regexp.MustCompile(`^idle, aware +\S+ +20 clients: \S+ KB each, .*; at most 12 KB each$`); !want.MatchString(lines[len(lines)-1]) {
		t.Errorf("line %q", lines[len(lines)-1])
	}
}
