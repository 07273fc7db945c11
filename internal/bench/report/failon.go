package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limit is a condition on a comparison that is not to come true:
// 'e2e.p99>+10%', 'rate<-5%'.
type Limit struct {
	text, name string
	above      bool
	bound      float64 // a share
}

// ParseLimit reads a name, < or >, and a percentage.
func ParseLimit(text string) (Limit, error) {
	l := Limit{text: text}
	at := strings.IndexAny(text, "<>")
	if at < 0 {
		return l, fmt.Errorf("%q is no difference; one looks like e2e.p99>+10%% or rate<-5%%", text)
	}
	l.name, l.above = strings.TrimSpace(text[:at]), text[at] == '>'
	digits, ok := strings.CutSuffix(strings.TrimSpace(text[at+1:]), "%")
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil {
		return l, fmt.Errorf("%q: %q is no percentage like +10%%", text, strings.TrimSpace(text[at+1:]))
	}
	l.bound = n / 100
	all := metrics()
	if !slices.ContainsFunc(all, func(m metric) bool { return m.name == l.name }) {
		var plain []string
		for _, m := range all {
			if !strings.Contains(m.name, ".p") && !strings.HasSuffix(m.name, ".max") {
				plain = append(plain, m.name)
			}
		}
		return l, fmt.Errorf("%q: nothing is called %q; there are %s, and latencies like e2e.p99, e2e.sent.max or puback.p50", text, l.name, strings.Join(plain, ", "))
	}
	return l, nil
}

// Check notes which limits have been passed.
func (c *Comparison) Check(limits []Limit) {
	for _, l := range limits {
		if why := l.passed(c); why != "" {
			c.Failed = append(c.Failed, l.text+": "+why)
		}
	}
}

// passed says how, "" if the limit was not. Where there is confidence, a
// difference that could be none passes no limit; where there is none, the
// difference alone decides.
func (l *Limit) passed(c *Comparison) string {
	i := slices.IndexFunc(c.Rows, func(d Difference) bool { return d.Name == l.name })
	switch {
	case i < 0 && slices.ContainsFunc(metrics(), func(m metric) bool { return m.name == l.name && m.unit == "" }):
		return "" // nothing of the kind on either side
	case i < 0:
		return "the runs have no such value"
	}
	d := &c.Rows[i]
	switch {
	case d.Change == nil && l.above && d.B > d.A:
		return fmt.Sprintf("none, and now %s", d.text(d.B))
	case d.Change == nil || d.Verdict == NotSeen:
		return ""
	case l.above && *d.Change > l.bound, !l.above && *d.Change < l.bound:
		return percent(*d.Change)
	}
	return ""
}
