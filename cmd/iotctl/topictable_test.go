package main

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/traffic"
)

var tableTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func tableRows() []traffic.Row {
	return []traffic.Row{
		{Topic: "sensors/1/temperature", Rate: 12.34, ByteRate: 51.2, Messages: 123456, Size: 4, QoS: [3]uint64{123456, 0, 0}, Retained: true, Value: []byte("21.5"), Last: tableTime},
		{Topic: "plant/hall-7/line-03/robot-11/joint-5/motor/current", Rate: 0.25, ByteRate: 1e6, Messages: 3, Size: 70000, QoS: [3]uint64{1, 1, 1}, Value: []byte(`{"a":[1,2,3],"b":"a long text that does not fit"}`), Last: tableTime.Add(-90 * time.Second)},
		{Topic: "日本/温度/センサー/とても長いトピック名", Messages: 1, QoS: [3]uint64{0, 0, 1}, Last: tableTime.Add(-50 * time.Hour)},
		{Topic: "bin", Rate: 1234.4, Messages: 1, QoS: [3]uint64{0, 1, 0}, Size: 3, Value: []byte{0xff, 0, 1}, Last: tableTime.Add(-9999 * time.Hour)},
		{Topic: "evil\x1b[2J\x9b", Value: []byte("\x1b]0;title\x07\r\n\u202e\u200bback\u009b2J"), Size: 20, Last: tableTime},
		{Topic: "emoji", Value: []byte("👩‍💻 ☀️ 🇩🇪 e\u0301"), Size: 30, Last: tableTime},
	}
}

func TestTableOfTopicsAt80Columns(t *testing.T) {
	want := []string{
		"TOPIC                        MSG/S    B/S   SIZE QOS   R  AGE VALUE",
		"sensors/1/temperature         12.3     51      4 0     R   0s 21.5",
		"plant/hall-7/…motor/current   0.25   977K  68.4K 0 1 2     1m {\"a\":[1,2,3],\"b\":…",
		"日本/温度/セ…長いトピック名      0      0      0 2        50h (empty)",
		"bin                           1234      0      3 1       416d 0xff0001",
		"evil.[2J.                        0      0     20           0s .]0;title.  ..bac…",
		"emoji                            0      0     30           0s 👩.💻 ☀ 🇩🇪 e\u0301",
	}
	if diff := cmp.Diff(want, topicLines(topColumns(), tableRows(), tableTime, 80)); diff != "" {
		t.Error(diff)
	}
}

func TestNoLineOfATableIsWiderThanTheTerminal(t *testing.T) {
	for _, columns := range [][]topicColumn{topColumns(), subColumns()} {
		for width := 20; width < 260; width++ {
			for _, l := range topicLines(columns, tableRows(), tableTime, width) {
				if n := cellsOf(l); n > width {
					t.Errorf("%d columns: %q has %d", width, l, n)
				}
			}
		}
	}
}

func TestTableSaysNothingToTheTerminal(t *testing.T) {
	for _, width := range []int{0, 30, 200} {
		for _, l := range topicLines(topColumns(), tableRows(), tableTime, width) {
			if strings.ContainsFunc(l, func(r rune) bool { return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) }) {
				t.Errorf("%q", l)
			}
		}
	}
}

func TestWideTableHasEverything(t *testing.T) {
	lines := topicLines(topColumns(), tableRows(), tableTime, 200)
	if want := "TOPIC MSG/S B/S COUNT SIZE QOS MIX % R AGE VALUE"; strings.Join(strings.Fields(lines[0]), " ") != want {
		t.Errorf("%q", lines[0])
	}
	if !strings.Contains(lines[2], " 33/33/33 ") || !strings.Contains(lines[1], " 123k ") {
		t.Errorf("%q\n%q", lines[1], lines[2])
	}
	// Without a terminal nothing is cut.
	lines = topicLines(topColumns(), tableRows(), tableTime, 0)
	if !strings.Contains(lines[2], "robot-11/joint-5") || !strings.HasSuffix(lines[2], `does not fit"}`) {
		t.Errorf("%q", lines[2])
	}
}

func TestFiguresAreShort(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{shortRate(0.0001), "0"},
		{shortRate(0.01), "0.01"},
		{shortRate(99.94), "99.9"},
		{shortRate(99999), "99999"},
		{shortRate(123456), "123k"},
		{shortCount(1_999_999), "2.0M"},
		{shortCount(999_999), "1.0M"},
		{shortCount(1<<64 - 1), "18.4E"},
		{shortBytes(9999), "9999"},
		{shortBytes(10_000), "9.8K"},
		{shortBytes(5e9), "4.7G"},
		{shortAge(-time.Second), "0s"},
		{shortAge(59 * time.Second), "59s"},
		{shortAge(3599 * time.Second), "59m"},
		{shortAge(99 * time.Hour), "99h"},
		{shortAge(1 << 62), "999d"},
		{qosMix([3]uint64{9, 1, 0}), "90/10/0"},
		{qosMix([3]uint64{}), ""},
	} {
		if tt.got != tt.want || len(tt.got) > 7 {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

// A payload that is longer than what is kept of it may end within a rune.
func TestACutRuneIsNoBinaryPayload(t *testing.T) {
	whole := []byte("20 °")
	if got := shownValue(whole[:len(whole)-1], 100); got != "20 " {
		t.Errorf("%q", got)
	}
	if got := shownValue(whole[:len(whole)-1], len(whole)-1); got != "0x323020c2" {
		t.Errorf("%q", got)
	}
	if got := shownValue(whole, 100); got != "20 °" {
		t.Errorf("%q", got)
	}
}
