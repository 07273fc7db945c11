package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/payload"
)

// Limits of a check.
const (
	maxSteps = 4 << 20
	maxDepth = 512
)

// run is one check of a value.
type run struct {
	steps, depth int
	problems     []Problem
	err          error // it takes too much
	notes        bool  // looked is asked for
	quiet        int   // > 0: only whether it fits counts
}

// looked is what of a value some schema has looked at.
type looked struct {
	members map[string]bool
	items   map[int]bool
	first   int // so many items at the beginning
}

func (k *looked) add(o *looked) {
	if k == nil || o == nil {
		return
	}
	for m := range o.members {
		k.member(m)
	}
	for i := range o.items {
		k.item(i)
	}
	k.first = max(k.first, o.first)
}

func (k *looked) member(name string) {
	if k == nil {
		return
	}
	if k.members == nil {
		k.members = map[string]bool{}
	}
	k.members[name] = true
}

func (k *looked) item(i int) {
	if k == nil {
		return
	}
	if k.items == nil {
		k.items = map[int]bool{}
	}
	k.items[i] = true
}

func (r *run) wrong(where, format string, a ...any) bool {
	if r.quiet == 0 && len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{where, fmt.Sprintf(format, a...)})
	}
	return false
}

// fits checks without writing problems down.
func (r *run) fits(n *node, v any, k *looked) bool {
	r.quiet++
	defer func() { r.quiet-- }()
	return r.check(n, v, "", k)
}

// check reports whether v, at where, fits n. What it has looked at is added to k.
func (r *run) check(n *node, v any, where string, k *looked) bool {
	r.steps++
	r.depth++
	defer func() { r.depth-- }()
	if r.err == nil && (r.steps > maxSteps || r.depth > maxDepth) {
		r.err = fmt.Errorf("the schema takes more than %d steps, or refers to itself without end", maxSteps)
		if r.depth > maxDepth {
			r.err = fmt.Errorf("more than %d schemas in each other; one may refer to itself", maxDepth)
		}
	}
	if r.err != nil {
		return false
	}
	if n.always != nil {
		return *n.always || r.wrong(where, "is not allowed")
	}
	var own *looked
	if r.notes {
		own = &looked{}
	}
	ok := true
	for _, ref := range n.refs {
		ok = r.check(ref, v, where, own) && ok
	}
	ok = r.simple(n, v, where) && ok
	ok = r.logic(n, v, where, own) && ok
	switch v := v.(type) {
	case payload.Object:
		ok = r.object(n, v, where, own) && ok
	case []any:
		ok = r.array(n, v, where, own) && ok
	}
	if ok {
		k.add(own)
	}
	return ok
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case []any:
		return "array"
	case payload.Object:
		return "object"
	}
	return "string"
}

// simple checks what asks for no other schema.
func (r *run) simple(n *node, v any, where string) bool {
	ok := true
	if n.types != nil {
		t := typeOf(v)
		is := slices.Contains(n.types, t)
		if num, isNumber := v.(json.Number); isNumber && !is && slices.Contains(n.types, "integer") {
			exact, small := payload.Rat(num)
			is = small && exact.IsInt()
		}
		if !is {
			ok = r.wrong(where, "is %s, and %s is to be", an(t, v), strings.Join(n.types, " or "))
		}
	}
	if n.enum != nil || n.only != nil {
		key := r.canonical(v)
		for _, s := range []*values{n.enum, n.only} {
			if s != nil && !s.keys[key] {
				ok = r.wrong(where, "is %s", s.shown)
			}
		}
	}
	switch v := v.(type) {
	case json.Number:
		return r.number(n, v, where) && ok
	case string:
		return r.text(n, v, where) && ok
	case payload.Bin:
		return r.text(n, base64.StdEncoding.EncodeToString(v), where) && ok
	}
	return ok
}

func an(t string, v any) string {
	if t == "number" || t == "boolean" {
		return shown(v)
	}
	return t
}

// shown is v for people, cut where it is long.
func shown(v any) string {
	const most = 60
	b := payload.AppendJSON(nil, v)
	if len(b) > most {
		for b = b[:most]; !utf8.Valid(b); {
			b = b[:len(b)-1]
		}
		b = append(b, "…"...)
	}
	return string(b)
}

func (r *run) number(n *node, v json.Number, where string) bool {
	if n.multipleOf == nil && n.least == nil && n.most == nil && n.above == nil && n.below == nil {
		return true
	}
	x, ok := payload.Rat(v)
	if !ok {
		return r.wrong(where, "is too large to be compared")
	}
	if n.multipleOf != nil && !new(big.Rat).Quo(x, n.multipleOf).IsInt() {
		ok = r.wrong(where, "is %s, and no multiple of %s", shown(v), decimal(n.multipleOf))
	}
	if n.least != nil && x.Cmp(n.least) < 0 {
		ok = r.wrong(where, "is %s, below %s", shown(v), decimal(n.least))
	}
	if n.most != nil && x.Cmp(n.most) > 0 {
		ok = r.wrong(where, "is %s, above %s", shown(v), decimal(n.most))
	}
	if n.above != nil && x.Cmp(n.above) <= 0 {
		ok = r.wrong(where, "is %s, not above %s", shown(v), decimal(n.above))
	}
	if n.below != nil && x.Cmp(n.below) >= 0 {
		ok = r.wrong(where, "is %s, not below %s", shown(v), decimal(n.below))
	}
	return ok
}

