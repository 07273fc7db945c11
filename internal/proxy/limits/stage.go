package limits

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/transport"
)

// holdBytes bounds the messages in flight that are held back for a connection and
// direction; then the direction waits.
const holdBytes = 256 << 10

// stage holds one connection to limits.
type stage struct {
	f        *Factory
	conn     *proxy.Conn
	key      netip.Addr        // that it is counted by; invalid: it is not
	connects *transport.Bucket // of its address
	flows    [2]*flow          // by direction; nil: no limits
}

// flow is one direction.
type flow struct {
	c               Flow
	messages, bytes *transport.Bucket
	window          *proxy.Window
	aliases         proxy.Aliases
	settled         proxy.Settled
}

func newStage(f *Factory, c *proxy.Conn) *stage {
	return &stage{f: f, conn: c, flows: [2]*flow{proxy.ToServer: newFlow(f.c.Publish), proxy.ToClient: newFlow(f.c.Deliver)}}
}

func newFlow(c Flow) *flow {
	if c.none() {
		return nil
	}
	now := time.Now()
	fl := &flow{c: c, messages: transport.NewBucket(c.Messages.Rate, now), bytes: transport.NewBucket(c.Bytes.Rate, now)}
	if c.InFlight.Most > 0 {
		fl.window = proxy.NewWindow(c.InFlight.Most, holdBytes)
	}
	return fl
}

// Ended implements proxy.Ender.
func (s *stage) Ended(*proxy.End) { s.f.leave(s.key) }

// Handle implements proxy.Stage.
func (s *stage) Handle(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	switch f.Header.Type {
	case mqtt.TypeConnect:
		if err := s.connect(ctx); err != nil {
			return proxy.Refuse(emit, s.conn.Version, err)
		}
	case mqtt.TypeConnack:
		return s.connack(f, emit)
	}
	if fl := s.flows[f.Direction]; fl != nil {
		if fl.bytes != nil && fl.c.Bytes.Over != Drop || f.Header.Type == mqtt.TypePublish {
			if pass, err := s.measure(ctx, fl, &f, emit); !pass || err != nil {
				return err
			}
		}
		switch f.Header.Type {
		case mqtt.TypePublish:
			return s.publish(ctx, fl, f, emit)
		case mqtt.TypePubrel:
			a, err := proxy.ParseAck(&f, s.conn.Version)
			if err != nil {
				return err
			}
			if answer, ok := fl.settled.Release(a.PacketID); ok {
				return proxy.SendAck(emit, f.Direction.Back(), s.conn.Version, answer)
			}
		}
	}
	if err := emit(f); err != nil {
		return err
	}
	return s.answered(&f, emit)
}

// maxConnectWait bounds how long a CONNECT waits for its turn. Clients wait about as
// long for the answer: those that have gone must not use up the turns of others.
const maxConnectWait = 20 * time.Second

// connect waits for the CONNECT's turn: at its address first, so that one which comes
// too often takes no turns from others.
func (s *stage) connect(ctx context.Context) error {
	if err := s.f.admit(s); err != nil {
		return err
	}
	if err := s.turn(ctx, s.connects, s.f.c.ConnectRatePerAddress.Over, "connect-rate-per-address"); err != nil {
		return err
	}
	return s.turn(ctx, s.f.all, s.f.c.ConnectRate.Over, "connect-rate")
}

// turn takes a token for a CONNECT; b may be nil.
func (s *stage) turn(ctx context.Context, b *transport.Bucket, over, limit string) error {
	switch {
	case b == nil:
		return nil
	case over == Disconnect:
		if !b.Allow(time.Now(), 1) {
			return s.tooOften(limit)
		}
		return nil
	}
	patient, cancel := context.WithTimeout(ctx, maxConnectWait)
	defer cancel()
	err := wait(patient, b, 1)
	if err != nil && ctx.Err() == nil {
		return s.tooOften(limit)
	}
	return err
}

