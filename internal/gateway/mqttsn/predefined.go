package mqttsn

import (
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/router"
)

// predefinedTopics are those that both sides were configured with: of everybody, and
// of single clients, whose own come first. nil has none. It is not changed after
// it has been made.
type predefinedTopics struct {
	all     predefinedSet
	clients map[string]predefinedSet // by client identifier
	ids     map[uint16]bool          // whoever has them
}

// predefinedSet is what one client, or everybody, knows.
type predefinedSet struct {
	names map[uint16]string
	ids   map[string]uint16 // the lowest, if a topic has several
}

// name is the topic that the identifier stands for with that client.
func (p *predefinedTopics) name(clientID string, id uint16) (name string, ok bool) {
	if p == nil {
		return "", false
	}
	if name, ok = p.clients[clientID].names[id]; ok {
		return name, true
	}
	name, ok = p.all.names[id]
	return name, ok
}

// id is what stands for the topic with that client.
func (p *predefinedTopics) id(clientID, name string) (id uint16, ok bool) {
	if p == nil {
		return 0, false
	}
	own := p.clients[clientID]
	if id, ok = own.ids[name]; ok {
		return id, true
	}
	if id, ok = p.all.ids[name]; !ok {
		return 0, false
	}
	if _, hidden := own.names[id]; hidden { // there it means something else
		return 0, false
	}
	return id, true
}

// reserved reports whether any client knows a predefined topic by that identifier.
func (p *predefinedTopics) reserved(id uint16) bool { return p != nil && p.ids[id] }

// everybody, as the client of a predefined topic.
const everybody = "*"

// newPredefinedTopics takes the list of the settings, then the file. The error has
// every problem, with the names of the configuration file.
func newPredefinedTopics(t *Topics) (*predefinedTopics, error) {
	p := &predefinedTopics{ids: map[uint16]bool{}}
	var errs []error
	for i, d := range t.Predefined {
		if err := p.add(d); err != nil {
			errs = append(errs, fmt.Errorf("topics.predefined[%d]: %w", i, err))
		}
	}
	for _, d := range t.PredefinedFile.topics {
		if err := p.add(d); err != nil {
			errs = append(errs, fmt.Errorf("topics.predefined_file: %s:%d: %w", t.PredefinedFile.Name, d.line, err))
		}
	}
	if len(p.ids) == 0 {
		p = nil
	}
	return p, errors.Join(errs...)
}

// add takes one topic.
func (p *predefinedTopics) add(d Predefined) error {
	set := &p.all
	if d.Client != "" && d.Client != everybody {
		own, ok := p.clients[d.Client]
		if !ok {
			own = predefinedSet{names: map[uint16]string{}, ids: map[string]uint16{}}
			if p.clients == nil {
				p.clients = map[string]predefinedSet{}
			}
			p.clients[d.Client] = own
		}
		set = &own
	} else if set.names == nil {
		*set = predefinedSet{names: map[uint16]string{}, ids: map[string]uint16{}}
	}
	switch other, twice := set.names[d.ID]; {
	case d.ID == noTopicID || d.ID == reservedTopicID:
		return fmt.Errorf("id %d is not between 1 and %d", d.ID, reservedTopicID-1)
	case router.ValidateName([]byte(d.Topic)) != nil:
		return fmt.Errorf("%q is no topic to publish to: %w", d.Topic, router.ValidateName([]byte(d.Topic)))
	case twice:
		return fmt.Errorf("id %d is that of %q already", d.ID, other)
	}
	set.names[d.ID] = d.Topic
	if id, ok := set.ids[d.Topic]; !ok || d.ID < id {
		set.ids[d.Topic] = d.ID
	}
	p.ids[d.ID] = true
	return nil
}
