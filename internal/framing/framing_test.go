package framing

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// all reads every message, and the error that ends them unless it is io.EOF.
func all(r *Reader) (got []string, err error) {
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, string(b))
	}
}

func mustParse(t testing.TB, name string) Framing {
	t.Helper()
	f, err := Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestMessagesAreToldApart(t *testing.T) {
	long := strings.Repeat("x", 90)
	for _, tt := range []struct {
		framing, in string
		want        []string
		problem     string // how the input ends
	}{
		{"newline", "", nil, ""},
		{"newline", "a\n\nb\r\n\x00c", []string{"a", "", "b\r", "\x00c"}, ""},
		{"newline", "\n", []string{""}, ""},
		{"newline", "a\n" + long + long, []string{"a"}, "line 2 is longer than 100 bytes"},
		{"nul", "a\nb\x00\x00c", []string{"a\nb", "", "c"}, ""},
		{"nul", strings.Repeat("y", 100) + "\x00", []string{strings.Repeat("y", 100)}, ""},
		{"nul", strings.Repeat("y", 101) + "\x00", nil, "message 1 is longer than 100 bytes"},
		{"u8", "\x01a\x00\x02\x00\xff", []string{"a", "", "\x00\xff"}, ""},
		{"u8", "\x01a\x03bc", []string{"a"}, "the input ends after 2 of the 3 bytes of message 2"},
		{"u8", "\x65" + long + long, nil, "message 1 is longer than 100 bytes: 101"},
		{"u16be", "\x00\x01a\x00", []string{"a"}, "the input ends within the length of message 2"},
		{"u16le", "\x01\x00a\x02\x00bc", []string{"a", "bc"}, ""},
		{"u32be", "\x00\x00\x00\x02ab", []string{"ab"}, ""},
		{"u32be", "\xff\xff\xff\xffab", nil, "message 1 is longer than 100 bytes: 4294967295"},
		{"u32le", "\x02\x00\x00\x00ab", []string{"ab"}, ""},
		{"varint", "\x02ab\x80\x00\x5a" + long, []string{"ab", "", long}, ""},
		{"varint", "\x80\x80\x80\x80\x80\x01", nil, "the length of message 1 has more than 5 bytes"},
		{"varint", "\x80", nil, "the input ends within the length of message 1"},
		{"regex:--", "a--b----c", []string{"a", "b", "", "c"}, ""},
		{"regex:\\n+", "a\n\n\nb\n", []string{"a", "b"}, ""},
		{"regex:[;,] *", "a;b,  c", []string{"a", "b", "c"}, ""},
		{"regex:(?i)end", "aENDb\xffendc", []string{"a", "b\xff", "c"}, ""},
		{"regex:x.*y|z", "1z2xzy3", []string{"1", "2", "3"}, ""},
		{"regex:b+", long + long, nil, "message 1 is longer than 100 bytes"},
		{`regex:\b`, "ab", nil, `behind message 1, "\\b" matches nothing at all, so that it would cut everywhere`},
		{"regex:^---\n", "a\n---\nb---\n---\nc", []string{"a\n", "b---\n", "c"}, ""},
		{`regex:\A--`, "a--", []string{"a--"}, ""},
		{`regex:\A--`, long + long, nil, "message 1 is longer than 100 bytes"},
		{`regex:\r?\n`, "a\r\nb\n\nc\rd\r\n", []string{"a", "b", "", "c\rd"}, ""},
		{"regex:;+", "a" + strings.Repeat(";", 3<<10) + "b", []string{"a", "b"}, ""},
	} {
		for name, in := range map[string]io.Reader{
			"at once":       strings.NewReader(tt.in),
			"byte by byte":  iotest.OneByteReader(strings.NewReader(tt.in)),
			"end with data": iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			got, err := all(NewReader(in, mustParse(t, tt.framing), 100))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, %s, %q: %s", tt.framing, name, tt.in, diff)
			}
			if err == nil && tt.problem != "" || err != nil && err.Error() != tt.problem {
				t.Errorf("%s, %s, %q: ends with %v, want %q", tt.framing, name, tt.in, err, tt.problem)
			}
		}
	}
}

