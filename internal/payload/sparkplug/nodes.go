package sparkplug

import (
	"container/list"
	"fmt"
)

// What is kept of what was learnt. Beyond it the edge node that has been silent
// for longest is forgotten, and a note says so.
const (
	maxNodes   = 4096
	maxEntries = 1 << 16 // names, aliases and devices of one node
	maxBytes   = 64 << 20
	entryBytes = 160 // what an entry costs beside its strings, roughly
)

// nodes is what is known of edge nodes.
type nodes struct {
	maxNodes, maxEntries, maxBytes int

	byID   map[string]*list.Element
	recent list.List // of *node, the one last heard in front
	bytes  int
}

func newNodes(maxNodes, maxEntries, maxBytes int) *nodes {
	return &nodes{maxNodes: maxNodes, maxEntries: maxEntries, maxBytes: maxBytes, byID: map[string]*list.Element{}}
}

type node struct {
	id      string
	bytes   int
	full    bool
	bdSeq   *uint64 // of the birth
	seq     *uint8  // of the last message
	devices map[string]*life
	metrics map[key]definition
}

// life is whether a node ("") or a device has been born, and whether it has been
// said that nobody saw it.
type life struct{ born, told bool }

// key finds a metric by its alias, or by its name.
type key struct {
	device string
	name   string // "" = by alias
	alias  uint64
}

type definition struct {
	name     string
	datatype dataType
}

// get is the node of t, from now on the one last heard.
func (n *nodes) get(t topic, notes *notes) *node {
	id := t.id()
	if e, ok := n.byID[id]; ok {
		n.recent.MoveToFront(e)
		return e.Value.(*node)
	}
	if len(n.byID) >= n.maxNodes {
		n.forget(fmt.Sprintf("more than %d edge nodes", n.maxNodes), notes)
	}
	d := &node{id: id}
	d.reset()
	n.byID[id] = n.recent.PushFront(d)
	n.grow(d, 2*len(id)+entryBytes, notes)
	return d
}

// forget drops the node that has been silent for longest.
func (n *nodes) forget(why string, notes *notes) {
	e := n.recent.Back()
	d := n.recent.Remove(e).(*node)
	delete(n.byID, d.id)
	n.bytes -= d.bytes
	notes.addf("%s: what was known of %q is forgotten", why, d.id)
}

// grow accounts for more of d, at the cost of others.
func (n *nodes) grow(d *node, bytes int, notes *notes) {
	d.bytes += bytes
	n.bytes += bytes
	for n.bytes > n.maxBytes && n.recent.Len() > 1 {
		n.forget(fmt.Sprintf("more than %d bytes of names", n.maxBytes), notes)
	}
}

func (d *node) reset() {
	d.devices, d.metrics = map[string]*life{}, map[key]definition{}
	d.bdSeq, d.seq, d.full = nil, nil, false
}

// room reports whether d may have one more entry; once it may not, a note says so.
func (n *nodes) room(d *node, bytes int, notes *notes) bool {
	if len(d.metrics)+len(d.devices) < n.maxEntries && d.bytes+bytes <= n.maxBytes {
		n.grow(d, bytes, notes)
		return true
	}
	if !d.full {
		d.full = true
		notes.addf("%s has more than %d names and aliases: the rest is not kept", d.id, n.maxEntries)
	}
	return false
}

// life is that of a device of d, nil if there is no room for it.
func (n *nodes) life(d *node, device string, notes *notes) *life {
	l := d.devices[device]
	if l == nil && n.room(d, 2*len(device)+entryBytes, notes) {
		l = &life{}
		d.devices[device] = l
	}
	return l
}

// observe takes a payload into account: it learns from births, resolves aliases
// in p, and says what is odd.
func (n *nodes) observe(t topic, p *message, notes *notes) {
	d := n.get(t, notes)
	switch t.kind {
	case nbirth:
		n.nodeBirth(d, t, p, notes)
	case ndeath:
		n.nodeDeath(d, t, p, notes)
	case dbirth:
		n.sequence(d, t, p, notes)
		if l := d.devices[""]; l == nil || !l.born {
			n.unborn(d, topic{group: t.group, node: t.node}, notes)
		}
		n.learn(d, t, p, notes)
	case ddeath:
		n.sequence(d, t, p, notes)
		if l := n.life(d, t.device, notes); l != nil {
			*l = life{}
		}
	default:
		if !t.kind.isCommand() {
			n.sequence(d, t, p, notes)
		}
		n.resolve(d, t, p, notes)
	}
}

// nodeBirth begins anew: seq, and all that was known of devices (6.4.18).
func (n *nodes) nodeBirth(d *node, t topic, p *message, notes *notes) {
	n.learn(d, t, p, notes)
	if d.bdSeq = bdSeq(p); d.bdSeq == nil {
		notes.addf("NBIRTH of %s has no metric bdSeq", t.name())
	}
	d.seq = nil
	n.sequence(d, t, p, notes)
}

