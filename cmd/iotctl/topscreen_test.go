//go:build unix

package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableOfSubOnATerminal(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {200, 60}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			t.Parallel()
			port := startServe(t)
			publish(t, port, "plant/line-1/temperature", "20.0", "-r")
			p := newPane(t, size[0], size[1])
			p.run("iotctl sub --table -t 'plant/#' -t 'evil/#' -t 'halle/#' -C 207 -p " + port)
			p.shows("q quit", "20.0")
			publishSome(t, port)
			p.shows("19.25", "二十一度", ".[2J.]0;title.")
			screen := p.until("titles and order", func(s string) bool {
				lines := strings.Split(s, "\n")
				return strings.Join(strings.Fields(lines[2]), " ") == "TOPIC MSG/S SIZE AGE VALUE" &&
					strings.HasPrefix(lines[0], "iotctl sub  5 topics  ") && strings.HasPrefix(lines[3], "evil/.2J ")
			})
			fits(t, screen, size[0], size[1])
			p.resize(60, 10)
			fits(t, p.until("smaller table", func(s string) bool {
				return strings.Count(s, "\n") == 10 && strings.Contains(s, "q quit")
			}), 60, 10)
			p.typed("s")
			p.shows("by size")
			// -C ends it as it does without a table.
			publish(t, port, "plant/last", "x", "--repeat", "2")
			p.back(0)
		})
	}
}

func TestTableOfSubEndsAsSubDoes(t *testing.T) {
	t.Parallel()
	port := startServe(t)
	p := newPane(t, 80, 24)
	p.run("echo begin''s; iotctl sub --table -t a -W 500ms -p " + port)
	p.shows("begins") // so that back does not take the prompt before for the one behind
	p.back(27)
	p.run("iotctl sub --table -t a -p " + port)
	p.shows("q quit", "0 topics")
	p.press("C-c")
	p.back(130)
}

// figures are what differs from one screen to the next.
var figures = regexp.MustCompile(`\d+(\.\d+)?[KMGkms]?\b`)

// screenShape is a screen without figures; blanks count once.
func screenShape(screen string) []string {
	var lines []string
	for l := range strings.SplitSeq(strings.TrimRight(screen, "\n"), "\n") {
		lines = append(lines, strings.Join(strings.Fields(figures.ReplaceAllString(l, "0")), " "))
	}
	return lines
}

// The README shows top and the table of sub as they are.
func TestReadmeShowsTheScreens(t *testing.T) {
	port := startServe(t)
	publish(t, port, "plant/line-1/temperature", "21.5", "-r")
	for _, command := range []string{"iotctl top --sort topic", "iotctl sub -t 'plant/#' --table"} {
		t.Run(command, func(t *testing.T) {
			var shown string
			for _, b := range readmeBlocks(t) {
				if b.language == "text" && b.lines[0] == "$ "+command {
					shown = strings.Join(b.lines[1:], "\n")
				}
			}
			if shown == "" {
				t.Fatalf("the README has no screen of %s", command)
			}
			fits(t, shown, 80, 24)
			p := newPane(t, 80, strings.Count(shown, "\n")+1)
			p.run(command + " -p " + port)
			p.shows("q quit", "21.5")
			publish(t, port, "plant/line-1/state", `{"running":true,"order":17}`, "--repeat", "3")
			publish(t, port, "plant/line-2/temperature", "19.25", "-q", "2", "--repeat", "40")
			p.shows("19.25", "running")
			var diff string
			defer func() {
				if t.Failed() {
					t.Logf("-README +screen:\n%s", diff)
				}
			}()
			screen := p.until("screen as in the README", func(s string) bool {
				diff = cmp.Diff(screenShape(shown), screenShape(s))
				return diff == ""
			})
			// Columns are where they are shown to be.
			if diff := cmp.Diff(strings.Split(shown, "\n")[2], strings.TrimRight(strings.Split(screen, "\n")[2], " ")); diff != "" {
				t.Errorf("titles: -README +screen:\n%s", diff)
			}
			p.typed("q")
			p.back(0)
		})
	}
}
