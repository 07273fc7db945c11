package fault

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/selector"
)

// Rule is one fault: what is done, where and when.
type Rule struct {
	Name   string // "": it gets its number
	Text   string // as it was written, without the name
	Action Action
	Where  string // in the language of selector; "": everything
	When   When

	where *selector.Expr
	sides sides // that where can match
	types types
}

// ParseRule reads
//
//	[name:] action [@ where] [/ when]
//
// An error is a *Mistake.
func ParseRule(text string) (*Rule, error) {
	r, err := parseRule(text)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func parseRule(text string) (*Rule, *Mistake) {
	words, err := splitWords(text)
	if err != nil {
		return nil, err
	}
	r := &Rule{}
	end := endOf(words, 1)
	if len(words) > 0 && isName(words[0].text) {
		r.Name = strings.TrimSuffix(words[0].text, ":")
		words = words[1:]
	}
	if len(words) == 0 {
		return nil, mistakef(end, example, "no action")
	}
	r.Text = strings.TrimSpace(cutRunes(text, words[0].column-1))
	action, where, when, err := parts(words)
	if err != nil {
		return nil, err
	}
	if r.Action, err = parseAction(action); err != nil {
		return nil, err
	}
	if err := r.parseWhere(text, where); err != nil {
		return nil, err
	}
	if r.When, err = parseWhen(when); err != nil {
		return nil, err
	}
	if err := r.check(action, when); err != nil {
		return nil, err
	}
	return r, nil
}

const example = "such as: drop @ s2c PUBACK client=sensor-7 / nth=3"

// isName tells whether a first word is a rule's name: letters, digits, - and _ and a
// colon behind.
func isName(w string) bool {
	name, ok := strings.CutSuffix(w, ":")
	return ok && ValidName(name)
}

// ValidName tells whether a rule can be called that.
func ValidName(name string) bool {
	for _, c := range []byte(name) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// parts splits a rule at the words @ and /.
func parts(words []word) (action, where, when []word, err *Mistake) {
	part, seen := &action, ""
	for _, w := range words {
		switch {
		case w.text == "@" && seen == "":
			part, seen = &where, "@"
		case w.text == "/" && seen != "/":
			part, seen = &when, "/"
		case w.text == "@" || w.text == "/":
			return nil, nil, nil, mistakef(w.column, "action @ where / when", "a second %q, or one in the wrong place", w.text)
		default:
			*part = append(*part, w)
			continue
		}
		if len(action) == 0 {
			return nil, nil, nil, mistakef(w.column, example, "no action before %q", w.text)
		}
	}
	return action, where, when, nil
}

// parseWhere hands the part of text that words are to the selector.
func (r *Rule) parseWhere(text string, words []word) *Mistake {
	if len(words) == 0 {
		r.sides, r.types = bothSides, allTypes
		return nil
	}
	first := words[0].column
	r.Where = cutRunes(text, first-1)
	r.Where = r.Where[:runeOffset(r.Where, endOf(words, first)-first)]
	e, err := selector.Parse(r.Where)
	if err != nil {
		return whereMistake(first, err)
	}
	if n := unknownName(e); n != "" {
		column := first + utf8.RuneCountInString(r.Where[:max(strings.Index(strings.ToLower(r.Where), n), 0)])
		return mistakef(column, nearest(n, append(slices.Clone(ofConnection), ofPacket...)), "nothing in MQTT is called %q", n)
	}
	if n := UnknownType(e); n != "" {
		column := first + utf8.RuneCountInString(r.Where[:max(strings.Index(r.Where, n), 0)])
		return mistakef(column, nearest(strings.ToUpper(n), typeNames()), "no packet of MQTT is called %q", n)
	}
	r.where = e
	r.sides, r.types = reach(e)
	return nil
}

// check refuses what does not go together.
func (r *Rule) check(action, when []word) *Mistake {
	kind := r.Action.kind()
	w := &r.When
	switch {
	case w.Side != Anyhow && !kind.sided:
		return mistakef(columnOf(when, w.Side.String()), "it is for close, reset, stall, blackhole and inject",
			"%s has no %v", r.Action.Name, w.Side)
	case w.For > 0 && !w.HasAt && !w.HasAfter && w.AfterRule == "" && !kind.lasts:
		return mistakef(columnOf(when, "for="), "after=10s for=90s is a window", "%s does not last, so for= needs at= or after=", r.Action.Name)
	case r.Action.Name == "lie" && namesType(r.Where, "CONNECT"):
		return mistakef(action[0].column, "refuse answers CONNECT", "without a broker nothing can go on after CONNECT: lie is not for it")
	}
	return nil
}

// columnOf is where the word that begins so stands.
func columnOf(words []word, prefix string) int {
	for _, w := range words {
		if strings.HasPrefix(w.text, prefix) {
			return w.column
		}
	}
	return 1
}

func namesType(where, typ string) bool {
	for w := range strings.FieldsSeq(where) {
		if w == typ || w == "type="+typ {
			return true
		}
	}
	return false
}

// cutRunes is s without its first n characters.
func cutRunes(s string, n int) string { return s[runeOffset(s, n):] }

// runeOffset is where in s the character n begins.
func runeOffset(s string, n int) int {
	off := 0
	for range n {
		_, size := utf8.DecodeRuneInString(s[off:])
		off += size
	}
	return off
}

// Random tells whether the rule leaves something to chance.
func (r *Rule) Random() bool {
	a := &r.Action
	return r.When.Chance > 0 || a.Jitter > 0 || a.Name == "reorder" || a.Name == "corrupt" && a.Corrupt.Unit != "field" &&
		(a.Corrupt.At < 0 || a.Corrupt.Unit == "byte" && a.Corrupt.Op == 0)
}

// String is the rule with its name.
func (r *Rule) String() string {
	if r.Name == "" {
		return r.Text
	}
	return r.Name + ": " + r.Text
}
