package passwordfile

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/auth/authtest"
)

// The first two lines were written by mosquitto_passwd 2.0; the third has the
// form of libargon2 with parameters that suit a test.
const sample = "" +
	"alice:$7$101$P/DOyokuDvK2zl5W$dI2fI4W3kQGozdMx3znv1PZtHK4BMbIVkm+Bcj4KuP9gsz6tQwOScHh9alSirDmR065Sp1WJ7+4uGJtFI6SPcg==\n" +
	"bob:$6$VBv2ATVQjj5ojyuH$i/aT4SNFfpBBz16NdV7m/Zkmie7FFSxkSB6SdIxqkffIO/mrbu87JZWh/fVodDg/dgg6dVd+H9Z4VIvr65skjQ==\n" +
	"# a comment\n" +
	"käthe w:$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$"

func sampleFile(t *testing.T) string {
	t.Helper()
	h, err := parseHash("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	h.key = h.derive([]byte("\x01\xff"))
	_, key, _ := strings.Cut(h.String(), "c2FsdHNhbHRzYWx0c2FsdA$")
	return write(t, sample+key+"\n")
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := New(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func login(user, password string) auth.Credentials {
	return auth.Credentials{
		ClientID: "c", HasUsername: true, Username: user, HasPassword: true, Password: []byte(password),
	}
}

func TestContract(t *testing.T) {
	authtest.Run(t, authtest.Authenticator{
		New: func(t *testing.T) auth.Authenticator { return open(t, sampleFile(t)) },
		Allowed: map[string]auth.Credentials{
			"alice":   login("alice", "secret"),
			"bob":     login("bob", "pa:ss"),
			"käthe w": login("käthe w", "\x01\xff"),
		},
		Denied: map[string]auth.Credentials{
			"wrong password":         login("alice", "secrey"),
			"another's password":     login("alice", "pa:ss"),
			"longer password":        login("alice", "secret "),
			"PBKDF2 pads with NUL":   login("alice", "secret\x00"),
			"password with NUL":      login("bob", "pa:ss\x00"),
			"unknown user":           login("mallory", "secret"),
			"unknown empty user":     login("", "secret"),
			"other case":             login("Alice", "secret"),
			"comment":                login("# a comment", ""),
			"empty password":         login("alice", ""),
			"password of 64 KB":      login("alice", strings.Repeat("x", 65535)),
			"user without password":  {ClientID: "c", HasUsername: true, Username: "alice"},
			"password without user":  {ClientID: "c", HasPassword: true, Password: []byte("secret")},
			"password not announced": {ClientID: "c", HasUsername: true, Username: "alice", Password: []byte("secret")},
		},
		Ignored: map[string]auth.Credentials{"neither user nor password": {ClientID: "alice"}},
	})
}

func TestOnlyItsOwnUsersAreItsConcern(t *testing.T) {
	f := open(t, sampleFile(t))
	nameless := login("alice", "x")
	nameless.HasUsername = false
	if !f.Concerns(login("alice", "wrong")) || f.Concerns(login("mallory", "x")) || f.Concerns(nameless) || f.Knows("mallory") {
		t.Error("who is known?")
	}
}

func TestEmptyFileDeniesAll(t *testing.T) {
	for _, text := range []string{"", "# nobody\n", "\ufeff"} {
		f := open(t, write(t, text))
		if _, v, err := f.Authenticate(t.Context(), login("", "x")); v != auth.Deny || err != nil || f.Len() != 0 {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
}

func TestF2_76_MalformedFileIsAnErrorWithItsLine(t *testing.T) {
	const good = "alice:$6$VBv2ATVQjj5ojyuH$i/aT4SNFfpBBz16NdV7m/Zkmie7FFSxkSB6SdIxqkffIO/mrbu87JZWh/fVodDg/dgg6dVd+H9Z4VIvr65skjQ=="
	const salt, key = "VBv2ATVQjj5ojyuH", "i/aT4SNFfpBBz16NdV7m/Zkmie7FFSxkSB6SdIxqkffIO/mrbu87JZWh/fVodDg/dgg6dVd+H9Z4VIvr65skjQ=="
	const argon = "$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct{ line, want string }{
		{"", "blank"},
		{" ", "no colon"},
		{"alice", "no colon"},
		{":" + good[6:], "user name is empty"},
		{"bob:x:" + good[6:], "not hashed"},
		{"bob:secret", "not hashed"},
		{"bob:", "not hashed"},
		{"bob:$", "neither"},
		{"bob:$9$" + salt + "$" + key, "neither"},
		{"bob:$argon2i$v=19$m=64,t=1,p=1" + argon, "neither"},
		{"bob:$6$" + salt, "parts"},
		{"bob:$6$" + salt + "$" + key + "$", "parts"},
		{"bob:$6$" + salt + "$" + key[:84], "hash: 63 bytes"},
		{"bob:$6$" + salt + "$" + key[:85], "not base64"},
		{"bob:$6$" + salt + "$" + salt, "hash: 12 bytes"},
		{"bob:$6$$" + key, "salt: 0 bytes"},
		{"bob:$6$VBv2!TVQjj5ojyuH$" + key, "salt: not base64"},
		{"bob:$7$" + salt + "$" + key, "parts"},
		{"bob:$7$-1$" + salt + "$" + key, "iterations"},
		{"bob:$7$0$" + salt + "$" + key, "iterations"},
		{"bob:$7$+5$" + salt + "$" + key, "iterations"},
		{"bob:$7$007$" + salt + "$" + key, "iterations"},
		{"bob:$7$2147483648$" + salt + "$" + key, "iterations"},
		{"bob:$7$18446744073709551617$" + salt + "$" + key, "iterations"},
		{"bob:$7$$" + salt + "$" + key, "iterations"},
		{"bob:$argon2id$v=16$m=64,t=1,p=1" + argon, "version"},
		{"bob:$argon2id$v=19$m=64,t=1" + argon, "not m, t and p"},
		{"bob:$argon2id$v=19$t=1,m=64,p=1" + argon, "not m, t and p"},
		{"bob:$argon2id$v=19$m=4294967296,t=1,p=1" + argon, "m="},
		{"bob:$argon2id$v=19$m=64,t=1000000,p=1" + argon, "t="},
		{"bob:$argon2id$v=19$m=64,t=1,p=300" + argon, "p="},
		{"bob:$argon2id$v=19$m=64,t=1,p=9" + argon, "8 times p"},
		{"bob:$argon2id$v=19$m=64,t=1,p=1" + argon + "==", "not base64"},
		{"bo\x00b:" + good[6:], "control"},
		{"b\x1b[31mb:" + good[6:], "control"},
		{"b\xffb:" + good[6:], "UTF-8"},
		{good, `user "alice" stands twice`},
	} {
		path := write(t, good+"\n"+c.line+"\n")
		_, err := New(Config{Path: path})
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Line != 2 || syntax.Path != path || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.line, err, c.want)
		} else if s := err.Error(); strings.Contains(s, salt) || strings.Contains(s, "secret") || strings.ContainsAny(s, "\x00\x1b") {
			t.Errorf("%q: the error gives away too much: %v", c.line, err)
		}
	}
}

func TestLineEndsAndByteOrderMark(t *testing.T) {
	b, err := os.ReadFile(sampleFile(t))
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"CRLF":               strings.ReplaceAll(string(b), "\n", "\r\n"),
		"byte order mark":    "\ufeff" + string(b),
		"no last line break": strings.TrimSuffix(string(b), "\n"),
	} {
		f := open(t, write(t, text))
		for _, c := range []auth.Credentials{login("alice", "secret"), login("käthe w", "\x01\xff")} {
			if _, v, err := f.Authenticate(t.Context(), c); v != auth.Allow {
				t.Errorf("%s: %s: %v, %v", what, c.Username, v, err)
			}
		}
	}
}

func TestReloadKeepsTheOldSetOnError(t *testing.T) {
	path := sampleFile(t)
	f := open(t, path)
	allowed := func(user, password string) bool {
		_, v, _ := f.Authenticate(t.Context(), login(user, password))
		return v == auth.Allow
	}
	if err := os.WriteFile(path, []byte("alice:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); err == nil || !allowed("alice", "secret") || !allowed("bob", "pa:ss") {
		t.Errorf("malformed: %v, or the old users are gone", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); !errors.Is(err, os.ErrNotExist) || !allowed("alice", "secret") {
		t.Errorf("missing: %v, or the old users are gone", err)
	}
	if err := Put(path, "carol", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); err != nil || allowed("alice", "secret") || !allowed("carol", "new") {
		t.Errorf("good: %v, or not the new users", err)
	}
}

func TestConfig(t *testing.T) {
	err := Config{Workers: -1, QueueTimeout: -1}.Validate()
	const want = "path: missing\nworkers: negative\nqueue_timeout: negative"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no path is accepted")
	}
	if _, err := New(Config{Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestSuccessIsRememberedFor30Seconds(t *testing.T) {
	path := sampleFile(t)
	synctest.Test(t, func(t *testing.T) {
		f := open(t, path)
		for range cap(f.workers) { // whoever has to hash fails
			f.workers <- struct{}{}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ask := func(user, password string) (auth.Verdict, error) {
			_, v, err := f.Authenticate(ctx, login(user, password))
			return v, err
		}
		<-f.workers
		if v, err := ask("alice", "wrong"); v != auth.Deny || err != nil {
			t.Errorf("wrong: %v, %v", v, err)
		}
		if v, err := ask("alice", "secret"); v != auth.Allow || err != nil {
			t.Errorf("first: %v, %v", v, err)
		}
		f.workers <- struct{}{}
		time.Sleep(remember - time.Millisecond)
		if v, err := ask("alice", "secret"); v != auth.Allow || err != nil {
			t.Errorf("remembered: %v, %v", v, err)
		}
		cancelled := func(user, password string) {
			t.Helper()
			if v, err := ask(user, password); v != auth.Deny || err == nil {
				t.Errorf("%s, %s: %v, %v without hashing", user, password, v, err)
			}
		}
		time.AfterFunc(time.Second, cancel)
		cancelled("alice", "wrong") // a failure is not
		cancelled("bob", "secret")  // nor does it serve somebody else
		cancelled("mallory", "secret")
		cancelled("alice", "secret") // by now it has run out
	})
}

func TestF2_26_HashingIsBounded(t *testing.T) {
	path := sampleFile(t)
	synctest.Test(t, func(t *testing.T) {
		f, err := New(Config{Path: path, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		f.workers <- struct{}{}
		start := time.Now()
		_, v, err := f.Authenticate(t.Context(), login("alice", "secret"))
		if v != auth.Deny || !errors.Is(err, ErrBusy) || time.Since(start) != 10*time.Second {
			t.Errorf("%v, %v after %v", v, err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, v, err = f.Authenticate(ctx, login("alice", "secret"))
		if v != auth.Deny || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v, %v after %v", v, err, time.Since(start))
		}
		time.AfterFunc(time.Second, func() { <-f.workers })
		if _, v, err := f.Authenticate(t.Context(), login("alice", "secret")); v != auth.Allow {
			t.Errorf("in the queue: %v, %v", v, err)
		}
		if len(f.workers) != 0 {
			t.Error("a worker is lost")
		}
	})
}

// TestF2_27_UnknownUsersCostTheSame checks the work, since a clock would say
// more about the machine.
func TestF2_27_UnknownUsersCostTheSame(t *testing.T) {
	f := open(t, sampleFile(t))
	seen := map[int]bool{}
	for _, user := range []string{"mallory", "", "x", "y", "z", "root", "admin", "1", "2", "3", "4", "5"} {
		i := f.choose(user, f.Len())
		if i != f.choose(user, f.Len()) {
			t.Errorf("%q: not always the same", user)
		}
		seen[i] = true
	}
	if len(seen) < 2 {
		t.Error("always the same kind of hash, whatever the file holds")
	}
	f.workers = make(chan struct{}) // none at all
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, user := range []string{"alice", "mallory"} {
		if _, v, err := f.Authenticate(ctx, login(user, "wrong")); v != auth.Deny || err == nil {
			t.Errorf("%s: %v, %v without hashing", user, v, err)
		}
	}
}

func TestRightPasswordOfTheChosenEntryLetsNobodyElseIn(t *testing.T) {
	f := open(t, write(t, strings.SplitAfter(sample, "\n")[0]))
	if _, v, _ := f.Authenticate(t.Context(), login("alice", "secret")); v != auth.Allow {
		t.Fatal(v)
	}
	for range 2 {
		if _, v, _ := f.Authenticate(t.Context(), login("mallory", "secret")); v != auth.Deny {
			t.Error("mallory has alice's password and a name of her own")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"))
	f.Add([]byte("a:$7$1$AAAAAAAAAAA=$" + strings.Repeat("A", 86) + "=="))
	f.Add([]byte("\ufeff#\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := parse("f", b)
		if err != nil {
			if table != nil {
				t.Fatal("users beside an error")
			}
			return
		}
		if len(table.list) != len(table.users) {
			t.Fatal("an entry is lost")
		}
		var text strings.Builder
		for user, e := range table.users {
			if h := e.hash; h.iterations > maxIterations || h.memory > maxMemoryKiB || h.time > maxTime || len(h.key) < minKeyBytes || len(h.salt) < minSaltBytes {
				t.Fatalf("%q: %+v", user, h)
			}
			text.WriteString(user + ":" + e.hash.String() + "\n")
		}
		again, err := parse("f", []byte(text.String()))
		if err != nil || len(again.users) != len(table.users) {
			t.Fatalf("written again: %v\n%s", err, text.String())
		}
		for user, e := range again.users {
			if old := table.users[user]; old == nil || !bytes.Equal(old.hash.key, e.hash.key) || !bytes.Equal(old.hash.salt, e.hash.salt) {
				t.Fatalf("%q has changed", user)
			}
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	path := filepath.Join(b.TempDir(), "passwords")
	if err := Put(path, "alice", []byte("secret")); err != nil {
		b.Fatal(err)
	}
	f, err := New(Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]auth.Credentials{"remembered": login("alice", "secret"), "wrong": login("alice", "x"), "unknown": login("eve", "x")} {
		b.Run("argon2id/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.Authenticate(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestEveryMalformedLineIsReported(t *testing.T) {
	path := write(t, "# bob:$\n"+strings.Repeat("bob:$\n", 2))
	_, err := New(Config{Path: path})
	if err == nil || !strings.HasPrefix(err.Error(), path+":2: ") || !strings.Contains(err.Error(), "\n"+path+":3: ") {
		t.Error(err)
	}
	_, err = New(Config{Path: write(t, strings.Repeat("bob:$\n", 1000))})
	if n := strings.Count(err.Error(), "\n"); n != maxProblems || !strings.HasSuffix(err.Error(), ":21: wrong, too, and not read any further") {
		t.Errorf("%d lines of complaints: %v", n, err)
	}
}
