package aclfile

import (
	"strings"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/router"
)

// What stands for a name in a pattern, as a whole level.
const (
	clientLevel = "%c"
	userLevel   = "%u"
)

// pattern is a pattern line.
type pattern struct {
	access access
	filter string
}

// usable reports whether a name can stand in a topic as one level.
func usable(name string) bool { return name != "" && !strings.ContainsAny(name, "+#/\x00") }

// level is what a level of a pattern stands for with id. ok is false when it is
// a name that cannot be put in.
func level(l string, id *auth.Identity) (string, bool) {
	switch l {
	case clientLevel:
		return id.ClientID, usable(id.ClientID)
	case userLevel:
		return id.Name, usable(id.Name)
	}
	return l, true
}

// matches reports whether p with id's names matches topic.
func (p *pattern) matches(id *auth.Identity, topic string) bool {
	if p.absent(id) {
		return false
	}
	if topic[0] == '$' && (p.filter[0] == '+' || p.filter[0] == '#') { // [MQTT-4.7.2-1]
		return false
	}
	filter := p.filter
	for {
		f, frest, fmore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		f, ok := level(f, id)
		if !ok {
			return p.access == deny
		}
		t, trest, tmore := strings.Cut(topic, "/")
		if f != "+" && f != t {
			return false
		}
		if !tmore { // "a/#" matches "a" as well. // MQTT 5.0 §4.7.1.2
			return !fmore || frest == "#"
		}
		if !fmore {
			return false
		}
		filter, topic = frest, trest
	}
}

// absent reports whether p is about a name that id does not have at all: an
// anonymous client has no user name, and no line about users concerns it.
func (p *pattern) absent(id *auth.Identity) bool {
	return id.Name == "" && strings.Contains(p.filter, userLevel) ||
		id.ClientID == "" && strings.Contains(p.filter, clientLevel)
}

// covers reports whether p with id's names matches every topic that filter can
// match.
func (p *pattern) covers(id *auth.Identity, filter string) bool {
	if p.absent(id) {
		return false
	}
	var with strings.Builder
	for i, l := range strings.Split(p.filter, "/") {
		l, ok := level(l, id)
		switch {
		case !ok && p.access != deny:
			return false
		case !ok && i == 0:
			return true
		case !ok:
			with.WriteString("/+/#")
			return router.Covers(with.String(), filter)
		case i > 0:
			with.WriteByte('/')
		}
		with.WriteString(l)
	}
	return router.Covers(with.String(), filter)
}
