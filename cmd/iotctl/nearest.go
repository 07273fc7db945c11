package main

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/iotctl/iotctl/internal/format"
	"github.com/iotctl/iotctl/internal/spelling"
	"github.com/iotctl/iotctl/internal/translate"
)

// didYouMean is the hint at the word that was meant, if one is near enough.
func didYouMean(word string, words iter.Seq[string]) []string {
	near, ok := spelling.Nearest(word, words)
	if !ok {
		return nil
	}
	return []string{fmt.Sprintf("did you mean %q?", near)}
}

// nearOption is the hint at the option of cmd that was meant by one which it has not:
// a name that is spelled nearly so, or the letter in the other case.
func nearOption(cmd *cobra.Command, err error) []string {
	unknown := (*pflag.NotExistError)(nil)
	if cmd == nil || !errors.As(err, &unknown) {
		return nil
	}
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() == "" {
		return didYouMean("--"+name, func(yield func(string) bool) {
			more := true
			cmd.Flags().VisitAll(func(f *pflag.Flag) { more = more && (f.Hidden || yield("--"+f.Name)) })
		})
	}
	letter := rune(name[0])
	other := string(unicode.ToUpper(letter))
	if unicode.IsUpper(letter) {
		other = string(unicode.ToLower(letter))
	}
	if f := cmd.Flags().ShorthandLookup(other); f != nil && !f.Hidden {
		return []string{fmt.Sprintf("did you mean -%s? %s", other, f.Usage)}
	}
	return nil
}

// strayHints guess what an argument was meant to be that is in no place.
func strayHints(p program, given []assignment, arg string) []string {
	has := func(long string) bool {
		return slices.ContainsFunc(given, func(a assignment) bool { return a.option.long == long })
	}
	topics := findOption(optionsFor(p, false), "--topic") != nil
	switch {
	case hostPort.MatchString(arg) || !topics:
		return []string{fmt.Sprintf("a broker is named as iotctl %s mqtt://%s", p, translate.Quote(arg))}
	case has("jsonl") || has("stdin-line") || has("framing"):
		return []string{"standard input is read: < " + translate.Quote(arg)}
	case !has("topic"), p&progFilters != 0:
		return []string{"topics follow -t: -t " + translate.Quote(arg)}
	}
	return []string{"words with blanks between them need quotation marks, as in -m 'two words'"}
}

// hostPort is a broker whose scheme is missing.
var hostPort = regexp.MustCompile(`^([\w-]+\.)*[\w-]+:\d+$|^localhost$|^\d+(\.\d+){3}$`)

// withScheme adds to an error about a URL the hint at what may be missing. What
// may be a password is not repeated.
func withScheme(v string, err error) error {
	if strings.ContainsAny(v, "@?") || strings.Contains(v, "://") {
		return err
	}
	return fail(exitUsage, err, "-L mqtt://"+translate.Quote(v))
}

// hinted is err with a hint under our own name; mosquitto's programs have none.
func (s *settings) hinted(err error, hint string) error {
	if s.peer {
		return err
	}
	return fail(exitUsage, err, hint)
}

// knownMembers refuses what asks a record for a member that none has, which would
// be nothing for ever.
func knownMembers(names []string) error {
	for _, n := range names {
		if !slices.Contains(format.RecordMembers, n) {
			hints := didYouMean(n, slices.Values(format.RecordMembers))
			hints = append(hints, "members of a JSON payload are behind it: .payload."+n, "iotctl help formats")
			return fail(exitUsage, fmt.Errorf("no message has a member %q", n), hints...)
		}
	}
	return nil
}
