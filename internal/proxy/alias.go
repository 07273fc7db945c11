package proxy

import (
	"fmt"
	"sync"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// MaxAliasBytes bounds the topics that the aliases of one direction stand for,
// together.
const MaxAliasBytes = 1 << 20

// Aliases knows the topic aliases of one direction: what the sender means by them,
// and which of them the receiver has been told. A stage that looks at topics, or
// drops PUBLISH packets, has one for each direction: Resolve each packet, and Pass
// on those that go on. The zero value is ready.
type Aliases struct {
	mu     sync.Mutex
	known  map[uint16]alias
	amount int
}

type alias struct {
	topic string
	told  bool // the receiver has had it
}

// Resolve puts the topic into p that its alias stands for, if p has none, and learns
// the alias that p sets. An alias that is not known is an *End.
func (a *Aliases) Resolve(p *mqtt.Publish) error {
	id, ok := p.Properties.Uint16(mqtt.PropTopicAlias)
	if !ok {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	was, known := a.known[id]
	if len(p.Topic) == 0 {
		if !known {
			return badAlias(fmt.Errorf("topic alias %d has not been set", id), mqtt.TopicAliasInvalid) // [MQTT-3.3.2-7]
		}
		p.Topic = []byte(was.topic)
		return nil
	}
	if known && was.topic == string(p.Topic) {
		return nil
	}
	if a.amount += len(p.Topic) - len(was.topic); a.amount > MaxAliasBytes {
		return badAlias(fmt.Errorf("topic aliases stand for more than %d bytes", MaxAliasBytes), mqtt.QuotaExceeded)
	}
	if a.known == nil {
		a.known = make(map[uint16]alias)
	}
	a.known[id] = alias{topic: string(p.Topic)}
	return nil
}

// Pass makes p, which Resolve has seen and whose topic may have been changed since,
// ready to go on: it leaves out the topic if the receiver knows what the alias stands
// for. The change must be one that always makes the same of the same topic.
func (a *Aliases) Pass(p *mqtt.Publish) {
	id, ok := p.Properties.Uint16(mqtt.PropTopicAlias)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.known[id]
	if was.told {
		p.Topic = nil
		return
	}
	was.told = true
	a.known[id] = was
}

func badAlias(err error, code mqtt.ReasonCode) *End {
	return &End{Why: "topic-alias", Err: err, Client: code, Server: code}
}
