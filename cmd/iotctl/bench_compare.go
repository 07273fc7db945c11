package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/bench/report"
)

// compareOptions is the command line of `iotctl bench compare`.
type compareOptions struct {
	json   bool
	failOn []string
}

func newBenchCompare() *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare A B [A2 B2 ...] [options]",
		Short: "Say how recorded runs differ, and how sure that is",
		Long: `Compares what iotctl bench -o has recorded: rates, latencies of each phase, CPU
per message, memory, and what was lost. A change is that of B against A.

With several runs of each side, best taken in turns, A B A B, intervals are
those of the Mann-Whitney test on whole runs; three of each side give 90 %
confidence, four 97 %. With one run each they come from a block bootstrap over
the intervals of these runs: they say whether the two runs differ, not whether
the next two would. Less data gets no interval. A verdict, higher or lower,
stands only where the whole interval is on one side; among many rows, one in
twenty is wrong by chance.

--fail-on ends with code 99 when a change is beyond a percentage. A change whose
interval includes none at all does not count; where the data gives no
confidence, the change alone decides. Names are those of --assert (rate,
sent.rate, op.rate, e2e.p99, loss, ...) and broker.cpu, broker.memory and
generator.cpu.`,
		Example: `  iotctl bench compare before.res after.res
  iotctl bench compare a1.res b1.res a2.res b2.res a3.res b3.res
  iotctl bench compare before.res after.res --fail-on 'e2e.p99>+10%' --fail-on 'rate<-5%'
  iotctl bench compare before.res after.res --json | jq '.rows[] | select(.verdict == "higher")'`,
		Args: recordPairs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBenchCompare(newTerminal(cmd), &o, args)
		},
		DisableFlagsInUseLine: true,
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	cmd.Flags().StringArrayVar(&o.failOn, "fail-on", nil, "end with code 99 on a `difference` like e2e.p99>+10% or rate<-5%; repeatable")
	return cmd
}

// recordPairs wants A and B, once or several times.
func recordPairs(cmd *cobra.Command, args []string) error {
	if len(args) >= 2 && len(args)%2 == 0 {
		return nil
	}
	err := errors.New("two recorded runs are compared, or pairs of them")
	if len(args) > 2 {
		err = fmt.Errorf("runs come in pairs, A B A2 B2, and %q is alone", args[len(args)-1])
	}
	return fail(exitUsage, err, cmd.CommandPath()+" before.res after.res")
}

func runBenchCompare(t *terminal, o *compareOptions, args []string) error {
	var limits []report.Limit
	for _, text := range o.failOn {
		l, err := report.ParseLimit(text)
		if err != nil {
			return usagef("--fail-on: %w", err)
		}
		limits = append(limits, l)
	}
	var sides [2][]*report.Run
	for i, name := range args {
		run, err := readRun(t, name)
		if err != nil {
			return err
		}
		for _, other := range sides[i%2] {
			if other.Same(run) {
				return usagef("%s and %s are the same run, which does not count twice", other.Name, name)
			}
		}
		sides[i%2] = append(sides[i%2], run)
	}
	c := report.Compare(sides[0], sides[1])
	c.Check(limits)
	write := func() error {
		return c.WriteText(t.out, func(m bench.Mood, s string) string { return moodColor(t.colorOut, m, s) })
	}
	if o.json {
		write = func() error { return c.WriteJSON(t.out) }
	}
	if err := write(); err != nil {
		return err
	}
	if n := len(c.Failed); n > 0 {
		return fail(exitThreshold, fmt.Errorf("%d of %d limits were passed", n, len(limits)))
	}
	return nil
}

func readRun(t *terminal, name string) (*report.Run, error) {
	in, err := openRecord(t, name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	run, err := report.Read(name, in)
	if err != nil {
		return nil, failRecord(name, err)
	}
	return run, nil
}
