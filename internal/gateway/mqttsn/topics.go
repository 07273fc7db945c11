package mqttsn

import (
	"crypto/rand"
	"encoding/binary"
	"strings"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/gateway"
)

// topic is one that has, or had, an identifier in a session.
type topic struct {
	name      string
	id        uint16 // 0: the client has refused it
	confirmed bool   // the client knows the identifier
	kept      bool   // with the session, under the identifier
}

// topics are those of a session. Most have one, so that what finds them quickly is
// made when there are many. An identifier is never given to another topic: a client
// that has an old one publishes to nobody, instead of to somebody else.
type topics struct {
	list  []topic
	index *topicIndex // into list; nil while it is short
	last  uint16      // the identifier that was given out last; 0: none yet
}

type topicIndex struct {
	names map[string]int32
	ids   map[uint16]int32
}

// shortList is how many topics are searched without an index.
const shortList = 8

// named returns the topic, or nil. It is valid until the next one is added.
func (ts *topics) named(name string) *topic {
	if ts.index != nil {
		if i, ok := ts.index.names[name]; ok {
			return &ts.list[i]
		}
		return nil
	}
	for i := range ts.list {
		if ts.list[i].name == name {
			return &ts.list[i]
		}
	}
	return nil
}

// of returns the topic with the identifier, or nil.
func (ts *topics) of(id uint16) *topic {
	if id == 0 {
		return nil
	}
	if ts.index != nil {
		if i, ok := ts.index.ids[id]; ok {
			return &ts.list[i]
		}
		return nil
	}
	for i := range ts.list {
		if ts.list[i].id == id {
			return &ts.list[i]
		}
	}
	return nil
}

// add takes a topic that is not there.
func (ts *topics) add(t topic) *topic {
	if ts.list == nil {
		ts.list = make([]topic, 0, 1)
	}
	ts.list = append(ts.list, t)
	switch {
	case ts.index != nil:
		ts.number(len(ts.list) - 1)
	case len(ts.list) > shortList:
		ts.index = &topicIndex{names: map[string]int32{}, ids: map[uint16]int32{}}
		for i := range ts.list {
			ts.number(i)
		}
	}
	return &ts.list[len(ts.list)-1]
}

func (ts *topics) number(i int) {
	t := &ts.list[i]
	ts.index.names[t.name] = int32(i)
	if t.id != 0 {
		ts.index.ids[t.id] = int32(i)
	}
}

// Identifiers that mean nothing. SN-5.3.11
const (
	noTopicID       = 0x0000
	reservedTopicID = 0xffff
)

// give returns the topic of the name, with an identifier: its own, or a new one.
// It is nil when there are too many.
func (ts *topics) give(g *Gateway, name string) *topic {
	t := ts.named(name)
	if t != nil && t.id != 0 {
		return t
	}
	terms := g.terms.Load()
	if t == nil && len(ts.list) >= terms.Topics.MaxPerClient {
		return nil
	}
	if ts.last == 0 && *terms.Topics.RandomIDs {
		ts.last = uint16(g.rand())
	}
	id := ts.last
	for range 1 << 16 {
		id++
		if id == noTopicID || id == reservedTopicID || terms.predefined.reserved(id) || ts.of(id) != nil {
			continue
		}
		ts.last = id
		if t == nil {
			return ts.add(topic{name: name, id: id})
		}
		t.id = id // it was refused, and is wanted after all
		if ts.index != nil {
			ts.number(int(ts.index.names[name]))
		}
		return t
	}
	return nil
}

// refuse notes that the client does not want the topic.
func (ts *topics) refuse(t *topic) {
	if ts.index != nil {
		delete(ts.index.ids, t.id)
	}
	t.id, t.confirmed, t.kept = 0, false, false
}

// unconfirm notes that the client may have forgotten all identifiers.
func (ts *topics) unconfirm() {
	for i := range ts.list {
		ts.list[i].confirmed = false
	}
}

// keptTopic precedes the names of topics among what is kept of a session.
const keptTopic = "t"

// keepTopic has the store keep a topic with the session.
func keepTopic(l *broker.Link, name string, id uint16) {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], id)
	l.Keep(keptTopic+name, b[:])
}

// loadTopics takes what was kept of topics. confirmed says that the client has not
// been away. What it was told then proves nothing about where it is now.
//
// An identifier that the client was about to be told is not among them. It may
// still hear of it, so that it is not given out again.
func (o *outbox) loadTopics(g *Gateway, kept map[string][]byte, confirmed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = true
	for key, data := range kept {
		name, ok := strings.CutPrefix(key, keptTopic)
		if !ok || len(data) != 2 || o.topics.named(name) != nil {
			continue
		}
		id := binary.BigEndian.Uint16(data)
		if id != 0 && o.topics.of(id) != nil {
			continue
		}
		o.topics.add(topic{name: name, id: id, confirmed: confirmed && id != 0, kept: id != 0})
		if !*g.terms.Load().Topics.RandomIDs {
			o.topics.last = max(o.topics.last, id+1)
		}
	}
}

// topicID returns the identifier of a normal topic for a client that asks for it;
// ok is false when there are too many. One that is not kept yet is by the next
// commit, after which the client may be told; when that fails, see unkept.
func (c *client) topicID(name string) (id uint16, isNew, ok bool) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.topics.give(c.g, name)
	if t == nil {
		return 0, false, false
	}
	if isNew = !t.kept; isNew && c.link != nil {
		keepTopic(c.link, t.name, t.id)
		t.kept = true
	}
	return t.id, isNew, true
}

// unkept notes that the identifier of a topic could not be stored: the client is
// refused it until it can be.
func (o *outbox) unkept(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := o.topics.named(name); t != nil {
		t.kept = false
	}
}

// toldTopic notes that an answer to the client has told it the identifier, so that
// no REGISTER needs to precede a PUBLISH.
func (c *client) toldTopic(id uint16) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := o.topics.of(id); t != nil && !c.g.terms.Load().Topics.AlwaysRegister {
		t.confirmed = true
	}
}

// topicName returns the topic that an identifier stands for.
func (c *client) topicName(kind mqttsn.TopicKind, id uint16) (name string, ok bool) {
	switch kind {
	case mqttsn.PredefinedTopic:
		return c.g.terms.Load().predefined.name(c.plainID(), id)
	case mqttsn.ShortTopic:
		return mqttsn.ShortName(id), true
	case mqttsn.NormalTopic:
		o := &c.out
		o.mu.Lock()
		defer o.mu.Unlock()
		if t := o.topics.of(id); t != nil {
			return t.name, true
		}
	}
	return "", false
}

// plainID is what the client calls itself.
func (c *client) plainID() string { return gateway.PlainID(c.id) }

// rand is a number that nobody can tell.
func (g *Gateway) rand() uint32 {
	if g.random != nil {
		return g.random()
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // does not fail
	return binary.BigEndian.Uint32(b[:])
}
