//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The examples of record, replay, get and retained are run as they stand in the help,
// but at a broker of the test's, and for a shorter time.
func TestExamplesOfRecordingsAndRetainedMessages(t *testing.T) {
	t.Parallel()
	port := startOurs(t)
	url := "mqtt://127.0.0.1:" + port
	dir := t.TempDir()
	for _, topic := range []string{"sensors/1", "a/1", "config/dev1", "state/door", "orders/1", "old/1"} {
		succeed(t, "", "pub", url, "-q", "1", "-r", "-t", topic, "-m", "1")
	}
	here := strings.NewReplacer(
		"mqtts://broker.example", url, "mqtt://test.example", url, "mqtt://old.example", url, "mqtt://new.example", url,
		"--for 1h", "--for 2s",
	)
	env := append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "IOTCTL_HOST=127.0.0.1", "IOTCTL_PORT="+port, "IOTCTL_FOR=2s")
	root := newRoot()
	for _, path := range []string{
		"record", "replay", "get", "retained", "retained ls", "retained dump", "retained restore", "retained clear",
	} {
		cmd, _, err := root.Find(strings.Fields(path))
		if err != nil || cmd.Example == "" {
			t.Fatalf("%s: no examples, %v", path, err)
		}
		for line := range strings.SplitSeq(strings.TrimSpace(cmd.Example), "\n") {
			line = here.Replace(strings.TrimSpace(line))
			switch {
			case strings.Contains(line, "tcpdump.pcap"): // what others have written
				b, err := os.ReadFile(filepath.Join(dir, "morning.pcapng"))
				if err != nil || os.WriteFile(filepath.Join(dir, "tcpdump.pcap"), b, 0o600) != nil {
					t.Fatal(err)
				}
			case strings.Contains(line, " -w retained.jsonl"), strings.Contains(line, " -w config.jsonl"):
				line += " --overwrite" // several examples write it
			}
			sh := exec.Command("sh", "-c", line)
			sh.Dir, sh.Env = dir, env
			if out, err := sh.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", path, line, err, out)
			}
		}
	}
}
