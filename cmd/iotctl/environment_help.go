package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// newEnvironment is a help topic: a command without a run function.
func newEnvironment() *cobra.Command {
	return &cobra.Command{
		Use:     "environment",
		Short:   "Variables that stand for options",
		Long:    environmentText(),
		Example: "  IOTCTL_URL=mqtts://broker.example IOTCTL_USERNAME=me iotctl sub -t 'sensors/#'",
	}
}

func environmentText() string {
	var b strings.Builder
	b.WriteString(`Every option of pub, sub and the other clients can be given as a variable: IOTCTL_
and its long name in upper case, with underscores for dashes. The command line
counts more than the environment, that more than a profile, and that more than the
file of default options (see iotctl help profiles). A command takes no notice of
variables for options that it has not, and bench takes those for where and as whom
to connect.

A switch is true, false, 1 or 0. Of options that may be repeated, each line of the
value is one; the words of --property may have quotation marks. An empty variable
counts as none. A variable that nobody knows, and that looks like one of these, is
warned of.

`)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, o := range environmentRows() {
		fmt.Fprintf(w, "  %s\t%s\n", o.name, o.about)
	}
	w.Flush()
	b.WriteString(`
Beside these:

`)
	w = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, v := range otherVariables {
		fmt.Fprintf(w, "  %s\t%s\n", v.name, v.about)
	}
	w.Flush()
	b.WriteString(`  XDG_CONFIG_HOME, XDG_STATE_HOME, HOME     where files are
  NO_COLOR, FORCE_COLOR, TERM               whether there is colour
  VISUAL, EDITOR                            for iotctl profile edit`)
	return b.String()
}

// environmentRow is an option's variable, and which commands have it.
type environmentRow struct{ name, about string }

func environmentRows() []environmentRow {
	progs := map[string]program{}
	all := optionsFor(progAll, false)
	for _, o := range all {
		progs[o.long] |= o.progs
	}
	var rows []environmentRow
	for _, o := range all {
		if progs[o.long] == 0 {
			continue
		}
		names := programsOf(progs[o.long])
		about := strings.Join(names, ", ")
		if len(names) == len(programGroups()) {
			about = "all"
		}
		rows = append(rows, environmentRow{variableOf(o), about})
		progs[o.long] = 0
	}
	slices.SortFunc(rows, func(a, b environmentRow) int { return strings.Compare(a.name, b.name) })
	return rows
}
