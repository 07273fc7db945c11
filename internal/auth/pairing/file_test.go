package pairing

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestApprovalsSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pairing.json")
	b := open(t, Config{Path: path})
	k := key(t, "k")
	b.approve(b.waits(secret("a", "topsecret")), Approval{Name: "ann", For: time.Hour})
	b.approve(b.waits(k), Approval{})
	if _, err := b.Reject(b.waits(secret("r", "1"))); err != nil {
		t.Fatal(err)
	}
	gone := b.waits(secret("f", "1"))
	b.approve(gone, Approval{})
	if _, err := b.Forget(gone); err != nil {
		t.Fatal(err)
	}
	b.waits(secret("p", "1"))
	before := b.List(0, 99)

	b.Authenticator = b.again(Config{Path: path})
	b.want(secret("a", "topsecret"), "allow ann")
	b.want(k, "allow device:k")
	b.want(secret("r", "1"), "deny")
	b.waits(secret("a", "other"))
	b.waits(key(t, "k"))
	b.waits(secret("f", "1"))
	for _, was := range before {
		is := b.Find(was.Code, "")
		if kept := was.State != Pending; kept != (len(is) == 1) || kept && (is[0].Client != was.Client || is[0].State != was.State) {
			t.Errorf("%+v is now %+v", was, is)
		}
	}
	b.clock.advance(time.Hour)
	b.waits(secret("a", "topsecret"))

	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, f := range all {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
		text, err := os.ReadFile(filepath.Join(filepath.Dir(path), f.Name()))
		if err != nil || strings.Contains(string(text), "topsecret") {
			t.Errorf("%s: %v\n%s", f.Name(), err, text)
		}
	}
}

func TestEqualSecretsDoNotLookEqual(t *testing.T) {
	b := open(t, Config{})
	b.waits(secret("a", "same"))
	b.waits(secret("b", "same"))
	var seen []string
	for _, e := range b.desk.codes {
		seen = append(seen, string(e.hash))
	}
	if len(seen) != 2 || seen[0] == seen[1] {
		t.Errorf("%x", seen)
	}
}

func TestAReloadGoesOnWithTheRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pairing.json")
	b := open(t, Config{Path: path})
	c := secret("a", "1")
	code := b.waits(c)
	next := b.again(Config{Path: path, Listeners: []string{"field"}})
	next.TakeOver(b.Authenticator, nil)
	b.Authenticator = next
	b.want(c, code)
	c.Listener = "other"
	b.want(c, "ignore")
}

func TestNothingChangesWhenTheDiskRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	b := open(t, Config{Path: filepath.Join(dir, "pairing.json")})
	c := secret("a", "1")
	code := b.waits(c)
	if _, err := b.Approve(code, Approval{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	b.want(c, code)
	if err := b.Open(time.Minute, 1, ""); err != nil {
		t.Fatal(err)
	}
	b.want(c, code)
	if d := b.Door(); d == nil || d.Left != 1 {
		t.Errorf("%+v", d)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b.want(c, "allow device:a")
}

func TestMalformedFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pairing.json")
	b := open(t, Config{Path: path})
	b.approve(b.waits(secret("a", "1")), Approval{})
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code := b.List(0, 1)[0].Code
	device := strings.TrimSuffix(strings.SplitN(string(sound), "[", 2)[1], "]\n}\n")
	for text, want := range map[string]string{
		"": "", "{}": "version 0", `{"version":2,"devices":[]}`: "version 2", "[]": "",
		strings.Replace(string(sound), `"approved"`, `"pending"`, 1):             "state",
		strings.Replace(string(sound), `"approved"`, `"friend"`, 1):              "friend",
		strings.Replace(string(sound), `"name"`, `"user"`, 1):                    "user",
		strings.Replace(string(sound), `"name": "device:a"`, `"name": ""`, 1):    "name",
		strings.Replace(string(sound), `"client": "a"`, `"client": ""`, 1):       "client",
		strings.Replace(string(sound), `"proof": "secret"`, `"proof": "key"`, 1): "proof",
		strings.Replace(string(sound), code, "1", 1):                             "no code",
		strings.Replace(string(sound), device, device+","+device, 1):             "twice",
		strings.Replace(string(sound), `"salt": "`, `"salt": "AA`, 1):            "",
	} {
		put(path, text)
		if _, err := New(Config{Path: path}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s\n%v, want %q", text, err, want)
		}
	}
	put(path, string(sound))
	put(path+".key", "c2hvcnQ=\n")
	if _, err := New(Config{Path: path}); err == nil || !strings.Contains(err.Error(), ".key is no key") {
		t.Errorf("%v", err)
	}
	if err := os.Remove(path + ".key"); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Path: path}); err == nil || !strings.Contains(err.Error(), ".key is missing") {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	d := &entry{candidate: candidate{device: device{"l", "c"}, proof: Bare}, code: "12-34", state: Approved, name: "c"}
	text, err := documentOf([]*entry{d}).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1,"devices":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := decode(text)
		if err != nil {
			return
		}
		again, err := documentOf(all).encode()
		if err != nil {
			t.Fatal(err)
		}
		if more, err := decode(again); err != nil || len(more) != len(all) {
			t.Fatalf("%v\n%s", err, again)
		}
	})
}
