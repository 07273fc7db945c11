package mqttsn

import (
	"fmt"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// TestManyRetainedMessages has more of them than may wait for a client. Nobody who has
// not shown that it hears has the gateway do more than it may be sent.
func TestManyRetainedMessages(t *testing.T) {
	const many = 500
	w := newWorld(t, map[string]string{"sleep.max_messages": "100"})
	for i := range many {
		if err := w.mqtt.publish(fmt.Sprintf("%c%c", 'a'+i%26, 'A'+i/26), 0, "value", true); err != nil {
			t.Fatal(err)
		}
		w.mqtt.next()
	}
	a := peerAddress("a")
	w.forge(a, mqttsn.Connect{CleanSession: true, ProtocolID: mqttsn.ProtocolID, KeepAlive: 600, ClientID: "x"})
	w.forge(a, mqttsn.Subscribe{MsgID: 1, Filter: "+"})
	if n := w.gw.clients.named(w.gw.sessionID("x")).out.queue.n; n > retainedRoom {
		t.Errorf("%d messages wait", n)
	}
	for range 10 { // what a client sends anyway buys the question whether it hears
		w.forge(a, mqttsn.Pingreq{})
	}
	m := latest[mqttsn.Register](w, a)
	w.mqtt.mustPublish(w, "zz", 0, "live")
	w.forge(a, mqttsn.Regack{TopicID: m.TopicID, MsgID: m.MsgID})
	w.advance(0)
	seen := map[uint16]bool{}
	live := false
	for _, d := range w.air.queue {
		got, _, err := mqttsn.Parse(d.Data, mqttsn.Options{FromServer: true})
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := got.(mqttsn.Publish); ok {
			live = live || string(p.Payload) == "live"
			seen[p.TopicID] = seen[p.TopicID] || p.Retain
		}
	}
	if len(seen) != many+1 || !live || w.risen("sleep_dropped") > 0 {
		t.Errorf("%d of %d messages, live %v", len(seen), many+1, live)
	}
}
