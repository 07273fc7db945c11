//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/term"
)

// publish sends a message and waits for its acknowledgement.
func publish(t *testing.T, port, topic, payload string, more ...string) {
	t.Helper()
	args := append([]string{"pub", "--no-defaults", "-p", port, "-q", "1", "-t", topic, "-m", payload}, more...)
	if out, err := exec.Command("iotctl", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func publishSome(t *testing.T, port string) {
	t.Helper()
	publish(t, port, "plant/line-1/temperature", "21.5", "-r")
	publish(t, port, "plant/line-1/state", `{"running":true,"orders":[17,18,19],"operator":"somebody with a long name"}`)
	publish(t, port, "plant/line-2/temperature", "19.25", "-q", "2", "--repeat", "200")
	publish(t, port, "halle/温度センサー", "二十一度")
	publish(t, port, "evil/\u009b2J", "\x1b[2J\x1b]0;title\x07")
}

// lineWith is the line of a screen that contains text.
func lineWith(screen, text string) string {
	for l := range strings.SplitSeq(screen, "\n") {
		if strings.Contains(l, text) {
			return l
		}
	}
	return ""
}

func TestTopOnATerminal(t *testing.T) {
	for _, size := range []struct {
		width, height int
		titles        string
	}{
		{80, 24, "TOPIC MSG/S B/S SIZE QOS R AGE VALUE"},
		{200, 60, "TOPIC MSG/S B/S COUNT SIZE QOS MIX % R AGE VALUE"},
	} {
		t.Run(fmt.Sprintf("%dx%d", size.width, size.height), func(t *testing.T) {
			t.Parallel()
			port := startServe(t)
			publish(t, port, "plant/line-1/temperature", "20.0", "-r")
			p := newPane(t, size.width, size.height)
			p.run("echo before; iotctl top -p " + port)
			p.shows("20.0", "q quit")
			publishSome(t, port)
			p.shows("21.5", "19.25", "halle/温度センサー", "二十一度", ".[2J.]0;title.", "evil/.2J")
			screen := p.until("table with the fastest first", func(s string) bool {
				lines := strings.Split(s, "\n")
				return strings.Join(strings.Fields(lines[2]), " ") == size.titles && strings.HasPrefix(lines[0], "iotctl top  5 topics  ") &&
					strings.HasPrefix(lines[size.height-1], "q quit") && strings.HasPrefix(lines[3], "plant/line-2/temperature") &&
					strings.Contains(lineWith(s, "plant/line-1/temperature"), " R ")
			})
			fits(t, screen, size.width, size.height)
			if strings.Contains(screen, "before") {
				t.Errorf("the screen is not its own:\n%s", screen)
			}

			p.typed("t")
			p.until("order of topics", func(s string) bool { return strings.HasPrefix(strings.Split(s, "\n")[3], "evil/") })
			p.typed("v")
			p.until("reverse order", func(s string) bool {
				return strings.Contains(s, "by topic reversed") && strings.HasPrefix(strings.Split(s, "\n")[3], "plant/line-2")
			})
			p.typed("/LINE-1")
			p.until("search", func(s string) bool {
				return strings.Contains(s, "search: LINE-1_ (2 topics)") && !strings.Contains(s, "line-2")
			})
			p.press("Enter")
			p.shows("search: LINE-1 (2 topics)")
			p.press("Escape")
			p.shows("plant/line-2/temperature")

			p.typed(" ")
			p.shows("paused")
			publish(t, port, "plant/line-2/temperature", "99.75")
			p.shows("paused", "19.25")
			p.typed(" ")
			p.shows("99.75")

			p.typed("q")
			p.back(0)
			p.shows("before")
		})
	}
}

func TestTopFollowsTheSizeOfTheTerminal(t *testing.T) {
	t.Parallel()
	port := startServe(t)
	p := newPane(t, 80, 24)
	p.run("iotctl top -p " + port)
	p.shows("q quit")
	publishSome(t, port)
	p.shows("plant/line-1/state")
	for _, size := range [][2]int{{200, 60}, {100, 10}, {30, 8}, {20, 3}, {80, 24}} {
		p.resize(size[0], size[1])
		screen := p.until("fitting screen", func(s string) bool {
			lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
			return len(lines) == size[1] && strings.HasPrefix(lines[size[1]-1], "q quit"[:6]) && (size[0] < 100) == !strings.Contains(s, "COUNT")
		})
		fits(t, screen, size[0], size[1])
	}
	p.press("C-c")
	p.back(130)
}

// Whatever ends top, the terminal is as it was.
func TestTopRestoresTheTerminal(t *testing.T) {
	for name, end := range map[string]struct {
		signal string
		status int
	}{"SIGTERM": {"TERM", 143}, "SIGHUP": {"HUP", 129}, "SIGQUIT": {"QUIT", 131}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := startServe(t)
			p := newPane(t, 80, 24)
			p.run("sh -c 'echo $$ > " + p.socket + ".pid; exec iotctl top -p " + port + "'")
			p.shows("q quit")
			p.tmux("run-shell", "kill -"+end.signal+" $(cat "+p.socket+".pid)")
			p.back(end.status)
		})
	}
}

