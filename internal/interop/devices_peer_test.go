//go:build unix

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// peer is an MQTT 5 client: Eclipse Paho for Go.
type peer struct {
	t       *testing.T
	c       *paho.Client
	id      string
	arrived chan *paho.Publish
	gone    chan error
	marks   int
}

// mqtt connects a client that is subscribed to the filters.
func (g *grounds) mqtt(t *testing.T, id string, filters ...string) *peer {
	t.Helper()
	p, code, err := g.tryMQTT(t, &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 60})
	if err != nil {
		t.Fatalf("MQTT client %s: %v (%d)", id, err, code)
	}
	for _, f := range append(filters, "mark/"+id) {
		p.subscribe(f)
	}
	return p
}

// tryMQTT connects, or returns the reason code.
func (g *grounds) tryMQTT(t *testing.T, connect *paho.Connect) (*peer, byte, error) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", g.open["mqtt"], patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	p := &peer{t: t, id: connect.ClientID, arrived: make(chan *paho.Publish, 1<<16), gone: make(chan error, 8)}
	p.c = paho.NewClient(paho.ClientConfig{
		Conn: nc, PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(r paho.PublishReceived) (bool, error) { p.arrived <- r.Packet; return true, nil },
		},
		OnClientError:      func(err error) { p.lost(err) },
		OnServerDisconnect: func(d *paho.Disconnect) { p.lost(fmt.Errorf("DISCONNECT %#02x", d.ReasonCode)) },
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ack, err := p.c.Connect(ctx, connect)
	if ack == nil {
		return nil, 0, err
	}
	return p, ack.ReasonCode, err
}

func (p *peer) lost(err error) {
	select {
	case p.gone <- err:
	default:
	}
}

func (p *peer) subscribe(filter string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	s := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}}}
	if _, err := p.c.Subscribe(ctx, s); err != nil {
		p.t.Fatalf("subscribe %s: %v", filter, err)
	}
}

func (p *peer) publish(topic, payload string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if _, err := p.c.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)}); err != nil {
		p.t.Fatalf("publish %s: %v", topic, err)
	}
}

// next is what arrives next.
func (p *peer) next() *paho.Publish {
	p.t.Helper()
	select {
	case m := <-p.arrived:
		return m
	case err := <-p.gone:
		p.t.Fatalf("the MQTT client %s lost its connection: %v", p.id, err)
	case <-time.After(patience):
		p.t.Fatalf("nothing arrives at the MQTT client %s", p.id)
	}
	return nil
}

// receive wants this message next. A payload that is a JSON object is a part of
// the one that has to arrive; any other is all of it.
func (p *peer) receive(topic, payload string) {
	p.t.Helper()
	m := p.next()
	if m.Topic != topic || !holds(m.Payload, payload) {
		p.t.Fatalf("received %s %s, want %s %s", m.Topic, m.Payload, topic, payload)
	}
}

// receiveAll wants the uplink of each script next, in any order.
func (p *peer) receiveAll(scripts []deviceScript) {
	p.t.Helper()
	missing := slices.Clone(scripts)
	for len(missing) > 0 {
		m := p.next()
		i := slices.IndexFunc(missing, func(s deviceScript) bool {
			return s.uplink.topic == m.Topic && holds(m.Payload, s.uplink.payload)
		})
		if i < 0 {
			p.t.Fatalf("received %s %s, want the uplink of another device", m.Topic, m.Payload)
		}
		missing = slices.Delete(missing, i, i+1)
	}
}

// drain forgets what has arrived.
func (p *peer) drain() {
	p.t.Helper()
	p.marks++
	mark := strconv.Itoa(p.marks)
	p.publish("mark/"+p.id, mark)
	for m := p.next(); m.Topic != "mark/"+p.id; m = p.next() {
		continue
	}
}

// nothing wants no message to have arrived.
func (p *peer) nothing() {
	p.t.Helper()
	p.marks++
	mark := strconv.Itoa(p.marks)
	p.publish("mark/"+p.id, mark)
	p.receive("mark/"+p.id, mark)
}

func holds(got []byte, want string) bool {
	var g, w map[string]any
	if string(got) == want {
		return true
	}
	if json.Unmarshal([]byte(want), &w) != nil || json.Unmarshal(got, &g) != nil {
		return false
	}
	for key, value := range w {
		if !reflect.DeepEqual(g[key], value) {
			return false
		}
	}
	return true
}

// count waits until each of these topics has said so high a number.
func (p *peer) count(want map[string]int) {
	p.t.Helper()
	for len(want) > 0 {
		m := p.next()
		n, err := strconv.Atoi(string(m.Payload))
		if least, ok := want[m.Topic]; ok && err == nil && n >= least {
			delete(want, m.Topic)
		}
	}
}
