package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/profile"
)

// defaultProfile is used when none is named.
const defaultProfile = "default"

// notInProfiles are options that say where options come from, and --yes, which is said
// anew each time.
var notInProfiles = []string{"profile", "no-defaults", "yes"}

// profileDir is where profiles are; "" when there is no such place.
func profileDir() profile.Dir { return profile.Dir(configPath("iotctl", "profiles")) }

// profileSchema is what profiles may say: the options of all clients.
func profileSchema() *profile.Schema {
	schema := &profile.Schema{Commands: programGroups()}
	progs, repeats := map[string]program{}, map[string]bool{}
	all := optionsFor(progAll, false)
	for _, o := range all {
		progs[o.long] |= o.progs
		repeats[o.long] = repeats[o.long] || o.repeats() // topics of sub, but not of pub
	}
	for _, o := range all {
		if progs[o.long] == 0 || o.long == "" || slices.Contains(notInProfiles, o.long) {
			continue
		}
		schema.Options = append(schema.Options, profile.Option{
			Name: o.long, Switch: o.arg == "", Repeats: repeats[o.long], Words: o.long == "property",
			Path:     o.arg == "file" || o.arg == "directory" || o.long == "unix",
			Commands: programsOf(progs[o.long]),
		})
		progs[o.long] = 0 // once
	}
	return schema
}

// group is the command that p is, or is below: retained of retained ls.
func (p program) group() string {
	name, _, _ := strings.Cut(p.String(), " ")
	return name
}

// programsOf lists the commands of a set.
func programsOf(p program) []string {
	var names []string
	for i := range programNames {
		one := program(1 << i)
		if name := one.group(); p&one != 0 && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// programGroups lists the commands that are clients.
func programGroups() []string { return programsOf(progAll) }

// chosenProfile is the one to use.
type chosenProfile struct {
	name string // "" = none
	// yields: somebody who named no profile named a broker, so one that is about
	// another broker is left out, with its secrets.
	yields bool
}

// chooseProfile follows the command line, then the environment, then the default one.
func chooseProfile(given, variables []assignment, bare bool) chosenProfile {
	if name, is := valueOf(given, "profile"); is {
		return chosenProfile{name: name}
	}
	if name, is := valueOf(variables, "profile"); is {
		return chosenProfile{name: name, yields: namesBroker(given)}
	}
	if dir := profileDir(); !bare && dir != "" && dir.Has(defaultProfile) {
		return chosenProfile{name: defaultProfile, yields: namesBroker(given) || namesBroker(variables)}
	}
	return chosenProfile{}
}

// namesBroker tells whether the options say where to connect to.
func namesBroker(given []assignment) bool {
	return slices.ContainsFunc(given, func(a assignment) bool {
		return slices.Contains([]string{"url", "host", "unix"}, a.option.long)
	})
}

// profileSources are the options of a profile that a command has: those it is built
// upon first, and of each those for one command behind those for all.
func profileSources(p program, options []*option, chosen chosenProfile) ([][]assignment, error) {
	if chosen.name == "" {
		return nil, nil
	}
	dir := profileDir()
	if dir == "" {
		return nil, fail(exitUsage, fmt.Errorf("profile %q: neither XDG_CONFIG_HOME nor HOME is set", chosen.name))
	}
	chain, err := dir.Chain(chosen.name, profileSchema())
	if err != nil {
		return nil, failProfile(err)
	}
	var sources [][]assignment
	for _, one := range chain {
		for _, command := range []string{"", p.group()} {
			source, err := profileSource(one, command, options)
			if err != nil {
				return nil, fail(exitUsage, err)
			}
			sources = append(sources, source)
		}
	}
	return sources, nil
}

// profileSource is what one file says to one command, or to all. The URL comes first.
func profileSource(p *profile.Profile, command string, options []*option) ([]assignment, error) {
	var source []assignment
	for _, s := range p.Settings {
		o := findOption(options, "--"+s.Option)
		if s.Command != command || o == nil {
			continue
		}
		origin := fmt.Sprintf("%s:%d", p.Path, s.Line)
		value, err := o.oneWord(s.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", origin, err)
		}
		a := assignment{option: o, value: value, origin: origin, off: s.Off}
		if o.long == "url" {
			source = slices.Insert(source, 0, a)
			continue
		}
		source = append(source, a)
	}
	return source, nil
}

// failProfile says what to type when a profile cannot be read.
func failProfile(err error) error {
	var missing *profile.NotFoundError
	var exposed *profile.ExposedError
	switch {
	case errors.As(err, &missing) && missing.Near != "":
		return fail(exitUsage, err, fmt.Sprintf("did you mean %q?", missing.Near))
	case errors.As(err, &missing):
		return fail(exitUsage, err, "iotctl profile list", "iotctl profile add "+missing.Name+" mqtt://HOST")
	case errors.As(err, &exposed):
		return fail(exitUsage, err, "chmod 600 "+shellWord(exposed.Path))
	}
	return fail(exitUsage, err)
}

// shellWord is a word as a shell wants it.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%=,", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// forgetPSK drops a pre-shared key that was not typed where there is no use for it.
func (s *settings) forgetPSK(given []assignment) {
	typed := slices.ContainsFunc(given, func(a assignment) bool { return strings.HasPrefix(a.option.long, "psk") })
	if !typed && !s.speaksSN() {
		s.psk, s.pskID, s.sn.pskFile = "", "", ""
	}
}
