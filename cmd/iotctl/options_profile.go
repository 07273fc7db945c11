package main

// profileSettings say where options and passwords come from.
type profileSettings struct {
	profile         string // "" = none, or the default
	leftOut         string // a profile that is about another broker; "" = none
	overtaken       string // the variable that names another broker than the profile does
	passwordCommand string // words as in the file of default options
	passwordKeyring string // name of the entry
}

func profileOptions() []option {
	return []option{
		{
			long: "profile", progs: progAll, names: ownName, arg: "name", group: groupGeneral,
			help: "take the options of this profile, '' is none; see iotctl help profiles",
			set:  func(s *settings, v string) error { s.profile = v; return nil },
		},
		{
			long: "password-command", progs: progAll, names: ownName, arg: "command", group: groupSession,
			help: "run this program, without a shell, and take the first line that it prints as the password, as in 'pass show mqtt'",
			set: func(s *settings, v string) error {
				if _, err := commandWords(v); err != nil {
					return err
				}
				s.setPassword(nil, "", v, "")
				return nil
			},
		},
		{
			long: "password-keyring", progs: progAll, names: ownName, arg: "entry", group: groupSession,
			help: "take the password from the key ring of the operating system, where iotctl profile set-password has put it",
			set: func(s *settings, v string) error {
				s.setPassword(nil, "", "", v)
				return nil
			},
		},
	}
}
