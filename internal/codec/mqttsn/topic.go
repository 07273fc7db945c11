package mqttsn

import "fmt"

// TopicKind says what stands for a topic. SN-5.3.4
type TopicKind uint8

// Kinds.
const (
	NormalTopic     TopicKind = iota // an identifier that was registered; in SUBSCRIBE and UNSUBSCRIBE the name
	PredefinedTopic                  // an identifier that both sides were configured with
	ShortTopic                       // the name itself, which has two bytes
	reservedTopic
)

func (k TopicKind) String() string {
	return [...]string{"normal", "predefined", "short", "reserved"}[k&3]
}

// ShortName is the name that a short topic's identifier is.
func ShortName(id uint16) string { return string([]byte{byte(id >> 8), byte(id)}) }

// ShortID is a name as a short topic's identifier, if it has two bytes.
func ShortID(name string) (id uint16, ok bool) {
	if len(name) != 2 {
		return 0, false
	}
	return uint16(name[0])<<8 | uint16(name[1]), true
}

// reservedID reports whether no topic has the identifier. SN-5.3.11
func reservedID(id uint16) bool { return id == 0 || id == 0xffff }

// topicID judges the identifier of a registered or predefined topic.
func (r *reader) topicID(off int, id uint16) {
	if reservedID(id) {
		r.flag(off, Violation, InvalidTopicID, "SN-5.3.11", fmt.Sprintf("topic identifier 0x%04x is reserved", id))
	}
}

// kind judges the kind of a topic.
func (r *reader) kind(off int, k TopicKind) {
	if k == reservedTopic {
		r.flag(off, Unsupported, NotSupported, "SN-5.3.4", "topic identifier type 3 is reserved")
	}
}
