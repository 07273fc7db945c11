//go:build unix

package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// The examples of the help of sub, and of how it prints, run as they stand, but
// that they end; those with other hosts and protocols have scripts of their own.
func TestExamplesOfSub(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	broker := own(t, nil, "serve", "--listen", "mqtt://127.0.0.1:"+port, "--ephemeral")
	broker.err.until(t, "mqtt://127.0.0.1:"+port)
	at := []string{"-p", port, "-h", "127.0.0.1", "-q", "1", "-r"}
	for topic, payload := range map[string]string{
		"sensors/1": `{"temp":31.5}`, "sensors/2": `{"temp":20}`, "config/dev1": `{"a":1}`, "jobs/7/state": "done",
	} {
		if out := own(t, nil, append(append([]string{"pub"}, at...), "-t", topic, "-m", payload)...).wait(t); out.Code != 0 {
			t.Fatalf("%+v", out)
		}
	}
	n := 0
	for line := range strings.Lines(newSub().Example + "\n" + newFormats().Example) {
		line = strings.TrimSpace(line)
		if line == "" || strings.Contains(line, "://") || strings.Contains(line, "--table") || !strings.HasPrefix(line, "iotctl sub ") {
			continue
		}
		n++
		cmd := exec.Command("sh", "-c", strings.Replace(line, "iotctl sub", "iotctl sub -h 127.0.0.1 -p "+port, 1)+" -W 500ms")
		out, err := cmd.CombinedOutput()
		code := 0
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if code != 0 && code != int(exitTimeout) || len(out) == 0 {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	if n < 15 {
		t.Errorf("only %d examples", n)
	}
}
