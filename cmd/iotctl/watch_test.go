package main

import "testing"

func TestWatchLeavesTheCursorToItself(t *testing.T) {
	w := &watcher{rows: map[string]int{"t": 2}}
	got := string(w.update("t", []byte("a\x1b[2Jb\u009b2Jc\x9bd\x7f\né")))
	if want := "\x1b[2;1Ha.[2Jb.2Jc\uFFFDd..é\x1b[K\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
