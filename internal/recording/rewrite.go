package recording

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/iotctl/iotctl/internal/router"
)

// Rewrite makes a topic name of another.
type Rewrite struct {
	prefix *string        // of the names that are meant
	exp    *regexp.Regexp // of the names that are meant
	levels []string       // of the filter of the names that are meant
	to     string         // of a prefix: what takes its place; of an expression: its template
	pieces []piece        // of a filter
}

// piece is a part of the new name: text, or what the filter has captured.
type piece struct {
	text  string
	group int // from 1; 0: text
}

// ParseRewrite reads FROM=TO. FROM is a topic filter, whose + and # stand for what
// the + and # of TO take up again, in their order; $1 to $9 name them in any order.
// prefix:FROM=TO replaces what names begin with, and regex:FROM=TO what an expression
// matches, with $1 for its groups. An equals sign in FROM is written \=.
func ParseRewrite(s string) (Rewrite, error) {
	from, to, ok := cutRule(s)
	if !ok {
		return Rewrite{}, fmt.Errorf("%q: must be FROM=TO", s)
	}
	if p, ok := strings.CutPrefix(from, "prefix:"); ok {
		return Rewrite{prefix: &p, to: to}, nil
	}
	if e, ok := strings.CutPrefix(from, "regex:"); ok {
		exp, err := regexp.Compile(e)
		if err != nil {
			return Rewrite{}, fmt.Errorf("%q: %w", e, err)
		}
		return Rewrite{exp: exp, to: to}, nil
	}
	if err := router.ValidateFilter(from); err != nil {
		return Rewrite{}, err
	}
	r := Rewrite{levels: strings.Split(from, "/")}
	return r, r.compile(to)
}

// cutRule cuts at the first equals sign that no backslash is before.
func cutRule(s string) (from, to string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '=':
			i++
			b.WriteByte('=')
		case s[i] == '=':
			return b.String(), s[i+1:], b.Len() > 0
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// compile reads TO.
func (r *Rewrite) compile(to string) error {
	var single, all []int // which groups are + and which #
	for _, level := range r.levels {
		switch level {
		case "+":
			single = append(single, len(single)+len(all)+1)
		case "#":
			all = append(all, len(single)+len(all)+1)
		}
	}
	groups := len(single) + len(all)
	take := func(from *[]int, sign string) error {
		if len(*from) == 0 {
			return fmt.Errorf("%q has more %s than what it is made of", to, sign)
		}
		r.pieces = append(r.pieces, piece{group: (*from)[0]})
		*from = (*from)[1:]
		return nil
	}
	for i := 0; i < len(to); i++ {
		var err error
		switch c := to[i]; {
		case c == '+':
			err = take(&single, "+")
		case c == '#':
			err = take(&all, "#")
		case c == '$' && i+1 < len(to) && to[i+1] >= '1' && to[i+1] <= '9':
			i++
			if int(to[i]-'0') > groups {
				return fmt.Errorf("%q: there is no $%c, only %d wildcards", to, to[i], groups)
			}
			r.pieces = append(r.pieces, piece{group: int(to[i] - '0')})
		case len(r.pieces) > 0 && r.pieces[len(r.pieces)-1].group == 0:
			r.pieces[len(r.pieces)-1].text += to[i : i+1]
		default:
			r.pieces = append(r.pieces, piece{text: to[i : i+1]})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Apply returns the new name of topic; false: it is not meant.
func (r *Rewrite) Apply(topic string) (string, bool) {
	switch {
	case r.prefix != nil:
		rest, ok := strings.CutPrefix(topic, *r.prefix)
		return r.to + rest, ok
	case r.exp != nil:
		if !r.exp.MatchString(topic) {
			return topic, false
		}
		return r.exp.ReplaceAllString(topic, r.to), true
	case !router.Match(strings.Join(r.levels, "/"), topic):
		return topic, false
	}
	return r.fill(topic), true
}

// fill puts what the wildcards stand for into the new name. What # stands for may
// be nothing, not even its level: then the slash before it goes, too.
func (r *Rewrite) fill(topic string) string {
	rest, more := topic, true
	var groups []string
	for _, level := range r.levels {
		if level == "#" {
			if !more {
				rest = ""
			}
			groups = append(groups, rest)
			break
		}
		var head string
		head, rest, more = strings.Cut(rest, "/")
		if level == "+" {
			groups = append(groups, head)
		}
	}
	nothing := r.levels[len(r.levels)-1] == "#" && !more
	var b strings.Builder
	for i, p := range r.pieces {
		text := p.text
		if p.group > 0 {
			text = groups[p.group-1]
		}
		if next := i + 1; nothing && p.group == 0 && next < len(r.pieces) && r.pieces[next].group == len(groups) {
			text = strings.TrimSuffix(text, "/")
		}
		b.WriteString(text)
	}
	return b.String()
}
