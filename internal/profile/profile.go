// Package profile reads and writes profiles: what a client needs to know about one
// broker, in a YAML file whose keys are the long names of options.
//
// One file is one profile. So a mistake in one does not touch the others, one can be
// handed on without the secrets of the rest, and who starts a client reads nothing but
// what it is about. What there is to say stands in a Schema, which the caller has made
// of its options; the package knows none.
//
//	about: the plant in Graz
//	extends: base                # options that are not here are taken from there
//	url: mqtts://broker.example
//	username: dashboard
//	password: {keyring: plant}   # or command, file, ask: true, or the password
//	cafile: graz.pem             # beside the profile
//	property:
//	  - connect user-property site graz
//	payload:
//	  sensors/+/raw: gzip|json
//	sub:                         # for one command alone
//	  topic: ['sensors/#']
//
// Secrets are read only from files that nobody but their owner can read.
package profile

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Profile is what one file says.
type Profile struct {
	Name     string
	Path     string // of the file; "" = none yet
	About    string
	Extends  string    // another profile; "" = none
	Settings []Setting // in the order of the file
}

// Setting is one option, or one value of an option that may have several.
type Setting struct {
	Command string // that it is for; "" = each that has the option
	Option  string // its long name
	// Value is the text of the option; of one with several words, these with
	// quotation marks where they need some.
	Value string
	Off   bool // a switch that is not wanted
	Line  int  // in the file, from 1; 0 = in none
}

// Option is one key.
type Option struct {
	Name     string // long name
	Switch   bool   // true or false, and no value
	Repeats  bool   // may have a list of values
	Words    bool   // the value is several words, as that of --property
	Path     bool   // the value is a file, relative to that of the profile
	Commands []string
}

// Schema is all that a profile may say.
type Schema struct {
	Commands []string // that may have keys of their own
	Options  []Option
}

func (s *Schema) option(name string) *Option {
	i := slices.IndexFunc(s.Options, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Options[i]
}

// The options that say what the password is, or where. In a file they are the key
// password.
const (
	optionPassword = "pw"
	optionKeyring  = "password-keyring"
	optionCommand  = "password-command"
	optionFile     = "password-file"
	optionAsk      = "ask-password"
)

// keyPassword is how files call them.
const keyPassword = "password"

// Secret tells whether the value is for nobody's eyes.
func (s Setting) Secret() bool { return s.Masked() != s.Value }

// Executes tells whether the value is a program that is going to be run.
func (s Setting) Executes() bool { return s.Option == optionCommand }

const hidden = "(hidden)"

// Masked is the value without what nobody has to see.
func (s Setting) Masked() string {
	switch s.Option {
	case optionPassword, "psk":
		return hidden
	case "url", "proxy":
		return maskURL(s.Value)
	case "ws-header":
		name, _, _ := strings.Cut(s.Value, ":")
		return name + ": " + hidden
	case "property":
		if words, err := Split(s.Value); err == nil && len(words) > 2 && strings.EqualFold(words[1], "authentication-data") {
			return Quote(append(words[:2:2], hidden)...)
		}
	}
	return s.Value
}

// maskURL hides the password of a URL; all of what is none.
func maskURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return hidden
	}
	_, has := u.User.Password()
	if !has {
		return raw
	}
	scheme, rest, _ := strings.Cut(raw, "://")
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	at := strings.LastIndexByte(rest[:end], '@')
	name, _, _ := strings.Cut(rest[:at], ":")
	return scheme + "://" + name + ":…" + rest[at:]
}

// Guarded tells whether a file with the profile has to be its owner's alone, and why;
// "" if not.
func (p *Profile) Guarded() string {
	for _, s := range p.Settings {
		switch {
		case s.Secret():
			return "a secret"
		case s.Executes():
			return "a program to run"
		}
	}
	return ""
}

// CheckName says what is wrong with the name of a profile.
func CheckName(name string) error {
	good := name != "" && len(name) <= 64 && name[0] != '.' && name[0] != '-'
	for _, r := range name {
		good = good && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}
	if !good {
		return fmt.Errorf("%q is no name of a profile: letters, digits, and between them . _ - are", name)
	}
	return nil
}
