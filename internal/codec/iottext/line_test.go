package iottext

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// samples holds every command as each side writes it.
var samples = []struct {
	text string
	line Line
}{
	{"START | COMMAND=HELLO! | END\n", Line{From: Client, Command: Hello}},
	{"START | COMMAND=SUB | VARIABLE=temp | END\n", Line{From: Client, Command: Sub, Variable: []byte("temp")}},
	{"START | COMMAND=UNSUB | VARIABLE=temp | END\n", Line{From: Client, Command: Unsub, Variable: []byte("temp")}},
	{"START | COMMAND=UNSUBALL | END\n", Line{From: Client, Command: UnsubAll}},
	{"START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END\n", Line{From: Client, Command: Pub, Variable: []byte("temp"), Value: []byte("21.5")}},
	{"START | COMMAND=PUB | VARIABLE=note | VALUE=a=b 50% C:\\data | END\n", Line{From: Client, Command: Pub, Variable: []byte("note"), Value: []byte(`a=b 50% C:\data`)}},
	{"START | COMMAND=PUB | VARIABLE=note | VALUE=a\\x7cb\\x0a\\x45ND | END\n", Line{From: Client, Command: Pub, Variable: []byte("note"), Value: []byte("a|b\nEND")}},
	{"START | COMMAND=DEL | VARIABLE=temp | END\n", Line{From: Client, Command: Del, Variable: []byte("temp")}},
	{"START | COMMAND=MSG | DEVICE=lamp | VALUE=on | END\n", Line{From: Client, Command: Msg, Device: []byte("lamp"), Value: []byte("on")}},
	{"START | COMMAND=MSG | DEVICE=lamp | VALUE= | END\n", Line{From: Client, Command: Msg, Device: []byte("lamp"), Value: []byte{}}},
	{"START | COMMAND=ID | ID=lamp | END\n", Line{From: Client, Command: ID, ID: []byte("lamp")}},
	{"START | COMMAND=ID | ID=lamp | PASSWORD=\\x20x | END\n", Line{From: Client, Command: ID, ID: []byte("lamp"), Password: []byte(" x")}},
	{"START | COMMAND=CLOSE | END\n", Line{From: Client, Command: Close}},
	{"START | COMMAND=HELLO? | END\n", Line{From: Server, Command: Ask}},
	{"START | COMMAND=OK | END\n", Line{From: Server, Command: OK}},
	{"START | COMMAND=BAD | END\n", Line{From: Server, Command: Bad}},
	{"START | COMMAND=BAD | REASON=not authorized | END\n", Line{From: Server, Command: Bad, Reason: []byte("not authorized")}},
	{"START | COMMAND=SUB | VARIABLE=temp | VALUE=21.5 | END\n", Line{From: Server, Command: Sub, Variable: []byte("temp"), Value: []byte("21.5")}},
	{"START | COMMAND=SUB | VARIABLE=temp | VALUE=21.5 | TIME=2026-01-02T03:04:05Z | END\n", Line{From: Server, Command: Sub, Variable: []byte("temp"), Value: []byte("21.5"), Time: []byte("2026-01-02T03:04:05Z")}},
	{"START | COMMAND=MSG | DEVICE=switch | VALUE=on | END\n", Line{From: Server, Command: Msg, Device: []byte("switch"), Value: []byte("on")}},
	{"START | COMMAND=CLOSE | REASON=server shutting down | END\n", Line{From: Server, Command: Close, Reason: []byte("server shutting down")}},
}

func parse(text string, from Side) (Line, int, error) {
	raw, n, err := Frame([]byte(text), 0)
	if err != nil {
		return Line{}, 0, err
	}
	l, err := Parse(raw, from)
	return l, n, err
}

func TestSamplesBothWays(t *testing.T) {
	said := map[Command]Side{}
	for _, s := range samples {
		got, n, err := parse(s.text, s.line.From)
		if err != nil || n != len(s.text) {
			t.Errorf("%q: %d, %v", s.text, n, err)
		}
		if diff := cmp.Diff(s.line, got); diff != "" {
			t.Errorf("%q:\n%s", s.text, diff)
		}
		out, err := s.line.Append([]byte("before"))
		if string(out) != "before"+s.text || err != nil {
			t.Errorf("%q was written as %q, %v", s.text, out, err)
		}
		if s.line.Size() != len(s.text) {
			t.Errorf("%q: size %d, want %d", s.text, s.line.Size(), len(s.text))
		}
		said[s.line.Command] |= s.line.From
	}
	for _, f := range forms {
		if said[f.command]&f.from == 0 {
			t.Errorf("no sample of %v from the %v", f.command, f.from)
		}
	}
}

