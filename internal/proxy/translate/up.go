package translate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// up translates for a client of 3.x and a broker of 5.0.
type up struct {
	c    Config
	from mqtt.Version
	conn *proxy.Conn

	fromServer proxy.Aliases // of deliveries; none is offered
	settled    proxy.Settled // messages of the client that the broker does not want
	lowered    proxy.Exchanges
	pings      *proxy.Pinger
	ready      chan struct{} // closed when the broker has accepted the client

	once   sync.Once // closes ready
	bridge bool      // set before ready
	// Set by the CONNACK, before ready is closed.
	maxBytes int
	noRetain bool
	window   *proxy.Window
}

func newUp(c Config, conn *proxy.Conn) *up {
	u := &up{c: c, from: conn.Version, conn: conn, ready: make(chan struct{})}
	u.pings = proxy.NewPinger(u, conn)
	return u
}

// Ended implements proxy.Ender.
func (u *up) Ended(*proxy.End) { u.pings.Stop() }

// Handle implements proxy.Stage.
func (u *up) Handle(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	if f.Direction == proxy.ToClient {
		return u.fromBroker(ctx, f, emit)
	}
	if f.Header.Type == mqtt.TypeConnect {
		return proxy.Refuse(emit, u.from, u.connect(f, emit))
	}
	select { // what the broker does not want is known from its CONNACK
	case <-u.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	u.pings.Sent()
	return u.fromClient(ctx, f, emit)
}

func (u *up) fromClient(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	switch f.Header.Type {
	case mqtt.TypePublish:
		return u.publish(ctx, f, emit)
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		return u.ackFromClient(f, emit)
	case mqtt.TypeSubscribe:
		return u.subscribe(f, emit)
	case mqtt.TypeUnsubscribe:
		o := proxy.Options(f.Direction, u.from)
		s, err := mqtt.ParseUnsubscribe(f.Body(), f.Header.Flags, &o)
		switch {
		case err != nil:
			return proxy.Broken(f.Direction, err)
		case u.maxBytes > 0 && s.Size(mqtt.V5) > u.maxBytes:
			return u.tooLarge(f.Header.Type)
		}
		return proxy.Send(emit, proxy.ToServer, mqtt.V5, s)
	case mqtt.TypePingreq:
		u.pings.Asked()
	}
	return emit(f)
}

func (u *up) fromBroker(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, mqtt.V5)
	switch f.Header.Type {
	case mqtt.TypeConnack:
		return u.connack(f, emit)
	case mqtt.TypePublish:
		return u.deliver(f, emit)
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		return u.ackFromBroker(f, emit)
	case mqtt.TypeSuback:
		s, err := mqtt.ParseSuback(f.Body(), f.Header.Flags, &o)
		if err != nil {
			return proxy.Broken(f.Direction, err)
		}
		drop(u.conn, s.Properties)
		s.Properties = nil
		return proxy.Send(emit, proxy.ToClient, u.from, s)
	case mqtt.TypeUnsuback:
		s, err := mqtt.ParseUnsuback(f.Body(), f.Header.Flags, &o)
		if err != nil {
			return proxy.Broken(f.Direction, err)
		}
		drop(u.conn, s.Properties)
		return proxy.Send(emit, proxy.ToClient, u.from, s)
	case mqtt.TypePingresp:
		if !u.pings.Answered() {
			return nil
		}
	case mqtt.TypeDisconnect:
		s, err := mqtt.ParseDisconnect(f.Body(), f.Header.Flags, &o)
		if err != nil {
			return proxy.Broken(f.Direction, err)
		}
		text, _ := s.Properties.String(mqtt.PropReasonString)
		return &proxy.End{Why: "disconnected", Err: fmt.Errorf("the broker disconnects: %v %.200q", s.Code, text)}
	case mqtt.TypeAuth:
		return proxy.Broken(f.Direction, errors.New("AUTH without an authentication method"))
	}
	return emit(f)
}

