package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

// templateFuncs are the functions of templates. What they take last may come out
// of a pipe.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"get":    templateGet,
		"level":  templateLevel,
		"levels": func(topic string) []string { return strings.Split(topic, "/") },
		"timefmt": func(layout string, t any) (string, error) {
			return formatTime(t, func(t time.Time) string { return t.Format(layout) })
		},
		"strftime": templateStrftime,
		"json":     func(v any) string { return string(appendTree(nil, v)) },
		"join":     templateJoin,
		"upper":    func(v any) string { return strings.ToUpper(shown(v)) },
		"lower":    func(v any) string { return strings.ToLower(shown(v)) },
		"pad":      templatePad,
		"cut":      templateCut,
		"default":  templateDefault,
		"round":    templateRound,
		"add":      arithmetic(func(a, b int64) (int64, bool) { return a + b, (a+b > a) == (b > 0) }, func(a, b float64) float64 { return a + b }),
		"sub":      arithmetic(func(a, b int64) (int64, bool) { return a - b, (a-b < a) == (b > 0) }, func(a, b float64) float64 { return a - b }),
		"mul":      arithmetic(product, func(a, b float64) float64 { return a * b }),
		"div":      arithmetic(nil, func(a, b float64) float64 { return a / b }),
		"printf":   templatePrintf,
		"eq":       templateEqual,
		"ne":       func(a, b any) (bool, error) { ok, err := templateEqual(a, b); return !ok, err },
		"lt":       func(a, b any) (bool, error) { c, err := order(a, b); return c < 0, err },
		"le":       func(a, b any) (bool, error) { c, err := order(a, b); return c <= 0, err },
		"gt":       func(a, b any) (bool, error) { c, err := order(a, b); return c == 1, err },
		"ge":       func(a, b any) (bool, error) { c, err := order(a, b); return c == 0 || c == 1, err },
	}
}

// shown is v as a template prints it.
func shown(v any) string { return string(appendCell(nil, v)) }

func templateGet(spec string, v any) (any, error) {
	p, bad := parsePath(spec)
	if bad != nil {
		return nil, fmt.Errorf("%q: %w", spec, bad)
	}
	return p.find(v), nil
}

// templateLevel is a level of a topic; "" where there is none.
func templateLevel(n int, topic string) string {
	level, _ := element(strings.Split(topic, "/"), n)
	return level
}

func templateStrftime(layout string, t any) (string, error) {
	return formatTime(t, func(t time.Time) string {
		var out []byte
		for i := 0; i < len(layout); i++ {
			if c := layout[i]; c != '%' || i+1 == len(layout) {
				out = append(out, c)
				continue
			}
			i++
			if layout[i] == '%' {
				out = append(out, '%')
				continue
			}
			out = appendTime(out, t, layout[i])
		}
		return string(out)
	})
}

// formatTime takes a time as records have it, or Unix seconds.
func formatTime(v any, show func(time.Time) string) (string, error) {
	if s, ok := v.(string); ok {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return "", fmt.Errorf("%q is no time as in RFC 3339", s)
		}
		return show(t), nil
	}
	seconds, ok := float(v)
	if !ok || math.Abs(seconds) > 1e11 {
		return "", fmt.Errorf("%s is neither a time nor Unix seconds", appendTree(nil, v))
	}
	whole, fraction := math.Modf(seconds)
	return show(time.Unix(int64(whole), int64(fraction*1e9))), nil
}

func templateJoin(separator string, list any) (string, error) {
	switch list := list.(type) {
	case []string:
		return strings.Join(list, separator), nil
	case []any:
		var b strings.Builder
		for i, e := range list {
			if i > 0 {
				b.WriteString(separator)
			}
			b.WriteString(shown(e))
		}
		return b.String(), nil
	}
	return "", errors.New("what is joined must be a list")
}

// templatePad fills up with blanks, in front where width is negative.
func templatePad(width int, v any) string {
	s := shown(v)
	n := min(max(width, -width), maxWidth) - utf8.RuneCountInString(s)
	if n <= 0 {
		return s
	}
	if width < 0 {
		return strings.Repeat(" ", n) + s
	}
	return s + strings.Repeat(" ", n)
}

// templateCut keeps the first n characters.
func templateCut(n int, v any) string {
	s := shown(v)
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}

// templateDefault is v, or other where there is none.
func templateDefault(other, v any) any {
	if v == nil || v == "" {
		return other
	}
	return v
}

func templateRound(digits int, v any) (string, error) {
	f, ok := float(v)
	if !ok {
		return "", fmt.Errorf("round: %s is no number", appendTree(nil, v))
	}
	return strconv.FormatFloat(f, 'f', min(max(digits, 0), 100), 64), nil
}

// arithmetic works with whole numbers as long as they are such, and fit.
func arithmetic(whole func(a, b int64) (int64, bool), other func(a, b float64) float64) func(a, b any) (any, error) {
	return func(a, b any) (any, error) {
		if whole != nil {
			x, isWhole := integer(a)
			y, too := integer(b)
			if n, fits := whole(x, y); isWhole && too && fits {
				return n, nil
			}
		}
		x, ok := float(a)
		y, too := float(b)
		if !ok || !too {
			return nil, fmt.Errorf("%s and %s are not two numbers", appendTree(nil, a), appendTree(nil, b))
		}
		return other(x, y), nil
	}
}

func product(a, b int64) (int64, bool) {
	p := a * b
	return p, a == 0 || p/a == b && (a != -1 || b != math.MinInt64)
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	}
	return 0, false
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	n, ok := integer(v)
	return float64(n), ok
}

// templatePrintf lets the verbs for numbers have those of JSON.
func templatePrintf(format string, args ...any) string {
	for i, a := range args {
		if n, ok := a.(json.Number); ok {
			args[i] = printedNumber(n)
		}
	}
	return fmt.Sprintf(format, args...)
}

// printedNumber is a number of JSON that any verb takes.
type printedNumber json.Number

// Format implements fmt.Formatter.
func (n printedNumber) Format(f fmt.State, verb rune) {
	layout := fmt.FormatString(f, verb)
	whole, isWhole := integer(json.Number(n))
	value, _ := float(json.Number(n))
	switch {
	case strings.ContainsRune("eEfFgG", verb):
		fmt.Fprintf(f, layout, value)
	case strings.ContainsRune("bcdoOxXU", verb) && isWhole:
		fmt.Fprintf(f, layout, whole)
	case strings.ContainsRune("bcdoOxXU", verb):
		fmt.Fprintf(f, layout, value)
	default:
		fmt.Fprintf(f, layout, string(n))
	}
}

// templateEqual compares a with the others; one that is the same suffices.
func templateEqual(a any, others ...any) (bool, error) {
	for _, b := range others {
		if c, err := order(a, b); err == nil && c == 0 || string(appendTree(nil, a)) == string(appendTree(nil, b)) {
			return true, nil
		}
	}
	return false, nil
}

// order compares two numbers or two strings: -1, 0 or 1, and 2 for numbers that
// have no order.
func order(a, b any) (int, error) {
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), nil
		}
	}
	x, isWhole := integer(a)
	y, too := integer(b)
	if isWhole && too {
		return compare(x, y), nil
	}
	f, ok := float(a)
	g, also := float(b)
	if !ok || !also {
		return 0, fmt.Errorf("%s and %s cannot be compared", appendTree(nil, a), appendTree(nil, b))
	}
	return compare(f, g), nil
}

func compare[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	return 2
}