func decimal(x *big.Rat) string {
	places, _ := x.FloatPrec()
	return fmt.Sprintf("%.40s", x.FloatString(min(places, 30)))
}

func (r *run) text(n *node, s, where string) bool {
	ok := true
	if n.minRunes >= 0 || n.maxRunes >= 0 {
		length := utf8.RuneCountInString(s)
		if length < n.minRunes {
			ok = r.wrong(where, "has %d characters, fewer than %d", length, n.minRunes)
		}
		if n.maxRunes >= 0 && length > n.maxRunes {
			ok = r.wrong(where, "has %d characters, more than %d", length, n.maxRunes)
		}
	}
	if n.pattern != nil && !n.pattern.MatchString(s) {
		ok = r.wrong(where, "is %s, and does not match %s", shown(s), n.pattern)
	}
	if n.format != "" && !formatted(n.format, s) {
		ok = r.wrong(where, "is %s, and no %s", shown(s), n.format)
	}
	return ok
}

// formatted checks the formats that are plain; all others fit.
func formatted(format, s string) bool {
	switch format {
	case "date-time":
		_, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
		return err == nil
	case "date":
		_, err := time.Parse(time.DateOnly, s)
		return err == nil
	case "ipv4", "ipv6":
		a, err := netip.ParseAddr(s)
		return err == nil && a.Is4() == (format == "ipv4") && a.Zone() == ""
	case "uuid":
		if len(s) != 36 {
			return false
		}
		for i := range len(s) {
			isDash := i == 8 || i == 13 || i == 18 || i == 23
			if (s[i] == '-') != isDash || !isDash && !strings.ContainsRune("0123456789abcdefABCDEF", rune(s[i])) {
				return false
			}
		}
	}
	return true
}

func (r *run) logic(n *node, v any, where string, k *looked) bool {
	ok := true
	for _, s := range n.all {
		ok = r.check(s, v, where, k) && ok
	}
	if n.anyOf != nil && r.matches(n.anyOf, v, k) == 0 {
		ok = r.wrong(where, "fits none of the %d schemas of anyOf%s", len(n.anyOf), r.nearest(n.anyOf, v, where))
	}
	if n.one != nil {
		switch fit := r.matches(n.one, v, k); fit {
		case 0:
			ok = r.wrong(where, "fits none of the %d schemas of oneOf%s", len(n.one), r.nearest(n.one, v, where))
		case 1:
		default:
			ok = r.wrong(where, "fits %d of the schemas of oneOf", fit)
		}
	}
	if n.not != nil && r.fits(n.not, v, nil) {
		ok = r.wrong(where, "fits the schema of not")
	}
	if n.when != nil {
		if r.fits(n.when, v, k) {
			if n.then != nil {
				ok = r.check(n.then, v, where, k) && ok
			}
		} else if n.otherwise != nil {
			ok = r.check(n.otherwise, v, where, k) && ok
		}
	}
	return ok
}

// matches is how many of all v fits.
func (r *run) matches(all []*node, v any, k *looked) int {
	n := 0
	for _, s := range all {
		if r.fits(s, v, k) {
			n++
		}
	}
	return n
}

// nearest says why v does not fit, where there is one schema of its type.
func (r *run) nearest(all []*node, v any, where string) string {
	if r.quiet > 0 || r.err != nil {
		return ""
	}
	var found []Problem
	for _, s := range all {
		inner := run{steps: r.steps, depth: r.depth, notes: r.notes}
		inner.check(s, v, where, nil)
		r.steps = inner.steps
		if len(inner.problems) == 0 || inner.problems[0].Where == where && strings.Contains(inner.problems[0].Reason, "is to be") {
			continue // of another type
		}
		if found != nil {
			return ""
		}
		found = inner.problems
	}
	if found == nil {
		return ""
	}
	return fmt.Sprintf(" (%s)", &Invalid{found[:1]})
}

// canonical is the same for values that are equal as JSON Schema has it: numbers by
// value, objects without order.
func canonical(v any) string { return string(appendCanonical(nil, v)) }

// canonical counts as steps how long it is.
func (r *run) canonical(v any) string {
	const perStep = 64
	key := canonical(v)
	r.steps += len(key) / perStep
	return key
}

func appendCanonical(dst []byte, v any) []byte {
	switch v := v.(type) {
	case json.Number:
		if x, ok := payload.Rat(v); ok {
			return append(dst, x.RatString()...)
		}
		return append(dst, v...)
	case []any:
		dst = append(dst, '[')
		for _, e := range v {
			dst = append(appendCanonical(dst, e), ',')
		}
		return append(dst, ']')
	case payload.Object:
		sorted := slices.Clone(v)
		slices.SortStableFunc(sorted, func(a, b payload.Member) int { return strings.Compare(a.Name, b.Name) })
		dst = append(dst, '{')
		for _, m := range sorted {
			dst = append(appendCanonical(append(payload.AppendString(dst, m.Name), ':'), m.Value), ',')
		}
		return append(dst, '}')
	}
	return payload.AppendJSON(dst, v)
}
