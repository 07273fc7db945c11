package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/profile"
)

// inEveryProfile are the options that `iotctl profile add` has: those that mean the
// same to pub and sub.
func inEveryProfile() []*option {
	progs := map[string]program{}
	all := optionsFor(progPub|progSub, false)
	for _, o := range all {
		progs[o.long] |= o.progs
	}
	var kept []*option
	for _, o := range all {
		twice := slices.ContainsFunc(kept, func(k *option) bool { return k.long == o.long })
		both := progs[o.long]&progPub != 0 && progs[o.long]&progSub != 0
		if both && !twice && o.long != "topic" && !slices.Contains(notInProfiles, o.long) {
			kept = append(kept, o)
		}
	}
	return kept
}

func newProfileAdd() *cobra.Command {
	var (
		given          []assignment
		about, extends string
		force          bool
	)
	cmd := &cobra.Command{
		Use:   "add name [url] [options]",
		Short: "Make a profile of options",
		Long: `Writes a profile with the options that are given, which are those that pub and
sub have in common. Options of one command alone come in with iotctl profile edit.

Only its owner can read the file. A password is better kept elsewhere: see iotctl
profile set-password and --password-command.`,
		Example: `  iotctl profile add plant mqtts://broker.example -u dashboard --cafile plant.pem
  iotctl profile add lab ws://lab.example/mqtt --password-command 'pass show lab' --about 'the lab'
  iotctl profile add line4 --extends plant -i line4 --payload 'line4/+/raw=gzip|json'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && strings.Contains(args[1], "://") {
				return nil
			}
			return oneProfile(cmd, args)
		},
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			p := &profile.Profile{Name: args[0], About: about, Extends: extends}
			if len(args) == 2 {
				given = append([]assignment{{option: findOption(inEveryProfile(), "--url"), value: args[1]}}, given...)
			}
			return addProfile(p, given, force)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&about, "about", "", "what it is, for iotctl profile list")
	f.StringVar(&extends, "extends", "", "take what is not given from the profile of this `name`")
	f.BoolVar(&force, "force", false, "replace a profile of the same name")
	f.Bool("help", false, "show this help") // -h is --host
	for _, o := range inEveryProfile() {
		short := o.short
		if short != "" && f.ShorthandLookup(short) != nil {
			short = ""
		}
		v := f.VarPF(&flagValue{o, &given}, o.long, short, o.help)
		if o.arg == "" {
			v.NoOptDefVal = "true"
		}
	}
	_ = cmd.RegisterFlagCompletionFunc("extends", completeProfiles)
	return cmd
}

func addProfile(p *profile.Profile, given []assignment, force bool) error {
	dir, err := profilePlace()
	if err != nil {
		return err
	}
	if err := profile.CheckName(p.Name); err != nil {
		return fail(exitUsage, err)
	}
	if dir.Has(p.Name) && !force {
		return fail(exitUsage, fmt.Errorf("there is a profile %q", p.Name), "iotctl profile show "+p.Name, "iotctl profile edit "+p.Name, "or --force replaces it")
	}
	schema := profileSchema()
	if p.Extends != "" {
		if _, err := dir.Chain(p.Extends, schema); err != nil {
			return failProfile(err)
		}
	}
	s := newSettings(progPub, false)
	for _, a := range switchedOff(given) {
		if a.off {
			p.Settings = append(p.Settings, profile.Setting{Option: a.option.long, Off: true})
			continue
		}
		if err := s.apply(a); err != nil {
			return fail(exitUsage, err)
		}
		setting, err := settingOf(a)
		if err != nil {
			return err
		}
		p.Settings = append(p.Settings, setting)
	}
	if len(p.Settings) == 0 && p.Extends == "" {
		return fail(exitUsage, errors.New("a profile of nothing: give a URL, or options"), "iotctl profile add "+p.Name+" mqtt://HOST")
	}
	text, err := p.Text(schema)
	if err != nil {
		return err
	}
	return writeProfile(dir, p.Name, text)
}

// settingOf is an option as a profile has it: files by their whole names, because it
// is used from anywhere.
func settingOf(a assignment) (profile.Setting, error) {
	s := profile.Setting{Option: a.option.long, Value: a.value}
	switch {
	case a.option.long == "property":
		s.Value = profile.Quote(strings.Split(a.value, wordSeparator)...)
	case a.option.isFile() && a.value != "-":
		path, err := filepath.Abs(a.value)
		if err != nil {
			return s, err
		}
		s.Value = path
	}
	return s, nil
}

// isFile tells whether the value is the name of a file.
func (o *option) isFile() bool {
	return o.arg == "file" || o.arg == "directory" || o.long == "unix"
}
