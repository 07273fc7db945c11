//go:build unix

package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"testing"
)

// debianPython is named by its path: another Python in PATH does not see the
// distribution's modules.
const debianPython = "/usr/bin/python3"

func TestPahoPython(t *testing.T) {
	tool(t, debianPython)
	if err := exec.Command(debianPython, "-c", "import paho.mqtt.client").Run(); err != nil {
		missing(t, "the Paho client for Python is not installed (python3-paho-mqtt)")
	}
	jobs := matrix(startBroker(t), "tcp", "tls", "ws", "wss")
	checkAll(t, jobs, runDriver(t, jobs, debianPython, "testdata/paho_client.py"))
}

// runDriver gives the jobs to a program and reads an outcome per line.
func runDriver(t *testing.T, jobs []job, program string, args ...string) []outcome {
	t.Helper()
	input, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(input)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Logf("%s: %v\n%s", program, err, said.String())
	}
	var outcomes []outcome
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var o outcome
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return outcomes
		} else if err != nil {
			t.Fatalf("output of %s: %v", program, err)
		}
		outcomes = append(outcomes, o)
	}
}