func TestLiberalIn(t *testing.T) {
	pub := Line{From: Client, Command: Pub, Variable: []byte("temp"), Value: []byte("21.5")}
	for text, want := range map[string]Line{
		"START | COMMAND= UNSUBALL | END\n":                               {From: Client, Command: UnsubAll},
		"START|COMMAND=UNSUBALL|END\n":                                    {From: Client, Command: UnsubAll},
		"START | COMMAND=UNSUBALL | END\r\n":                              {From: Client, Command: UnsubAll},
		"  START |\tCOMMAND = UNSUBALL | END  \n":                         {From: Client, Command: UnsubAll},
		"START | COMMAND=UNSUBALL | VARIABLE=x | END\n":                   {From: Client, Command: UnsubAll},
		"START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END\n":        pub,
		"START|COMMAND=PUB|VARIABLE=temp|VALUE=21.5|END\n":                pub,
		"start | command=pub | variable=temp | value=21.5 | end\n":        pub,
		"START | VALUE=21.5 | VARIABLE=temp | COMMAND=PUB | END\n":        pub,
		"START | COMMAND=PUB || VARIABLE=temp | | VALUE= 21.5 | END |\n":  pub,
		"START | COMMAND=PUB | VARIABLE=temp | UNIT=C | VALUE=21.5|END\n": pub,
		"START | COMMAND=PUB | VARIABLE=temp | VALUE=21\\x2E5 | END\n":    pub,
		"START | COMMAND=PUB | VARIABLE=temp | VALUE=SENDER \xc2\xb0 \\ \\x4 | END\n": {
			From: Client, Command: Pub, Variable: []byte("temp"), Value: []byte("SENDER ° \\ \\x4"),
		},
	} {
		got, n, err := parse(text, Client)
		if err != nil || n != len(text) {
			t.Errorf("%q: %d, %v", text, n, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
	}
}

func TestMalformedSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"\n":                                   "column 1: a line begins with START and a bar",
		"hello\n":                              "column 1: a line begins with START and a bar",
		"GET / HTTP/1.1\r\n":                   "column 1: a line begins with START and a bar",
		"START\n":                              "column 6: the line is cut short: behind its last bar stands the closing word",
		"START | COMMAND=HELLO! |\n":           "column 25: the line is cut short: behind its last bar stands the closing word",
		"START | END\n":                        "column 12: COMMAND is missing",
		"START | COMMAND= | END\n":             `column 9: COMMAND "" is not known`,
		"START | COMMAND=PUBLISH | END\n":      `column 9: COMMAND "PUBLISH" is not known`,
		"START | COMMAND=HELLO! | END | END\n": `column 32: "END" stands behind the closing word`,
		"START | COMMAND=PUB | VARIABLE=a | END\n":                 "column 39: PUB needs VALUE",
		"START | COMMAND=PUB | VALUE=1 | END\n":                    "column 36: PUB needs VARIABLE",
		"START | COMMAND=MSG | VALUE=1 | END\n":                    "column 36: MSG needs DEVICE",
		"START | COMMAND=ID | END\n":                               "column 25: ID needs ID",
		"START | COMMAND=OK | END\n":                               "column 25: OK is not for the client to say",
		"START | COMMAND=HELLO? | END\n":                           "column 29: HELLO? is not for the client to say",
		"START | COMMAND=SUB | VARIABLE=a | VARIABLE=b | END\n":    "column 36: VARIABLE is there twice",
		"START | COMMAND=SUB | COMMAND=SUB | END\n":                "column 23: COMMAND is there twice",
		"START | COMMAND=PUB | VARIABLE=a | VALUE=x|y | END\n":     `column 44: "y" is no field such as VALUE=21.5; a bar in a value is written \x7c`,
		"START | COMMAND=PUB | VARIABLE=a | VALUE=x\x00y | END\n":  "column 43: byte 0x00 is a control character, and no text",
		"START | COMMAND=PUB | VARIABLE=a | VALUE=x\ry | END\r\n":  "column 43: byte 0x0d is a control character, and no text",
		"START | COMMAND=PUB | VARIABLE=a | VALUE=x\x7f | END\r\n": "column 43: byte 0x7f is a control character, and no text",
	} {
		_, _, err := parse(text, Client)
		if m := (*Malformed)(nil); !errors.As(err, &m) || err.Error() != "parse line: "+want {
			t.Errorf("%q: %v, want %s", text, err, want)
		} else if m.Offset > len(text) {
			t.Errorf("%q: offset %d", text, m.Offset)
		}
	}
}

