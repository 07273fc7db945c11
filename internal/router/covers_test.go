package router

import (
	"strings"
	"testing"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		wide, narrow string
		want         bool
	}{
		{"#", "a", true},
		{"#", "#", true},
		{"#", "+/#", true},
		{"+/#", "#", true},
		{"#", "$SYS/#", false},
		{"+/a", "$SYS/a", false},
		{"$SYS/#", "$SYS/a/+", true},
		{"a/#", "a", true},
		{"a/#", "a/#", true},
		{"a/#", "#", false},
		{"a/+", "a/+", true},
		{"a/+", "a/b", true},
		{"a/+", "a/#", false},
		{"a/+", "a", false},
		{"a/+/#", "a/#", false},
		{"a/+/#", "a/+", true},
		{"a/b", "a/+", false},
		{"a/b", "a/b/c", false},
		{"+/+", "+", false},
		{"+", "/", false},
	} {
		if got := Covers(c.wide, c.narrow); got != c.want {
			t.Errorf("Covers(%q, %q) = %v", c.wide, c.narrow, got)
		}
	}
}

// FuzzCovers compares with matching: topics made from narrow, with levels that
// wide cannot know, tell whether wide matches everything.
func FuzzCovers(f *testing.F) {
	f.Add("a/+/#", "a/b/#")
	f.Add("#", "+/#")
	f.Add("$SYS/#", "+/a")
	f.Fuzz(func(t *testing.T, wide, narrow string) {
		if ValidateFilter(wide) != nil || ValidateFilter(narrow) != nil {
			t.Skip()
		}
		unknown := "never"
		for strings.Contains(wide, unknown) {
			unknown += "!"
		}
		topic := strings.ReplaceAll(narrow, "+", unknown)
		all := true
		if head, ok := strings.CutSuffix(topic, "#"); ok {
			for _, tail := range []string{unknown, unknown + "/" + unknown} {
				all = all && Match(wide, head+tail)
			}
			if head != "" {
				all = all && Match(wide, strings.TrimSuffix(head, "/"))
			}
		} else {
			all = Match(wide, topic)
		}
		if got := Covers(wide, narrow); got != all {
			t.Fatalf("Covers(%q, %q) = %v, but matching says %v", wide, narrow, got, all)
		}
	})
}
