package rewrite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// maxRaised is how many messages that come with QoS 0 are on their way with another.
const maxRaised = 64

// stage changes the packets of one connection.
type stage struct {
	f      *Factory
	conn   *proxy.Conn
	pinger *proxy.Pinger // nil: the keep alive is the client's

	aliases   [2]proxy.Aliases // by direction
	settled   [2]proxy.Settled
	exchanges [2]proxy.Exchanges
	requests  proxy.Requests

	// Set by the CONNECT.
	topics         *topics
	userProperties []userProperty
	ping           bool // the broker wants to hear more often than the client speaks
	lasting        bool // the session outlives the connection

	mu       sync.Mutex
	made     string  // the client identifier in the place of an empty one
	maxBytes [2]int  // of a packet in that direction; 0: any
	expiry   *uint32 // the session expiry that was asked for instead
}

func newStage(f *Factory, c *proxy.Conn) (*stage, error) {
	s := &stage{f: f, conn: c}
	if f.c.KeepAlive > 0 {
		s.pinger = proxy.NewPinger(s, c)
	}
	for d, m := range map[proxy.Direction]Message{proxy.ToServer: f.c.Publish, proxy.ToClient: f.c.Deliver} {
		if m.changesQoS() {
			s.exchanges[d].Change = m.qos
			s.exchanges[d].Map = m.MinQoS > 0
		}
	}
	return s, nil
}

// Ended implements proxy.Ender.
func (s *stage) Ended(*proxy.End) {
	if s.pinger != nil {
		s.pinger.Stop()
	}
}

// Handle implements proxy.Stage.
func (s *stage) Handle(_ context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	if s.pinger != nil && f.Direction == proxy.ToServer {
		s.pinger.Sent()
	}
	switch f.Header.Type {
	case mqtt.TypeConnect:
		return proxy.Refuse(emit, s.conn.Version, s.connect(f, emit))
	case mqtt.TypeConnack:
		return s.connack(f, emit)
	case mqtt.TypePublish:
		return s.publish(f, emit)
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		return s.ack(f, emit)
	case mqtt.TypeSubscribe:
		return s.subscribe(f, emit)
	case mqtt.TypeUnsubscribe:
		return s.unsubscribe(f, emit)
	case mqtt.TypeSuback, mqtt.TypeUnsuback:
		return s.reply(f, emit)
	case mqtt.TypeDisconnect:
		return s.disconnect(f, emit)
	case mqtt.TypePingreq:
		if s.pinger != nil {
			s.pinger.Asked()
		}
	case mqtt.TypePingresp:
		if s.pinger != nil && !s.pinger.Answered() {
			return nil
		}
	}
	return emit(f)
}

// errLarge says that a packet has become larger than its receiver takes.
var errLarge = errors.New("the packet has become too large")

func (s *stage) publish(f proxy.Frame, emit func(proxy.Frame) error) error {
	d := f.Direction
	p, err := proxy.ParsePublish(&f, s.conn.Version)
	if err != nil {
		return err
	}
	if err := s.aliases[d].Resolve(&p); err != nil {
		return err
	}
	in := p
	if err := s.rename(&p, d); err != nil {
		return s.refuse(&in, d, err, emit)
	}
	m := s.f.c.Publish
	if d == proxy.ToClient {
		m = s.f.c.Deliver
	}
	p.Retain = m.retain(p.Retain)
	p.Properties = s.properties(p.Properties, d, mqtt.In(mqtt.TypePublish))
	s.mu.Lock()
	most := s.maxBytes[d]
	s.mu.Unlock()
	size := p.Size(s.conn.Version)
	if p.QoS == 0 && m.MinQoS > 0 {
		size += 2 // for the packet identifier
	}
	if most > 0 && size > most { // [MQTT-3.1.2-24] [MQTT-3.2.2-15]
		return s.refuse(&in, d, errLarge, emit)
	}
	if p.QoS == 2 {
		s.settled[d].Passed(p.PacketID)
	}
	to, err := s.exchanges[d].Publish(&p)
	if err != nil {
		return err
	}
	if to.Lowered {
		s.conn.Metrics.Dropped("rewrite", "qos")
	}
	if !to.Keep {
		p.QoS, p.Dup, p.PacketID = to.QoS, to.Dup, to.PacketID
		s.aliases[d].Pass(&p)
		if err := proxy.Send(emit, d, s.conn.Version, p); err != nil {
			return err
		}
	}
	if to.Answer.Type != 0 {
		return proxy.SendAck(emit, d.Back(), s.conn.Version, to.Answer)
	}
	return nil
}

