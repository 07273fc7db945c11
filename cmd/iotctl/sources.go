package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// Options come from several sources: the file of default options, the profile with
// those that it is built upon, the environment and the command line. Each lies over
// the one before: what it says of an option takes the place of all that was said of
// it, so that -t on the command line is the only topic. But properties (-D) are told
// apart by their names, user properties add up, and so do payload rules, where the
// last source comes first.

// alternatives are options that say the same in different ways: one of them takes the
// place of all of a source below.
var alternatives = [][]string{
	{"message", "file", "stdin-file", "stdin-line", "null-message", "jsonl", "generate", "rows", "command", "echo"},
	{"id", "id-prefix"},
	{"pw", "password-file", "password-command", "password-keyring", "ask-password"},
	{"psk", "psk-file"},
	{"tls", "no-tls"},
	{"output", "format", "template", "jq", "diff", "table"},
	{"watch", "message-rate", "diff", "table"},
	{"response-topic", "response-prefix"},
	{"repeat-delay", "rate"},
	{"host", "unix"},
}

// urlSays are options whose part a URL takes.
var urlSays = []string{"host", "port", "unix", "ws", "ws-path", "srv", "tls", "no-tls"}

// overlay lays the later sources over the earlier.
func overlay(sources ...[]assignment) []assignment {
	var all []assignment
	for _, source := range sources {
		source = switchedOff(source)
		all = slices.DeleteFunc(all, func(lower assignment) bool {
			return slices.ContainsFunc(source, func(a assignment) bool { return a.replaces(lower) })
		})
		rules := 0
		for _, a := range source {
			if a.option.long == optionPayload {
				all = slices.Insert(all, rules, a)
				rules++
				continue
			}
			all = append(all, a)
		}
	}
	return slices.DeleteFunc(all, func(a assignment) bool { return a.off })
}

const optionPayload = "payload"

// preferTyped drops topics of lower sources where the command line names others, be it
// as arguments or in the URL. What is to be cleared only the command line says.
func (s *settings) preferTyped() {
	const asking = progGet | progRequest | progRetained&^progRetainedRestore
	typed := len(s.operands) > 0 || len(s.topics) > s.inherited
	if s.prog&asking != 0 && typed || s.prog == progRetainedClear {
		s.topics = s.topics[s.inherited:]
	}
}

// switchedOff applies --x=false to what precedes it in the same source.
func switchedOff(source []assignment) []assignment {
	var kept []assignment
	for _, a := range source {
		if a.off {
			kept = slices.DeleteFunc(kept, func(b assignment) bool { return b.option.long == a.option.long })
		}
		kept = append(kept, a)
	}
	return kept
}

// replaces tells whether a makes b of a lower source void.
func (a assignment) replaces(b assignment) bool {
	long, lower := a.option.long, b.option.long
	switch {
	case long == optionPayload:
		return false
	case long == "property" && lower == "property":
		return sameProperty(a.value, b.value)
	case long == lower:
		return true
	case long == "url" && slices.Contains(urlSays, lower):
		return true
	case a.off:
		return false
	}
	return slices.ContainsFunc(alternatives, func(names []string) bool {
		return slices.Contains(names, long) && slices.Contains(names, lower)
	})
}

// sameProperty tells whether both values of -D are of one property that may be there
// only once.
func sameProperty(a, b string) bool {
	v, w := strings.SplitN(a, wordSeparator, 3), strings.SplitN(b, wordSeparator, 3)
	return len(v) == 3 && len(w) == 3 && strings.EqualFold(v[0], w[0]) && strings.EqualFold(v[1], w[1]) && !strings.EqualFold(v[1], "user-property")
}

// ownSources reads all but the command line, in order. leftOut is a profile that
// counts for nothing, because it is about another broker.
func ownSources(p program, given []assignment) (sources [][]assignment, leftOut string, err error) {
	options := optionsFor(p, false)
	variables, err := environmentOptions(options)
	if err != nil {
		return nil, "", fail(exitUsage, err)
	}
	bare := says(given, "no-defaults") || !says(given, "no-defaults=false") && says(variables, "no-defaults")
	if !bare {
		defaults, err := fileDefaults(p, options)
		if err != nil {
			return nil, "", fail(exitUsage, err)
		}
		sources = append(sources, defaults)
	}
	chosen := chooseProfile(given, variables, bare)
	profiles, err := profileSources(p, options, chosen)
	if err != nil {
		return nil, "", err
	}
	if chosen.yields && slices.ContainsFunc(profiles, namesBroker) {
		profiles, leftOut = nil, chosen.name
	}
	return append(append(sources, profiles...), variables), leftOut, nil
}

// overtaken is the variable that says where to connect to in place of the profile, "" if
// none does. Whoever names the broker on the command line knows.
func overtaken(sources [][]assignment, given []assignment) string {
	lower, variables := slices.Concat(sources[:len(sources)-1]...), sources[len(sources)-1]
	place := string(profileDir()) + string(filepath.Separator)
	lower = slices.DeleteFunc(lower, func(a assignment) bool { return !strings.HasPrefix(a.origin, place) })
	at := slices.IndexFunc(variables, func(a assignment) bool { return namesBroker([]assignment{a}) })
	if at < 0 || namesBroker(given) || !namesBroker(lower) {
		return ""
	}
	return variables[at].origin
}

// says tells whether a switch is on, or with =false behind it explicitly off.
func says(given []assignment, name string) bool {
	name, off := strings.CutSuffix(name, "=false")
	said := false
	for _, a := range given {
		if a.option.long == name {
			said = a.off == off
		}
	}
	return said
}

// valueOf is the last value of an option.
func valueOf(given []assignment, long string) (value string, is bool) {
	for _, a := range given {
		if a.option.long == long {
			value, is = a.value, !a.off
		}
	}
	return value, is
}