// wait takes n tokens, and waits until there are some.
func wait(ctx context.Context, b *transport.Bucket, n int) error {
	for !b.Allow(time.Now(), min(n, 1)) {
		timer := time.NewTimer(b.Wait(time.Now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	if n > 1 {
		b.Charge(time.Now(), n-1)
	}
	return nil
}

// connack tells a client of 5.0 the limits that it can be told.
func (s *stage) connack(f proxy.Frame, emit func(proxy.Frame) error) error {
	own := s.f.c.Publish
	if s.conn.Version < mqtt.V5 || own.PacketSize.MostBytes == 0 && own.InFlight.Most == 0 {
		return emit(f)
	}
	o := proxy.Options(f.Direction, s.conn.Version)
	c, err := mqtt.ParseConnack(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	if most := own.PacketSize.MostBytes; most > 0 && c.Code == mqtt.Success {
		if has, ok := c.Properties.Uint32(mqtt.PropMaximumPacketSize); !ok || uint64(has) > uint64(most) {
			c.Properties = c.Properties.Without(mqtt.PropMaximumPacketSize).AppendUint32(mqtt.PropMaximumPacketSize, uint32(most))
		}
	}
	if most := own.InFlight.Most; most > 0 && most < math.MaxUint16 && c.Code == mqtt.Success {
		if has, ok := c.Properties.Uint16(mqtt.PropReceiveMaximum); !ok || int(has) > most {
			c.Properties = c.Properties.Without(mqtt.PropReceiveMaximum).AppendUint16(mqtt.PropReceiveMaximum, uint16(most))
		}
	}
	return proxy.Send(emit, f.Direction, s.conn.Version, c)
}

// measure holds a packet to the limits of rate and size; pass is false if it has been
// dropped.
func (s *stage) measure(ctx context.Context, fl *flow, f *proxy.Frame, emit func(proxy.Frame) error) (pass bool, err error) {
	if most := fl.c.PacketSize.MostBytes; f.Header.Type == mqtt.TypePublish && most > 0 && len(f.Bytes) > most {
		return s.over(fl, f, emit, fl.c.PacketSize.Over, "packet-size", mqtt.PacketTooLarge)
	}
	if fl.messages != nil && f.Header.Type == mqtt.TypePublish {
		switch over := fl.c.Messages.Over; over {
		case Drop, Disconnect:
			if !fl.messages.Allow(time.Now(), 1) {
				return s.over(fl, f, emit, over, "messages", mqtt.MessageRateTooHigh)
			}
		default:
			if err := wait(ctx, fl.messages, 1); err != nil {
				return false, err
			}
		}
	}
	if fl.bytes != nil {
		switch over := fl.c.Bytes.Over; over {
		case Drop, Disconnect:
			now := time.Now()
			if fl.bytes.Wait(now) > 0 {
				return s.over(fl, f, emit, over, "bytes", mqtt.MessageRateTooHigh)
			}
			fl.bytes.Charge(now, len(f.Bytes))
		default:
			if err := wait(ctx, fl.bytes, len(f.Bytes)); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// over drops a message that is above a limit, or ends the connection.
func (s *stage) over(
	fl *flow, f *proxy.Frame, emit func(proxy.Frame) error, how, limit string, code mqtt.ReasonCode,
) (pass bool, err error) {
	what := f.Direction.String() + "-" + limit
	if how == Disconnect {
		s.conn.Metrics.Refused("limits", what)
		return false, &proxy.End{Why: "limits", Err: fmt.Errorf("%s: %s", f.Direction, limit), Client: code}
	}
	p, err := proxy.ParsePublish(f, s.conn.Version)
	if err != nil {
		return false, err
	}
	if err := fl.aliases.Resolve(&p); err != nil {
		return false, err
	}
	s.conn.Metrics.Dropped("limits", what)
	answer := mqtt.QuotaExceeded
	if f.Direction == proxy.ToClient {
		answer = mqtt.Success
	}
	if a, ok := fl.settled.Answer(&p, s.conn.Version, answer); ok {
		return false, proxy.SendAck(emit, f.Direction.Back(), s.conn.Version, a)
	}
	return false, nil
}

// publish passes a message on when its turn comes.
func (s *stage) publish(ctx context.Context, fl *flow, f proxy.Frame, emit func(proxy.Frame) error) error {
	p, err := proxy.ParsePublish(&f, s.conn.Version)
	if err != nil {
		return err
	}
	if fl.window == nil || p.QoS == 0 {
		return s.pass(fl, &p, f, emit)
	}
	if fl.window.Full(p.PacketID) {
		switch fl.c.InFlight.Over {
		case Drop, Disconnect:
			_, err := s.over(fl, &f, emit, fl.c.InFlight.Over, "in-flight", mqtt.ReceiveMaximumExceeded)
			return err
		}
	}
	// What an alias means is settled before the message waits: others may pass it.
	if err := fl.aliases.Resolve(&p); err != nil {
		return err
	}
	if p.Properties.Has(mqtt.PropTopicAlias) {
		p.Properties = p.Properties.Without(mqtt.PropTopicAlias)
		return proxy.Send(func(f proxy.Frame) error {
			return s.enter(ctx, fl, &p, f, emit)
		}, f.Direction, s.conn.Version, p)
	}
	return s.enter(ctx, fl, &p, f, emit)
}

func (s *stage) enter(ctx context.Context, fl *flow, p *mqtt.Publish, f proxy.Frame, emit func(proxy.Frame) error) error {
	fl.settled.Passed(p.PacketID)
	return fl.window.Enter(ctx, p.PacketID, f, s.passer(emit))
}

// passer counts the time that a message has waited off its expiry interval.
func (s *stage) passer(emit func(proxy.Frame) error) proxy.PassFunc {
	return func(f proxy.Frame, waited time.Duration) (bool, error) {
		if s.conn.Version < mqtt.V5 || waited < time.Second {
			return true, emit(f)
		}
		p, err := proxy.ParsePublish(&f, s.conn.Version)
		if err != nil {
			return false, err
		}
		if !proxy.Expire(&p, waited) {
			s.conn.Metrics.Dropped("limits", "message-expiry")
			if a, ok := s.flows[f.Direction].settled.Answer(&p, s.conn.Version, mqtt.Success); ok {
				return false, proxy.SendAck(emit, f.Direction.Back(), s.conn.Version, a)
			}
			return false, nil
		}
		return true, proxy.Send(emit, f.Direction, s.conn.Version, p)
	}
}

// pass passes on a message that need not wait.
func (s *stage) pass(fl *flow, p *mqtt.Publish, f proxy.Frame, emit func(proxy.Frame) error) error {
	short := len(p.Topic) == 0
	if err := fl.aliases.Resolve(p); err != nil {
		return err
	}
	if p.QoS == 2 {
		fl.settled.Passed(p.PacketID)
	}
	fl.aliases.Pass(p)
	if short && len(p.Topic) > 0 { // the packet that set the alias was dropped
		return proxy.Send(emit, f.Direction, s.conn.Version, *p)
	}
	return emit(f)
}

// answered lets messages of the other direction go on when one of them has been
// acknowledged.
func (s *stage) answered(f *proxy.Frame, emit func(proxy.Frame) error) error {
	fl := s.flows[f.Direction.Back()]
	if fl == nil || fl.window == nil {
		return nil
	}
	switch f.Header.Type {
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubcomp:
	default:
		return nil
	}
	a, err := proxy.ParseAck(f, s.conn.Version)
	if err != nil {
		return err
	}
	if a.Type == mqtt.TypePubrec && !a.Code.IsError() {
		return nil
	}
	return fl.window.Leave(a.PacketID, s.passer(emit))
}
