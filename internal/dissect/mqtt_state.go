package dissect

import (
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// mqttState is what one connection has said so far.
type mqttState struct {
	version  mqtt.Version // that of the last CONNECT, 0 for none
	evidence Evidence
}

func mqttStateOf(st *Stream) *mqttState {
	return sharedOf(st, func() *mqttState { return &mqttState{} })
}

// mqttContext is the packet that is judged.
type mqttContext struct {
	st       *Stream
	dir      Direction
	v        mqtt.Version
	size     int
	w        *mqttWalk
	problems []Problem
	topic    string // that an alias stands for
}

func mqttKnown(v mqtt.Version) bool { return v == mqtt.V31 || v == mqtt.V311 || v == mqtt.V5 }

// versionOf is the version that the packet at the start of b is read by; for a
// CONNECT any level.
func (s *mqttState) versionOf(b []byte, h mqttHeader, st *Stream) mqtt.Version {
	if h.typ == mqtt.TypeConnect {
		if v, ok := connectLevel(b[h.head:]); ok {
			return v
		}
		return mqtt.V311
	}
	switch {
	case s.version != 0:
		return s.version
	case st != nil && mqttKnown(mqtt.Version(st.Version)):
		return mqtt.Version(st.Version)
	case h.size <= len(b):
		s.evidence.Add(st.direction(), b[:h.size])
	}
	v, _, _ := s.evidence.Decide()
	return mqtt.Version(v)
}

// connectLevel is the protocol level in the body of a CONNECT, without the mark
// of bridges.
func connectLevel(b []byte) (mqtt.Version, bool) {
	if len(b) < 2 {
		return 0, false
	}
	at := 2 + int(b[0])<<8 + int(b[1])
	if at >= len(b) {
		return 0, false
	}
	v := mqtt.Version(b[at])
	if low := v &^ 0x80; low == mqtt.V31 || low == mqtt.V311 {
		v = low
	}
	return v, true
}

// take judges p and notes what it says.
func (s *mqttState) take(x *mqttContext, p mqtt.Packet, broken bool) (answers int, after time.Duration) {
	if c, ok := p.(mqtt.Connect); ok {
		s.version = min(max(c.Version, mqtt.V31), mqtt.V5)
	}
	return 0, 0
}
