package spelling

import (
	"slices"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"topic", "topic", 0},
		{"topic", "topics", 1},
		{"PUBAK", "PUBACK", 1},
		{"drop", "dorp", 2},
		{"kitten", "sitting", 3},
		{"abc", "xyz", 3},
	} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := Distance(c.b, c.a); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"drop", "dorp", "delay", "id", "n"}
	for word, want := range map[string]string{"drp": "dorp", "dealy": "delay", "nn": "n", "xyz": "", "i": "", "": "", "delayed": "delay"} {
		if got, ok := Nearest(word, slices.Values(words)); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", word, got, ok, want)
		}
	}
}
