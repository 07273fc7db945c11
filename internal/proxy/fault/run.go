package fault

import (
	"context"
	"fmt"
	"time"
)

// Brokers is what steps do to the brokers of a proxy.
type Brokers interface {
	// Drain has a broker get no new connections, or get some again.
	Drain(name string, on bool) error
}

// look is how often a step looks whether its rule has done something.
const look = 10 * time.Millisecond

// Run does the steps of sc in their order, and returns when all are done or ctx
// ends. tell is told of each.
func (s *Set) Run(ctx context.Context, sc *Scenario, b Brokers, tell func(text string)) error {
	began := time.Now()
	for _, step := range sc.Steps {
		from := began
		for step.After != "" && !s.Fired(step.After) {
			if !sleep(ctx, look) {
				return ctx.Err()
			}
			from = time.Now()
		}
		if !sleep(ctx, time.Until(from.Add(step.At))) {
			return ctx.Err()
		}
		if err := s.do(step, b, tell); err != nil {
			return fmt.Errorf("step at line %d: %w", step.Line, err)
		}
	}
	return nil
}

func (s *Set) do(step Step, b Brokers, tell func(string)) error {
	for _, name := range step.Remove {
		if err := s.Remove(name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		tell("rule " + name + " removed")
	}
	if len(step.Add) > 0 {
		names, err := s.Add(step.Add...)
		if err != nil {
			return err
		}
		for i, r := range step.Add {
			tell("rule " + names[i] + " added: " + r.Text)
		}
	}
	if step.Release != "" {
		name := step.Release
		if name == "all" {
			name = ""
		}
		n, err := s.Release(name, -1)
		if err != nil {
			return fmt.Errorf("release %s: %w", name, err)
		}
		tell(fmt.Sprintf("%d packets released", n))
	}
	for _, name := range step.Drain {
		if err := b.Drain(name, true); err != nil {
			return err
		}
		tell("broker " + name + " drains")
	}
	for _, name := range step.Undrain {
		if err := b.Drain(name, false); err != nil {
			return err
		}
		tell("broker " + name + " takes connections again")
	}
	return nil
}

// sleep waits for d; false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
