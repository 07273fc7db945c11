package rewrite

import (
	"errors"
	"strings"

	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/router"
)

// topics turns the client's names of topics into the broker's and back.
type topics struct {
	prefix, strip string
	there, back   []*expression
}

// errName says that a topic has no name on the other side.
var errName = errors.New("the topic has no name on the other side")

// newTopics puts a client's names into templates and expressions.
func newTopics(p *plan, n names) (*topics, error) {
	c := p.c.Topics
	if c.Prefix == "" && c.Strip == "" && len(p.maps) == 0 {
		return nil, nil
	}
	t := new(topics)
	var err error
	if t.prefix, err = expand(c.Prefix, n, level); err != nil {
		return nil, err
	}
	if t.strip, err = expand(c.Strip, n, level); err != nil {
		return nil, err
	}
	if own(t.prefix) || own(t.strip) { // as of a client that calls itself "$share"
		return nil, errors.New(`the name begins with "$" and cannot be in front of topics`)
	}
	for _, m := range p.maps {
		there, err := m.there.compile(n)
		if err != nil {
			return nil, err
		}
		back, err := m.back.compile(n)
		if err != nil {
			return nil, err
		}
		t.there, t.back = append(t.there, there), append(t.back, back)
	}
	return t, nil
}

// own reports whether a topic or filter is the broker's own, the same on both sides.
func own(topic string) bool { return strings.HasPrefix(topic, "$") }

// toServer is the broker's name of a topic.
func (t *topics) toServer(name string) (string, error) {
	wrap, topic := proxy.Wrapped(name)
	if t == nil || own(topic) {
		return name, nil
	}
	topic, ok := strings.CutPrefix(topic, t.strip)
	if !ok || topic == "" {
		return "", errName
	}
	topic, ok = apply(t.there, t.back, topic)
	if !ok || own(topic) {
		return "", errName
	}
	return valid(wrap + t.prefix + topic)
}

// toClient is the client's name of a topic.
func (t *topics) toClient(name string) (string, error) {
	wrap, topic := proxy.Wrapped(name)
	if t == nil || own(topic) {
		return name, nil
	}
	topic, ok := strings.CutPrefix(topic, t.prefix)
	if !ok || topic == "" {
		return "", errName
	}
	topic, ok = apply(t.back, t.there, topic)
	if !ok || own(topic) {
		return "", errName
	}
	return valid(wrap + t.strip + topic)
}

// apply maps a topic by the first expression that is about it. A topic that none is
// about stays as it is, and has no name on the other side if one of the way back is
// about it there: that name is another topic's.
func apply(there, back []*expression, topic string) (mapped string, ok bool) {
	for _, e := range there {
		if mapped, ok := e.name(topic); ok {
			return mapped, true
		}
	}
	for _, e := range back {
		if e.re.MatchString(topic) {
			return "", false
		}
	}
	return topic, true
}

func valid(topic string) (string, error) {
	if router.ValidateName(topic) != nil {
		return "", errName
	}
	return topic, nil
}

// filter is the broker's form of a topic filter.
func (t *topics) filter(filter string) (string, error) {
	if router.ValidateFilter(filter) != nil {
		return "", errFilter
	}
	wrap, inner := proxy.Wrapped(filter)
	if t == nil || own(inner) {
		return filter, nil
	}
	inner, err := t.without(inner)
	if err != nil {
		return "", err
	}
	if inner, err = t.mapped(inner); err != nil {
		return "", err
	}
	if own(inner) {
		return "", errFilter
	}
	inner = wrap + t.prefix + inner
	if router.ValidateFilter(inner) != nil {
		return "", errFilter
	}
	return inner, nil
}

// mapped is apply for a filter.
func (t *topics) mapped(filter string) (string, error) {
	for _, e := range t.there {
		if mapped, ok, err := e.filter(filter); err != nil || ok {
			return mapped, err
		}
	}
	for _, e := range t.back {
		if e.re.MatchString(filter) { // all of them, of a filter with wildcards
			return "", errFilter
		}
	}
	return filter, nil
}

// without takes strip, of which each level may be met by a wildcard, from the front
// of a filter.
func (t *topics) without(filter string) (string, error) {
	if t.strip == "" {
		return filter, nil
	}
	for want := range strings.SplitSeq(strings.TrimSuffix(t.strip, "/"), "/") {
		l, rest, more := strings.Cut(filter, "/")
		switch {
		case l == "#":
			return "#", nil
		case l != "+" && l != want, !more:
			return "", errFilter
		}
		filter = rest
	}
	return filter, nil
}
