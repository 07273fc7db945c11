package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// exitCode is the status of the process. Codes are a promise to scripts: they
// never change their meaning.
type exitCode int

const (
	exitOK                  exitCode = 0
	exitFailed              exitCode = 1
	exitUsage               exitCode = 2
	exitConnect             exitCode = 3
	exitRefused             exitCode = 4
	exitMalformed           exitCode = 5
	exitLost                exitCode = 7 // as mosquitto's clients
	exitPublishRefused      exitCode = 8
	exitSubscriptionRefused exitCode = 9
	exitUnacknowledged      exitCode = 10
	exitStore               exitCode = 11
	exitNothing             exitCode = 12
	exitFailOn              exitCode = 13
	exitTimeout             exitCode = 27 // as mosquitto's clients
	exitThreshold           exitCode = 99
	exitSignal              exitCode = 128 // + number of the signal
)

// Codes of decode, which say what it has found.
const (
	exitRuleBroken exitCode = 1
	exitUnreadable exitCode = 2
	exitIncomplete exitCode = 3
)

// exitCodes is the table that `iotctl help exit-codes` prints.
var exitCodes = [...]struct {
	code    exitCode
	meaning string
}{
	{exitOK, "success"},
	{exitFailed, "failed"},
	{exitUsage, "the command line or a configuration file is wrong"},
	{exitConnect, "could not connect: name, network, TLS, or closed before the broker answered"},
	{exitRefused, "the broker refused the connection: not authorised, bad client id, quota"},
	{exitMalformed, "the input is malformed (pub --jsonl, --strict-payload, encode, codec check, bench report, bench compare)"},
	{exitLost, "the connection, once there, was lost, or another client took over the session"},
	{exitPublishRefused, "the broker refused at least one message"},
	{exitSubscriptionRefused, "the broker refused every subscription, or one of them with --strict"},
	{exitUnacknowledged, "at least one message was not acknowledged"},
	{exitStore, "the store is damaged, or its disk has failed (serve, store)"},
	{exitNothing, "no message is retained there (get)"},
	{exitFailOn, "a message came of which --fail-on is true (sub)"},
	{exitTimeout, "timed out, or what --until or --expect wait for did not come"},
	{exitThreshold, "a threshold was missed (bench)"},
	{exitSignal, "128 + n: ended by signal n, 130 is Ctrl-C"},
}

// failure is an error with the exit code and the hints that go with it.
type failure struct {
	code  exitCode
	err   error
	hints []string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail wraps err so that the process ends with code and prints hints.
func fail(code exitCode, err error, hints ...string) error {
	return &failure{code: code, err: err, hints: hints}
}

// usagef is a mistake on the command line.
func usagef(format string, a ...any) error {
	return fail(exitUsage, fmt.Errorf(format, a...))
}

// signalled ends the process as if by the signal, after an orderly end.
type signalled struct{ sig os.Signal }

func (s signalled) Error() string { return "" } // who pressed Ctrl-C knows it

// codeOf is the one place where errors become exit codes.
func codeOf(err error) exitCode {
	var f *failure
	var s signalled
	switch {
	case err == nil, isClosedPipe(err):
		return exitOK
	case errors.As(err, &s):
		if n, ok := s.sig.(syscall.Signal); ok {
			return exitSignal + exitCode(n)
		}
		return exitFailed
	case errors.As(err, &f):
		return f.code
	}
	return exitFailed
}

// isClosedPipe tells that whoever read our standard output has had enough.
func isClosedPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// hintsOf collects the hints along the chain of err.
func hintsOf(err error) []string {
	var f *failure
	if errors.As(err, &f) {
		return f.hints
	}
	return nil
}

// usageFromCobra turns an error of the command line parser into one of ours:
// one line, suggestions as a hint.
func usageFromCobra(cmd *cobra.Command, err error) error {
	if f := (*failure)(nil); errors.As(err, &f) {
		return err
	}
	msg, rest, _ := strings.Cut(err.Error(), "\n")
	msg = withoutStrconv(msg)
	hints := nearOption(cmd, err)
	for _, s := range strings.Fields(strings.TrimPrefix(strings.TrimSpace(rest), "Did you mean this?")) {
		hints = append(hints, fmt.Sprintf("did you mean %q?", s))
	}
	if cmd != nil {
		hints = append(hints, fmt.Sprintf("%s --help", cmd.CommandPath()))
	}
	return fail(exitUsage, errors.New(msg), hints...)
}

// withoutStrconv says in words why a value of a flag is no number.
func withoutStrconv(msg string) string {
	front, what, ok := strings.Cut(msg, ": strconv.Parse")
	switch {
	case !ok:
		return msg
	case strings.HasSuffix(what, "value out of range"):
		return front + ": out of range"
	case strings.HasPrefix(what, "Bool"):
		return front + ": neither true nor false"
	}
	return front + ": not a number"
}

// newExitCodes is a help topic: a command without a run function.
func newExitCodes() *cobra.Command {
	var b strings.Builder
	b.WriteString("Every command ends with one of these:\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range exitCodes {
		fmt.Fprintf(w, "  %d\t%s\n", c.code, c.meaning)
	}
	w.Flush()
	b.WriteString(`
iotctl decode says with them what it has found: 0 all that was shown is right, 1
a rule of the protocol is broken, 2 the input cannot be read (or the command
line is wrong), 3 a packet is not complete.

iotctl doctor ends with the code of the first check that has failed: 3 for name,
network, TLS and WebSocket, 4 for a refused CONNECT, 7, 8, 9 and 27 as above, 1
for a broker that does not do what MQTT says. Warnings alone are success.

iotctl translate ends with 0 when the translation does the same, 1 when something
in it differs or has no equivalent, 2 when there is nothing to translate.

Called as mosquitto_pub, mosquitto_sub or mosquitto_rr the program ends with
the codes of those programs instead.`)
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long:  b.String(),
	}
}