// TestReasonsNeedNoEscape: a person reads them in BAD.
func TestReasonsNeedNoEscape(t *testing.T) {
	for _, text := range []string{"x\n", "START\n", "START | END\n", "START | COMMAND=x | END\n", "START | COMMAND=PUB | END\n", "START | COMMAND=OK | END\n", "\x00\n"} {
		_, _, err := parse(text, Client)
		m := (*Malformed)(nil)
		if !errors.As(err, &m) {
			t.Fatalf("%q: %v", text, err)
		}
		if got := AppendValue(nil, []byte(m.Reason)); string(got) != m.Reason {
			t.Errorf("%q is told as %q", m.Reason, got)
		}
	}
}

func TestSides(t *testing.T) {
	for text, want := range map[string]Side{
		"START | COMMAND=SUB | VARIABLE=a | END\n":             Client,
		"START | COMMAND=SUB | VARIABLE=a | VALUE=1 | END\n":   Server,
		"START | COMMAND=OK | END\n":                           Server,
		"START | COMMAND=ID | ID=a | END\n":                    Client,
		"START | COMMAND=BAD | REASON=of its own kind | END\n": Server,
	} {
		if l, _, err := parse(text, Either); err != nil || l.From != want {
			t.Errorf("%q: %v, %v, want %v", text, l.From, err, want)
		}
	}
	if l, _, err := parse("START | COMMAND=SUB | VARIABLE=a | VALUE=1 | END\n", Client); err != nil || l.Value != nil {
		t.Errorf("a client's SUB has the value %q, %v", l.Value, err)
	}
	for _, l := range []Line{{}, {From: Client}, {From: Client, Command: OK}, {From: Server, Command: Pub}, {From: Either, Command: Sub}, {From: Client, Command: 99}} {
		if b, err := l.Append([]byte("x")); err == nil || string(b) != "x" || l.Size() != 0 {
			t.Errorf("%+v: %q, %v, size %d", l, b, err, l.Size())
		}
	}
}

func TestCutAtEveryByte(t *testing.T) {
	for _, s := range samples {
		for cut := range len(s.text) {
			if _, _, err := parse(s.text[:cut], s.line.From); !errors.Is(err, ErrShort) {
				t.Errorf("%q cut at %d: %v", s.text, cut, err)
			}
		}
		for cut := range len(s.text) - 1 { // and ended there by the line end
			l, n, err := parse(s.text[:cut]+"\n", s.line.From)
			if m := (*Malformed)(nil); !errors.As(err, &m) || n != cut+1 {
				t.Errorf("%q ended at %d: %+v, %d, %v", s.text, cut, l, n, err)
			}
		}
	}
}

func TestManyLinesInOneRead(t *testing.T) {
	b := bytes.Repeat([]byte(samples[4].text), 1000)
	for i := range 1000 {
		line, n, err := Frame(b, 0)
		if err != nil || n != len(samples[4].text) {
			t.Fatalf("line %d: %d, %v", i, n, err)
		}
		if l, err := Parse(line, Client); err != nil || string(l.Value) != "21.5" {
			t.Fatalf("line %d: %q, %v", i, l.Value, err)
		}
		b = b[n:]
	}
	if _, _, err := Frame(b, 0); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
}

func TestLineLengthIsBounded(t *testing.T) {
	for _, c := range []struct {
		size, limit int
		want        string
	}{
		{100, 100, ""},
		{101, 100, "column 100: the line is longer than 100 bytes"},
		{MaxLine, 0, ""},
		{MaxLine + 1, 0, "column 65536: the line is longer than 65536 bytes"},
		{MaxLine + 1, 1 << 20, "column 65536: the line is longer than 65536 bytes"},
	} {
		text := strings.Repeat("x", c.size-1) + "\n"
		_, n, err := Frame([]byte(text), c.limit)
		if c.want == "" && (err != nil || n != c.size) || c.want != "" && (err == nil || err.Error() != "parse line: "+c.want) {
			t.Errorf("%d bytes, at most %d: %d, %v", c.size, c.limit, n, err)
		}
	}
	if _, _, err := Frame([]byte(strings.Repeat("x", 99)), 100); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
	if _, _, err := Frame([]byte(strings.Repeat("x", 100)), 100); errors.Is(err, ErrShort) || err == nil {
		t.Errorf("100 bytes without line feed, at most 100: %v", err)
	}
}

func TestBlank(t *testing.T) {
	for text, want := range map[string]bool{"": true, " \t": true, "\r": true, "x": false, " | ": false} {
		if Blank([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestStrings(t *testing.T) {
	got := []string{Command(0).String(), Command(99).String(), Client.String(), Server.String(), Either.String()}
	if diff := cmp.Diff([]string{"command 0", "command 99", "client", "server", "either side"}, got); diff != "" {
		t.Error(diff)
	}
}
