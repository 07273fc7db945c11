package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// wordSeparator joins the words of -D into the one value that pflag allows;
// no argument can contain it.
const wordSeparator = "\x00"

// assignment is an option as it was given, to be applied in order.
type assignment struct {
	option *option
	value  string
	origin string // "file:line" or an environment variable; "" for the command line
	off    bool   // a switch that is not wanted, whatever sources below say
}

// clientCommand completes cmd, one of the clients, with its options. A first
// argument that is a URL is --url. Arguments behind it are for commands with
// Args, as settings.operands; pub, sub and their like take none.
func clientCommand(p program, cmd *cobra.Command, run func(context.Context, *settings, *terminal) error) *cobra.Command {
	var given []assignment
	cmd.GroupID = groupClient
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().SortFlags = false
	cmd.Flags().Bool("help", false, "show this help") // -h is --host
	for _, o := range optionsFor(p, false) {
		f := cmd.Flags().VarPF(&flagValue{o, &given}, o.long, o.short, o.help)
		if o.arg == "" {
			f.NoOptDefVal = "true"
		}
	}
	cmd.SetUsageFunc(func(c *cobra.Command) error { return writeClientUsage(c.OutOrStderr(), c, p) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given = withURL(p, args, given)
		if at := urlOperand(p, args); at >= 0 {
			args = slices.Delete(slices.Clone(args), at, at+1)
		}
		if len(args) > 0 && cmd.Args == nil {
			return fail(exitUsage, fmt.Errorf("unexpected argument %q", args[0]), append(strayHints(p, given, args[0]), cmd.CommandPath()+" --help")...)
		}
		s, err := ownSettings(p, given)
		if err != nil {
			return err
		}
		s.operands = args
		s.preferTyped()
		t := newTerminal(cmd)
		if !s.quiet {
			for _, w := range mistypedVariables() {
				t.warnf("%s", w)
			}
			if s.overtaken != "" {
				t.warnf("%s takes the place of the broker of the profile, and gets its user name and password", s.overtaken)
			}
		}
		err = run(cmd.Context(), s, t)
		s.remember(t, err)
		if s.quiet && err != nil {
			return fail(codeOf(err), errors.New(""))
		}
		return err
	}
	return cmd
}

// withURL puts an argument that is a URL before the options.
func withURL(p program, args []string, given []assignment) []assignment {
	at := urlOperand(p, args)
	if at < 0 {
		return given
	}
	return append([]assignment{{option: findOption(optionsFor(p, false), "--url"), value: args[at]}}, given...)
}

// urlOperand finds the argument that is a URL: the first, or of commands that begin
// with a file, the one behind it; -1: there is none.
func urlOperand(p program, args []string) int {
	for i := range args[:min(len(args), 2)] {
		if strings.Contains(args[i], "://") && (i == 0 || p&(progReplay|progRetainedRestore) != 0) {
			return i
		}
	}
	return -1
}

// flagValue records what pflag finds.
type flagValue struct {
	o     *option
	given *[]assignment
}

func (f *flagValue) String() string { return "" }

func (f *flagValue) Type() string {
	if f.o.arg == "" {
		return "bool"
	}
	return f.o.arg
}

func (f *flagValue) Set(v string) error {
	if f.o.arg == "" {
		if v != "true" && v != "false" {
			return errors.New("must be true or false")
		}
		*f.given = append(*f.given, assignment{option: f.o, off: v == "false"})
		return nil
	}
	*f.given = append(*f.given, assignment{option: f.o, value: v})
	return nil
}

// ownSettings adds up defaults file, profile, environment and command line; the
// later wins.
func ownSettings(p program, given []assignment) (*settings, error) {
	s := newSettings(p, false)
	sources, leftOut, err := ownSources(p, given)
	if err != nil {
		return nil, err
	}
	s.leftOut, s.overtaken = leftOut, overtaken(sources, given)
	all := overlay(append(sources, given)...)
	given = overlay(given)
	for _, a := range all {
		if err := s.apply(a); err != nil {
			return nil, failUsage(err)
		}
		if a.origin != "" {
			s.inherited = len(s.topics)
		}
	}
	s.forgetPSK(given)
	if err := s.checkDevice(given); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, failUsage(err)
	}
	return s, nil
}

// apply sets one option; its errors say where it came from.
func (s *settings) apply(a assignment) error {
	err := a.option.set(s, a.value)
	if err == nil {
		return nil
	}
	if c := complaint(""); !errors.As(err, &c) {
		err = fmt.Errorf("%s: %w", a.option.name(), err)
	}
	if a.origin != "" {
		err = fmt.Errorf("%s: %w", a.origin, err)
	}
	return err
}

// failUsage keeps the hints of an error that has some.
func failUsage(err error) error {
	if f := (*failure)(nil); errors.As(err, &f) {
		return err
	}
	return fail(exitUsage, err)
}

// foldProperties joins the words that follow -D, so that pflag, which knows
// one value per flag, can read the command line. Other commands are left alone.
func foldProperties(args []string) []string {
	at := 0
	for at < len(args) && strings.HasPrefix(args[at], "-") {
		if args[at] == "--color" {
			at++
		}
		at++
	}
	if at >= len(args) {
		return args
	}
	p, ok := programOf(args[at])
	if !ok && at+1 < len(args) {
		p, ok = programOf(args[at] + " " + args[at+1])
	}
	if !ok && args[at] == "profile" {
		p, ok = progPub|progSub, true
	}
	if !ok {
		return args
	}
	all := optionsFor(p, false)
	out := slices.Clone(args[:at+1])
	for i := at + 1; i < len(args); i++ {
		out = append(out, args[i])
		o := findOption(all, args[i])
		if o == nil || o.arg == "" {
			continue
		}
		n := min(o.takes(args[i+1:]), len(args)-i-1)
		if n > 0 {
			out = append(out, strings.Join(args[i+1:i+1+n], wordSeparator))
		}
		i += n
	}
	return out
}

// writeClientUsage lists the options by group.
func writeClientUsage(w io.Writer, cmd *cobra.Command, p program) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	for _, group := range optionGroups {
		set := pflag.NewFlagSet(group, pflag.ContinueOnError)
		set.SortFlags = false
		for _, o := range optionsFor(p, false) {
			if o.group == group {
				set.AddFlag(cmd.Flags().Lookup(o.long))
			}
		}
		if group == groupGeneral {
			set.AddFlag(cmd.Flags().Lookup("help"))
			set.AddFlagSet(cmd.InheritedFlags())
		}
		if set.HasFlags() {
			fmt.Fprintf(&b, "\n%s:\n%s", group, set.FlagUsagesWrapped(helpWidth))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const helpWidth = 100
