package proxy_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

var everyTransport = []string{"mqtt", "mqtts", "ws", "wss", "unix"}

// address is a free one of that transport.
func address(t *testing.T, scheme, name string) string {
	if scheme == "unix" {
		return "unix://" + filepath.Join(t.TempDir(), name)
	}
	return scheme + "://127.0.0.1:0"
}

// TestEveryByteArrivesBetweenAnyTwoTransports sends messages of all levels and many
// sizes to a real broker and back, in each pairing, with and without knowledge of
// MQTT.
func TestEveryByteArrivesBetweenAnyTwoTransports(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	cert := []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}
	server := servetest.Start(t, func(c *serve.Config) {
		c.Listeners = nil
		for _, scheme := range everyTransport {
			l := serve.Listener{URL: address(t, scheme, "broker")}
			l.MaxConnRate = -1
			if scheme == "mqtts" || scheme == "wss" {
				l.TLS = &transport.ServerTLS{Certificates: cert}
			}
			c.Listeners = append(c.Listeners, l)
		}
	})
	for i, out := range everyTransport {
		for _, transparent := range []bool{false, true} {
			e := proxytest.Start(t, server.URLs()[i], func(c *proxy.Config) {
				c.Transparent = transparent
				c.Upstreams[0].TLS = &transport.ClientTLS{RootCAs: ca.Pool()}
				c.Listeners = nil
				for _, in := range everyTransport {
					l := proxy.Listener{URL: address(t, in, "proxy")}
					if in == "mqtts" || in == "wss" {
						l.TLS = &transport.ServerTLS{Certificates: cert}
					}
					c.Listeners = append(c.Listeners, l)
				}
			})
			for _, l := range e.Listeners() {
				t.Run(fmt.Sprintf("%s to %s, transparent %v", l.Scheme().Name, out, transparent), func(t *testing.T) {
					everyByte(t, l.URL(), mqtt.V311)
					everyByte(t, l.URL(), mqtt.V5)
				})
			}
		}
	}
}

// noise is n bytes of chance.
func noise(n int) []byte {
	var seed [32]byte
	binary.NativeEndian.PutUint64(seed[:], rand.Uint64())
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// everyByte sends messages to itself by way of a broker, and compares them.
func everyByte(t *testing.T, url string, v mqtt.Version) {
	t.Helper()
	c := proxytest.Connect(t, url, v, fmt.Sprintf("all-%d", rand.Uint32()))
	topic := fmt.Sprintf("all/%d", rand.Uint32())
	c.Send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: topic, QoS: 2}}})
	if ack, ok := c.Next().(mqtt.Suback); !ok || ack.Codes[0] != 2 {
		t.Fatalf("%+v", ack)
	}
	sizes := []int{0, 1, 100, 127, 128, 16 << 10, 70_000, rand.IntN(1 << 20), 1<<20 - 100}
	for i, size := range sizes {
		payload := noise(size)
		qos := uint8(i % 3)
		p := mqtt.Publish{Topic: []byte(topic), QoS: qos, Payload: payload}
		if qos > 0 {
			p.PacketID = uint16(i + 10)
		}
		c.Send(p)
		if got := roundTrip(t, c, qos); !bytes.Equal(got, payload) {
			t.Fatalf("QoS %d, %d bytes: %d bytes came back", qos, size, len(got))
		}
	}
	c.Send(mqtt.Disconnect{})
	c.Closed()
}

// roundTrip answers until a message sent with qos has come back and all is
// acknowledged, and returns its payload.
func roundTrip(t *testing.T, c *proxytest.Peer, qos uint8) []byte {
	t.Helper()
	var payload []byte
	sent, came := qos == 0, false
	for !sent || !came {
		switch p := c.Next().(type) {
		case mqtt.Publish:
			payload = p.Payload
			switch p.QoS {
			case 0:
				came = true
			case 1:
				c.Send(mqtt.Puback{PacketID: p.PacketID})
				came = true
			case 2:
				c.Send(mqtt.Pubrec{PacketID: p.PacketID})
			}
		case mqtt.Pubrel:
			c.Send(mqtt.Pubcomp{PacketID: p.PacketID})
			came = true
		case mqtt.Puback, mqtt.Pubcomp:
			sent = true
		case mqtt.Pubrec:
			c.Send(mqtt.Pubrel{PacketID: p.PacketID})
		default:
			t.Fatalf("%T", p)
		}
	}
	return payload
}
