package mqttsn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

// mqttSide is an MQTT client: it publishes, and sees everything that others do.
// It has a process of its own, so it outlives that of the gateway, and so does its
// session.
type mqttSide struct {
	link *broker.Link
	life *life
	got  []string
	acks []message.Delivery
	open map[uint16]bool // QoS 2: PUBREC was sent
}

func (m *mqttSide) attach(w *world) {
	o := broker.SessionOptions{ClientID: "mqtt side", Expiry: time.Hour}
	l, found, err := w.broker.Attach(context.Background(), auth.Identity{Name: "mqtt side"}, o, &mqttEnd{m, w.life})
	if err != nil {
		w.t.Fatal(err)
	}
	m.link, m.life, m.acks = l, w.life, nil
	if m.open == nil {
		m.open = map[uint16]bool{}
	}
	l.Start()
	if found.Present {
		_, err := l.Release(1) // of a publication that a crash has cut short
		if err := errors.Join(err, l.Commit(context.Background())); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	g := l.Subscribe([]broker.Subscription{{Filter: "#", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}})
	if err := errors.Join(g[0].Err, l.Commit(context.Background())); err != nil {
		w.t.Fatal(err)
	}
}

// mqttEnd is the receiver in the life of one process.
type mqttEnd struct {
	m    *mqttSide
	life *life
}

// Deliver implements broker.Receiver.
func (e *mqttEnd) Deliver(d *message.Delivery) bool {
	m := e.m
	if e.life.over {
		return true
	}
	if d.QoS > 0 {
		m.acks = append(m.acks, message.Delivery{PacketID: d.PacketID, QoS: d.QoS, Release: d.Release})
	}
	if d.Release || d.QoS == 2 && m.open[d.PacketID] {
		return true
	}
	if d.QoS == 2 {
		m.open[d.PacketID] = true
	}
	line := fmt.Sprintf("%s %d %s", d.Message.Topic, d.QoS, d.Message.Payload)
	if d.Retain {
		line += " retain"
	}
	m.got = append(m.got, line)
	return true
}

// Flush implements broker.Receiver.
func (*mqttEnd) Flush() {}

// Close implements broker.Receiver.
func (*mqttEnd) Close(broker.Reason) {}

// next is what has arrived first.
func (m *mqttSide) next() (string, bool) {
	for len(m.acks) > 0 && !m.life.over {
		acks := m.acks
		m.acks = nil
		for _, d := range acks {
			kind := session.Puback
			switch {
			case d.Release:
				kind = session.Pubcomp
				delete(m.open, d.PacketID)
			case d.QoS == 2:
				kind = session.Pubrec
			}
			_ = m.link.Acked(kind, d.PacketID)
		}
		_ = m.link.Commit(context.Background())
	}
	if len(m.got) == 0 {
		return "", false
	}
	s := m.got[0]
	m.got = m.got[1:]
	return s, true
}

func (m *mqttSide) publish(topic string, qos byte, payload string, retain bool) error {
	v := message.View{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, Retain: retain, PacketID: 1}
	if _, err := m.link.Publish(v); err != nil {
		return err
	}
	if qos == 2 {
		if err := m.link.Commit(context.Background()); err != nil {
			return err
		}
		if _, err := m.link.Release(1); err != nil {
			return err
		}
	}
	return m.link.Commit(context.Background())
}
