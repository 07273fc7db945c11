package mqttsn

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
