package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/iotctl/iotctl/internal/translate"
)

// maxScript bounds what translate reads.
const maxScript = 1 << 20

// Codes of translate.
const (
	exitInexact        exitCode = 1
	exitUntranslatable exitCode = 2
)

func newTranslate() *cobra.Command {
	var b strings.Builder
	for _, t := range translate.Tools() {
		fmt.Fprintf(&b, "  %-18s iotctl %s\n", t.Name, t.To)
	}
	cmd := &cobra.Command{
		Use:     "translate ['command line' | -- words…]",
		Short:   "Turn a command line of another MQTT tool into one of iotctl",
		GroupID: groupOther,
		Long: `Prints what to type here for a command line of mosquitto's clients, MQTTX,
emqtt_bench or HiveMQ's mqtt, quoted for a shell. It runs nothing.

` + b.String() + `
The command line is one argument, or the words of one, or standard input, which
may be a whole script: pipes, lists, redirections, variables and commands that
are not known stay as they are. docker run and the like in front are left out.

What differs, or has no equivalent, is said on standard error, and so is a safer
way for a password in the command line, which stays as it is. The exit code is 0
when the translation does the same, 1 when something differs, and 2 when there
is nothing to translate.`,
		Example: `  iotctl translate 'mosquitto_sub -h broker.example -t "sensors/#" -v'
  iotctl translate mqttx pub -h broker.example -t a/b -m hello -ct text/plain
  iotctl translate 'emqtt_bench pub -t bench/%i -c 100 -I 10'
  echo 'mqtt sub -h broker.example -t a/b -T' | iotctl translate`,
		RunE: func(cmd *cobra.Command, args []string) error { return runTranslate(newTerminal(cmd), args) },
	}
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().SetInterspersed(false) // options behind the first word belong to that
	return cmd
}

func runTranslate(t *terminal, args []string) error {
	r, err := translated(t, args)
	if err == nil && !r.Found {
		err = translate.ErrNothing
	}
	if err != nil {
		hints := []string{"iotctl translate 'mosquitto_sub -h HOST -t TOPIC'"}
		if bad := (*translate.Error)(nil); errors.As(err, &bad) {
			hints = nil
			if bad.Hint != "" {
				hints = []string{bad.Hint}
			}
		}
		return fail(exitUntranslatable, err, hints...)
	}
	if _, err := fmt.Fprintln(t.out, r.Line); err != nil {
		return err
	}
	for _, n := range r.Notes {
		if n.Advice {
			t.hintf("%s", n.Text)
		} else {
			t.warnf("%s", n.Text)
		}
	}
	if !r.Exact() {
		return fail(exitInexact, errors.New(""))
	}
	return nil
}

// translated reads the command line from where it is.
func translated(t *terminal, args []string) (translate.Result, error) {
	switch {
	case len(args) > 1:
		return translate.Words(args)
	case len(args) == 1:
		return translate.Line(args[0])
	case t.inTTY:
		return translate.Result{}, errors.New("a command line is missing")
	}
	script, err := io.ReadAll(io.LimitReader(t.in, maxScript+1))
	switch {
	case err != nil:
		return translate.Result{}, err
	case len(script) > maxScript:
		return translate.Result{}, fmt.Errorf("standard input is longer than %d bytes", maxScript)
	}
	return translate.Line(string(script))
}

// withForeign adds to a mistake on the command line what options of other tools
// are called here.
func withForeign(cmd *cobra.Command, argv []string, err error) error {
	f := (*failure)(nil)
	if cmd == nil || codeOf(err) != exitUsage || !errors.As(err, &f) {
		return err
	}
	command := strings.TrimPrefix(cmd.CommandPath(), "iotctl ")
	if cmd.Root() == cmd && len(argv) > 0 {
		if same := translate.Command(argv[0]); same != "" {
			f.hints = slices.Insert(f.hints, 0, argv[0]+" is called "+same+" here")
		}
		return err
	}
	var hints []string
	for _, word := range argv {
		if word == "--" || len(hints) >= maxForeign {
			break
		}
		if len(word) < 3 || word[0] != '-' || knownFlag(cmd.Flags(), word) {
			continue
		}
		for _, h := range translate.Foreign(command, word) {
			if !slices.Contains(hints, h) {
				hints = append(hints, h)
			}
		}
	}
	f.hints = slices.Concat(hints, f.hints)
	return err
}

// maxForeign bounds how many options are explained.
const maxForeign = 3

func knownFlag(flags *pflag.FlagSet, word string) bool {
	name, long := strings.CutPrefix(word, "--")
	name, _, _ = strings.Cut(name, "=")
	return long && flags.Lookup(name) != nil
}
