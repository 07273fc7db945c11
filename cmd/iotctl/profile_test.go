//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The examples of iotctl profile and of its help topics are run as they are, but at a
// broker of the test's, and by subscribers that do not wait.
func TestProfileExamples(t *testing.T) {
	port := startServe(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"pass":                          "#!/bin/sh\necho s3cret\n",
		".mqtt-cli/config.properties":   "mqtt.host=localhost\n",
		"mqttx-cli-options.json":        `{"pub": {"hostname": "localhost"}}`,
		".config/mosquitto_sub":         "-h localhost\n",
		".config/iotctl/profiles/a.yml": "not one\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.NewReplacer(
		"mqtts://broker.example", "mqtt://127.0.0.1:"+port, "ws://lab.example/mqtt", "mqtt://127.0.0.1:"+port,
		" --cafile plant.pem", "", "--name plant", "--name plant2",
	)
	env := append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_RUNTIME_DIR="+dir, "DBUS_SESSION_BUS_ADDRESS=",
		"PATH="+dir+":"+os.Getenv("PATH"), "EDITOR=true", "VISUAL=", "IOTCTL_EXIT_AFTER_SUBSCRIBE=true")
	root := newRoot()
	for _, path := range []string{
		"profile add", "profile", "profile set-password", "profile show", "profile edit", "profile test", "profile use",
		"profile list", "profile import", "environment", "profiles", "profile remove",
	} {
		cmd, _, err := root.Find(strings.Fields(path))
		if err != nil || cmd.Example == "" {
			t.Fatalf("%s: no examples, %v", path, err)
		}
		if strings.HasPrefix(path, "profile ") && len(cmd.Commands()) > 0 {
			t.Fatalf("%s has commands below it", path)
		}
		for line := range strings.SplitSeq(strings.TrimSpace(cmd.Example), "\n") {
			line = here.Replace(strings.TrimSpace(line))
			switch {
			case path != "profile add" && strings.Contains(line, "profile add"):
				line += " --force"
			case path == "profile remove":
				line = strings.Replace(line, "remove", "remove --force", 1) // others are built upon it
			}
			sh := exec.Command("sh", "-c", line)
			sh.Dir, sh.Env, sh.Stdin = dir, env, strings.NewReader("s3cret\n")
			out, err := sh.CombinedOutput()
			noRing := strings.Contains(line, "set-password") && strings.Contains(string(out), "key ring: no session bus")
			if err != nil && !noRing {
				t.Errorf("%s: %s: %v\n%s", path, line, err, out)
			}
			if strings.Contains(string(out), "s3cret") {
				t.Errorf("%s: %s shows a secret:\n%s", path, line, out)
			}
		}
	}
	profiles, _, _ := root.Find([]string{"profile"})
	for _, cmd := range profiles.Commands() {
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
	}
}

// What the help shows as a profile is one.
func TestTheProfileOfTheHelpIsRead(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir := profileDir()
	long := newProfiles().Long
	_, text, _ := strings.Cut(long, "long names of options:\n\n")
	text, _, found := strings.Cut(text, "\n\n")
	if !found {
		t.Fatal("the help shows no profile")
	}
	if err := writeProfile(dir, "plant", []byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := writeProfile(dir, "base", []byte("keepalive: 10\n")); err != nil {
		t.Fatal(err)
	}
	s, err := ownSettings(progSub, typedOptions(t, progSub, "--profile", "plant", "--cafile", ""))
	if err != nil {
		t.Fatal(err)
	}
	if s.keepAlive != 10 || s.passwordKeyring != "plant" || len(s.payloadRules) != 2 || len(s.topics) != 2 || !s.verbose {
		t.Errorf("%+v", s)
	}
}
