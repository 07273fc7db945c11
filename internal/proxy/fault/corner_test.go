package fault

import (
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
)

// TestEveryActionOnEveryPacketEndsOrGoesOn has each action meet the packets at the
// ends of a session, where there is no broker yet, or no client any more.
func TestEveryActionOnEveryPacketEndsOrGoesOn(t *testing.T) {
	actions := []string{
		"drop", "delay 1ms", "delay 1ms reorder", "dup 2", "corrupt", "corrupt field=remaining-length,+1", "truncate 3", "reorder 2", "hold",
		"release", "replace c000", "replace PINGREQ", "inject PINGREQ", "inject c000", "inject s2c DISCONNECT", "throttle 1KB/s", "reset", "close",
		"cut after 3 bytes", "slice 1", "refuse 0x97", "lie",
	}
	broker := proxytest.Broker(t)
	for _, where := range []string{"c2s CONNECT", "s2c CONNACK", "c2s DISCONNECT", "both"} {
		for _, action := range actions {
			if action == "lie" && where == "c2s CONNECT" {
				continue // refused by the language
			}
			t.Run(action+" @ "+where, func(t *testing.T) {
				t.Parallel()
				set := NewSet(Options{Seed: 1})
				t.Cleanup(set.Close) // after the proxy has ended
				addRules(t, set, fmt.Sprintf("%s @ %s / times=3", action, where))
				e := proxytest.Start(t, broker, func(c *proxy.Config) {
					c.Stages = []proxy.Factory{set}
					c.ConnectTimeout, c.AnswerTimeout = time.Second, time.Second
				})
				c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
				for _, p := range []mqtt.Packet{
					mqtt.Connect{ClientID: t.Name(), CleanStart: true}, mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1}, mqtt.Disconnect{},
				} {
					if write(c, p, mqtt.V5) != nil {
						break
					}
				}
				_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // whatever comes by then
				for {
					if _, err := c.Read1(); err != nil {
						break
					}
				}
				_ = c.Close()
			})
		}
	}
}
