package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMessagesArriveByTheProxy(t *testing.T) {
	e := proxytest.Start(t, proxytest.Broker(t), nil)
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		c := proxytest.Connect(t, proxytest.URL(e), v, "c")
		c.Send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a/#", QoS: 1}}})
		if _, ok := c.Next().(mqtt.Suback); !ok {
			t.Fatal("no SUBACK")
		}
		c.Send(mqtt.Publish{Topic: []byte("a/b"), QoS: 1, PacketID: 2, Payload: []byte("hello")})
		var got mqtt.Publish
		for range 2 {
			switch p := c.Next().(type) {
			case mqtt.Publish:
				got = p
			case mqtt.Puback:
			default:
				t.Fatalf("%T", p)
			}
		}
		if !bytes.Equal(got.Payload, []byte("hello")) {
			t.Errorf("MQTT %v: %q", v, got.Payload)
		}
		c.Send(mqtt.Disconnect{})
		c.Closed()
	}
}

func TestStopWhileConnectionsBegin(t *testing.T) {
	broker := proxytest.Broker(t)
	for range 20 {
		e, stop := proxytest.Run(t, broker, nil)
		var clients sync.WaitGroup
		ready := make(chan struct{}, 8)
		for i := range cap(ready) {
			clients.Go(func() {
				for first := true; ; first = false {
					nc, err := net.Dial("tcp", e.Listeners()[0].Addr().String())
					if err != nil {
						return
					}
					b, _ := mqtt.Connect{Version: mqtt.V311, ClientID: fmt.Sprint("c", i), CleanStart: true}.Append(nil, mqtt.V311)
					_, _ = nc.Write(b)
					_ = nc.SetDeadline(time.Now().Add(proxytest.Limit))
					if !first { // the first one stays until the end
						_ = nc.Close()
						continue
					}
					defer nc.Close()
					_, _ = io.ReadFull(nc, make([]byte, 4))
					ready <- struct{}{}
				}
			})
		}
		for range cap(ready) {
			<-ready
		}
		stop()
		clients.Wait()
	}
}
