//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What could not be written is not acknowledged: the broker sends it again.
func TestWhatAFullDiskHasNotTakenComesAgain(t *testing.T) {
	eachBroker(t, func(t *testing.T, port string) {
		url := "mqtt://127.0.0.1:" + port
		file := filepath.Join(t.TempDir(), "kept.jsonl")
		session := []string{"record", url, "-i", "recorder", "-c", "-t", "full/#", "-q", "2", "--overwrite"}
		succeed(t, "", append(session, "-w", file, "--for", "1ms")...)
		for _, q := range []string{"1", "2"} {
			succeed(t, "", "pub", url, "-t", "full/"+q, "-q", q, "-m", q)
		}
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		for _, view := range []string{"text", "jsonl"} {
			cmd := exec.Command("iotctl", "sub", url, "-i", "recorder", "-c", "-t", "full/#", "-q", "2", "-W", "30", "-o", view)
			cmd.Stdout = full
			if err := cmd.Run(); cmd.ProcessState.ExitCode() != int(exitFailed) {
				t.Errorf("sub -o %s: %v", view, err)
			}
		}
		for _, form := range []string{"jsonl", "pcapng"} {
			out := own(t, nil, append(session, "-w", "/dev/full", "--format", form)...).wait(t)
			if out.Code != int(exitFailed) {
				t.Errorf("%s: %+v", form, out)
			}
		}
		succeed(t, "", append(session, "-w", file, "-C", "2", "-W", "30")...)
		if items := readRecorded(t, file); len(items) != 2 {
			t.Errorf("%d of 2 messages came again", len(items))
		}
	})
}
