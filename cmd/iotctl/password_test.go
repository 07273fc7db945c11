//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/iotctl/iotctl/internal/auth/passwordfile"
)

// The key ring of the library's own, for the rest of the process: no other test uses
// one.
func mockKeyring(t *testing.T, err error) {
	t.Helper()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/none")
	if err != nil {
		keyring.MockInitWithError(err)
		return
	}
	keyring.MockInit()
}

func TestThePasswordOfAProfileIsInTheKeyRing(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	mockKeyring(t, nil)
	dir := profileDir()
	if err := writeProfile(dir, "plant", []byte("# ours\nurl: mqtt://localhost\n")); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	if err := setProfilePassword(&terminal{in: strings.NewReader("s3cret: pass\r\nnot this\n"), err: &errs}, "plant", false); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(dir.Path("plant"))
	if want := "# ours\nurl: mqtt://localhost\npassword: {keyring: plant}\n"; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	s, err := ownSettings(progPub, typedOptions(t, progPub, "--profile", "plant"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.loadPassword(&terminal{}); err != nil || *s.password != "s3cret: pass" {
		t.Error(err)
	}
	if err := removeProfile(&terminal{err: &errs}, "plant", false); err != nil {
		t.Error(err)
	}
	_, err = keyringPassword("plant")
	if err == nil || err.Error() != `the key ring has no password "plant"` || hintsOf(err)[0] != "iotctl profile set-password plant" {
		t.Error(err)
	}
	if errs.Len() > 0 {
		t.Error(errs.String())
	}
}

func TestAKeyRingThatFailsLeavesTheProfileAlone(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	mockKeyring(t, errors.New("locked"))
	dir := profileDir()
	if err := writeProfile(dir, "plant", []byte("url: mqtt://localhost\n")); err != nil {
		t.Fatal(err)
	}
	err := setProfilePassword(&terminal{in: strings.NewReader("s3cret\n")}, "plant", false)
	if err == nil || err.Error() != "key ring: locked" || !strings.Contains(hintsOf(err)[0], "--plain") {
		t.Error(err)
	}
	if text, err := os.ReadFile(dir.Path("plant")); string(text) != "url: mqtt://localhost\n" || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

// keyringSession runs under dbus-run-session. The daemon ends with the bus; in a
// container it may not be let start.
const keyringSession = `set -u
printf unlock | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 || exit
iotctl pub "$URL" -u bob --password-keyring probe -t a -m x 2>&1 | grep -q 'the key ring has no password' || exit
echo the key ring runs
set -e
iotctl profile add plant "$URL" -u bob
printf 's3cret: pass\n' | iotctl profile set-password plant
cat "$XDG_CONFIG_HOME/iotctl/profiles/plant.yaml"
iotctl profile test plant
iotctl pub --password-keyring nobody -t a -m x || echo "code $?"
iotctl profile remove plant
iotctl pub "$URL" -u bob --password-keyring plant -t a -m x || echo "code $?"
`

func TestTheKeyRingOfADesktop(t *testing.T) {
	for _, tool := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	passwords := filepath.Join(dir, "passwords")
	if err := errors.Join(passwordfile.Put(passwords, "bob", []byte("s3cret: pass")), os.Mkdir(filepath.Join(dir, "run"), 0o700)); err != nil {
		t.Fatal(err)
	}
	port := startServe(t, "--password-file", passwords)
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dbus-run-session", "--", "sh", "-c", keyringSession)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "IOTCTL_") && !strings.HasPrefix(v, "DBUS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+filepath.Join(dir, "data"), "XDG_RUNTIME_DIR="+filepath.Join(dir, "run"), "URL=mqtt://127.0.0.1:"+port)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "the key ring runs\n") {
		t.Skipf("no key ring runs here: %v\n%s", err, out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"\npassword: {keyring: plant}\n",
		"\nplant: connected to 127.0.0.1:" + port + ` as "bob" in `,
		`iotctl: error: the key ring has no password "nobody"` + "\n",
		`iotctl: error: the key ring has no password "plant"` + "\n",
		"\ncode 1\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "s3cret") {
		t.Errorf("the password is shown:\n%s", out)
	}
}
