package main

import (
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
	var out strings.Builder
	o := options{publishers: 4, window: 4, rounds: 1, run: 50 * time.Millisecond}
	if err := o.measure(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	shape := regexp.MustCompile(`^(durable, online|durable, offline|clean, --data|clean, --ephemeral) +[1-9]\d* +\S+s +\S+s +\d+$`)
	if len(lines) != 6 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for _, l := range lines[1:5] {
		if !shape.MatchString(l) {
			t.Errorf("line %q", l)
		}
	}
}

func TestMedian(t *testing.T) {
	if got := median([]result{{rate: 3}, {rate: 1}, {rate: 2}}); got.rate != 2 {
		t.Errorf("%v", got)
	}
}
