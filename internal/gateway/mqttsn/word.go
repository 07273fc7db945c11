package mqttsn

import (
	"fmt"
	"slices"
	"strings"
)

// oneOf says what a setting may be that is a word.
func oneOf(v string, words []string) error {
	if slices.Contains(words, v) {
		return nil
	}
	last := len(words) - 1
	return fmt.Errorf("%q is not known; it is %s or %s", v, strings.Join(words[:last], ", "), words[last])
}
