package mqttsn

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// clients finds clients by where they are, and by their sessions. A client is in
// the second table from before Attach to Detach, and in the first as long as it is
// known where it is.
//
// Of paths there are only hashes in the table, which is a fifth of the size. Two that
// have the same take the place from each other: with 2^64 of them, and a seed that
// nobody knows, this will not be seen. Whoever works off a datagram compares.
type clients struct {
	seed   maphash.Seed
	n      atomic.Int64 // those that have a session
	shards [64]clientShard
}

type clientShard struct {
	mu     sync.Mutex
	byPath map[uint64]*client
	byID   map[string]*client
}

func (cs *clients) init() {
	cs.seed = maphash.MakeSeed()
	for i := range cs.shards {
		cs.shards[i].byPath, cs.shards[i].byID = map[uint64]*client{}, map[string]*client{}
	}
}

func (cs *clients) ofPath(p path) (sh *clientShard, hash uint64) {
	hash = maphash.Comparable(cs.seed, p)
	return &cs.shards[hash%uint64(len(cs.shards))], hash
}

func (cs *clients) ofID(id string) *clientShard {
	return &cs.shards[maphash.String(cs.seed, id)%uint64(len(cs.shards))]
}

// at returns the client that is there, or nil.
func (cs *clients) at(p path) *client {
	sh, hash := cs.ofPath(p)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.byPath[hash]
}

// put has c be at p, and returns who was there before, if it was another.
func (cs *clients) put(p path, c *client) (old *client) {
	sh, hash := cs.ofPath(p)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old = sh.byPath[hash]
	sh.byPath[hash] = c
	p.port.members.swap(old, c)
	switch old {
	case c:
		return nil
	case nil:
		p.port.crowd.add(1)
	}
	return old
}

// remove forgets that c is at p, if it is.
func (cs *clients) remove(p path, c *client) {
	if p.port == nil {
		return
	}
	sh, hash := cs.ofPath(p)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.byPath[hash] == c {
		delete(sh.byPath, hash)
		p.port.members.swap(c, nil)
		p.port.crowd.add(-1)
	}
}

// of returns those that are at a listener.
func (cs *clients) of(listener string) (all []*client) {
	for i := range cs.shards {
		sh := &cs.shards[i]
		sh.mu.Lock()
		for _, c := range sh.byPath {
			if c.out.where().port.listener == listener {
				all = append(all, c)
			}
		}
		sh.mu.Unlock()
	}
	return all
}

// named returns the client that has the session, or nil.
func (cs *clients) named(id string) *client {
	sh := cs.ofID(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.byID[id]
}

// name gives c the session, unless another has it, and returns who has it then.
func (cs *clients) name(id string, c *client) (owner *client) {
	sh := cs.ofID(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if owner = sh.byID[id]; owner == nil {
		sh.byID[id], owner = c, c
		cs.n.Add(1)
	}
	return owner
}

// unname takes the session off c, if it has it.
func (cs *clients) unname(id string, c *client) {
	sh := cs.ofID(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.byID[id] == c {
		delete(sh.byID, id)
		cs.n.Add(-1)
	}
}

// members are the clients on a DTLS association: mostly one, more behind a
// forwarder. nil is those of a plain port, which nobody needs to know.
type members struct {
	mu sync.Mutex
	cs []*client
}

// swap has c take the place of old; nil is nobody.
func (m *members) swap(old, c *client) {
	if m == nil || old == c {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old != nil {
		for i, o := range m.cs {
			if o == old {
				m.cs[i] = m.cs[len(m.cs)-1]
				m.cs[len(m.cs)-1] = nil
				m.cs = m.cs[:len(m.cs)-1]
				break
			}
		}
	}
	if c != nil {
		m.cs = append(m.cs, c)
	}
}

func (m *members) any() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.cs) > 0
}

func (m *members) all() []*client {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*client(nil), m.cs...)
}
