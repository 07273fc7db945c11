package fault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Scenario is a file of faults in time:
//
//	name: a bad afternoon
//	seed: 42
//	rules:
//	  - acks: drop @ s2c PUBACK / p=0.1
//	  - drop @ s2c PINGRESP / after=30s
//	steps:
//	  - at: 10s
//	    add: [half-open: stall @ both]
//	  - at: 100s
//	    remove: [half-open, acks]
//	  - after: later
//	    release: all
//	    drain: mqtt://b1:1883
//
// Times of steps are counted from the start of the proxy, those in rules from the
// beginning of each connection.
type Scenario struct {
	Name  string
	Seed  uint64
	Rules []*Rule
	Steps []Step

	HasSeed bool
}

// Step is what a scenario does at a moment.
type Step struct {
	At    time.Duration
	After string // when that rule has done something, and then At; "" for the start
	Line  int

	Add     []*Rule
	Remove  []string
	Release string   // rule, "all", or "" for nothing
	Drain   []string // brokers that get no new connections
	Undrain []string
}

// maxScenario is how long a file may be, in bytes.
const maxScenario = 1 << 20

// ParseScenario reads a scenario. Its errors are *Mistake with lines, joined.
func ParseScenario(src []byte) (*Scenario, error) {
	if len(src) > maxScenario {
		return nil, &Mistake{Line: 1, Column: 1, Text: fmt.Sprintf("longer than %d bytes", maxScenario)}
	}
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(src))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &Mistake{Line: 1, Column: 1, Text: "the file is empty", Hint: "begin with rules:"}
	case err != nil:
		return nil, yamlMistake(err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &Mistake{Line: 1, Column: 1, Text: "more than one document"}
	}
	p := &scenarioParser{names: map[string]bool{}}
	s := p.scenario(doc.Content[0])
	p.references(s)
	if len(p.mistakes) > 0 {
		return nil, errors.Join(p.mistakes...)
	}
	return s, nil
}

// yamlMistake takes the line out of an error of the YAML parser.
func yamlMistake(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	m := &Mistake{Line: 1, Column: 1, Text: text}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, what, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			m.Line, m.Text = n, what
		}
	}
	if strings.Contains(text, "cannot start any token") {
		m.Hint = "blanks indent lines, tabs do not; a text with @ or % in front stands in quotes"
	}
	return m
}

type scenarioParser struct {
	names    map[string]bool
	mistakes []error
}

func (p *scenarioParser) add(n *yaml.Node, hint, format string, a ...any) {
	p.mistakes = append(p.mistakes, &Mistake{Line: n.Line, Column: n.Column, Text: fmt.Sprintf(format, a...), Hint: hint})
}

// keys calls f with each key and value of a mapping.
func (p *scenarioParser) keys(n *yaml.Node, known []string, f func(key string, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.add(n, "keys: "+strings.Join(known, ", "), "not a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case !slices.Contains(known, k.Value):
			p.add(k, nearest(k.Value, known), "no key is called %q", k.Value)
			continue
		case seen[k.Value]:
			p.add(k, "", "%q is there twice", k.Value)
			continue
		}
		seen[k.Value] = true
		f(k.Value, n.Content[i+1])
	}
}

func (p *scenarioParser) scenario(n *yaml.Node) *Scenario {
	s := &Scenario{}
	p.keys(n, []string{"name", "seed", "rules", "steps"}, func(key string, v *yaml.Node) {
		switch key {
		case "name":
			s.Name = v.Value
		case "seed":
			seed, err := strconv.ParseUint(v.Value, 0, 64)
			if err != nil || v.Kind != yaml.ScalarNode {
				p.add(v, "seed: 42", "%q is no number", v.Value)
			}
			s.Seed, s.HasSeed = seed, true
		case "rules":
			s.Rules = p.rules(v)
		case "steps":
			for _, n := range p.list(v) {
				s.Steps = append(s.Steps, p.step(n))
			}
		}
	})
	return s
}

// list is the elements of a sequence, or the one that stands by itself.
func (p *scenarioParser) list(n *yaml.Node) []*yaml.Node {
	switch {
	case n.Kind == yaml.SequenceNode:
		return n.Content
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil
	case n.Kind == yaml.AliasNode:
		p.add(n, "write it out", "aliases are not for scenarios")
		return nil
	}
	return []*yaml.Node{n}
}

func (p *scenarioParser) rules(n *yaml.Node) (all []*Rule) {
	for _, n := range p.list(n) {
		if r := p.rule(n); r != nil {
			all = append(all, r)
		}
	}
	if len(all) > maxRules {
		p.add(n, "", "more than %d rules", maxRules)
	}
	return all
}

// rule takes "text", "name: text", and a mapping of one name to a text, which is
// what YAML makes of the latter.
func (p *scenarioParser) rule(n *yaml.Node) *Rule {
	name := ""
	at := n
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 {
		name, n = n.Content[0].Value, n.Content[1]
		if !ValidName(name) {
			p.add(at, "letters, digits, - and _", "%q is no name of a rule", name)
			return nil
		}
	}
	if n.Kind != yaml.ScalarNode {
		p.add(n, example, "not a rule")
		return nil
	}
	r, err := parseRule(n.Value)
	if err != nil {
		err.Line = n.Line
		if quoted := n.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle); quoted != 0 {
			err.Column++
		}
		err.Column += n.Column - 1
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			err.Column = n.Column
		}
		p.mistakes = append(p.mistakes, err)
		return nil
	}
	if name != "" {
		r.Name = name
	}
	if r.Name != "" {
		if p.names[r.Name] {
			p.add(at, "", "there is a rule %s already", r.Name)
		}
		p.names[r.Name] = true
	}
	return r
}

func (p *scenarioParser) step(n *yaml.Node) Step {
	s := Step{Line: n.Line}
	timed := false
	p.keys(n, []string{"at", "after", "add", "remove", "release", "drain", "undrain"}, func(key string, v *yaml.Node) {
		switch key {
		case "at":
			d, err := time.ParseDuration(v.Value)
			if err != nil || d < 0 {
				p.add(v, "such as 200ms, 90s, 1h30m", "%q is no duration", v.Value)
			}
			s.At, timed = d, true
		case "after":
			s.After, timed = v.Value, true
		case "add":
			s.Add = p.rules(v)
		case "remove":
			s.Remove = p.words(v)
		case "release":
			s.Release = v.Value
		case "drain":
			s.Drain = p.words(v)
		case "undrain":
			s.Undrain = p.words(v)
		}
	})
	if n.Kind == yaml.MappingNode && !timed {
		p.add(n, "at: 10s, or after: the name of a rule", "a step without a time")
	}
	return s
}

func (p *scenarioParser) words(n *yaml.Node) (all []string) {
	for _, v := range p.list(n) {
		if v.Kind != yaml.ScalarNode || v.Value == "" {
			p.add(v, "", "not a name")
			continue
		}
		all = append(all, v.Value)
	}
	return all
}

// references checks that rules that are named are there.
func (p *scenarioParser) references(s *Scenario) {
	check := func(line int, name, what string) {
		if name != "" && !p.names[name] {
			p.mistakes = append(p.mistakes, &Mistake{Line: line, Column: 1, Text: fmt.Sprintf("%s: there is no rule %s", what, name), Hint: "- " + name + ": drop @ …"})
		}
	}
	for _, st := range s.Steps {
		check(st.Line, st.After, "after")
		for _, name := range st.Remove {
			check(st.Line, name, "remove")
		}
		if st.Release != "all" {
			check(st.Line, st.Release, "release")
		}
	}
}
