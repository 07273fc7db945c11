package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Scenario is one kind of load. The engine opens it, starts the clock, lets
// its Load work through warm-up and measurement, and closes it. What it needs
// it finds in the [Session]: clients, the schedule, where to record.
type Scenario interface {
	// Open brings up what has to be there before the clock starts: connections,
	// subscriptions, retained messages. It returns with an error when too
	// little of that was possible to go on. Everything that it connects through
	// s is closed by the engine in any case.
	Open(ctx context.Context, s *Session) (Load, error)
}

// Load is an opened scenario.
type Load interface {
	// Run works until ctx ends, with the end of the schedule, or there is
	// nothing left to do. It owns every goroutine that it starts and returns
	// after the last has ended. What the schedule holds is done at the intended
	// times of s.Pace; what is due and cannot be done yet waits and stays due.
	Run(ctx context.Context) error
	// Drain waits until what is on its way has arrived, or ctx ends. The
	// engine watches the account; a Load has only its own to add.
	Drain(ctx context.Context) error
}

// Spec is a line in the table of scenarios.
type Spec struct {
	Name    string // as on the command line: "pair", "mqttbs/fanout"
	Summary string // one line for help
	// Device is the URL scheme of what some of its clients connect to, in
	// Options.Devices; "": all speak MQTT.
	Device string
	// Codec is the one of Options.Codec unless another is chosen; "": none.
	Codec string
	// Options are the names of Plan.Options, without "NAME.".
	Options []string
	// Defaults fills in what the command line has not said; it changes nothing
	// else.
	Defaults func(*Plan)
	// Sockets is how many the plan needs, with its defaults; nil: one for each client.
	Sockets func(*Plan) int
	New     func() Scenario
}

// CheckOptions returns an error that lists the scenario's own options if the plan has
// others.
func (s Spec) CheckOptions(p *Plan) error {
	var all []string
	for _, o := range s.Options {
		all = append(all, s.Name+"."+o)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Options)) {
		switch {
		case slices.Contains(all, name):
		case all == nil:
			return fmt.Errorf("%s: %s has no options of its own", name, s.Name)
		default:
			return fmt.Errorf("%s: the options of %s are %s", name, s.Name, strings.Join(all, ", "))
		}
	}
	return nil
}