// rename gives p the names of topics of the other side.
func (s *stage) rename(p *mqtt.Publish, d proxy.Direction) error {
	if s.topics == nil {
		return nil
	}
	name, err := s.name(string(p.Topic), d)
	if err != nil {
		return err
	}
	p.Topic = []byte(name)
	p.Properties, err = s.response(p.Properties, d)
	return err
}

func (s *stage) name(topic string, d proxy.Direction) (string, error) {
	if d == proxy.ToServer {
		return s.topics.toServer(topic)
	}
	return s.topics.toClient(topic)
}

// response renames a response topic.
func (s *stage) response(ps mqtt.Properties, d proxy.Direction) (mqtt.Properties, error) {
	topic, ok := ps.String(mqtt.PropResponseTopic)
	if !ok || s.topics == nil {
		return ps, nil
	}
	name, err := s.name(topic, d)
	if err != nil {
		return nil, fmt.Errorf("response topic: %w", err)
	}
	return ps.Without(mqtt.PropResponseTopic).AppendString(mqtt.PropResponseTopic, name), nil
}

// refuse answers for a message that cannot go on.
func (s *stage) refuse(p *mqtt.Publish, d proxy.Direction, why error, emit func(proxy.Frame) error) error {
	what, code := "topic", mqtt.TopicNameInvalid
	if errors.Is(why, errLarge) {
		what, code = "packet-too-large", mqtt.QuotaExceeded // no PUBACK says that it is too large
	}
	s.conn.Metrics.Dropped("rewrite", what)
	if d == proxy.ToClient {
		code = mqtt.Success
	}
	if a, ok := s.settled[d].Answer(p, s.conn.Version, code); ok {
		return proxy.SendAck(emit, d.Back(), s.conn.Version, a)
	}
	return nil
}

func (s *stage) ack(f proxy.Frame, emit func(proxy.Frame) error) error {
	a, err := proxy.ParseAck(&f, s.conn.Version)
	if err != nil {
		return err
	}
	d := f.Direction
	var back bool
	if a.Type == mqtt.TypePubrel {
		answer, ok := s.settled[d].Release(a.PacketID)
		if ok {
			return proxy.SendAck(emit, d.Back(), s.conn.Version, answer)
		}
		a, back = s.exchanges[d].FromSender(a)
	} else {
		a, back = s.exchanges[d.Back()].FromReceiver(a)
	}
	switch {
	case a.Type == 0:
		return nil
	case back:
		d = d.Back()
	}
	a.Properties = s.properties(a.Properties, d, mqtt.In(a.Type))
	return proxy.SendAck(emit, d, s.conn.Version, a)
}

// raise shares what a receiver takes at a time between the messages that come with
// QoS 1 and 2 and those that get it here; it returns the sender's share.
func (s *stage) raise(d proxy.Direction, receive uint16) uint16 {
	own := min(maxRaised, receive/2)
	s.exchanges[d].Raise(int(own), s.lasting)
	return receive - own
}

// receiveMaximum is that of ps, or what its absence means.
func receiveMaximum(ps mqtt.Properties) uint16 {
	if n, ok := ps.Uint16(mqtt.PropReceiveMaximum); ok {
		return n
	}
	return math.MaxUint16
}

// maximumPacketSize is that of ps; 0: any.
func maximumPacketSize(ps mqtt.Properties) int {
	n, _ := ps.Uint32(mqtt.PropMaximumPacketSize)
	return int(min(n, math.MaxInt32))
}

func (s *stage) disconnect(f proxy.Frame, emit func(proxy.Frame) error) error {
	if s.conn.Version < mqtt.V5 {
		return emit(f)
	}
	o := proxy.Options(f.Direction, s.conn.Version)
	m, err := mqtt.ParseDisconnect(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	if f.Direction == proxy.ToServer {
		m.Properties, _ = s.cap(m.Properties)
	}
	m.Properties = s.properties(m.Properties, f.Direction, mqtt.In(mqtt.TypeDisconnect))
	return proxy.Send(emit, f.Direction, s.conn.Version, m)
}

// cap holds a session expiry interval to the most that is allowed; it returns what it
// is then, nil if it was not changed.
func (s *stage) cap(ps mqtt.Properties) (mqtt.Properties, *uint32) {
	limit := s.f.c.SessionExpiry
	asked, ok := ps.Uint32(mqtt.PropSessionExpiryInterval)
	if limit == nil || !ok {
		return ps, nil
	}
	most := uint32(*limit / time.Second)
	if asked <= most {
		return ps, nil
	}
	return ps.Without(mqtt.PropSessionExpiryInterval).AppendUint32(mqtt.PropSessionExpiryInterval, most), &most
}
