package main

// The rules of the terminal, for every command:
//
//   - Standard output carries data and nothing else. Errors, hints, warnings,
//     progress, prompts and debug output go to standard error.
//   - An error is one line, "iotctl: error: …", in lower case, and says what
//     was attempted on what. "iotctl: hint: …" lines below it say what to type
//     next; they are there only when there is something to type. A mistake in an
//     expression is shown below the error, with a caret at the place.
//   - Progress appears only when standard error is a terminal.
//   - Nobody is asked anything unless standard input is a terminal.
//   - Colour appears only on a terminal, and not when NO_COLOR is set or TERM
//     is "dumb". FORCE_COLOR asks for it without a terminal; --color auto,
//     always or never decides over all of these.
//   - Passwords are never echoed: not at a prompt, not in debug output.
//   - A closed standard output ends a command quietly, with success.

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// terminal is the three streams of a command and what may be done with them.
// Its methods may be called from several goroutines.
type terminal struct {
	in   io.Reader
	out  io.Writer
	err  io.Writer
	name string // what precedes errors

	inTTY, outTTY, errTTY bool
	colorOut, colorErr    bool

	mu sync.Mutex // one line at a time on err
}

// newTerminal takes the streams and the colour switch from cmd.
func newTerminal(cmd *cobra.Command) *terminal {
	t := &terminal{
		name: "iotctl",
		in:   cmd.InOrStdin(),
		out:  cmd.OutOrStdout(),
		err:  cmd.ErrOrStderr(),
	}
	t.inTTY, t.outTTY, t.errTTY = isTerminal(t.in), isTerminal(t.out), isTerminal(t.err)
	mode := "auto"
	if f := cmd.Root().PersistentFlags().Lookup("color"); f != nil {
		mode = f.Value.String()
	}
	t.colorOut = wantColor(mode, t.outTTY, os.LookupEnv)
	t.colorErr = wantColor(mode, t.errTTY, os.LookupEnv)
	return t
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// wantColor applies the rule above to one stream.
func wantColor(mode string, tty bool, env func(string) (string, bool)) bool {
	switch mode {
	case "always":
		return true
	case "never":
		return false
	}
	if v, ok := env("NO_COLOR"); ok && v != "" {
		return false
	}
	if v, ok := env("FORCE_COLOR"); ok && v != "" && v != "0" {
		return true
	}
	if v, _ := env("TERM"); v == "dumb" {
		return false
	}
	return tty
}

// errorf, hintf, warnf and notef print one line on standard error.
func (t *terminal) errorf(format string, a ...any) { t.line(color.FgRed, "error", format, a...) }
func (t *terminal) hintf(format string, a ...any)  { t.line(color.FgCyan, "hint", format, a...) }
func (t *terminal) warnf(format string, a ...any)  { t.line(color.FgYellow, "warning", format, a...) }

// raw prints a line as it is.
func (t *terminal) raw(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.err, s)
}

func (t *terminal) notef(format string, a ...any) { t.line(0, "", format, a...) }

func (t *terminal) line(c color.Attribute, kind, format string, a ...any) {
	label := ""
	if kind != "" {
		label = paint(t.colorErr, c, kind+":") + " "
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.err, "%s: %s%s\n", t.name, label, fmt.Sprintf(format, a...))
}

// paint colours s when on is set, whatever the library thinks of the terminal.
func paint(on bool, c color.Attribute, s string) string {
	if !on {
		return s
	}
	p := color.New(c)
	p.EnableColor()
	return p.Sprint(s)
}

// report prints err, if any, and returns the exit code that goes with it.
func (t *terminal) report(err error) int {
	code := codeOf(err)
	if code == exitOK {
		return 0
	}
	if msg := err.Error(); msg != "" {
		t.errorf("%s", msg)
	}
	for _, h := range hintsOf(err) {
		t.hintf("%s", h)
	}
	return int(code)
}
