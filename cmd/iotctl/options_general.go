package main

func generalOptions() []option {
	return []option{
		{long: "debug", short: "d", progs: progAll, group: groupGeneral, help: "show every packet, decoded, on standard error", set: turnOn(func(s *settings) *bool { return &s.debug })},
		{long: "quiet", progs: progAll, group: groupGeneral, help: "print no errors and no warnings", set: turnOn(func(s *settings) *bool { return &s.quiet })},
		{long: "no-defaults", progs: progAll, names: ownName, group: groupGeneral, help: "ignore the file of default options", set: turnOn(func(s *settings) *bool { return &s.noDefaults })},
		{short: "o", progs: progAll, names: peerName, arg: "file", set: func(*settings, string) error { return nil }}, // read before all others
	}
}
