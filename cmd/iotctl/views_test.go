package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/payload"
)

// newShown is a printer for the settings that words of the command line make.
func newShown(t *testing.T, term *terminal, words ...string) *printer {
	t.Helper()
	s := newSettings(progSub, false)
	all := optionsFor(progSub, false)
	for i := 0; i < len(words); i++ {
		o := findOption(all, words[i])
		if o == nil {
			t.Fatalf("no option %s", words[i])
		}
		v := ""
		if o.arg != "" {
			i++
			v = words[i]
		}
		if err := o.set(s, v); err != nil {
			t.Fatalf("%s: %v", o.long, err)
		}
	}
	if err := s.checkPayload(); err != nil {
		t.Fatal(err)
	}
	p, err := newPrinter(s, term)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func arrival(topic, text string) *client.Message {
	return &client.Message{Topic: topic, Payload: []byte(text)}
}

// A stranger's text must not reach a terminal as commands to it, whatever shows
// it; in a pipe it stays as it came.
func TestControlCharactersStayOffTheTerminalInEveryView(t *testing.T) {
	const bell, csi = "\x1b]0;x\a", "\u009b2J"
	m := arrival("a/"+bell+csi, `"\u001b[2J\u009b2J"`)
	for _, c := range []struct {
		words    []string
		terminal string
		inPipe   string
	}{
		{
			words:    []string{"--jq", ".topic, .payload", "--raw-output"},
			terminal: `a/\x1b]0;x\x07\u009b2J` + "\n" + `\x1b[2J\u009b2J` + "\n", inPipe: "a/" + bell + csi + "\n\x1b[2J" + csi + "\n",
		},
		{
			words:    []string{"--jq", ".topic"},
			terminal: `"a/\u001b]0;x\u0007\u009b2J"` + "\n", inPipe: `"a/\u001b]0;x\u0007` + csi + "\"\n",
		},
		{
			words:    []string{"--template", "\x1b[1m{{.topic}}{{.payload}}"},
			terminal: "\x1b[1m" + `a/\x1b]0;x\x07\u009b2J\x1b[2J\u009b2J` + "\n", inPipe: "\x1b[1ma/" + bell + csi + "\x1b[2J" + csi + "\n",
		},
		{
			words:    []string{"-o", "csv", "--columns", "topic,payload"},
			terminal: "topic,payload\n" + `a/\x1b]0;x\x07\u009b2J,\x1b[2J\u009b2J` + "\n", inPipe: "topic,payload\na/" + bell + csi + ",\x1b[2J" + csi + "\n",
		},
		{
			words:    []string{"--diff"},
			terminal: `a/\x1b]0;x\x07\u009b2J "\u001b[2J\u009b2J"` + "\n", inPipe: "a/" + bell + csi + ` "\u001b[2J\u009b2J"` + "\n",
		},
		{
			words:    []string{"-v", "--payload", "json"},
			terminal: `a/\x1b]0;x\x07\u009b2J "\u001b[2J\u009b2J"` + "\n", inPipe: "a/" + bell + csi + ` "\u001b[2J` + csi + "\"\n",
		},
	} {
		for _, tty := range []bool{true, false} {
			var out, report bytes.Buffer
			p := newShown(t, &terminal{out: &out, err: &report, outTTY: tty}, c.words...)
			if err := errors.Join(p.print(m, time.Now()), p.close()); err != nil {
				t.Fatal(err)
			}
			want := c.inPipe
			if tty {
				want = c.terminal
			}
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Errorf("%q, terminal %v: -want +got:\n%s", c.words, tty, diff)
			}
		}
	}
}

func TestDifferencesAreColouredWhereColourIsWanted(t *testing.T) {
	for colour, want := range map[bool]string{
		false: "a {\"x\":1,\"y\":2}\na\n  ~ .x: 1 -> 2\n  - .y: 2\n  + .z: 3\n",
		true:  "a {\"x\":1,\"y\":2}\na\n  \x1b[33m~ .x: 1 -> 2\x1b[0m\n  \x1b[31m- .y: 2\x1b[0m\n  \x1b[32m+ .z: 3\x1b[0m\n",
	} {
		var out bytes.Buffer
		p := newShown(t, &terminal{out: &out, colorOut: colour}, "--diff")
		for _, text := range []string{`{"x":1,"y":2}`, `{"y":2, "x":1}`, `{"x":2,"z":3}`} {
			if err := p.print(arrival("a", text), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("colour %v: -want +got:\n%s", colour, diff)
		}
	}
}

// What is odd about the payloads of a topic is told once, however many there are.
func TestOddPayloadsAreToldOnce(t *testing.T) {
	var out, report bytes.Buffer
	p := newShown(t, &terminal{out: &out, err: &report, name: "iotctl"}, "--payload", "hex=unhex|json", "--payload", "auto=auto", "-v")
	for range 3 {
		for _, topic := range []string{"hex", "auto", "none"} {
			if err := p.print(arrival(topic, "{}"), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), strings.Repeat("hex {}\nauto {}\nnone {}\n", 3); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	lines := strings.Split(strings.TrimSpace(report.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `iotctl: warning: payload on topic "hex": `) || lines[1] != `iotctl: payload on topic "auto": taken for json (guess)` {
		t.Errorf("told: %q", lines)
	}
}

// Rules are asked about every message, also where nothing of it is shown: some
// remember what came.
func TestTheRecordIsMadeOnce(t *testing.T) {
	p := newShown(t, &terminal{out: &bytes.Buffer{}}, "--payload", "json", "--jq", ".value")
	x := p.look(arrival("a", `{"n":1}`), time.Now())
	first := x.record()
	if second := x.record(); !cmp.Equal(first, second) || !x.fits || string(x.decoded.Value) != `{"n":1}` {
		t.Errorf("%v, %v, %+v", first, second, x.decoded)
	}
	if x := p.look(arrival("a", "x"), time.Now()); x.decoded.Problem == "" || string(x.readable()) != "x" {
		t.Errorf("what is no JSON: %+v", x.decoded)
	}
	var rules *payload.Rules
	x.look(arrival("b", "y"), time.Now(), rules)
	if x.fits || string(x.readable()) != "y" {
		t.Error("without rules something is decoded")
	}
}
