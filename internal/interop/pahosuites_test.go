//go:build unix

package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// TestPahoSuites runs the interoperability tests of eclipse/paho.mqtt.testing:
// 10 for 3.1.1 and 27 for 5.0. IOTCTL_PAHO_TESTING names a checkout; there is
// no package to install it from. They take about four minutes, asleep mostly.
func TestPahoSuites(t *testing.T) {
	checkout := os.Getenv("IOTCTL_PAHO_TESTING")
	if checkout == "" {
		t.Skip("IOTCTL_PAHO_TESTING names no checkout of eclipse/paho.mqtt.testing")
	}
	for suite, count := range map[string]int{"client_test": 10, "client_test5": 27} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel() // a broker each, because they use the same client identifiers
			b := startBroker(t, forPahoSuites)
			if got := runPahoSuite(t, b, checkout, suite); got != count {
				t.Errorf("%d tests ran, want %d", got, count)
			}
		})
	}
}

func runPahoSuite(t *testing.T, b *broker, checkout, suite string) (count int) {
	t.Helper()
	runner, err := filepath.Abs("testdata/paho_suite.py")
	if err != nil {
		t.Fatal(err)
	}
	checkout, err = filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool(t, debianPython, "python3"), runner,
		checkout, suite, "127.0.0.1", strconv.Itoa(b.ports["tcp"]))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s", suite, err, said.String())
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; count++ {
		var r struct {
			Test, Result, Detail string
			Seconds              float64
		}
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			return count
		} else if err != nil {
			t.Fatal(err)
		}
		t.Run(r.Test, func(t *testing.T) {
			if r.Result != "pass" {
				t.Errorf("%s after %.1f s:\n%s", r.Result, r.Seconds, r.Detail)
			}
		})
	}
}
