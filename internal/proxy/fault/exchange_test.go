package fault

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/transport"
)

// sees is what one side has received: packets as "PUBLISH 1 dup", the end as "end"
// or "reset". Pings are left out.
type sees struct {
	mu  sync.Mutex
	all []string
}

func (s *sees) add(p mqtt.Packet) {
	d := draft{}
	d.load(p)
	text := p.Type().String()
	switch p.Type() {
	case mqtt.TypePingreq, mqtt.TypePingresp:
		return
	case mqtt.TypePublish, mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		text += fmt.Sprintf(" %d", d.id)
	}
	if d.dup {
		text += " dup"
	}
	if d.code() != 0 {
		text += fmt.Sprintf(" 0x%02x", uint8(d.code()))
	}
	s.mu.Lock()
	s.all = append(s.all, text)
	s.mu.Unlock()
}

func (s *sees) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var malformed *mqtt.Malformed
	var timeout net.Error
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.EPIPE):
		s.all = append(s.all, "end")
	case errors.As(err, &malformed):
		s.all = append(s.all, "malformed")
	case errors.As(err, &timeout) && timeout.Timeout():
		s.all = append(s.all, "nothing")
	default:
		s.all = append(s.all, "reset")
	}
}

// reply is what a client and a broker answer to a packet.
func reply(p mqtt.Packet) mqtt.Packet {
	switch p := p.(type) {
	case mqtt.Pubrec:
		if p.Code >= 0x80 {
			return nil
		}
		return mqtt.Pubrel{PacketID: p.PacketID}
	case mqtt.Connect:
		return mqtt.Connack{}
	}
	return proxy.Success(p)
}

// exchange has one side publish a message of QoS qos to the other, through rules, and
// returns what each has received once both have come to rest.
func exchange(t *testing.T, v mqtt.Version, from proxy.Direction, qos uint8, rules ...string) (client, broker []string) {
	t.Helper()
	set := NewSet(Options{Seed: 1, Report: func(e Event) { t.Log(e) }})
	t.Cleanup(set.Close) // after the proxy has ended
	addRules(t, set, rules...)
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.Stages = []proxy.Factory{set} })

	var atBroker, atClient sees
	brokerDone, clientDone := make(chan struct{}), make(chan struct{})
	c := proxytest.Dial(t, proxytest.URL(e), v)
	c.Send(mqtt.Connect{ClientID: "sensor-7", CleanStart: true, KeepAlive: 60})
	b, _ := l.Welcome(v)
	if ack, ok := c.Next().(mqtt.Connack); !ok || ack.Code != 0 {
		t.Fatal(ack)
	}
	// The side that publishes sends three pings, too: when the last is answered,
	// everything has been. A broker does so with PINGREQ, which only a test accepts.
	serve := func(p *proxytest.Peer, s *sees, done chan struct{}) {
		defer close(done)
		for {
			packet, err := p.Read1()
			if err != nil {
				s.end(err)
				_ = p.Close()
				return
			}
			s.add(packet)
			if r := reply(packet); r != nil {
				bytes, _ := r.Append(nil, v)
				if _, err := p.Write(bytes); err != nil {
					s.end(err)
					return
				}
			}
		}
	}
	publisher, seen, done := c, &atClient, clientDone
	if from == proxy.ToClient {
		publisher, seen, done = b, &atBroker, brokerDone
		go serve(c, &atClient, clientDone)
	} else {
		go serve(b, &atBroker, brokerDone)
	}
	func() {
		defer close(done)
		m := mqtt.Publish{Topic: []byte("a/b"), QoS: qos, PacketID: 1, Payload: []byte("x")}
		if err := write(publisher, m, v); err != nil {
			seen.end(err)
			return
		}
		for range 3 {
			barrier := mqtt.Packet(mqtt.Pingreq{})
			if from == proxy.ToClient {
				barrier = mqtt.Publish{Topic: []byte("barrier"), QoS: 1, PacketID: 999}
			}
			if err := write(publisher, barrier, v); err != nil {
				seen.end(err)
				return
			}
			for settled := false; !settled; {
				packet, err := publisher.Read1()
				if err != nil {
					seen.end(err)
					return
				}
				if a, ok := packet.(mqtt.Puback); ok && a.PacketID == 999 {
					settled = true
					continue
				}
				settled = packet.Type() == mqtt.TypePingresp
				seen.add(packet)
				if packet.Type() == mqtt.TypePubrec {
					if r := reply(packet); r != nil {
						_ = write(publisher, r, v) // an end is seen by the next read
					}
				}
			}
		}
	}()
	// What has not ended ends now, and is not told as an end.
	ended := slices.ContainsFunc(seen.all, func(s string) bool { return s == "end" || s == "reset" || s == "nothing" || s == "malformed" })
	_ = publisher.Close()
	<-clientDone
	<-brokerDone
	client, broker = atClient.all, atBroker.all
	if !ended {
		client, broker = withoutEnd(client), withoutEnd(broker)
	}
	barriers := func(s string) bool { return strings.Contains(s, " 999") }
	return slices.DeleteFunc(client, barriers), slices.DeleteFunc(broker, barriers)
}

