package recording

import (
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Item is what a recording has next: a message, or where some may be missing.
type Item struct {
	Message
	Gap *Gap // nil: it is a message
}

// Message is one application message.
type Message struct {
	Time       time.Time // when it was recorded; zero: unknown
	Topic      string
	Payload    []byte
	QoS        uint8
	Retain     bool
	Dup        bool   // of a subscriber's
	PacketID   uint16 // 0 at QoS 0
	Properties mqtt.Properties
}

// Gap is a time in which the one who has recorded was not connected.
type Gap struct {
	From, To time.Time
	// Kept says that the broker has kept the session, so that what came at QoS 1 and
	// 2 meanwhile came afterwards.
	Kept   bool
	Reason string // why the connection ended
}
