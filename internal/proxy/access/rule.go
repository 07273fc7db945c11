package access

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/router"
)

// action is what a client wants: a set, since a rule may speak of several.
type action uint8

const (
	connect action = 1 << iota
	publish
	subscribe
	receive
)

var actions = map[string]action{
	"connect": connect, "publish": publish, "subscribe": subscribe, "receive": receive,
	"all": connect | publish | subscribe | receive,
}

// What stands for a name in a topic filter of a rule, as a whole level.
const (
	clientLevel = "%c"
	userLevel   = "%u"
)

// rule is one line.
type rule struct {
	text    string
	allow   bool
	actions action
	client  *regexp.Regexp // nil: any
	user    *regexp.Regexp
	address netip.Prefix // invalid: any
	topic   string       // "": any; a filter with clientLevel and userLevel
}

// parseRule reads "allow|deny [action…] [client=PATTERN] [user=PATTERN]
// [address=PREFIX] [topic=FILTER]".
func parseRule(text string) (rule, error) {
	r := rule{text: text}
	words := strings.Fields(text)
	if len(words) == 0 {
		return r, errors.New(`is empty: want something like "deny publish topic=cmd/#"`)
	}
	switch words[0] {
	case "allow":
		r.allow = true
	case "deny":
	default:
		return r, fmt.Errorf("%.40q is neither allow nor deny", words[0])
	}
	for _, word := range words[1:] {
		if err := r.word(word); err != nil {
			return r, err
		}
	}
	if r.actions == 0 {
		r.actions = actions["all"]
		if r.topic != "" {
			r.actions &^= connect
		}
	}
	if r.topic != "" && r.actions&connect != 0 {
		return r, errors.New("topic= has no meaning for connect")
	}
	return r, nil
}

func (r *rule) word(word string) (err error) {
	name, value, has := strings.Cut(word, "=")
	if !has {
		a, ok := actions[word]
		if !ok {
			return fmt.Errorf("%.40q is none of connect, publish, subscribe, receive, all, client=, user=, address=, topic=", word)
		}
		r.actions |= a
		return nil
	}
	switch name {
	case "client":
		r.client, err = shell(value)
	case "user":
		r.user, err = shell(value)
	case "address":
		r.address, err = netip.ParsePrefix(value)
		if one, e := netip.ParseAddr(value); e == nil {
			r.address, err = netip.PrefixFrom(one, one.BitLen()), nil
		}
	case "topic":
		r.topic, err = value, validateTopic(value)
	default:
		return fmt.Errorf("%.40q is none of client, user, address, topic", name)
	}
	if err != nil {
		return fmt.Errorf("%s=: %w", name, err)
	}
	return nil
}

// shell makes an expression of a pattern in which * stands for anything and ? for
// one character.
func shell(pattern string) (*regexp.Regexp, error) {
	if !utf8.ValidString(pattern) {
		return nil, errors.New("not UTF-8")
	}
	s := regexp.QuoteMeta(pattern)
	s = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(s)
	return regexp.Compile(`(?s)\A` + s + `\z`)
}

func validateTopic(filter string) error {
	if err := router.ValidateFilter(filter); err != nil {
		return err
	}
	if !utf8.ValidString(filter) {
		return errors.New("not UTF-8")
	}
	if _, _, shared, _ := router.SplitShared(filter); shared {
		return errors.New("rules go by the filter behind the share name")
	}
	for level := range strings.SplitSeq(filter, "/") {
		if level != clientLevel && level != userLevel &&
			(strings.Contains(level, clientLevel) || strings.Contains(level, userLevel)) {
			return errors.New("%c and %u must be whole levels")
		}
	}
	return nil
}

// who is a client as rules see it. User names are what clients say of themselves.
type who struct {
	client, user string
	address      netip.Addr
}

// rules are what concerns one connection, in order, with its names in their topics.
type rules struct {
	list []rule
	rest verdict // what no rule speaks of
}

// verdict is what the rules say, and which of them; nil if none does.
type verdict struct {
	allow bool
	rule  string
}

// about picks the rules that concern w.
func about(all []rule, w who) []rule {
	var list []rule
	for _, r := range all {
		switch {
		case r.client != nil && !r.client.MatchString(w.client),
			r.user != nil && !r.user.MatchString(w.user),
			r.address.IsValid() && !r.address.Contains(w.address.Unmap().WithZone("")):
			continue
		}
		var concerns bool
		if r.topic, concerns = withNames(r.topic, w, r.allow); concerns {
			list = append(list, r)
		}
	}
	return list
}

// withNames puts names into a topic filter. A name that is not one level of a topic
// is never put into a filter that allows; one that denies then denies whatever any
// name could stand for. A name that the client does not have concerns nobody.
func withNames(filter string, w who, allow bool) (with string, concerns bool) {
	if !strings.Contains(filter, "%") {
		return filter, true
	}
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		var name string
		switch l {
		case clientLevel:
			name = w.client
		case userLevel:
			name = w.user
		default:
			continue
		}
		switch {
		case name == "":
			return "", false
		case !strings.ContainsAny(name, "+#/\x00"):
			levels[i] = name
		case allow:
			return "", false
		default:
			return strings.Join(append(levels[:i], "#"), "/"), true
		}
	}
	return strings.Join(levels, "/"), true
}

// decide finds the first rule about an action. topic is a topic name, for subscribe
// a topic filter without a share name, for connect "".
func (rs *rules) decide(a action, topic string) verdict {
	for i := range rs.list {
		r := &rs.list[i]
		if r.actions&a == 0 {
			continue
		}
		switch {
		case r.topic == "":
		case a == subscribe && !router.Covers(r.topic, topic), a != subscribe && !router.Match(r.topic, topic):
			continue
		}
		return verdict{r.allow, r.text}
	}
	return rs.rest
}
