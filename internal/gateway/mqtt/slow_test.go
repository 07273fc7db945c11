package mqtt_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/session"
)

// A subscriber that never reads costs what its limits say, however much is
// published and of whatever kind, and another one gets every message before
// the publisher sends the next. When it reads after all, what it was kept is in
// order and ends with the newest.
func TestSlowConsumer(t *testing.T) {
	for qos := range uint8(3) {
		for _, load := range []struct{ messages, bytes int }{{3000, 64}, {300, 64 << 10}} {
			for _, durable := range []bool{false, true} {
				t.Run(fmt.Sprintf("qos=%d/bytes=%d/durable=%v", qos, load.bytes, durable), func(t *testing.T) {
					slowConsumer(t, qos, load.messages, load.bytes, durable)
				})
			}
		}
	}
}

func slowConsumer(t *testing.T, qos uint8, messages, size int, durable bool) {
	const (
		window  = 32 // messages under way, kept until they are acknowledged
		queued  = 300
		queue   = 1 << 20
		pending = 256 << 10
		each    = 1 << 10 // a message in a queue, beside its bytes
	)
	a := arena{
		broker: broker.Config{Queue: session.Limits{MaxQueued: queued, MaxQueuedBytes: queue}},
		gw:     gw.Config{MaxInflight: window, PendingBytes: pending, SendTimeout: time.Hour},
	}
	hostile(t, a, func(h *hall) {
		c := mqtt.Connect{ClientID: "slow", CleanStart: true}
		if durable {
			c.Properties = c.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, 3600)
		}
		slow, quick, p := h.with(mqtt.V5, c), h.online(mqtt.V5, "quick"), h.online(mqtt.V5, "publisher")
		slow.sub("flood", qos)
		quick.sub("flood", qos)
		filler := strings.Repeat("x", size)
		for i := range messages {
			p.publish(pub("flood", fmt.Sprint(i, " ", filler), qos))
			if got := number(quick.message()); got != i {
				t.Fatalf("the other subscriber received %d, want %d", got, i)
			}
			if i%(messages/4) == messages/4-1 {
				h.atMost(window*size+queue+2*pending+(window+queued)*each+512<<10, fmt.Sprintf("after %d messages", i+1))
			}
		}
		if qos > 0 {
			for last := -1; last != messages-1; {
				n := number(slow.message())
				if n <= last {
					t.Fatalf("received %d after %d", n, last)
				}
				last = n
			}
		}
		slow.send(mqtt.Disconnect{Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 0)})
		_ = slow.nc.Close()
		h.eventually("the session has ended", func() bool { return h.b.Sessions() == 2 })
	})
}

// number is what a payload of the flood begins with.
func number(p mqtt.Publish) int {
	first, _, _ := strings.Cut(string(p.Payload), " ")
	n, err := strconv.Atoi(first)
	if err != nil {
		return -1
	}
	return n
}
