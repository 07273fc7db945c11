package main

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestEveryLine measures with a capture too small to mean anything.
func TestEveryLine(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts programs")
	}
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip(err)
	}
	var out strings.Builder
	o := options{tshark: "tshark", packets: 1000, perSegment: 3, runs: 1}
	if err := o.measure(t.Context(), &out); err != nil && !errors.Is(err, errMissed) {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		`1\d\d\d packets in \d+ frames, \d+\.\d MB`,
		`iotctl decode +\S+ +\d+\.\d\d s, CPU .*`,
		`tshark, lines +\S+ +\d+\.\d\d s, CPU .* times as fast.*`,
		`tshark, fields +\d+\.\d\d s, CPU .* times as fast.*`,
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, w := range want {
		if !regexp.MustCompile("^" + w + "$").MatchString(lines[i]) {
			t.Errorf("line %q, want %s", lines[i], w)
		}
	}
}
