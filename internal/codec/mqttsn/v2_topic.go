package mqttsn

import "fmt"

// TopicKindV2 says what stands for a topic in 2.0.
type TopicKindV2 uint8

// Kinds of 2.0.
const (
	SessionAliasV2    TopicKindV2 = 0
	PredefinedAliasV2 TopicKindV2 = 1
	reservedTopicV2   TopicKindV2 = 2
	TopicNameV2       TopicKindV2 = 3
)

func (k TopicKindV2) String() string {
	return [...]string{"session alias", "predefined alias", "reserved", "name"}[k&3]
}

// TopicV2 is a topic, or a filter: an alias or a name.
type TopicV2 struct {
	Kind  TopicKindV2
	Alias uint16
	Name  []byte // aliases the parsed body
}

// topicV2 reads a topic. A name has a length before it, or is all that is left.
func (r *reader) topicV2(k TopicKindV2, filter, rest bool) TopicV2 {
	t, off := TopicV2{Kind: k}, r.off
	switch {
	case k == reservedTopicV2:
		r.stop(off, "topic type 2 is reserved")
	case k != TopicNameV2:
		t.Alias = r.uint16("topic alias")
		if !r.ended && t.Alias == 0 {
			r.flag(off, Violation, Accepted, "", "topic alias is 0")
		}
	case rest:
		t.Name = r.rest()
	default:
		t.Name = r.prefixed(2, "topic")
	}
	switch {
	case r.ended || k != TopicNameV2:
	case filter:
		r.filter(off, t.Name, "", "topic filter")
	default:
		r.name(off, t.Name, "", "topic")
	}
	return t
}

// size is the number of bytes of t, with a length before a name if that is not
// the rest of its message.
func (t *TopicV2) size(rest bool) int {
	switch {
	case t.Kind != TopicNameV2:
		return 2
	case rest:
		return len(t.Name)
	}
	return 2 + len(t.Name)
}

func (t *TopicV2) check(of Type) error {
	if t.Kind == reservedTopicV2 || t.Kind > TopicNameV2 {
		return unencodable(of, "topic type %d", t.Kind)
	}
	if len(t.Name) > MaxMessage {
		return fmt.Errorf("append %v: topic: %w", of, ErrTooLong)
	}
	return nil
}

func (t *TopicV2) append(dst []byte, rest bool) []byte {
	switch {
	case t.Kind != TopicNameV2:
		return appendUint16(dst, t.Alias)
	case rest:
		return append(dst, t.Name...)
	}
	return appendPrefixed(dst, 2, t.Name)
}
