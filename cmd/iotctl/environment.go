package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/profile"
	"github.com/iotctl/iotctl/internal/spelling"
)

// Every option NAME of a client can be given as the variable IOTCTL_NAME, with
// underscores for dashes.

const variablePrefix = "IOTCTL_"

// otherVariables are those that stand for no option.
var otherVariables = []struct{ name, about string }{
	{"IOTCTL_PASSWORD", "the same as IOTCTL_PW"},
	{"IOTCTL_HISTORY", "off: remember no topics for completion"},
	{"IOTCTL_MOSQUITTO", "2.0: called as mosquitto_pub and so on, take the forms of that release"},
}

// variableOf is the name of an option's variable.
func variableOf(o *option) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(o.long, "-", "_"))
}

// environmentOptions reads the variables of options. An empty one counts as none.
// The URL comes first, so that a variable for a part of it is not lost, and otherwise
// the order is that of the options.
func environmentOptions(options []*option) ([]assignment, error) {
	var all []assignment
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		word, ours := strings.CutPrefix(name, variablePrefix)
		if !ours || value == "" {
			continue
		}
		if word == "PASSWORD" {
			word = "PW"
		}
		long := strings.ToLower(strings.ReplaceAll(word, "_", "-"))
		o := findOption(options, "--"+long)
		if o == nil || strings.ToUpper(word) != word {
			continue
		}
		given, err := o.variable(name, value)
		if err != nil {
			return nil, err
		}
		all = append(all, given...)
	}
	rank := func(a assignment) int {
		if a.option.long == "url" {
			return -1
		}
		return slices.Index(options, a.option)
	}
	slices.SortStableFunc(all, func(a, b assignment) int { return rank(a) - rank(b) })
	return overlayPasswords(all), nil
}

// overlayPasswords keeps one way to the password, as far as the environment knows
// several: it is the first in the order of alternatives.
func overlayPasswords(all []assignment) []assignment {
	for _, names := range alternatives {
		if names[0] != "pw" {
			continue
		}
		for i, long := range names {
			if slices.ContainsFunc(all, func(a assignment) bool { return a.option.long == long }) {
				return slices.DeleteFunc(all, func(a assignment) bool { return slices.Contains(names[i+1:], a.option.long) })
			}
		}
	}
	return all
}

// variable reads the value of an option's variable: true, false, 1 or 0 for a switch,
// and a value to a line for an option that may be repeated.
func (o *option) variable(name, value string) ([]assignment, error) {
	switch {
	case o.arg == "" && (value == "true" || value == "1"):
		return []assignment{{option: o, origin: name}}, nil
	case o.arg == "" && (value == "false" || value == "0"):
		return []assignment{{option: o, origin: name, off: true}}, nil
	case o.arg == "":
		return nil, fmt.Errorf("%s: %q: must be true or false, or 1 or 0", name, value)
	case !o.repeats():
		return []assignment{{option: o, value: value, origin: name}}, nil
	}
	var all []assignment
	for line := range strings.Lines(value) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		value, err := o.oneWord(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, assignment{option: o, value: value, origin: name})
	}
	return all, nil
}

// oneWord is a value as set wants it: the words of -D are joined.
func (o *option) oneWord(value string) (string, error) {
	if o.long != "property" {
		return value, nil
	}
	words, err := profile.Split(value)
	return strings.Join(words, wordSeparator), err
}

// mistypedVariables warns of variables that look like one that there is.
func mistypedVariables() []string {
	var unknown []string
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, variablePrefix) && value != "" {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	known := knownVariables()
	var warnings []string
	for _, name := range unknown {
		if slices.Contains(known, name) {
			continue
		}
		if near, ok := spelling.Nearest(name, slices.Values(known)); ok {
			warnings = append(warnings, fmt.Sprintf("%s means nothing to iotctl; is it %s?", name, near))
		}
	}
	return warnings
}

// knownVariables lists those of all commands.
func knownVariables() []string {
	var known []string
	for _, o := range optionsFor(progAll, false) {
		known = append(known, variableOf(o))
	}
	for _, v := range otherVariables {
		known = append(known, v.name)
	}
	return known
}