// nodeDeath ends the life of a node if it is that of the birth which was seen.
func (n *nodes) nodeDeath(d *node, t topic, p *message, notes *notes) {
	of := bdSeq(p)
	switch l := d.devices[""]; {
	case of == nil:
		notes.addf("NDEATH of %s has no metric bdSeq", t.name())
	case l == nil || !l.born || d.bdSeq == nil:
	case *of != *d.bdSeq:
		notes.addf("NDEATH with bdSeq %d is not of the session of %s that NBIRTH began with bdSeq %d", *of, t.name(), *d.bdSeq)
		return
	}
	n.clear(d)
}

// clear forgets what was learnt of d.
func (n *nodes) clear(d *node) {
	kept := 2*len(d.id) + entryBytes
	n.bytes -= d.bytes - kept
	d.bytes = kept
	d.reset()
}

func bdSeq(p *message) *uint64 {
	for i := range p.metrics {
		m := &p.metrics[i]
		if m.name != nil && *m.name == "bdSeq" && (m.value.field == longField || m.value.field == intField) {
			return &m.value.n
		}
	}
	return nil
}

// learn takes the names, aliases and data types of a birth.
func (n *nodes) learn(d *node, t topic, p *message, notes *notes) {
	if t.kind == nbirth {
		n.clear(d)
	}
	for k := range d.metrics {
		if k.device == t.device {
			n.drop(d, k)
		}
	}
	if l := n.life(d, t.device, notes); l != nil {
		*l = life{born: true}
	}
	for i := range p.metrics {
		m := &p.metrics[i]
		if m.name == nil {
			notes.addf("%s of %s: %s has no name", t.kind, t.name(), m.label(i))
			continue
		}
		def := definition{name: *m.name}
		if m.datatype != nil {
			def.datatype = *m.datatype
		}
		if def.name != "" {
			n.define(d, key{device: t.device, name: def.name}, def, notes)
		}
		if m.alias == nil {
			continue
		}
		k := key{device: t.device, alias: *m.alias}
		if was, ok := d.metrics[k]; ok {
			notes.addf("alias %d is that of %q and of %q", k.alias, was.name, def.name)
		}
		n.define(d, k, def, notes)
	}
}

func (n *nodes) define(d *node, k key, def definition, notes *notes) {
	n.drop(d, k)
	if n.room(d, cost(k, def), notes) {
		d.metrics[k] = def
	}
}

func (n *nodes) drop(d *node, k key) {
	if was, ok := d.metrics[k]; ok {
		n.bytes -= cost(k, was)
		d.bytes -= cost(k, was)
		delete(d.metrics, k)
	}
}

func cost(k key, def definition) int { return len(k.device) + len(k.name) + len(def.name) + entryBytes }

// resolve gives metrics the names and data types of the birth.
func (n *nodes) resolve(d *node, t topic, p *message, notes *notes) {
	l := n.life(d, t.device, notes)
	if l != nil && !l.born {
		n.unborn(d, t, notes)
	}
	for i := range p.metrics {
		m := &p.metrics[i]
		def, ok := d.find(t.device, m)
		if !ok {
			if m.alias != nil && l != nil && l.born {
				notes.addf("alias %d is not in the birth of %s", *m.alias, t.name())
			}
			continue
		}
		if m.name == nil {
			m.name = &def.name
		}
		if m.datatype == nil && def.datatype != unknownType {
			m.datatype = &def.datatype
		}
	}
}

// find looks m up. An alias is unique in an edge node (6.4.6), so that one of its
// own may stand for a device.
func (d *node) find(device string, m *metric) (def definition, ok bool) {
	if m.alias != nil {
		if def, ok = d.metrics[key{device: device, alias: *m.alias}]; !ok {
			def, ok = d.metrics[key{alias: *m.alias}]
		}
	} else if m.name != nil {
		def, ok = d.metrics[key{device: device, name: *m.name}]
	}
	return def, ok
}

// unborn says once that no birth was seen, and how to have one.
func (n *nodes) unborn(d *node, t topic, notes *notes) {
	l := n.life(d, t.device, notes)
	if l == nil || l.told || t.kind.isCommand() {
		return
	}
	l.told = true
	how := t.rebirth()
	if how != "" {
		how = "; to ask for one: " + how
	}
	notes.addf("no birth of %s was seen, so aliases stay numbers%s", t.name(), how)
}

// sequence compares seq with that of the message before: 0 to 255, and round.
func (n *nodes) sequence(d *node, t topic, p *message, notes *notes) {
	switch {
	case p.seq == nil:
		notes.addf("seq is missing")
		return
	case *p.seq > 255:
		notes.addf("seq %d is beyond 255", *p.seq)
		return
	}
	got := uint8(*p.seq)
	if d.seq != nil && got != *d.seq+1 {
		switch missing := got - *d.seq - 1; {
		case missing == 255:
			notes.addf("seq %d of %s came twice", got, t.edge())
		case missing == 1:
			notes.addf("seq %d of %s where %d was due: 1 message is missing", got, t.edge(), *d.seq+1)
		default:
			notes.addf("seq %d of %s where %d was due: %d messages are missing", got, t.edge(), *d.seq+1, missing)
		}
	}
	d.seq = &got
}
