package dissect

import "github.com/iotctl/iotctl/internal/codec/mqtt"

// mqttOpen is a packet with an identifier, and how far it got.
type mqttOpen struct {
	mqttStep // the last one that is to be answered
	first    int
	asked    *mqttAsked
	id       uint16
	typ      mqtt.Type // PUBLISH, SUBSCRIBE, UNSUBSCRIBE
	qos      uint8
	stage    mqttStage // of QoS 2
}

// mqttAsked is what a SUBSCRIBE or UNSUBSCRIBE asks for.
type mqttAsked struct {
	filters int
	qos     []uint8 // of each, up to mqttAskedQoS
}

// mqttAskedQoS is the most filters of one SUBSCRIBE whose QoS is remembered.
const mqttAskedQoS = 1024

// mqttStage is how far a PUBLISH of QoS 2 got.
type mqttStage uint8

const (
	stageSent mqttStage = iota
	stageReceived
	stageReleased
)

// openTable holds what waits for an answer, by packet identifier. It is a hash
// table with linear probing, for it is in the way of every packet. The zero value
// is empty.
type openTable struct {
	slots []mqttOpen // a power of two; those without a type are free
	count int
}

// get returns the one with that identifier, nil if there is none. It is valid until
// put or remove.
func (t *openTable) get(id uint16) *mqttOpen {
	if t.count == 0 {
		return nil
	}
	mask := len(t.slots) - 1
	for i := int(id) & mask; t.slots[i].typ != 0; i = (i + 1) & mask {
		if t.slots[i].id == id {
			return &t.slots[i]
		}
	}
	return nil
}

// put adds o, or replaces the one with its identifier.
func (t *openTable) put(o mqttOpen) {
	if 4*(t.count+1) > 3*len(t.slots) {
		old := t.slots
		t.slots, t.count = make([]mqttOpen, max(8, 2*len(old))), 0
		for i := range old {
			if old[i].typ != 0 {
				t.put(old[i])
			}
		}
	}
	mask := len(t.slots) - 1
	i := int(o.id) & mask
	for t.slots[i].typ != 0 && t.slots[i].id != o.id {
		i = (i + 1) & mask
	}
	if t.slots[i].typ == 0 {
		t.count++
	}
	t.slots[i] = o
}

// remove takes out o, which get has returned.
func (t *openTable) remove(o *mqttOpen) {
	mask := len(t.slots) - 1
	i := int(o.id) & mask
	for &t.slots[i] != o {
		i = (i + 1) & mask
	}
	for j := (i + 1) & mask; t.slots[j].typ != 0; j = (j + 1) & mask {
		if home := int(t.slots[j].id) & mask; (j-home)&mask >= (j-i)&mask { // it may stand at i
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = mqttOpen{}
	t.count--
}

// clear takes out all.
func (t *openTable) clear() {
	clear(t.slots)
	t.count = 0
}
