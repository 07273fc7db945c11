package router

import (
	"errors"
	"fmt"
	"strings"
)

// Limits on names and filters.
const (
	// MaxLevels is the most levels a topic name or topic filter may have; a
	// shared subscription counts the levels after its share name. It bounds
	// the recursion of every walk in this package.
	MaxLevels = 128
	// MaxBytes is the longest topic name or filter. // [MQTT-4.7.3-3]
	MaxBytes = 65535
)

// What can be wrong with a topic name or filter. Every error of this package
// is an *Invalid that wraps one of these.
var (
	ErrEmpty       = errors.New("is empty")
	ErrTooLong     = errors.New("is longer than 65535 bytes")
	ErrTooDeep     = errors.New("has more than 128 levels")
	ErrNUL         = errors.New("contains U+0000")
	ErrWildcard    = errors.New("contains a wildcard")
	ErrMultiLevel  = errors.New(`"#" must be the whole last level`)
	ErrSingleLevel = errors.New(`"+" must be a whole level`)
	ErrShareName   = errors.New("share name is empty or reserved, or contains a wildcard")
	ErrShareFilter = errors.New("share name is not followed by a topic filter")
	ErrShareNested = errors.New("is a shared subscription within another")
)

// Invalid says what is wrong with which name or filter.
type Invalid struct {
	Filter bool   // a topic filter; otherwise a topic name
	Input  string // as it was given
	Clause string // of the MQTT 5.0 standard; "" for limits of our own
	Err    error  // one of the sentinels above
}

// Error names the input, quoted and cut to a length fit for a log line.
func (e *Invalid) Error() string {
	const most = 64
	what, input, cut := "topic name", e.Input, ""
	if e.Filter {
		what = "topic filter"
	}
	if len(input) > most {
		input, cut = input[:most], "…"
	}
	s := fmt.Sprintf("%s %q%s: %v", what, input, cut, e.Err)
	if e.Clause != "" {
		s += " [" + e.Clause + "]"
	}
	return s
}

// Unwrap gives the sentinel.
func (e *Invalid) Unwrap() error { return e.Err }

// ValidateName checks a topic name, the kind that PUBLISH carries. It does not
// check that the name is well-formed UTF-8, which is the codec's part, and it
// knows no reserved names: whether a client may publish to "$SYS/…" or
// "$share/…" is the broker's to say. It allocates only for an error.
func ValidateName[S string | []byte](topic S) error {
	if err := checkSize(topic, false); err != nil {
		return err
	}
	levels := 1
	for i := range len(topic) {
		switch topic[i] {
		case '/':
			levels++
		case '+', '#':
			return invalid(topic, false, ErrWildcard, "MQTT-4.7.0-1") // [MQTT-4.7.0-1] [MQTT-3.3.2-2]
		case 0:
			return invalid(topic, false, ErrNUL, "MQTT-4.7.3-2") // [MQTT-4.7.3-2]
		}
	}
	if levels > MaxLevels {
		return invalid(topic, false, ErrTooDeep, "")
	}
	return nil
}

// ValidateFilter checks a topic filter as SUBSCRIBE and UNSUBSCRIBE carry it,
// shared subscriptions included. Like ValidateName it leaves UTF-8 to the
// codec and rights to the broker.
func ValidateFilter(filter string) error {
	_, inner, _, err := SplitShared(filter)
	if err != nil {
		return err
	}
	return validatePlain(filter, inner)
}

// SplitShared takes the filter of a shared subscription, "$share/group/inner",
// apart. Any other filter comes back unchanged as inner with shared false. It
// checks the share name only; inner is for ValidateFilter, which calls this.
func SplitShared(filter string) (group, inner string, shared bool, err error) {
	const prefix = "$share/"
	rest, shared := strings.CutPrefix(filter, prefix)
	if !shared {
		if strings.HasPrefix(filter, "$queue/"+prefix) {
			return "", "", false, invalid(filter, true, ErrShareNested, "")
		}
		return "", filter, false, nil
	}
	group, inner, found := strings.Cut(rest, "/")
	switch {
	case group == "": // [MQTT-4.8.2-1]
		return "", "", true, invalid(filter, true, ErrShareName, "MQTT-4.8.2-1")
	case strings.ContainsAny(group, "+#\x00"): // [MQTT-4.8.2-2]
		return "", "", true, invalid(filter, true, ErrShareName, "MQTT-4.8.2-2")
	case !found || inner == "": // [MQTT-4.8.2-2]
		return "", "", true, invalid(filter, true, ErrShareFilter, "MQTT-4.8.2-2")
	case group == "$share", strings.HasPrefix(inner, prefix):
		// The standard's grammar would take the first as a share name. Nobody
		// means that, and rights are checked against inner.
		return "", "", true, invalid(filter, true, ErrShareNested, "")
	}
	return group, inner, true, nil
}

// validatePlain checks inner, the part of filter without a share name.
func validatePlain(filter, inner string) error {
	if err := checkSize(filter, true); err != nil {
		return err
	}
	levels, start := 1, 0
	for i := range len(inner) {
		switch inner[i] {
		case '/':
			levels++
			start = i + 1
		case '#':
			if i != start || i != len(inner)-1 {
				return invalid(filter, true, ErrMultiLevel, "MQTT-4.7.1-1") // [MQTT-4.7.1-1]
			}
		case '+':
			if i != start || i+1 < len(inner) && inner[i+1] != '/' {
				return invalid(filter, true, ErrSingleLevel, "MQTT-4.7.1-2") // [MQTT-4.7.1-2]
			}
		case 0:
			return invalid(filter, true, ErrNUL, "MQTT-4.7.3-2") // [MQTT-4.7.3-2]
		}
	}
	if levels > MaxLevels {
		return invalid(filter, true, ErrTooDeep, "")
	}
	return nil
}

func checkSize[S string | []byte](topic S, filter bool) error {
	switch {
	case len(topic) == 0:
		return invalid(topic, filter, ErrEmpty, "MQTT-4.7.3-1") // [MQTT-4.7.3-1]
	case len(topic) > MaxBytes:
		return invalid(topic, filter, ErrTooLong, "MQTT-4.7.3-3") // [MQTT-4.7.3-3]
	}
	return nil
}

func invalid[S string | []byte](topic S, filter bool, err error, clause string) error {
	return &Invalid{Filter: filter, Input: string(topic), Clause: clause, Err: err}
}
