package report

import (
	"slices"
	"strings"
	"unicode"

	"github.com/iotctl/iotctl/internal/bench"
)

// visible replaces what would steer a terminal or turn the direction of text.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// visible is the run with all its texts made so, for people to look at.
func (r *Run) visible() *Run {
	c := *r
	p := &c.Header.Plan
	for _, s := range []*string{&p.Scenario, &p.Target, &p.ClientID, &p.Topic} {
		*s = visible(*s)
	}
	visibleEnvironment(&c.Header.Environment)
	p.Options = visibleKeys(p.Options)
	f := *r.Final
	c.Final = &f
	f.Ended = visible(f.Ended)
	f.Values = visibleKeys(f.Values)
	f.Assertions = slices.Clone(f.Assertions)
	for i := range f.Assertions {
		f.Assertions[i].Expression = visible(f.Assertions[i].Expression)
	}
	f.Account.Worst = slices.Clone(f.Account.Worst)
	for i := range f.Account.Worst {
		f.Account.Worst[i].Topic = visible(f.Account.Worst[i].Topic)
	}
	f.Agents = slices.Clone(f.Agents)
	for i := range f.Agents {
		a := &f.Agents[i]
		a.Name, a.Ended = visible(a.Name), visible(a.Ended)
		visibleEnvironment(&a.Environment)
	}
	c.Events = slices.Clone(c.Events)
	for i := range c.Events {
		c.Events[i].Text = visible(c.Events[i].Text)
	}
	c.Intervals = slices.Clone(c.Intervals)
	for n := range c.Intervals {
		i := &c.Intervals[n]
		i.Stage = bench.Stage(visible(string(i.Stage)))
		i.Limited = slices.Clone(i.Limited)
		for k := range i.Limited {
			i.Limited[k] = visible(i.Limited[k])
		}
	}
	return &c
}

func visibleEnvironment(e *bench.Environment) {
	for _, s := range []*string{&e.Tool, &e.Go, &e.OS, &e.Arch, &e.Kernel, &e.CPU} {
		*s = visible(*s)
	}
}

func visibleKeys(m map[string]float64) map[string]float64 {
	out := make(map[string]float64, len(m))
	for name, v := range m {
		out[visible(name)] = v
	}
	return out
}
