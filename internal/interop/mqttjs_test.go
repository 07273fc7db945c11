//go:build unix

package interop

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestMQTTJSInNode(t *testing.T) {
	module := installMQTTJS(t)
	jobs := matrix(startBroker(t), "tcp", "tls", "ws", "wss", "unix")
	checkAll(t, jobs, runDriver(t, jobs, tool(t, "node"), "testdata/js/node.js", module))
}

// installMQTTJS returns the directory of the module in the version of
// testdata/js/package-lock.json. It is kept in the user's cache, because a
// fresh installation needs the network.
func installMQTTJS(t *testing.T) string {
	t.Helper()
	npm := tool(t, "npm")
	tool(t, "node")
	const source = "testdata/js"
	hash := sha256.New()
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		hash.Write(b)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "iotctl-interop")
	dir := filepath.Join(cache, fmt.Sprintf("mqttjs-%x", hash.Sum(nil)[:8]))
	module := filepath.Join(dir, "node_modules", "mqtt")
	if _, err := os.Stat(module); err == nil {
		return module
	}
	// Install beside it and rename, so that a broken attempt leaves nothing.
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	attempt, err := os.MkdirTemp(cache, "npm")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(attempt)
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(attempt, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = attempt
	if out, err := cmd.CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("MQTT.js cannot be installed: npm ci: %v\n%s", err, out))
	}
	if err := os.Rename(attempt, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	return module
}
