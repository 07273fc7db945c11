//go:build linux

package main

import (
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
