package translate

import (
	"context"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// deliver turns a PUBLISH of the broker into one of 5.0, or answers it in the place
// of the client.
func (d *down) deliver(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	p, err := proxy.ParsePublish(&f, d.to)
	if err != nil {
		return err
	}
	d.mu.Lock()
	found := d.subs.match(string(p.Topic))
	window, most := d.window, d.maxBytes
	d.mu.Unlock()
	if p.Retain && found.unwanted {
		d.conn.Metrics.Dropped("translate", "retained")
		return d.answer(&p, emit)
	}
	if !d.expiries.delivered(&p, time.Now()) { // [MQTT-3.3.2-5]
		d.conn.Metrics.Dropped("translate", "expired")
		return d.answer(&p, emit)
	}
	for _, id := range found.ids {
		p.Properties = p.Properties.AppendVarint(mqtt.PropSubscriptionIdentifier, id)
	}
	if most > 0 && p.Size(mqtt.V5) > most { // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
		d.conn.Metrics.Dropped("translate", "packet-too-large")
		return d.answer(&p, emit)
	}
	if p.QoS == 0 || window == nil {
		return proxy.Send(emit, proxy.ToClient, mqtt.V5, p)
	}
	d.fromServer.Passed(p.PacketID)
	return proxy.Send(func(f proxy.Frame) error {
		return window.Enter(ctx, p.PacketID, f, passer(emit))
	}, proxy.ToClient, mqtt.V5, p)
}

// passer passes on what a window lets through.
func passer(emit func(proxy.Frame) error) proxy.PassFunc {
	return func(f proxy.Frame, _ time.Duration) (bool, error) { return true, emit(f) }
}

// answer is for a message that the client does not get.
func (d *down) answer(p *mqtt.Publish, emit func(proxy.Frame) error) error {
	a, ok := d.fromServer.Answer(p, d.to, mqtt.Success)
	if !ok {
		return nil
	}
	return proxy.SendAck(emit, proxy.ToServer, d.to, a)
}

// ackFromClient passes on what a client says of a delivery, or its PUBREL.
func (d *down) ackFromClient(f proxy.Frame, emit func(proxy.Frame) error) error {
	a, err := proxy.ParseAck(&f, mqtt.V5)
	if err != nil {
		return err
	}
	drop(d.conn, a.Properties)
	failed := a.Type == mqtt.TypePubrec && a.Code.IsError()
	if failed { // the end for the client, but the broker goes on to PUBREL
		d.fromServer.Add(a.PacketID)
	}
	if a.Code.IsError() {
		d.conn.Metrics.Dropped("translate", "reason-code")
	}
	if err := proxy.SendAck(emit, proxy.ToServer, d.to, a); err != nil {
		return err
	}
	if a.Type == mqtt.TypePuback || a.Type == mqtt.TypePubcomp || failed {
		d.mu.Lock()
		window := d.window
		d.mu.Unlock()
		if window != nil {
			return window.Leave(a.PacketID, passer(emit))
		}
	}
	return nil
}

// ackFromBroker passes on what the broker says of a message, or its PUBREL.
func (d *down) ackFromBroker(f proxy.Frame, emit func(proxy.Frame) error) error {
	a, err := proxy.ParseAck(&f, d.to)
	if err != nil {
		return err
	}
	if a.Type == mqtt.TypePubrel {
		if answer, ok := d.fromServer.Release(a.PacketID); ok {
			return proxy.SendAck(emit, proxy.ToServer, d.to, answer)
		}
	}
	return proxy.SendAck(emit, proxy.ToClient, mqtt.V5, a)
}
