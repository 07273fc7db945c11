//go:build unix

package interop

import (
	"encoding/hex"
	"strings"
)

// publication is a message as a client sends it or reports it.
type publication struct {
	Topic          string      `json:"topic"`
	Payload        string      `json:"payload"` // hex
	QoS            int         `json:"qos"`
	Retain         bool        `json:"retain"`
	UserProperties [][2]string `json:"user_properties,omitempty"`
}

// step is one thing that one client does. Drivers of the third-party programs
// interpret these; each waits for the acknowledgement before the next step.
type step struct {
	Do         string       `json:"do"` // connect, subscribe, publish, await, drop, disconnect
	Client     string       `json:"client"`
	Persistent bool         `json:"persistent,omitempty"` // connect: keep the session
	Will       *publication `json:"will,omitempty"`       // connect
	Filters    []string     `json:"filters,omitempty"`    // subscribe
	QoS        int          `json:"qos"`                  // subscribe
	// Unsubscribe lists filters to leave again once subscribed.
	Unsubscribe []string     `json:"unsubscribe,omitempty"`
	Message     *publication `json:"message,omitempty"` // publish
	Count       int          `json:"count,omitempty"`   // await: received so far in all
}

func connect(client string) step    { return step{Do: "connect", Client: client} }
func disconnect(client string) step { return step{Do: "disconnect", Client: client} }

// drop ends the network connection without DISCONNECT.
func drop(client string) step { return step{Do: "drop", Client: client} }

func subscribe(client string, qos int, filters ...string) step {
	return step{Do: "subscribe", Client: client, QoS: qos, Filters: filters}
}

func publish(client string, m publication) step {
	return step{Do: "publish", Client: client, Message: &m}
}

func await(client string, count int) step {
	return step{Do: "await", Client: client, Count: count}
}

func message(topic, payload string, qos int) publication {
	return publication{Topic: topic, Payload: hex.EncodeToString([]byte(payload)), QoS: qos}
}

func retained(m publication) publication {
	m.Retain = true
	return m
}

// scenario is what a feature looks like to its clients. Every list of received
// messages is complete: where nothing may arrive, a marker message follows.
type scenario struct {
	name    string
	minimum version
	steps   func(t string) []step                   // t: a topic level of its own
	want    func(t string) map[string][]publication // by client
	// sessions is the session present flag of each connect, by client.
	sessions map[string][]bool
}

