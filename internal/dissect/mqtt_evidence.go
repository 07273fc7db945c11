package dissect

import (
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Evidence finds out the version of a stream of MQTT that begins without its
// CONNECT. The zero value knows nothing.
type Evidence struct {
	not [6]bool // versions that a packet speaks against
	why string
}

// Add takes the next packet, which is whole.
func (e *Evidence) Add(from Direction, packet []byte) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311, mqtt.V31} {
		if _, _, err := mqtt.Parse(packet, mqtt.Options{Version: v, FromServer: from == FromServer, EitherSide: from == Unknown}); err != nil {
			e.not[v] = true
		}
	}
}

// Decide returns the protocol level that the packets so far speak for, whether
// nothing else is possible, and why.
func (e *Evidence) Decide() (version uint8, sure bool, why string) {
	if e.not[mqtt.V311] && !e.not[mqtt.V5] {
		return uint8(mqtt.V5), true, e.why
	}
	return uint8(mqtt.V311), false, ""
}
