package fault

import (
	"bytes"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// maxAliasBytes is how much of the topics behind aliases is kept for a direction.
const maxAliasBytes = 1 << 18

// aliases are the topic aliases of a direction, so that rules can ask for topics.
type aliases struct {
	topics map[uint16][]byte
	bytes  int
}

// resolve takes note of an alias, and returns the topic of a packet that has an
// alias only; nil otherwise.
func (a *aliases) resolve(f proxy.Frame, v mqtt.Version) []byte {
	if v < mqtt.V5 || f.Header.Type != mqtt.TypePublish {
		return nil
	}
	p, err := mqtt.ParsePublish(f.Body(), f.Header.Flags, &mqtt.Options{Version: v, Lenient: true, EitherSide: true})
	if err != nil {
		return nil
	}
	alias, ok := p.Properties.Uint16(mqtt.PropTopicAlias)
	switch {
	case !ok:
		return nil
	case len(p.Topic) == 0:
		return a.topics[alias]
	}
	a.bytes += len(p.Topic) - len(a.topics[alias])
	if a.bytes > maxAliasBytes {
		a.bytes -= len(p.Topic)
		delete(a.topics, alias)
		return nil
	}
	put(&a.topics, alias, bytes.Clone(p.Topic))
	return nil
}