var scenarios = []scenario{
	qosScenario("qos0", 0),
	qosScenario("qos1", 1),
	qosScenario("qos2", 2),
	{
		name: "qos-is-the-lower-of-both",
		steps: func(t string) []step {
			return []step{
				connect("sub"), subscribe("sub", 1, t+"/a"),
				connect("pub"),
				publish("pub", message(t+"/a", "two", 2)), await("sub", 1),
				publish("pub", message(t+"/a", "one", 1)), await("sub", 2),
				publish("pub", message(t+"/a", "none", 0)), await("sub", 3),
			}
		},
		want: func(t string) map[string][]publication {
			return map[string][]publication{"sub": {
				message(t+"/a", "two", 1), message(t+"/a", "one", 1), message(t+"/a", "none", 0),
			}}
		},
	},
	{
		name: "retained",
		steps: func(t string) []step {
			return []step{
				connect("live"), subscribe("live", 1, t+"/r"),
				connect("pub"), publish("pub", retained(message(t+"/r", "21.5", 1))), await("live", 1),
				connect("late"), subscribe("late", 1, t+"/#"), await("late", 1), drop("late"),
				publish("pub", retained(message(t+"/r", "", 1))), await("live", 2),
				connect("after"), subscribe("after", 1, t+"/#"),
				publish("pub", message(t+"/marker", "m", 1)), await("after", 1),
			}
		},
		want: func(t string) map[string][]publication {
			return map[string][]publication{
				"live":  {message(t+"/r", "21.5", 1), message(t+"/r", "", 1)},
				"late":  {retained(message(t+"/r", "21.5", 1))},
				"after": {message(t+"/marker", "m", 1)},
			}
		},
	},
	{
		name: "will",
		steps: func(t string) []step {
			will := message(t+"/will", "gone", 1)
			return []step{
				connect("watch"), subscribe("watch", 1, t+"/will"),
				{Do: "connect", Client: "dies", Will: &will},
				subscribe("dies", 0, t+"/own"),
				drop("dies"), await("watch", 1),
			}
		},
		want: func(t string) map[string][]publication {
			return map[string][]publication{"watch": {message(t+"/will", "gone", 1)}}
		},
	},
	{
		name: "no-will-after-disconnect",
		steps: func(t string) []step {
			will := message(t+"/will", "gone", 1)
			return []step{
				connect("watch"), subscribe("watch", 1, t+"/will", t+"/marker"),
				{Do: "connect", Client: "leaves", Will: &will},
				subscribe("leaves", 0, t+"/own"),
				disconnect("leaves"),
				connect("pub"), publish("pub", message(t+"/marker", "m", 1)), await("watch", 1),
			}
		},
		want: func(t string) map[string][]publication {
			return map[string][]publication{"watch": {message(t+"/marker", "m", 1)}}
		},
	},
	{
		name: "unsubscribe",
		steps: func(t string) []step {
			sub := subscribe("sub", 1, t+"/a", t+"/marker")
			sub.Unsubscribe = []string{t + "/a"}
			return []step{
				connect("sub"), sub,
				connect("pub"), publish("pub", message(t+"/a", "unwanted", 1)),
				publish("pub", message(t+"/marker", "m", 1)), await("sub", 1),
			}
		},
		want: func(t string) map[string][]publication {
			return map[string][]publication{"sub": {message(t+"/marker", "m", 1)}}
		},
	},
	{
		name: "session",
		steps: func(t string) []step {
			connectAgain := step{Do: "connect", Client: "keeps", Persistent: true}
			return []step{
				connectAgain, subscribe("keeps", 1, t+"/q"), disconnect("keeps"),
				connect("pub"), publish("pub", message(t+"/q", "first", 1)), publish("pub", message(t+"/q", "second", 2)),
				connectAgain, subscribe("keeps", 1, t+"/q"), await("keeps", 2),
			}
		},
		want: func(t string) map[string][]publication {
			return map[string][]publication{"keeps": {message(t+"/q", "first", 1), message(t+"/q", "second", 1)}}
		},
		sessions: map[string][]bool{"keeps": {false, true}},
	},
	{
		name: "large",
		steps: func(t string) []step {
			return []step{
				connect("sub"), subscribe("sub", 1, t+"/+/big"),
				connect("pub"), publish("pub", message(t+"/x/big", large, 1)), await("sub", 1),
			}
		},
		want: func(t string) map[string][]publication {
			return map[string][]publication{"sub": {message(t+"/x/big", large, 1)}}
		},
	},
	{
		name:    "user-properties",
		minimum: v5,
		steps: func(t string) []step {
			return []step{
				connect("sub"), subscribe("sub", 1, t+"/a"),
				connect("pub"), publish("pub", withProperties(message(t+"/a", "x", 1))), await("sub", 1),
			}
		},
		want: func(t string) map[string][]publication {
			return map[string][]publication{"sub": {withProperties(message(t+"/a", "x", 1))}}
		},
	},
}

// large needs several reads on every transport and a four-byte length in none.
var large = strings.Repeat("0123456789abcdef", 300_000/16)

// qosScenario publishes text, bytes that are no text, and nothing.
func qosScenario(name string, qos int) scenario {
	messages := func(t string) []publication {
		return []publication{
			message(t+"/1", "text", qos),
			message(t+"/2", "\x00\xff\x80", qos),
			message(t+"/3", "", qos),
		}
	}
	return scenario{
		name: name,
		steps: func(t string) []step {
			steps := []step{connect("sub"), subscribe("sub", qos, t+"/#"), connect("pub")}
			for i, m := range messages(t) {
				steps = append(steps, publish("pub", m), await("sub", i+1))
			}
			return steps
		},
		want: func(t string) map[string][]publication {
			return map[string][]publication{"sub": messages(t)}
		},
	}
}

// withProperties repeats a key in a row: a client that keeps properties as a
// map of lists can still return them in order.
func withProperties(m publication) publication {
	m.UserProperties = [][2]string{{"a", "1"}, {"a", "2"}, {"b", "3"}}
	return m
}
