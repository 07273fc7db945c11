package main

import (
	"errors"
	"fmt"
	"iter"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/iotctl/iotctl/internal/spelling"
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
