package rewrite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// userProperty is a UserProperty made ready.
type userProperty struct {
	directions [2]bool
	where      map[mqtt.Where]bool
	name       string
	value      string // a template; of a connection with its names
	remove     bool
}

func compileUserProperty(u UserProperty) (userProperty, error) {
	made := userProperty{where: make(map[mqtt.Where]bool), name: u.Name, value: u.Value, remove: u.Remove}
	switch u.Direction {
	case "":
		made.directions = [2]bool{true, true}
	case proxy.ToServer.String():
		made.directions[proxy.ToServer] = true
	case proxy.ToClient.String():
		made.directions[proxy.ToClient] = true
	default:
		return made, fmt.Errorf("direction: %.40q is neither c2s nor s2c", u.Direction)
	}
	types := u.Types
	if len(types) == 0 {
		types = []string{mqtt.TypePublish.String()}
	}
	for _, t := range types {
		w, ok := whereOf(strings.ToUpper(t))
		if !ok || !mqtt.PropUserProperty.AllowedIn(w) {
			return made, fmt.Errorf("types: %.40q is no packet with user properties", t)
		}
		made.where[w] = true
	}
	switch {
	case u.Name == "":
		return made, errors.New("name: missing")
	case u.Remove && u.Value != "":
		return made, errors.New("value: has no meaning for one to remove")
	case len(u.Name) > mqtt.MaxFieldBytes:
		return made, fmt.Errorf("name: longer than %d bytes", mqtt.MaxFieldBytes)
	}
	return made, validateTemplate("value", u.Value)
}

func whereOf(name string) (mqtt.Where, bool) {
	if name == "WILL" {
		return mqtt.InWill, true
	}
	for t := mqtt.TypeConnect; t <= mqtt.TypeAuth; t++ {
		if t.String() == name {
			return mqtt.In(t), true
		}
	}
	return 0, false
}

// withNames puts the client's names into values.
func withNames(all []userProperty, n names) ([]userProperty, error) {
	list := make([]userProperty, len(all))
	for i, u := range all {
		var err error
		if u.value, err = expand(u.value, n, keep); err != nil {
			return nil, err
		}
		list[i] = u
	}
	return list, nil
}

// properties adds and removes what is to be in w.
func (s *stage) properties(ps mqtt.Properties, d proxy.Direction, w mqtt.Where) mqtt.Properties {
	if s.conn.Version < mqtt.V5 {
		return ps
	}
	for i := range s.userProperties {
		u := &s.userProperties[i]
		switch {
		case !u.directions[d] || !u.where[w]:
		case u.remove:
			ps = without(ps, u.name)
		default:
			ps = ps[:len(ps):len(ps)].AppendUserProperty(u.name, u.value)
		}
	}
	return ps
}

// without takes the user properties of a name away.
func without(ps mqtt.Properties, name string) mqtt.Properties {
	var out mqtt.Properties
	for p := range ps.All() {
		if p.ID != mqtt.PropUserProperty || string(p.Bytes) != name {
			out = out.Append(p)
		}
	}
	return out
}
