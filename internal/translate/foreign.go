package translate

import (
	"slices"
	"strings"
)

// Foreign says what an option that iotctl does not know is called here, where
// another tool has it: one line for each answer. command is what was called, as
// in "pub" or "bench pub"; word is as it was typed.
func Foreign(command, word string) []string {
	word, _, _ = strings.Cut(word, "=")
	var hints []string
	for _, t := range tools() {
		if t.to != command && !strings.HasPrefix(t.to, command+" ") {
			continue
		}
		r := t.find(word)
		if r == nil {
			continue
		}
		tool, _, _ := strings.Cut(t.name, " ")
		text := r.here(t, word)
		if !slices.ContainsFunc(hints, func(h string) bool { return strings.HasSuffix(h, text) }) {
			hints = append(hints, word+" of "+tool+text)
		}
	}
	return hints[:min(len(hints), 2)]
}

// here says what a row comes to, behind the names of option and tool.
func (r *row) here(t *tool, word string) string {
	c := &call{tool: t, given: map[string]string{}, raws: map[string]string{}}
	sample := map[takes][]string{value: {"VALUE"}, several: {"VALUE"}, property: {"COMMAND", "NAME", "VALUE"}}[r.takes]
	if r.takes == several && strings.Contains(r.names, "properties") {
		sample = []string{"NAME: VALUE"}
	}
	if r.takes == value && strings.Contains(strings.ToLower(r.names), "userproperty") {
		sample = []string{"NAME=VALUE"}
	}
	if strings.Contains(r.names, "-version") && r.takes == value && !strings.Contains(r.names, "-V") {
		sample = []string{"tlsv1.2"}
	}
	_ = c.take(r, word, sample)
	var ours []string
	for _, o := range c.options {
		if o.name != word || len(o.values) > 1 {
			ours = append(ours, strings.TrimSpace(o.name+" "+strings.Join(o.values, " ")))
		}
	}
	switch {
	case len(ours) > 0:
		return " is " + strings.Join(ours, " ") + " here"
	case r.note != "":
		return ": " + r.note
	}
	return ": iotctl translate turns a whole command line into one of iotctl"
}

// Command says what a command of another tool is called here; "" if there is
// none.
func Command(name string) string {
	known := map[string]string{
		"publish": "iotctl pub", "subscribe": "iotctl sub", "conn": "iotctl doctor --only connect, or iotctl bench conn",
		"test": "iotctl doctor", "simulate": "iotctl bench pub", "broker": "iotctl serve", "shell": "iotctl sub and iotctl pub",
		"benchmark": "iotctl bench", "check": "iotctl doctor", "ls": "iotctl retained ls",
	}
	return known[name]
}

// Tool is a command that can be translated.
type Tool struct {
	Name    string // with its sub-command
	To      string // the command here
	Options []Option
}

// Option is a row of a tool's table.
type Option struct {
	Names []string
	Value bool // a value has to follow
	Maybe bool // a value may follow
}

// Tools lists what can be translated.
func Tools() []Tool {
	var all []Tool
	for _, t := range tools() {
		x := Tool{Name: t.name, To: t.to}
		for _, r := range t.rows {
			x.Options = append(x.Options, Option{
				Names: strings.Fields(r.names),
				Value: r.takes == value || r.takes == several || r.takes == property,
				Maybe: r.takes == optional || r.takes == boolean,
			})
		}
		all = append(all, x)
	}
	return all
}
