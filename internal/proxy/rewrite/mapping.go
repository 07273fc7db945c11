package rewrite

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"

	"github.com/iotctl/iotctl/internal/router"
)

// Bounds of what an expression may be. Go's expressions take time linear in the
// topic, so that these bound the time, too.
const (
	maxExpressionBytes = 4 << 10
	maxMappings        = 1000
)

// mapping is a Mapping whose way back is known. Expressions still have %c and %u.
type mapping struct{ there, back half }

// half is one way.
type half struct{ from, to string }

func compileMapping(m Mapping) (mapping, error) {
	made := mapping{there: half{m.From, m.To}, back: half{m.Back, m.BackTo}}
	there, err := made.there.compile(names{"c", "u"})
	if err != nil {
		return made, fmt.Errorf("from: %w", err)
	}
	switch {
	case m.Back == "" && m.BackTo == "":
		if made.back, err = there.invert(m.From, m.To); err != nil {
			return made, fmt.Errorf("back: %w", err)
		}
	case m.Back == "" || m.BackTo == "":
		return made, errors.New("back: back and back_to go together")
	}
	if _, err = made.back.compile(names{"c", "u"}); err != nil {
		return made, fmt.Errorf("back: %w", err)
	}
	return made, nil
}

// expression is a half with a client's names in it.
type expression struct {
	re   *regexp.Regexp
	to   string
	wide []group // by number of the group, from 1; [0] is unused
	// begins is what every topic that it is about begins with.
	begins string
}

// group is what a group of an expression takes whatever it is.
type group uint8

const (
	narrow group = iota // only some text
	level1              // any text without "/"
	levels              // any text
)

// compile makes h an expression for whole topics.
func (h half) compile(n names) (*expression, error) {
	quote := func(s string) (string, error) {
		s, err := level(s)
		return regexp.QuoteMeta(s), err
	}
	from, err := expand(h.from, n, quote)
	if err != nil {
		return nil, err
	}
	to, err := expand(h.to, n, func(s string) (string, error) {
		s, err := level(s)
		return strings.ReplaceAll(s, "$", "$$"), err
	})
	if err != nil {
		return nil, err
	}
	if from == "" || len(from) > maxExpressionBytes || len(to) > maxExpressionBytes {
		return nil, fmt.Errorf("want an expression of 1 to %d bytes", maxExpressionBytes)
	}
	anchored := `(?s)\A(?:` + from + `)\z`
	re, err := regexp.Compile(anchored)
	if err != nil {
		return nil, err
	}
	parsed, err := syntax.Parse(anchored, syntax.Perl)
	if err != nil {
		return nil, err
	}
	e := &expression{re: re, to: to, wide: make([]group, re.NumSubexp()+1)}
	for _, ref := range references().FindAllStringSubmatch(strings.ReplaceAll(to, "$$", ""), -1) {
		name := ref[1] + ref[2]
		if k, err := strconv.Atoi(name); (err != nil || k > re.NumSubexp()) && re.SubexpIndex(name) < 0 {
			return nil, fmt.Errorf("there is no group %q: write ${1} where letters or digits follow", name)
		}
	}
	e.widths(parsed)
	// What a match begins with is found out without the \A, which hides it.
	if free, err := regexp.Compile(`(?s)(?:` + strings.TrimPrefix(from, "^") + `)\z`); err == nil {
		e.begins, _ = free.LiteralPrefix()
	}
	return e, nil
}