func TestTopScrolls(t *testing.T) {
	t.Parallel()
	port := startServe(t)
	p := newPane(t, 80, 10)
	p.run("iotctl top --sort topic -p " + port)
	p.shows("q quit")
	for i := range 15 {
		publish(t, port, fmt.Sprintf("t/%02d", i), "x")
	}
	p.shows("15 topics", "t/00", "t/05")
	p.press("NPage")
	p.shows("from row 7 of 15", "t/06", "t/11")
	p.press("Down")
	p.shows("from row 8 of 15", "t/12")
	p.press("End")
	p.shows("t/09", "t/14")
	p.press("Home")
	p.shows("t/00")
	p.typed("q")
	p.back(0)
}

func TestTopColours(t *testing.T) {
	port := startServe(t)
	for _, tt := range []struct {
		env    []string
		colour bool
	}{{nil, true}, {[]string{"NO_COLOR=1"}, false}} {
		p := newPane(t, 80, 24, tt.env...)
		p.run("iotctl top -p " + port)
		p.shows("q quit")
		if got := strings.Contains(p.coloured(), "\x1b["); got != tt.colour {
			t.Errorf("%q: %t\n%q", tt.env, got, p.coloured())
		}
		p.typed("q")
		p.back(0)
	}
}

func TestTopNeedsATerminalThatCanMoveItsCursor(t *testing.T) {
	t.Parallel()
	port := startServe(t)
	p := newPane(t, 120, 24)
	p.run("TERM=dumb iotctl top -p " + port)
	p.shows("iotctl: error: the terminal cannot move its cursor: TERM is dumb", "iotctl: hint: iotctl top --once 10s")
	p.back(1)
}

func TestTopKeepsTheScreenWhenTheBrokerGoes(t *testing.T) {
	t.Parallel()
	path := mosquitto(t)
	port := freePort(t)
	broker := startBrokerOn(t, path, port)
	if broker == nil {
		t.Skip("the port is taken")
	}
	p := newPane(t, 100, 24)
	p.run("iotctl top -p " + port)
	p.shows("q quit")
	publish(t, port, "a/b", "here")
	p.shows("here")
	_ = broker.Process.Kill()
	screen := p.shows("trying again in", "here", "q quit")
	fits(t, screen, 100, 24)
	p.typed("q")
	p.back(0)
}

// A panic in what is called for a message restores the terminal, too.
func TestAPanicGivesTheTerminalBack(t *testing.T) {
	keys, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var out strings.Builder
	v := &topicView{}
	v.screen.Store(&screen{out: &out, keys: keys, saved: &term.State{}})
	defer func() {
		if r := recover(); r != "at the disco" || out.String() != leaveScreen {
			t.Errorf("%v: %q", r, out.String())
		}
	}()
	defer v.guard()
	panic("at the disco")
}

func TestKeysAreCutOutOfWhatTerminalsSend(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []key
	}{
		{"q", []key{'q'}},
		{"\x1b", []key{keyEscape}},
		{"\x1b[A\x1bOB", []key{keyUp, keyDown}},
		{"a\x1b[5~\x1b[6~b", []key{'a', keyPageUp, keyPageDown, 'b'}},
		{"\x1b[1;5Cx", []key{keyUnknown, 'x'}},
		{"\x1b[", []key{keyUnknown}},
		{"é\x7f", []key{'é', keyErase}},
		{"\x1b[1~\x1b[F", []key{keyHome, keyEnd}},
	} {
		got := parseKeys([]byte(tt.in))
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%q: %v, want %v", tt.in, got, tt.want)
		}
	}
}
