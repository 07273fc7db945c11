package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func historyOf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	t.Setenv(historyVariable, "")
	return filepath.Join(dir, "iotctl", "topics")
}

func ranWith(topics ...string) *settings {
	s := newSettings(progSub, false)
	s.host, s.port, s.topics = "h", 1, topics
	return s
}

func TestTopicsAreRememberedOnTerminalsOnly(t *testing.T) {
	name := historyOf(t)
	person := &terminal{inTTY: true, outTTY: true}
	for _, t2 := range []*terminal{{}, {inTTY: true}, {outTTY: true}} {
		ranWith("a").remember(t2, nil)
	}
	ranWith("a").remember(person, fail(exitConnect, errors.New("nobody there")))
	ranWith("a").remember(person, fail(exitRefused, errors.New("not let in")))
	ranWith("with\ttab", "with\nline").remember(person, nil)
	if _, err := os.Stat(name); err == nil {
		t.Fatal("there is a file")
	}
	ranWith("a/#", "b").remember(person, nil)
	ranWith("b", "c").remember(person, fail(exitTimeout, errors.New("timed out")))
	text, err := os.ReadFile(name)
	if want := "h:1\ta/#\nh:1\tb\nh:1\tc\n"; err != nil || string(text) != want {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	t.Setenv(historyVariable, "off")
	ranWith("d").remember(person, nil)
	if again, _ := os.ReadFile(name); string(again) != string(text) {
		t.Errorf("off, and yet: %q", again)
	}
}

func TestTopicsAtTheSameBrokerComeFirst(t *testing.T) {
	h := history{"a:1\told", "b:1\tthere", "a:1\tnew", "damaged", "b:1\tnew"}
	if diff := cmp.Diff([]string{"new", "there", "old"}, h.topics("")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"old"}, h.topics("a:1")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"new", "there", "old"}, h.topics("c:1")); diff != "" {
		t.Error(diff)
	}
}

func TestTheHistoryIsBounded(t *testing.T) {
	name := historyOf(t)
	person := &terminal{inTTY: true, outTTY: true}
	for i := range 3000 {
		ranWith(fmt.Sprintf("%s/%d", strings.Repeat("x", 50), i)).remember(person, nil)
	}
	ranWith(strings.Repeat("y", maxHistoryBytes)).remember(person, nil)
	info, err := os.Stat(name)
	if err != nil || info.Size() > maxHistoryBytes {
		t.Fatal(info.Size(), err)
	}
	topics := readHistory().topics("")
	if want := strings.Repeat("x", 50) + "/2999"; len(topics) < 100 || topics[0] != want {
		t.Errorf("%d topics, the last is %q", len(topics), topics[0])
	}
}
