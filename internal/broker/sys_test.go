package broker

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/session"
)

// sys reads a value of $SYS/broker; "" when there is none.
func sys(b *Broker, topic string) string {
	r, ok := b.retained.Get("$SYS/broker/" + topic)
	if !ok {
		return ""
	}
	return string(r.message.Payload)
}

func TestSysValues(t *testing.T) {
	bubble(t, Config{SysInterval: 10 * time.Second, Version: "iotctl 1.2"}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1}, Subscription{Filter: "$share/g/b"})
		p.publishRetained("a=12345", 0, 1)
		p.publish("a=12345", 1, 1)
		s.lose()
		p.publish("a=1", 0, 1)
		p.publish("a=1", 1, 1)
		p.publish("nobody=1", 0, 0)
		attach(t, b, options("x")).leave()
		time.Sleep(30*time.Second + time.Millisecond)
		for topic, want := range map[string]string{
			"version":                                "iotctl 1.2",
			"uptime":                                 "30 seconds",
			"clients/total":                          "2",
			"clients/connected":                      "1",
			"clients/disconnected":                   "1",
			"clients/maximum":                        "2",
			"subscriptions/count":                    "2",
			"shared_subscriptions/count":             "1",
			"retained messages/count":                "1",
			"publish/messages/received":              "5",
			"publish/messages/sent":                  "2",
			"publish/messages/dropped":               "1",
			"publish/messages/dropped/offline-qos0":  "1",
			"publish/messages/dropped/queue-full":    "0",
			"publish/bytes/received":                 "13",
			"publish/bytes/sent":                     "10",
			"messages/received":                      "0",
			"publish/messages/dropped/too-large":     "0",
			"publish/messages/dropped/session-ended": "0",
		} {
			if got := sys(b, topic); got != want {
				t.Errorf("%s is %q, want %q", topic, got, want)
			}
		}
		for why := range session.Drop(session.Drops) {
			if sys(b, "publish/messages/dropped/"+why.String()) == "" {
				t.Errorf("drops for %v are not shown", why)
			}
		}
	})
}

func TestSysIsUpdatedWhereItChanges(t *testing.T) {
	bubble(t, Config{SysInterval: 10 * time.Second, Version: "v"}, func(t *testing.T, b *Broker) {
		time.Sleep(time.Second)
		s := attach(t, b, options("s"))
		s.subscribe(Subscription{Filter: "$SYS/broker/clients/#"}, Subscription{Filter: "$SYS/broker/version"}, Subscription{Filter: "#"})
		for _, got := range s.received() {
			if !strings.HasSuffix(got, " retain") {
				t.Errorf("received %q", got)
			}
		}
		time.Sleep(10 * time.Second)
		s.wantAny(
			"$SYS/broker/clients/total=1", "$SYS/broker/clients/connected=1",
			"$SYS/broker/clients/active=1", "$SYS/broker/clients/maximum=1",
		)
		time.Sleep(10 * time.Second)
		s.want()
	})
}

func TestSysCarriesValuesOfTheServer(t *testing.T) {
	values := map[string]string{"listeners/a/open": "1", "listeners/b/open": "2"}
	more := func() map[string]string { return maps.Clone(values) }
	bubble(t, Config{SysInterval: 10 * time.Second, MoreSys: more}, func(t *testing.T, b *Broker) {
		s := attach(t, b, options("s"))
		time.Sleep(time.Second)
		s.subscribe(Subscription{Filter: "$SYS/broker/listeners/#"})
		s.wantAny("$SYS/broker/listeners/a/open=1 retain", "$SYS/broker/listeners/b/open=2 retain")
		values["listeners/a/open"] = "3"
		delete(values, "listeners/b/open")
		time.Sleep(10 * time.Second)
		s.wantAny("$SYS/broker/listeners/a/open=3", "$SYS/broker/listeners/b/open=")
		if _, kept := b.retained.Get("$SYS/broker/listeners/b/open"); kept {
			t.Error("a value that is gone is still retained")
		}
		time.Sleep(10 * time.Second)
		s.want()
	})
}

func TestSysLoad(t *testing.T) {
	bubble(t, Config{SysInterval: 10 * time.Second}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		time.Sleep(time.Second)
		for range 60 * 20 { // one a second for twenty minutes
			p.publish("a=1", 0, 0)
			time.Sleep(time.Second)
		}
		for topic, least := range map[string]float64{"1min": 59.9, "5min": 58.5, "15min": 43} {
			var got float64
			if _, err := fmt.Sscan(sys(b, "load/publish/received/"+topic), &got); err != nil || got < least-1 || got > 61 {
				t.Errorf("%s: %v a minute, %v", topic, got, err)
			}
		}
	})
}

func TestSysOff(t *testing.T) {
	bubble(t, Config{SysInterval: -1}, func(t *testing.T, b *Broker) {
		time.Sleep(time.Hour)
		if b.retained.Len() != 0 {
			t.Errorf("%d values", b.retained.Len())
		}
	})
}
