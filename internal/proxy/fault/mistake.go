package fault

import (
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/spelling"
)

// Mistake is what is wrong with a rule or a scenario.
type Mistake struct {
	Line   int // in a scenario, from 1; 0 in a rule by itself
	Column int // in characters, from 1
	Text   string
	Hint   string // what may be written instead, "" if that is not known
}

// Error implements error.
func (m *Mistake) Error() string {
	at := fmt.Sprintf("column %d", m.Column)
	if m.Line > 0 {
		at = fmt.Sprintf("%d:%d", m.Line, m.Column)
	}
	if m.Hint == "" {
		return at + ": " + m.Text
	}
	return fmt.Sprintf("%s: %s; %s", at, m.Text, m.Hint)
}

// Remedy is the hint.
func (m *Mistake) Remedy() string { return m.Hint }

// mistakef is a mistake at a column.
func mistakef(column int, hint, format string, a ...any) *Mistake {
	return &Mistake{Column: column, Text: fmt.Sprintf(format, a...), Hint: hint}
}

// nearest is the hint for a word that is none of names.
func nearest(word string, names []string) string {
	best, least := "", len(word)/2+1
	for _, n := range names {
		if d := spelling.Distance(word, n); d < least {
			best, least = n, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "one of " + strings.Join(names, ", ")
}
