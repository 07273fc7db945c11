package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/proxy/fault"
)

func newProxyCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check file...",
		Short: "Check scenarios of faults",
		Long: `Reads scenarios, as --scenario takes them, tells every mistake with line and
column, and lists the rules and steps of those that have none. - stands for standard
input.

It ends with 0 if all can be used, and with 2 otherwise.`,
		Example: `  iotctl proxy check afternoon.yaml
  iotctl proxy check --json afternoon.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fail(exitUsage, errors.New("which scenario?"), "iotctl proxy check FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runProxyCheck(newTerminal(cmd), args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per scenario")
	return cmd
}

func runProxyCheck(t *terminal, files []string, asJSON bool) error {
	var worst error
	for _, name := range files {
		sc, err := readScenario(t, name)
		if err != nil {
			if worst != nil {
				t.report(worst)
			}
			worst = err
			continue
		}
		if asJSON {
			err = json.NewEncoder(t.out).Encode(scenarioJSON(name, sc))
		} else {
			err = writeScenario(t, name, sc)
		}
		if err != nil {
			return err
		}
	}
	return worst
}

type checkedScenario struct {
	File  string        `json:"file"`
	Name  string        `json:"name,omitempty"`
	Seed  *uint64       `json:"seed,omitempty"`
	Rules []string      `json:"rules"`
	Steps []checkedStep `json:"steps"`
}

type checkedStep struct {
	At    float64  `json:"at"` // seconds
	After string   `json:"after,omitempty"`
	Do    []string `json:"do"`
}

func scenarioJSON(name string, sc *fault.Scenario) checkedScenario {
	out := checkedScenario{File: name, Name: sc.Name, Rules: []string{}, Steps: []checkedStep{}}
	if sc.HasSeed {
		out.Seed = &sc.Seed
	}
	for _, r := range sc.Rules {
		out.Rules = append(out.Rules, r.String())
	}
	for i := range sc.Steps {
		s := &sc.Steps[i]
		out.Steps = append(out.Steps, checkedStep{s.At.Seconds(), s.After, stepWords(s)})
	}
	return out
}

// stepWords is what a step does, in words.
func stepWords(s *fault.Step) (all []string) {
	for _, name := range s.Remove {
		all = append(all, "remove "+name)
	}
	for _, r := range s.Add {
		all = append(all, "add "+r.String())
	}
	if s.Release != "" {
		all = append(all, "release "+s.Release)
	}
	for _, b := range s.Drain {
		all = append(all, "drain "+b)
	}
	for _, b := range s.Undrain {
		all = append(all, "undrain "+b)
	}
	return all
}

func writeScenario(t *terminal, name string, sc *fault.Scenario) error {
	text := fmt.Sprintf("%s: %s, %s\n", name, counted(len(sc.Rules), "rule"), counted(len(sc.Steps), "step"))
	for _, r := range sc.Rules {
		text += fmt.Sprintf("  %s\n", r)
	}
	for i := range sc.Steps {
		s := &sc.Steps[i]
		when := s.At.Round(time.Millisecond).String()
		if s.After != "" {
			when += " after " + s.After
		}
		for _, do := range stepWords(s) {
			text += fmt.Sprintf("  %s: %s\n", when, do)
		}
	}
	_, err := fmt.Fprint(t.out, text)
	return err
}