func TestFramingsThatThereAreNot(t *testing.T) {
	for name, want := range map[string]string{
		"":           "none of newline, nul",
		"u64":        "none of newline, nul",
		"regex:(":    "no regular expression",
		"regex:":     "matches nothing at all",
		"regex:x*":   "matches nothing at all",
		"regex:a|b?": "matches nothing at all",
	} {
		if _, err := Parse(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

func TestAFailedInputIsToldWithTheMessage(t *testing.T) {
	for framing, in := range map[string]string{"newline": "a\nb", "u8": "\x01a\x02b", "regex:;+": "a;b"} {
		broken := errors.New("broken")
		got, err := all(NewReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)), mustParse(t, framing), 100))
		if !errors.Is(err, broken) || !strings.HasSuffix(err.Error(), " 2: broken") || len(got) != 1 {
			t.Errorf("%s: %q, %v", framing, got, err)
		}
	}
}

// A message that has ended is there before more input is.
func TestMessagesDoNotWaitForTheNext(t *testing.T) {
	for framing, in := range map[string]string{"newline": "a\n", "nul": "a\x00", "u8": "\x01a", "varint": "\x01a", "regex:--": "a--"} {
		r := NewReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(errors.New("read too far"))), mustParse(t, framing), 100)
		if got, err := r.Next(); err != nil || string(got) != "a" {
			t.Errorf("%s: %q, %v", framing, got, err)
		}
	}
}

func TestAReaderKeepsLittle(t *testing.T) {
	for _, framing := range []string{"newline", "regex:x+", "u32be"} {
		r := NewReader(io.LimitReader(zeros{}, 64<<20), mustParse(t, framing), 1<<20)
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		if cap(r.buf) > 4<<20 {
			t.Errorf("%s: %d bytes are kept", framing, cap(r.buf))
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func FuzzReader(f *testing.F) {
	for _, name := range append(strings.Split(Names, ", "), "regex:--", "regex:\\n+", "regex:a.*b|c") {
		f.Add(name, []byte("a\nb\x00\x01--c\n\na bc"))
	}
	f.Fuzz(func(t *testing.T, name string, in []byte) {
		framing, err := Parse(name)
		if err != nil {
			return
		}
		const limit = 50
		want, problem := all(NewReader(bytes.NewReader(in), framing, limit))
		got, again := all(NewReader(iotest.OneByteReader(bytes.NewReader(in)), framing, limit))
		if diff := cmp.Diff(want, got); diff != "" || (problem == nil) != (again == nil) {
			t.Errorf("at once and byte by byte differ: %s, %v, %v", diff, problem, again)
		}
		size := 0
		for _, b := range got {
			if size += len(b); len(b) > limit {
				t.Errorf("%d bytes", len(b))
			}
		}
		if size > len(in) {
			t.Errorf("%d bytes out of %d", size, len(in))
		}
	})
}

func TestAMessageDoesNotWaitForTheNext(t *testing.T) {
	for pattern, separator := range map[string]string{
		`\r?\n`: "\r\n", `^--\n`: "\n--\n", `[;,|]`: ",", `(?i)end;`: "End;", `\s*;`: " ;", "é|è": "è",
	} {
		in, out := io.Pipe()
		go io.WriteString(out, "message"+separator)
		read := make(chan string, 1)
		go func() {
			b, _ := NewReader(in, mustParse(t, "regex:"+pattern), 100).Next()
			read <- string(b)
		}()
		select {
		case got := <-read:
			if strings.TrimSpace(got) != "message" {
				t.Errorf("%s: %q", pattern, got)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: nothing is read before more comes", pattern)
		}
		out.Close()
	}
}

func TestEndingsAreSureToEnd(t *testing.T) {
	for _, pattern := range []string{`\n+`, `\n\n?`, `x.*y|z`, `a|ab`, `\n$`, `\n\b`, `ab.d|c`, `(?i)end`, `[^a]`, `;\s*`} {
		if got := endingsOf(multiline + pattern); got != nil {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}
