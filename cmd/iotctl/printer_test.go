package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/client"
)

// A stranger's topic or payload must not clear the screen of who reads it, or
// worse; in a file and in a pipe everything stays as it came.
func TestControlCharactersStayOffTheTerminal(t *testing.T) {
	const clear = "\x1b[2J"
	m := &client.Message{Topic: "a/" + clear, Payload: []byte(clear + "\tgrüße\n\r\x7f")}
	for _, c := range []struct {
		name      string
		tty, peer bool
		want      string
	}{
		{"terminal", true, false, `a/\x1b[2J \x1b[2J` + "\tgrüße\n" + `\x0d\x7f` + "\n"},
		{"pipe", false, false, "a/" + clear + " " + clear + "\tgrüße\n\r\x7f\n"},
		{"under mosquitto's name", true, true, "a/" + clear + " " + clear + "\tgrüße\n\r\x7f\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			p, err := newPrinter(shown(c.peer), &terminal{out: &out, outTTY: c.tty})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.print(m, time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := p.w.Flush(); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want {
				t.Errorf("%q, want %q", out.String(), c.want)
			}
		})
	}
}

// shown are the settings of sub -v.
func shown(peer bool) *settings {
	s := &settings{peer: peer}
	s.output, s.verbose = "text", true
	return s
}
