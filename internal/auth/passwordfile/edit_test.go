package passwordfile

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
)

func TestPutAndDelete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	want := func(user, password string, want auth.Verdict) {
		t.Helper()
		if _, v, err := open(t, path).Authenticate(t.Context(), login(user, password)); v != want || err != nil {
			t.Errorf("%s, %s: %v, %v", user, password, v, err)
		}
	}
	for _, p := range [][2]string{{"a", "1"}, {"ab", "2"}, {"a", "3"}, {"ü x", "4"}} {
		if err := Put(path, p[0], []byte(p[1])); err != nil {
			t.Fatal(err)
		}
	}
	want("a", "1", auth.Deny)
	want("a", "3", auth.Allow)
	want("ab", "2", auth.Allow)
	want("ü x", "4", auth.Allow)
	if err := Delete(path, "a"); err != nil {
		t.Fatal(err)
	}
	want("a", "3", auth.Deny)
	want("ab", "2", auth.Allow)
	if err := Delete(path, "a"); !errors.Is(err, ErrNoUser) {
		t.Errorf("%v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%v beside the file, %v", left, err)
	}
}

func TestPutKeepsOtherLinesModeAndLink(t *testing.T) {
	path := sampleFile(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if err := Put(link, "bob", []byte("new")); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	was, is := strings.Split(string(before), "\n"), strings.Split(string(after), "\n")
	for i := range max(len(was), len(is)) {
		if same := was[i] == is[i]; same != (i != 1) {
			t.Errorf("line %d: %q is now %q", i+1, was[i], is[i])
		}
	}
	if !strings.HasPrefix(is[1], "bob:$argon2id$v=19$m=47104,t=1,p=1$") {
		t.Errorf("%q", is[1])
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o640 && runtime.GOOS != "windows" {
		t.Errorf("mode %v", info.Mode())
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
}

func TestPutCreatesAPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	if err := Put(path, "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestPutRefuses(t *testing.T) {
	path := write(t, "alice:secret\n")
	if err := Put(path, "bob", []byte("x")); err == nil {
		t.Error("a malformed file was changed")
	}
	for _, user := range []string{"", "a:b", "a\nb", "#a", "\xff", "a\x00"} {
		if err := Put(filepath.Join(t.TempDir(), "new"), user, []byte("x")); err == nil {
			t.Errorf("user %q was written", user)
		}
	}
	for _, password := range []string{"", "x\x00", strings.Repeat("x", 65536)} {
		if err := Put(filepath.Join(t.TempDir(), "new"), "a", []byte(password)); err == nil {
			t.Errorf("a password of %d bytes was written", len(password))
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "alice:secret\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := Delete(filepath.Join(t.TempDir(), "none"), "a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestReadsWhatMosquittoWrites has mosquitto_passwd as oracle.
func TestReadsWhatMosquittoWrites(t *testing.T) {
	tool, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
			t.Fatal(err)
		}
		t.Skip("mosquitto_passwd is not installed")
	}
	path := write(t, "")
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd %q: %v\n%s", args, err, out)
		}
	}
	run("-b", path, "default", "pass word")
	run("-H", "sha512", "-b", path, "old", "p:$w")
	run("-H", "sha512-pbkdf2", "-b", path, "pbkdf2", "ä€😀")
	plain := write(t, "plain:clear\n")
	run("-U", plain)
	for path, logins := range map[string][]auth.Credentials{
		path:  {login("default", "pass word"), login("old", "p:$w"), login("pbkdf2", "ä€😀")},
		plain: {login("plain", "clear")},
	} {
		f := open(t, path)
		if f.Len() != len(logins) {
			t.Errorf("%d users, want %d", f.Len(), len(logins))
		}
		for _, c := range logins {
			if _, v, err := f.Authenticate(t.Context(), c); v != auth.Allow || err != nil {
				t.Errorf("%s: %v, %v", c.Username, v, err)
			}
			c.Password = append(c.Password, 'x')
			if _, v, _ := f.Authenticate(t.Context(), c); v != auth.Deny {
				t.Errorf("%s: %v with a wrong password", c.Username, v)
			}
		}
	}
	if err := Put(path, "default", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if _, v, err := open(t, path).Authenticate(t.Context(), login("old", "p:$w")); v != auth.Allow {
		t.Errorf("after Put: %v, %v", v, err)
	}
}
