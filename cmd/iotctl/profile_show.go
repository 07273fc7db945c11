package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/profile"
)

func newProfileShow() *cobra.Command {
	var effective string
	cmd := &cobra.Command{
		Use:   "show name",
		Short: "Show a profile, its secrets hidden",
		Long: `Shows a profile as it stands in its file, with secrets hidden. --effective shows
what a command gets: what the profile is built upon, the file of default options
and the environment count, and each value comes with where it is from. The name
may be left out there, and then it is the profile that is used when none is named.`,
		Example: `  iotctl profile show plant
  iotctl profile show plant --effective sub`,
		Args: func(cmd *cobra.Command, args []string) error {
			if effective != "" && len(args) == 0 {
				return nil
			}
			return oneProfile(cmd, args)
		},
		ValidArgsFunction: completeProfile,
		RunE: func(cmd *cobra.Command, args []string) error {
			t := newTerminal(cmd)
			if effective != "" {
				return showEffective(t, effective, args)
			}
			return showProfile(t, args[0])
		},
	}
	cmd.Flags().StringVar(&effective, "effective", "", "show all that this `command` gets, and where from")
	_ = cmd.RegisterFlagCompletionFunc("effective", cobra.FixedCompletions(programNames[:], cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func showProfile(t *terminal, name string) error {
	dir, err := profilePlace()
	if err != nil {
		return err
	}
	schema := profileSchema()
	p, err := dir.Load(name, schema)
	if err != nil {
		return failProfile(err)
	}
	for i, s := range p.Settings {
		p.Settings[i].Value = s.Masked()
	}
	text, err := p.Text(schema)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "# %s\n%s", p.Path, text)
	return err
}

// showEffective lists what a command gets without a command line.
func showEffective(t *terminal, command string, names []string) error {
	p, ok := programOf(command)
	if !ok {
		return usagef("--effective %q: must be %s", command, strings.Join(programNames[:], ", "))
	}
	var given []assignment
	if len(names) > 0 {
		given = []assignment{{option: findOption(optionsFor(p, false), "--profile"), value: names[0]}}
	}
	sources, _, err := ownSources(p, given)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, a := range overlay(sources...) {
		value := maskedValue(a)
		if a.option.arg == "" {
			value = "true"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", a.option.long, value, a.origin)
	}
	return w.Flush()
}

// maskedValue is what an option has been given, for people to see.
func maskedValue(a assignment) string {
	s := profile.Setting{Option: a.option.long, Value: a.value}
	if a.option.long == "property" {
		s.Value = profile.Quote(strings.Split(a.value, wordSeparator)...)
	}
	return s.Masked()
}

func newProfileTest() *cobra.Command {
	patience := 10 * time.Second
	cmd := &cobra.Command{
		Use:   "test name",
		Short: "Connect with a profile",
		Long: `Connects as the profile says, reports that, and disconnects. The exit code is that
of pub and sub: 3 if there is no connection, 4 if the broker refuses it. iotctl
doctor looks closer.`,
		Example:           "  iotctl profile test plant",
		Args:              oneProfile,
		ValidArgsFunction: completeProfile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return testProfile(cmd.Context(), newTerminal(cmd), args[0], patience)
		},
	}
	cmd.Flags().DurationVar(&patience, "timeout", patience, "give up after this `time`")
	return cmd
}

func testProfile(ctx context.Context, t *terminal, name string, patience time.Duration) error {
	options := optionsFor(progPub, false)
	s, err := ownSettings(progPub, []assignment{{option: findOption(options, "--profile"), value: name}})
	if err != nil {
		return err
	}
	s.timeout = patience
	e, err := newEngine(s, t, nil, nil)
	if err != nil {
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	began := time.Now()
	if err := e.connect(ctx); err != nil {
		return err
	}
	took := time.Since(began)
	if err := e.leave(0); err != nil {
		return err
	}
	as := ""
	if s.username != nil {
		as = fmt.Sprintf(" as %q", *s.username)
	}
	fmt.Fprintf(t.out, "%s: connected to %s%s in %s\n", name, s.brokerName(), as, took.Round(100*time.Microsecond))
	return nil
}