func (u *up) connect(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, u.from)
	c, err := mqtt.ParseConnect(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	if c.ClientID == "" && !c.CleanStart {
		return &proxy.End{
			Why: "client_id", Err: errors.New("empty client identifier without clean session"), // [MQTT3-3.1.3-8]
			Client: mqtt.ClientIdentifierNotValid,
		}
	}
	u.bridge = c.Bridge
	c.Version, c.ProtocolName, c.Bridge = mqtt.V5, "", false
	if !c.CleanStart {
		c.Properties = c.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, math.MaxUint32)
	}
	return proxy.Send(emit, proxy.ToServer, mqtt.V5, c)
}

func (u *up) connack(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, mqtt.V5)
	c, err := mqtt.ParseConnack(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	drop(u.conn, c.Properties, mqtt.PropReceiveMaximum, mqtt.PropMaximumPacketSize, mqtt.PropServerKeepAlive,
		mqtt.PropMaximumQoS, mqtt.PropRetainAvailable, mqtt.PropTopicAliasMaximum, mqtt.PropSessionExpiryInterval,
		mqtt.PropWildcardSubscriptionAvailable, mqtt.PropSubscriptionIDAvailable, mqtt.PropSharedSubscriptionAvailable)
	if c.Code == mqtt.Success {
		u.once.Do(func() { u.accepted(c.Properties) })
	}
	c.Properties = nil
	return proxy.Send(emit, proxy.ToClient, u.from, c)
}

// accepted learns what the broker wants.
func (u *up) accepted(ps mqtt.Properties) {
	receive, ok := ps.Uint16(mqtt.PropReceiveMaximum)
	if !ok {
		receive = math.MaxUint16
	}
	u.window = proxy.NewWindow(int(receive), u.c.HoldBytes)
	size, _ := ps.Uint32(mqtt.PropMaximumPacketSize)
	u.maxBytes = int(min(size, math.MaxInt32))
	if most, ok := ps.Byte(mqtt.PropMaximumQoS); ok {
		u.lowered.Change = func(qos uint8) uint8 { return min(qos, most) }
	}
	if available, ok := ps.Byte(mqtt.PropRetainAvailable); ok {
		u.noRetain = available == 0
	}
	keep, has := ps.Uint16(mqtt.PropServerKeepAlive)
	own := u.conn.KeepAlive
	if every := time.Duration(keep) * time.Second; has && every > 0 && (own == 0 || own > every) {
		u.pings.Start(every)
	}
	close(u.ready)
}

func (u *up) publish(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	p, err := proxy.ParsePublish(&f, u.from)
	if err != nil {
		return err
	}
	if u.maxBytes > 0 && p.Size(mqtt.V5) > u.maxBytes { // [MQTT-3.2.2-15]
		if u.c.Failures == closing {
			return u.tooLarge(f.Header.Type)
		}
		u.conn.Metrics.Dropped("translate", "packet-too-large")
		if a, ok := u.settled.Answer(&p, u.from, mqtt.Success); ok {
			return proxy.SendAck(emit, proxy.ToClient, u.from, a)
		}
		return nil
	}
	if p.Retain && u.noRetain { // [MQTT-3.2.2-14]
		u.conn.Metrics.Dropped("translate", "retain")
		p.Retain = false
	}
	u.settled.Passed(p.PacketID)
	to, err := u.lowered.Publish(&p)
	if err != nil {
		return err
	}
	if !to.Keep {
		if to.QoS != p.QoS {
			u.conn.Metrics.Dropped("translate", "qos")
		}
		p.QoS, p.Dup, p.PacketID = to.QoS, to.Dup, to.PacketID
		if err := u.pass(ctx, p, emit); err != nil {
			return err
		}
	}
	if to.Answer.Type != 0 {
		return proxy.SendAck(emit, proxy.ToClient, u.from, to.Answer)
	}
	return nil
}

func (u *up) pass(ctx context.Context, p mqtt.Publish, emit func(proxy.Frame) error) error {
	if p.QoS == 0 {
		return proxy.Send(emit, proxy.ToServer, mqtt.V5, p)
	}
	return proxy.Send(func(f proxy.Frame) error {
		return u.window.Enter(ctx, p.PacketID, f, u.passer(emit))
	}, proxy.ToServer, mqtt.V5, p)
}