var references = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`) })

// widths finds out which groups take any text. Those within a repetition or an
// alternative do not count.
func (e *expression) widths(re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpCapture:
		e.wide[re.Cap] = width(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			e.widths(sub)
		}
	}
}

// width is that of an expression like .*, .+, [^/]* and [^/]+.
func width(re *syntax.Regexp) group {
	if re.Op != syntax.OpStar && re.Op != syntax.OpPlus {
		return narrow
	}
	switch of := re.Sub[0]; of.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return levels
	case syntax.OpCharClass:
		if len(of.Rune) == 4 && of.Rune[0] == 0 && of.Rune[1] == '/'-1 && of.Rune[2] == '/'+1 && of.Rune[3] == 0x10FFFF {
			return level1
		}
	}
	return narrow
}

// name maps a topic name; ok is false if e is not about it.
func (e *expression) name(topic string) (mapped string, ok bool) {
	at := e.re.FindStringSubmatchIndex(topic)
	if at == nil {
		return "", false
	}
	return string(e.re.ExpandString(nil, e.to, topic, at)), true
}

// errFilter says that a filter cannot be mapped.
var errFilter = errors.New("no topic filter on the other side is the same as it")

// filter maps a topic filter without a share name; ok is false if e is about none of
// the topics that it matches. A filter with wildcards can be mapped if they are all
// within groups that take any text: what they match is then carried over with them.
func (e *expression) filter(filter string) (mapped string, ok bool, err error) {
	first := strings.IndexAny(filter, "+#")
	if first < 0 {
		mapped, ok = e.name(filter)
		return mapped, ok, nil
	}
	if at := e.re.FindStringSubmatchIndex(filter); at != nil {
		if !e.carries(filter, at) {
			return "", false, errFilter
		}
		mapped = string(e.re.ExpandString(nil, e.to, filter, at))
		if router.ValidateFilter(mapped) != nil || strings.Count(mapped, "+") != strings.Count(filter, "+") ||
			strings.Count(mapped, "#") != strings.Count(filter, "#") {
			return "", false, errFilter
		}
		return mapped, true, nil
	}
	head := filter[:first]
	if filter[first] == '#' { // "a/#" is "a", too
		head = strings.TrimSuffix(head, "/")
	}
	if strings.HasPrefix(e.begins, head) || strings.HasPrefix(head, e.begins) {
		return "", false, errFilter // e may be about some of them
	}
	return "", false, nil
}

// carries reports whether each wildcard of filter is in a group wide enough for it.
func (e *expression) carries(filter string, at []int) bool {
	for i := range len(filter) {
		need := levels
		switch filter[i] {
		case '+':
			need = level1
		case '#':
		default:
			continue
		}
		found := false
		for g := 1; g < len(e.wide); g++ {
			found = found || e.wide[g] >= need && at[2*g] <= i && i < at[2*g+1]
		}
		if !found {
			return false
		}
	}
	return true
}

// invert finds the way back of from and to, which e was made of.
func (e *expression) invert(from, to string) (half, error) {
	hint := errors.New("it does not follow from from and to; give back and back_to")
	var groups []string // of from, as they are written
	back := strings.Builder{}
	rest := from
	for n := 1; n < len(e.wide); n++ {
		open := strings.Index(rest, "(")
		if open < 0 || e.wide[n] == narrow {
			return half{}, hint
		}
		end := strings.Index(rest[open:], ")")
		if end < 0 {
			return half{}, hint
		}
		back.WriteString(literal(rest[:open]))
		fmt.Fprintf(&back, "${%d}", n)
		groups = append(groups, rest[open:open+end+1])
		rest = rest[open+end+1:]
	}
	back.WriteString(literal(rest))
	if strings.ContainsAny(strings.TrimSuffix(strings.TrimPrefix(fixed(from, groups), "^"), "$"), `.*+?()[]{}|\^$`) {
		return half{}, hint
	}
	return reverse(to, back.String(), groups, hint)
}

// literal is a piece of an expression between groups, as text of a template.
func literal(s string) string { return strings.Trim(s, "^$") }

// fixed is an expression without its groups.
func fixed(from string, groups []string) string {
	for _, g := range groups {
		from = strings.Replace(from, g, "", 1)
	}
	return from
}

// reverse makes an expression of to, whose groups are those of from, and renumbers
// the groups of back by the order in which to uses them.
func reverse(to, back string, groups []string, hint error) (half, error) {
	var expr strings.Builder
	var order []int
	last := 0
	for _, at := range references().FindAllStringSubmatchIndex(to, -1) {
		var name string
		if at[2] >= 0 {
			name = to[at[2]:at[3]]
		} else {
			name = to[at[4]:at[5]]
		}
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || n > len(groups) {
			return half{}, hint
		}
		for _, o := range order {
			if o == n {
				return half{}, hint
			}
		}
		expr.WriteString(regexp.QuoteMeta(to[last:at[0]]))
		expr.WriteString(groups[n-1])
		order, last = append(order, n), at[1]
	}
	expr.WriteString(regexp.QuoteMeta(to[last:]))
	if len(order) != len(groups) || strings.Contains(to, "$$") {
		return half{}, hint
	}
	for i, n := range order {
		back = strings.ReplaceAll(back, fmt.Sprintf("${%d}", n), fmt.Sprintf("$\x00{%d}", i+1))
	}
	return half{expr.String(), strings.ReplaceAll(back, "\x00", "")}, nil
}
