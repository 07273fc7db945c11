package proxy_test

import (
	"bytes"
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
	connect, _ := mqtt.Connect{Version: mqtt.V311, CleanStart: true}.Append(nil, mqtt.V311)
	for range 20 {
		e, stop := proxytest.Run(t, broker, nil)
		address := e.Listeners()[0].Addr().String()
		var clients sync.WaitGroup
		answered := make(chan struct{}, 1)
		for range 8 {
			clients.Go(func() { // one connection after the other, until there is no proxy
				for {
					nc, err := net.Dial("tcp", address)
					if err != nil {
						return
					}
					defer nc.Close()
					_ = nc.SetDeadline(time.Now().Add(proxytest.Limit))
					_, _ = nc.Write(connect)
					_, _ = io.ReadFull(nc, make([]byte, 4))
					select {
					case answered <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 3 {
			<-answered
		}
		stop()
		clients.Wait()
	}
}
