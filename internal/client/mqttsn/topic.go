package mqttsn

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// Topic is what stands for a topic, or in SUBSCRIBE for a filter.
type Topic struct {
	Kind wire.TopicKind
	ID   uint16 // of a predefined topic
	Name string // of the other kinds; a short topic's has two bytes
}

// Named is a topic by its name, or a filter.
func Named(name string) Topic { return Topic{Name: name} }

// Predefined is a topic by an identifier that both sides know.
func Predefined(id uint16) Topic { return Topic{Kind: wire.PredefinedTopic, ID: id} }

// Short is a topic whose name of two bytes takes the place of an identifier.
func Short(name string) Topic { return Topic{Kind: wire.ShortTopic, Name: name} }

// String is the name, or "#17" for the predefined topic 17.
func (t Topic) String() string {
	if t.Kind == wire.PredefinedTopic {
		return fmt.Sprintf("#%d", t.ID)
	}
	return t.Name
}

// Errors of requests that the protocol cannot express.
var (
	ErrTopic    = errors.New("no such topic can be named")
	ErrQoS      = errors.New("no such QoS")
	ErrTooLarge = errors.New("does not fit into a datagram")
)

// Check refuses what cannot be published to, or with filter subscribed to: ErrTopic.
func (t Topic) Check(filter bool) error {
	switch {
	case t.Kind == wire.PredefinedTopic && reserved(t.ID):
		return fmt.Errorf("%w: the identifier 0x%04x is reserved", ErrTopic, t.ID)
	case t.Kind == wire.PredefinedTopic:
		return nil
	case t.Kind > wire.ShortTopic:
		return fmt.Errorf("%w: kind %d", ErrTopic, t.Kind)
	case t.Name == "" || !utf8.ValidString(t.Name) || strings.ContainsRune(t.Name, 0):
		return fmt.Errorf("%w: %q is empty, or not UTF-8 without NUL", ErrTopic, t.Name)
	case t.Kind == wire.ShortTopic && len(t.Name) != 2:
		return fmt.Errorf("%w: the short name %q has %d bytes, not 2", ErrTopic, t.Name, len(t.Name))
	case (!filter || t.Kind == wire.ShortTopic) && wild(t.Name):
		return fmt.Errorf("%w: %q holds a wildcard", ErrTopic, t.Name)
	}
	return nil
}

func reserved(id uint16) bool { return id == 0 || id == 0xffff }

func wild(name string) bool { return strings.ContainsAny(name, "+#") }

// topics are the identifiers of one client's names.
type topics struct {
	names map[uint16]string
	ids   map[string]registered
	bytes int // of names
}

type registered struct {
	id uint16
	// fresh: told on this connection, so that it may be published to.
	fresh bool
}

// Bounds of what a gateway may register.
const (
	maxTopics     = 4096
	maxTopicBytes = 1 << 20
)

// learn notes that id stands for name from now on; false when there is no room.
func (t *topics) learn(id uint16, name string) bool {
	old, known := t.names[id]
	if known && old == name {
		t.ids[name] = registered{id, true}
		return true
	}
	if !known && len(t.names) >= maxTopics || t.bytes+len(name)-len(old) > maxTopicBytes {
		return false
	}
	t.forget(id)
	if t.names == nil {
		t.names, t.ids = map[uint16]string{}, map[string]registered{}
	}
	t.names[id] = name
	t.ids[name] = registered{id, true}
	t.bytes += len(name)
	return true
}

// forget drops an identifier that the other side does not know.
func (t *topics) forget(id uint16) {
	name, ok := t.names[id]
	if !ok {
		return
	}
	delete(t.names, id)
	t.bytes -= len(name)
	if t.ids[name].id == id {
		delete(t.ids, name)
	}
}

// stale makes every name be registered again before the next publication.
func (t *topics) stale() {
	for name, r := range t.ids {
		r.fresh = false
		t.ids[name] = r
	}
}

// clear forgets everything.
func (t *topics) clear() {
	clear(t.names)
	clear(t.ids)
	t.bytes = 0
}