// passer sends what the window lets through.
func (u *up) passer(emit func(proxy.Frame) error) proxy.PassFunc {
	return func(f proxy.Frame, _ time.Duration) (bool, error) {
		u.pings.Sent()
		return true, emit(f)
	}
}

func (u *up) tooLarge(t mqtt.Type) error {
	return &proxy.End{
		Why: "packet_size", Err: fmt.Errorf("%v is larger than the %d bytes that the broker takes", t, u.maxBytes),
	}
}

func (u *up) deliver(f proxy.Frame, emit func(proxy.Frame) error) error {
	p, err := proxy.ParsePublish(&f, mqtt.V5)
	if err != nil {
		return err
	}
	if err := u.fromServer.Resolve(&p); err != nil {
		return err
	}
	drop(u.conn, p.Properties, mqtt.PropTopicAlias, mqtt.PropMessageExpiryInterval)
	p.Properties = nil
	return proxy.Send(emit, proxy.ToClient, u.from, p)
}

func (u *up) ackFromClient(f proxy.Frame, emit func(proxy.Frame) error) error {
	a, err := proxy.ParseAck(&f, u.from)
	if err != nil {
		return err
	}
	if a.Type == mqtt.TypePubrel {
		if answer, ok := u.settled.Release(a.PacketID); ok {
			return proxy.SendAck(emit, proxy.ToClient, u.from, answer)
		}
		out, back := u.lowered.FromSender(a)
		if back {
			return proxy.SendAck(emit, proxy.ToClient, u.from, out)
		}
		a = out
	}
	return proxy.SendAck(emit, proxy.ToServer, mqtt.V5, a)
}

func (u *up) ackFromBroker(f proxy.Frame, emit func(proxy.Frame) error) error {
	a, err := proxy.ParseAck(&f, mqtt.V5)
	if err != nil {
		return err
	}
	drop(u.conn, a.Properties)
	a.Properties = nil
	id, failed := a.PacketID, a.Code.IsError() && (a.Type == mqtt.TypePuback || a.Type == mqtt.TypePubrec)
	if failed {
		u.conn.Metrics.Dropped("translate", "reason-code")
		if u.c.Failures == closing {
			return &proxy.End{Why: "refused", Err: fmt.Errorf("the broker answers %v with %v", a.Type, a.Code)}
		}
	}
	ended := a.Type == mqtt.TypePuback || a.Type == mqtt.TypePubcomp || failed
	out := a
	if a.Type != mqtt.TypePubrel {
		out, _ = u.lowered.FromReceiver(a) // only ever lowered: nothing goes back
		if out.Code.IsError() && out.Type == mqtt.TypePubrec {
			u.settled.Add(out.PacketID) // the client goes on to PUBREL
		}
	}
	if out.Type != 0 {
		if err := proxy.SendAck(emit, proxy.ToClient, u.from, out); err != nil {
			return err
		}
	}
	if ended && u.window != nil {
		return u.window.Leave(id, u.passer(emit))
	}
	return nil
}

func (u *up) subscribe(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, u.from)
	s, err := mqtt.ParseSubscribe(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	if u.maxBytes > 0 && s.Size(mqtt.V5) > u.maxBytes {
		refused := mqtt.Suback{PacketID: s.PacketID, Codes: make([]mqtt.ReasonCode, len(s.Filters))}
		for i := range refused.Codes {
			refused.Codes[i] = mqtt.UnspecifiedError
		}
		return proxy.Send(emit, proxy.ToClient, u.from, refused)
	}
	if u.bridge {
		for i := range s.Filters {
			shared := strings.HasPrefix(s.Filters[i].Filter, "$share/") // [MQTT-3.8.3-4]
			s.Filters[i].NoLocal, s.Filters[i].RetainAsPublished = !shared, true
		}
	}
	return proxy.Send(emit, proxy.ToServer, mqtt.V5, s)
}
