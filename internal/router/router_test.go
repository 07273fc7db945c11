package router

import (
	"slices"
	"testing"
)

var matchCases = []struct {
	filter, topic string
	want          bool
}{
	{"a", "a", true},
	{"a", "b", false},
	{"a", "a/b", false},
	{"a/b", "a", false},
	{"a", "/a", false},
	{"/a", "/a", true},
	{"+", "/a", false},
	{"+/+", "/a", true},
	{"/+", "/a", true},
	{"#", "a", true},
	{"#", "a/b/c", true},
	{"#", "/", true},
	{"a/#", "a", true},
	{"a/#", "a/b", true},
	{"a/#", "a/", true},
	{"a/#", "ab", false},
	{"+/#", "a", true},
	{"a/+", "a", false},
	{"a/+", "a/", true},
	{"a/+", "a/b/c", false},
	{"a/+/#", "a", false},
	{"a/+/#", "a/b", true},
	{"+/b/+/d", "a/b/c/d", true},
	{"+/b/+/d", "a/b/c/d/e", false},
	{"#", "$SYS/a", false},
	{"+/a", "$SYS/a", false},
	{"+/#", "$SYS/a", false},
	{"#", "$", false},
	{"$SYS/#", "$SYS/a", true},
	{"$SYS/#", "$SYS", true},
	{"$SYS/+", "$SYS/a", true},
	{"a/+", "a/$b", true},
	{"a/#", "a/$b", true},
	{"//", "//", true},
	{"+/+/+", "//", true},
	{"/+", "//", false},
}

func TestMatch(t *testing.T) {
	for _, c := range matchCases {
		if got := Match(c.filter, c.topic); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.filter, c.topic, got)
		}
		var tree Tree[int]
		tree.Insert(c.filter, 1)
		if got := slices.Equal(tree.Match(nil, c.topic), []int{1}); got != c.want {
			t.Errorf("Tree with %q matches %q: %v", c.filter, c.topic, got)
		}
		var names Names[int]
		names.Set(c.topic, 1)
		if got := slices.Equal(names.Match(nil, c.filter), []int{1}); got != c.want {
			t.Errorf("Names with %q found by %q: %v", c.topic, c.filter, got)
		}
	}
}
