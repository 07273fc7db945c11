package main

import (
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// What shells complete beside commands and options: values of options, profiles,
// properties, topics. The scripts that `iotctl completion` prints ask the program with
// a hidden command of cobra's, __complete.

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// addCompletions says below root how the values of options are completed. It is left
// out where a client is started, which has no time for it.
func addCompletions(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		p, client := programOf(strings.TrimPrefix(cmd.CommandPath(), "iotctl "))
		if !client {
			p = progPub
		}
		if client && cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = completeURL
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			v, ok := f.Value.(*flagValue)
			if !ok {
				return
			}
			if complete := completeOption(p, v.o, v.given); complete != nil {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, complete)
			}
		})
		addCompletions(cmd)
	}
}

// completeOption is the completion of an option's value; nil for one without.
func completeOption(p program, o *option, given *[]assignment) completion {
	switch {
	case o.arg == "":
		return nil
	case o.long == "profile":
		return completeProfiles
	case o.long == "property":
		return completeProperty
	case o.long == optionPayload:
		return completePayload
	case o.arg == "file" || o.arg == "path" && o.long == "unix":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		}
	case o.arg == "directory":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	case o.arg == "topic" || o.arg == "filter":
		return func(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			return completeTopics(p, withURL(p, args, *given), word, o.arg == "filter"), cobra.ShellCompDirectiveNoFileComp
		}
	}
	return cobra.FixedCompletions(o.choices(), cobra.ShellCompDirectiveNoFileComp)
}

// choices are the values that an option may have, as far as they can be listed: those
// of its own, or the words in lower case that help shows with bars between; one letter
// is a number.
func (o *option) choices() []string {
	if len(o.values) > 0 {
		return o.values
	}
	switch o.arg {
	case "qos":
		return []string{"0", "1", "2"}
	case "version":
		if o.long == "protocol-version" {
			return []string{"311", "5", "31"}
		}
		return []string{"tlsv1.2", "tlsv1.3"}
	case "pem":
		return []string{"pem"}
	}
	var words []string
	if strings.Contains(o.arg, "|") {
		for word := range strings.SplitSeq(o.arg, "|") {
			if len(word) > 1 && !strings.ContainsFunc(word, func(r rune) bool { return unicode.IsUpper(r) || unicode.IsSpace(r) }) {
				words = append(words, word)
			}
		}
	}
	return words
}

func completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return profileNames(), cobra.ShellCompDirectiveNoFileComp
}

// completeProfile is for commands with one argument.
func completeProfile(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeProfiles(cmd, args, word)
}

// profileNames lists them with what they are about.
func profileNames() []string {
	rows, err := profileRows()
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range rows {
		about := r.About
		if about == "" {
			about = r.Broker
		}
		names = append(names, described(r.Name, about))
	}
	return names
}

// described is a completion with a description, for shells that show it.
func described(word, about string) string {
	if about == "" {
		return word
	}
	return word + "\t" + tamed([]byte(about))
}

// completeProperty completes one of the words behind -D; those before it come with
// it, joined, see foldCompletion.
func completeProperty(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	words := strings.Split(word, wordSeparator)
	var all []string
	switch len(words) {
	case 1:
		for _, c := range propertyCommands {
			if len(c.allowed) > 0 {
				all = append(all, c.name)
			}
		}
	case 2:
		for _, c := range propertyCommands {
			if strings.EqualFold(c.name, words[0]) {
				for _, id := range c.allowed {
					all = append(all, id.String())
				}
			}
		}
	case 3:
		all = propertyValues(words[1])
	}
	last := words[len(words)-1]
	return slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, last) }), cobra.ShellCompDirectiveNoFileComp
}

// propertyValues are what a property may be, or often is.
func propertyValues(name string) []string {
	id, ok := mqtt.PropertyByName(strings.ToLower(name))
	switch {
	case !ok:
		return nil
	case id == mqtt.PropContentType:
		return []string{"application/json", "application/cbor", "text/plain", "application/octet-stream"}
	case id.Wire() == mqtt.WireByte:
		return []string{"0", "1"}
	}
	return nil
}

// completePayload completes the last format of a rule such as sensors/+/raw=gzip|json.
func completePayload(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	before := word[:strings.LastIndexAny(word, "=|")+1]
	var all []string
	for _, f := range payloads() {
		all = append(all, described(before+f.Name, f.About))
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeURL completes the first argument of clients that take a URL.
func completeURL(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || strings.Contains(word, "://") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"mqtt://", "mqtts://", "ws://", "wss://"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// foldCompletion is foldProperties for a command line that is being completed: the
// last word, and those of -D before it, become one.
func foldCompletion(args []string) []string {
	if len(args) < 2 || args[0] != cobra.ShellCompRequestCmd && args[0] != cobra.ShellCompNoDescRequestCmd {
		return foldProperties(args)
	}
	return append([]string{args[0]}, foldProperties(args[1:])...)
}