func withoutEnd(all []string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "end" || s == "reset" })
}

func write(p *proxytest.Peer, packet mqtt.Packet, v mqtt.Version) error {
	b, err := packet.Append(nil, v)
	if err == nil {
		_, err = p.Write(b)
	}
	return err
}

// TestEffectOfEachFaultOnBothSides publishes with QoS 1 and QoS 2 through each kind
// of fault, and compares what the client and the broker have seen.
func TestEffectOfEachFaultOnBothSides(t *testing.T) {
	for _, tt := range []struct {
		rule           string
		qos            uint8
		client, broker string
	}{
		{"drop @ c2s PINGREQ / nth=99", 1, "PUBACK 1", "PUBLISH 1"},
		{"drop @ c2s PINGREQ / nth=99", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1, PUBREL 1"},

		{"drop @ c2s PUBLISH / nth=1", 1, "", ""},
		{"drop @ c2s PUBLISH / nth=1", 2, "", ""},
		{"drop @ s2c PUBACK / nth=1", 1, "", "PUBLISH 1"},
		{"drop @ s2c PUBREC / nth=1", 2, "", "PUBLISH 1"},
		{"drop @ c2s PUBREL / nth=1", 2, "PUBREC 1", "PUBLISH 1"},
		{"drop @ s2c PUBCOMP / nth=1", 2, "PUBREC 1", "PUBLISH 1, PUBREL 1"},

		{"delay 5ms±2 @ s2c", 1, "PUBACK 1", "PUBLISH 1"},
		{"delay 5ms±2 @ both", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1, PUBREL 1"},
		{"throttle 10KB/s @ both", 1, "PUBACK 1", "PUBLISH 1"},
		{"throttle 10KB/s @ both", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1, PUBREL 1"},

		{"dup @ c2s PUBLISH qos=1", 1, "PUBACK 1", "PUBLISH 1, PUBLISH 1 dup"},
		{"dup @ c2s PUBLISH qos=2", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1, PUBLISH 1 dup, PUBREL 1"},
		{"dup @ s2c PUBACK", 1, "PUBACK 1, PUBACK 1", "PUBLISH 1"},
		{"dup @ c2s PUBREL", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1, PUBREL 1, PUBREL 1"},
		{"dup @ s2c PUBCOMP", 2, "PUBREC 1, PUBCOMP 1, PUBCOMP 1", "PUBLISH 1, PUBREL 1"},

		{"corrupt field=id,9 @ s2c PUBACK", 1, "PUBACK 9", "PUBLISH 1"},
		{"corrupt field=id,9 @ s2c PUBREC", 2, "PUBREC 9, PUBCOMP 9", "PUBLISH 1, PUBREL 9"},
		{"corrupt field=type,0 @ c2s PUBLISH", 1, "end", "malformed"},
		{"corrupt field=qos,3 @ c2s PUBLISH", 2, "end", "malformed"},
		{"truncate 4 @ s2c PUBACK / nth=1", 1, "PUBACK 1", "PUBLISH 1"},
		{"truncate 9 @ c2s PUBLISH", 1, "end", "malformed"},
		{"replace PUBACK id=same code=0x97 @ s2c PUBACK", 1, "PUBACK 1 0x97", "PUBLISH 1"},
		{"replace PUBREC id=same code=0x97 @ s2c PUBREC", 2, "PUBREC 1 0x97", "PUBLISH 1"},
		{"replace PUBLISH qos=1 @ c2s PUBLISH", 2, "PUBACK 1", "PUBLISH 1"},

		{"inject PUBLISH topic=t qos=1 @ c2s PUBLISH / nth=1 before", 1, "PUBACK 1", "PUBLISH 65535, PUBLISH 1"},
		{"inject PUBLISH topic=t qos=2 @ c2s PUBLISH / nth=1 before", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 65535, PUBLISH 1, PUBREL 65535, PUBREL 1"},
		{"inject s2c PUBACK id=1 @ c2s PUBLISH / before", 1, "PUBACK 1, PUBACK 1", "PUBLISH 1"},

		{"refuse 0x97 @ c2s PUBLISH", 1, "PUBACK 1 0x97", ""},
		{"refuse 0x97 @ c2s PUBLISH", 2, "PUBREC 1 0x97", ""},
		{"lie @ c2s PUBLISH", 1, "PUBACK 1", ""},
		{"lie @ c2s PUBLISH", 2, "PUBREC 1, PUBCOMP 1", ""},
		{"lie @ c2s PUBREL", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1"},

		{"close @ s2c PUBACK / nth=1 before", 1, "end", "PUBLISH 1, end"},
		{"close @ s2c PUBREC / nth=1 after", 2, "PUBREC 1, end", "PUBLISH 1, end"},
		{"close @ c2s PUBREL / before", 2, "PUBREC 1, end", "PUBLISH 1, end"},
		{"reset @ s2c PUBACK / nth=1 before", 1, "reset", "PUBLISH 1, reset"},
		{"reset @ s2c PUBCOMP / nth=1", 2, "PUBREC 1, reset", "PUBLISH 1, PUBREL 1, reset"},
		{"cut after 5 bytes @ c2s PUBLISH qos=1", 1, "end", "end"},
		{"cut after 2 bytes @ s2c PUBREC", 2, "end", "PUBLISH 1, end"},

		{"slice 1 @ both", 1, "PUBACK 1", "PUBLISH 1"},
		{"slice 3 @ both", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1, PUBREL 1"},
		{"stall @ c2s PUBLISH / for=20ms", 1, "PUBACK 1", "PUBLISH 1"},
		{"stall @ s2c PUBREC / for=20ms", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1, PUBREL 1"},
		{"held: hold @ s2c PUBACK; release held @ c2s PINGREQ / nth=2", 1, "PUBACK 1", "PUBLISH 1"},
		{"held: hold @ s2c PUBREC; release held @ c2s PINGREQ / nth=2", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1, PUBREL 1"},
		{"hold @ s2c PUBACK", 1, "", "PUBLISH 1"},
		{"hold @ s2c PUBREC", 2, "", "PUBLISH 1"},
		{"hold @ c2s PUBREL", 2, "PUBREC 1", "PUBLISH 1"},
		{"reorder 2 @ s2c (PUBACK or PINGRESP) / times=2", 1, "PUBACK 1", "PUBLISH 1"},
		{"reorder 2 @ s2c (PUBREC or PINGRESP) / times=2", 2, "PUBREC 1, PUBCOMP 1", "PUBLISH 1, PUBREL 1"},
	} {
		t.Run(fmt.Sprintf("%s, QoS %d", tt.rule, tt.qos), func(t *testing.T) {
			client, broker := exchange(t, mqtt.V5, proxy.ToServer, tt.qos, strings.Split(tt.rule, "; ")...)
			if got := strings.Join(client, ", "); got != tt.client {
				t.Errorf("client: %s, want %s", got, tt.client)
			}
			if got := strings.Join(broker, ", "); got != tt.broker {
				t.Errorf("broker: %s, want %s", got, tt.broker)
			}
		})
	}
}

// TestEffectOfFaultsTowardsTheClient has the broker publish.
func TestEffectOfFaultsTowardsTheClient(t *testing.T) {
	for _, tt := range []struct {
		rule           string
		v              mqtt.Version
		qos            uint8
		client, broker string
	}{
		{"drop @ s2c PUBLISH topic=a/#", mqtt.V311, 1, "", ""},
		{"drop @ c2s PUBACK id=1", mqtt.V311, 1, "PUBLISH 1", ""},
		{"drop @ c2s PUBREC", mqtt.V311, 2, "PUBLISH 1", ""},
		{"drop @ s2c PUBREL", mqtt.V5, 2, "PUBLISH 1", "PUBREC 1"},
		{"drop @ c2s PUBCOMP", mqtt.V5, 2, "PUBLISH 1, PUBREL 1", "PUBREC 1"},
		{"dup @ s2c PUBLISH topic=a/b", mqtt.V311, 1, "PUBLISH 1, PUBLISH 1 dup", "PUBACK 1"},
		{"dup @ s2c PUBLISH topic=a/b", mqtt.V5, 2, "PUBLISH 1, PUBLISH 1 dup, PUBREL 1", "PUBREC 1, PUBCOMP 1"},
		{"refuse 0x97 @ s2c PUBLISH topic=a/b", mqtt.V5, 1, "", "PUBACK 1 0x97"},
		{"refuse 0x97 @ s2c PUBLISH topic=a/b", mqtt.V5, 2, "", "PUBREC 1 0x97"},
		{"refuse 0x97 @ s2c PUBLISH topic=a/b", mqtt.V311, 1, "end", "end"},
		{"lie @ s2c PUBLISH topic=a/b", mqtt.V311, 2, "", "PUBREC 1, PUBCOMP 1"},
	} {
		t.Run(fmt.Sprintf("%s, QoS %d, MQTT %v", tt.rule, tt.qos, tt.v), func(t *testing.T) {
			client, broker := exchange(t, tt.v, proxy.ToClient, tt.qos, tt.rule)
			if got := strings.Join(client, ", "); got != tt.client {
				t.Errorf("client: %s, want %s", got, tt.client)
			}
			if got := strings.Join(broker, ", "); got != tt.broker {
				t.Errorf("broker: %s, want %s", got, tt.broker)
			}
		})
	}
}
