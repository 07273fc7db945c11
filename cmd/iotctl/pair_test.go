//go:build unix

package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/iotctl/iotctl/internal/auth/pairing"
)

// scriptCode sets CODE to what the one line of the last standard output begins
// with that has all the words.
func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	var found []string
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		words := strings.Fields(line)
		if !slices.ContainsFunc(args, func(word string) bool { return !slices.Contains(words, word) }) {
			found = append(found, words[0])
		}
	}
	if neg || len(found) != 1 {
		ts.Fatalf("usage: code WORD…, of one line of standard output; there are %d", len(found))
	}
	ts.Setenv("CODE", found[0])
}

func TestDevicesForPeople(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	user := "an\u202en"
	var b bytes.Buffer
	err := writeDevices(&b, true, []pairing.Entry{
		{
			Code: "12-34", State: pairing.Pending, Client: "pump\x1b[2J", Listener: "field", Address: "192.0.2.1", Proof: pairing.Secret,
			Username: &user, First: now.Add(-90 * time.Second), Last: now, Tries: 2,
		},
		{
			Code: "56-78", State: pairing.Approved, Client: strings.Repeat("x", 50), Listener: "text", Proof: pairing.Bare,
			Insecure: true, Name: "lamp", First: now.Add(-72 * time.Hour), Last: now.Add(-3 * time.Hour), Tries: 7,
		},
		{Code: "90-12", State: pairing.Rejected, Client: "c", Listener: "text", Address: "::1", Proof: pairing.Key, Fingerprint: strings.Repeat("ab", 32), First: now, Last: now},
	}, now)
	want := "" +
		"CODE   STATE     CLIENT                                    LISTENER  ADDRESS    PRESENTS                FIRST SEEN  LAST SEEN  TRIES  USER\n" +
		`12-34  pending   pump\x1b[2J                               field     192.0.2.1  secret, user an\u202en  1m ago      0s ago     2` + "\n" +
		"\x1b[31m56-78  approved  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...  text      local      INSECURE: id only       3d ago      3h ago     7      lamp\x1b[0m\n" +
		"90-12  rejected  c                                         text      ::1        key abababababababab    0s ago      0s ago     0\n"
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
}

func TestASCIIJSON(t *testing.T) {
	if got := string(asciiJSON([]byte("\"a\u0435\u202e\x7f\U0001d41a\""))); got != `"a\u0435\u202e\u007f\ud835\udc1a"` {
		t.Error(got)
	}
}

func TestLifetime(t *testing.T) {
	for in, want := range map[string]time.Duration{"90s": 90 * time.Second, "8h": 8 * time.Hour, "30d": 720 * time.Hour} {
		var l lifetime
		if err := l.Set(in); err != nil || time.Duration(l) != want {
			t.Errorf("%s: %v, %v", in, time.Duration(l), err)
		}
	}
	for _, in := range []string{"", "0s", "-1h", "d", "10", "99999999d", "never"} {
		if err := new(lifetime).Set(in); err == nil {
			t.Errorf("%q", in)
		}
	}
}

func TestAnswersOfOtherUsersAreNotAskedFor(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	dir := runtimeDir()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "control-1.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = nc.Write([]byte(`{"answer":{"devices":[]}}` + "\n"))
			_ = nc.Close()
		}
	}()
	_, err = askEphemeral(t.Context(), commandPairList, pairListing{}, &pairList{})
	if err == nil || !strings.Contains(err.Error(), "only this user can change") {
		t.Errorf("%v", err)
	}
}
