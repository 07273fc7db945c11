package session

import (
	"errors"
	"maps"
	"slices"
)

// ErrReceiveMaximum: the client has more QoS 2 messages open than it may.
// // [MQTT-3.3.4-9]
var ErrReceiveMaximum = errors.New("receive maximum exceeded")

// Inbound remembers the packet identifiers of QoS 2 messages between PUBLISH
// and PUBREL, so that each message is passed on once. // [MQTT-4.3.3-10]
type Inbound struct {
	ids     map[uint16]bool // true: came by the connection of the moment
	counted int             // of those
}

// Publish notes the identifier of a QoS 2 PUBLISH. isNew is false when the
// message has been passed on before; the content of the repetition does not
// matter. receiveMaximum is the server's own, 0 for no limit; it bounds what one
// connection brings.
func (i *Inbound) Publish(id uint16, receiveMaximum int) (isNew bool, err error) {
	if _, known := i.ids[id]; known {
		return false, nil
	}
	if receiveMaximum > 0 && i.counted >= receiveMaximum {
		return false, ErrReceiveMaximum
	}
	if i.ids == nil {
		i.ids = map[uint16]bool{}
	}
	i.ids[id] = true
	i.counted++
	return true, nil
}

// Release forgets an identifier: the client's PUBREL, or a PUBLISH that was
// refused with an error.
func (i *Inbound) Release(id uint16) (known bool) {
	counted, known := i.ids[id]
	if counted {
		i.counted--
	}
	if known {
		delete(i.ids, id)
		if len(i.ids) == 0 {
			i.ids = nil // give the buckets back
		}
	}
	return known
}

// Resume notes a new connection: what earlier ones have left open does not count
// against its receive maximum. // MQTT 5.0 §4.9
func (i *Inbound) Resume() {
	for id := range i.ids {
		i.ids[id] = false
	}
	i.counted = 0
}

// Len returns how many messages are open.
func (i *Inbound) Len() int { return len(i.ids) }

// IDs returns the open identifiers in ascending order.
func (i *Inbound) IDs() []uint16 { return slices.Sorted(maps.Keys(i.ids)) }
