package main

import (
	"errors"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryLine measures with runs too short to mean anything.
func TestEveryLine(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("builds and starts programs")
	}
	var out strings.Builder
	o := options{clients: 50, publishers: 5, rate: 1000, settle: 200 * time.Millisecond, run: 100 * time.Millisecond}
	if err := o.measure(t.Context(), &out); err != nil && !errors.Is(err, errMissed) {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 5 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, want := range []string{
		`asleep, --ephemeral +\S+ +50 clients: \d+\.\d MB resident, .*`,
		`wake, --ephemeral +met +50 of 50 served, 0 messages lost, .*`,
		`asleep, --data +\S+ +50 clients: \d+\.\d MB resident, .*`,
		`wake, --data +met +50 of 50 served, 0 messages lost, .*`,
		`publish, QoS 0 +\S+ +\d+ sent and \d+ arrived per second, \d+ of 100 lost; .*`,
	} {
		if !regexp.MustCompile("^" + want + "$").MatchString(lines[i]) {
			t.Errorf("line %q, want %s", lines[i], want)
		}
	}
}
