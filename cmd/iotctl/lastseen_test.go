package main

import (
	"bytes"
	"fmt"
	"testing"
)

func TestLastSeenForgetsTheTopicThatIsQuietLongest(t *testing.T) {
	var l lastSeen
	big := bytes.Repeat([]byte("x"), 1<<20)
	const room = maxLastSeenBytes / (1<<20 + 1000)
	for i := range room {
		if _, known := l.swap(fmt.Sprint(i), big); known {
			t.Fatalf("topic %d is known", i)
		}
	}
	l.swap("0", []byte("small")) // no longer the quietest, and smaller
	for i := range 3 {
		l.swap(fmt.Sprint("more", i), big)
	}
	if last, known := l.swap("0", nil); !known || string(last) != "small" {
		t.Errorf("what was there last has been forgotten")
	}
	if _, known := l.swap("1", nil); known {
		t.Error("the quietest topic is known")
	}
	if l.bytes > maxLastSeenBytes || len(l.topics) != l.order.Len() {
		t.Errorf("%d bytes, %d topics, %d in order", l.bytes, len(l.topics), l.order.Len())
	}
	l.swap("huge", make([]byte, maxLastSeenEntry))
	if _, known := l.swap("huge", nil); known {
		t.Error("a payload that is too long is kept")
	}
	sum := 0
	for at := l.order.Front(); at != nil; at = at.Next() {
		sum += at.Value.(*seen).size()
	}
	if sum != l.bytes {
		t.Errorf("%d bytes counted, %d there", l.bytes, sum)
	}
}

func TestDiffersKeepsFingerprints(t *testing.T) {
	var l lastSeen
	long := bytes.Repeat([]byte("x"), 1<<20)
	for i, c := range []struct {
		topic, payload string
		want           bool
	}{
		{"a", "1", true},
		{"a", "1", false},
		{"b", "1", true},
		{"a", "2", true},
		{"a", "1", true},
		{"a", "", true},
		{"a", "", false},
		{"a", string(long), true},
		{"a", string(long), false},
		{"a", string(long[1:]), true},
	} {
		if got := l.differs(c.topic, []byte(c.payload)); got != c.want {
			t.Errorf("%d: %v", i, got)
		}
	}
	if l.bytes > 1000 {
		t.Errorf("%d bytes for two topics", l.bytes)
	}
}

func TestToldIsBounded(t *testing.T) {
	var all told
	for i := range 2 * maxTold {
		if !all.first("a", fmt.Sprint(i)) || all.first("a", fmt.Sprint(i)) {
			t.Fatal(i)
		}
	}
	if len(all) > maxTold {
		t.Errorf("%d are remembered", len(all))
	}
}
