//go:build unix

// Package interop tests the built program with clients that others wrote:
// mosquitto's, Eclipse Paho for Python, MQTT.js in Node and in a browser. There
// is nothing in it but tests. To add a client program, write a driver that
// interprets the steps of scenario_test.go, and a test that gives it a matrix.
//
// Devices that speak other protocols are scripts of bytes in
// devices_scripts_test.go; a new protocol is a line there.
//
// It also kills the program and looks at what the next process knows: the
// history of killed_test.go is judged by historycheck_test.go, to which a new
// rule comes with a story in historycheck_rules_test.go.
package interop

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
)

// program is the path of the iotctl under test, built from this source.
var program string

func TestMain(m *testing.M) {
	os.Exit(runMain(m))
}

func runMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "iotctl")
	args := []string{"build", "-o", program}
	if underRaceDetector() {
		args = append(args, "-race")
		if os.Getenv("GORACE") == "" { // the program sleeps at its end, for a second unless it is told otherwise
			_ = os.Setenv("GORACE", "atexit_sleep_ms=10")
		}
	}
	if out, err := exec.Command("go", append(args, "../../cmd/iotctl")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// underRaceDetector reports whether this test was built with -race; the
// program then is, too.
func underRaceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// output collects what a process says while it may be read.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
