package main

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary play every part of the program, each under the
// name that it is called by.
func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		// Under the race detector a process sleeps at its end, for a second
		// unless it is told otherwise, and here are hundreds.
		_ = os.Setenv("GORACE", "atexit_sleep_ms=10")
	}
	_ = flag.Set("test.parallel", "6") // most of their time the tests wait
	part := func() { os.Exit(run(context.Background(), os.Args)) }
	testscript.Main(m, map[string]func(){
		"iotctl":        part,
		"mosquitto_pub": part,
		"mosquitto_sub": part,
		"mosquitto_rr":  part,
	})
}
