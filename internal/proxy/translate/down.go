package translate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// down translates for a client of 5.0 and a broker of 3.x.
type down struct {
	c        Config
	to       mqtt.Version
	conn     *proxy.Conn
	expiries *expiries // of the factory; may be nil

	toServer   proxy.Aliases // what the client sends; nothing goes on with an alias
	fromServer proxy.Settled // deliveries that the client does not get
	window     *proxy.Window // deliveries; set by the CONNECT

	mu       sync.Mutex
	assigned string // the client identifier that was made
	maxBytes int    // the largest packet that the client takes; 0: any
	clean    bool   // the client has asked for a clean start
	subs     subscriptions
	requests map[uint16]request
}

func newDown(f *Factory, conn *proxy.Conn) *down {
	return &down{
		c: f.c, to: f.to, conn: conn, expiries: f.expiries,
		subs:     subscriptions{byFilter: make(map[string]subscription)},
		requests: make(map[uint16]request),
	}
}

// Handle implements proxy.Stage.
func (d *down) Handle(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	if f.Direction == proxy.ToServer {
		return d.fromClient(ctx, f, emit)
	}
	return d.fromBroker(ctx, f, emit)
}

func (d *down) fromClient(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	switch f.Header.Type {
	case mqtt.TypeConnect:
		return proxy.Refuse(emit, mqtt.V5, d.connect(ctx, f, emit))
	case mqtt.TypePublish:
		return d.publish(f, emit)
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		return d.ackFromClient(f, emit)
	case mqtt.TypeSubscribe:
		return d.subscribe(f, emit)
	case mqtt.TypeUnsubscribe:
		return d.unsubscribe(f, emit)
	case mqtt.TypeDisconnect:
		return d.disconnect(f, emit)
	case mqtt.TypeAuth:
		return &proxy.End{
			Why: "auth", Err: errors.New("a broker of MQTT 3.x has no AUTH"),
			Client: mqtt.BadAuthenticationMethod,
		}
	}
	return emit(f)
}

func (d *down) fromBroker(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	switch f.Header.Type {
	case mqtt.TypeConnack:
		return d.connack(f, emit)
	case mqtt.TypePublish:
		return d.deliver(ctx, f, emit)
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		return d.ackFromBroker(f, emit)
	case mqtt.TypeSuback, mqtt.TypeUnsuback:
		return d.reply(f, emit)
	}
	return emit(f)
}

func (d *down) connect(ctx context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, mqtt.V5)
	in, err := mqtt.ParseConnect(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	if in.Properties.Has(mqtt.PropAuthenticationMethod) {
		return &proxy.End{
			Why: "auth", Err: errors.New("a broker of MQTT 3.x has no enhanced authentication"),
			Client: mqtt.BadAuthenticationMethod,
		}
	}
	expiry, _ := in.Properties.Uint32(mqtt.PropSessionExpiryInterval)
	receive, ok := in.Properties.Uint16(mqtt.PropReceiveMaximum)
	if !ok {
		receive = math.MaxUint16
	}
	size, _ := in.Properties.Uint32(mqtt.PropMaximumPacketSize)

	out := in
	out.Version, out.ProtocolName, out.Properties = d.to, "", nil
	out.CleanStart = in.CleanStart && expiry == 0
	if in.HasPassword && !in.HasUsername { // 3.x knows no password without a user name
		out.HasUsername = true
	}
	if in.Will != nil {
		drop(d.conn, in.Will.Properties)
		will := *in.Will
		will.Properties = nil
		out.Will = &will
	}
	drop(d.conn, in.Properties, mqtt.PropSessionExpiryInterval, mqtt.PropReceiveMaximum,
		mqtt.PropMaximumPacketSize, mqtt.PropTopicAliasMaximum, mqtt.PropRequestProblemInformation)

	d.mu.Lock()
	if in.ClientID == "" {
		d.assigned = newClientID()
		out.ClientID = d.assigned
	}
	d.clean, d.maxBytes = in.CleanStart, int(min(size, math.MaxInt32))
	d.window = proxy.NewWindow(int(receive), d.c.HoldBytes)
	d.mu.Unlock()

	if in.CleanStart && expiry > 0 && in.ClientID != "" {
		if err := d.forget(ctx, out); err != nil {
			return err
		}
	}
	return proxy.Send(emit, proxy.ToServer, d.to, out)
}

// newClientID makes an identifier that even 3.1 has no objection to.
func newClientID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return "iotctl-" + hex.EncodeToString(b[:])
}

// forgetTime bounds the connection that makes the broker forget a session.
const forgetTime = 10 * time.Second

// forget has the broker end the session that it may have for the client: a broker of
// 3.x has no other way to begin a new one that lasts.
func (d *down) forget(ctx context.Context, c mqtt.Connect) error {
	ctx, cancel := context.WithTimeout(ctx, forgetTime)
	defer cancel()
	conn, err := d.conn.Dial(ctx, c.ClientID)
	if err != nil {
		return &proxy.End{Why: "dial", Err: err, Client: mqtt.ServerUnavailable}
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.CleanStart, c.Will = true, nil
	b, err := c.Append(nil, d.to)
	if err == nil {
		_, err = conn.Write(b)
	}
	if err != nil {
		return &proxy.End{Why: "dial", Err: fmt.Errorf("clean start: %w", err), Client: mqtt.ServerUnavailable}
	}
	answer, err := readConnack(conn, d.to)
	switch {
	case err != nil:
		return &proxy.End{Why: "dial", Err: fmt.Errorf("clean start: %w", err), Client: mqtt.ServerUnavailable}
	case answer.Code != mqtt.V3Accepted:
		return &proxy.End{
			Why: "refused", Err: fmt.Errorf("clean start: the broker answers: %s", answer.Code.Name(mqtt.TypeConnack, d.to)),
			Client: connackCode(answer.Code),
		}
	}
	if b, err = (mqtt.Disconnect{}).Append(b[:0], d.to); err == nil {
		_, err = conn.Write(b)
	}
	if err != nil {
		return &proxy.End{Why: "dial", Err: fmt.Errorf("clean start: %w", err), Client: mqtt.ServerUnavailable}
	}
	// The broker has seen DISCONNECT when it closes. One that does not close has had
	// its time.
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(forgetTime / 10))
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<10))
	return nil
}

// readConnack reads the answer of a broker of version v, 3.x, which has four bytes.
func readConnack(r io.Reader, v mqtt.Version) (mqtt.Connack, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return mqtt.Connack{}, err
	}
	p, _, err := mqtt.Parse(b[:], proxy.Options(proxy.ToClient, v))
	if err != nil {
		return mqtt.Connack{}, err
	}
	c, ok := p.(mqtt.Connack)
	if !ok {
		return c, fmt.Errorf("%v instead of CONNACK", p.Type())
	}
	return c, nil
}

// connackCode is what a return code of 3.x is called in 5.0.
func connackCode(c mqtt.ReasonCode) mqtt.ReasonCode {
	if reason, ok := mqtt.ReasonOf(c); ok {
		return reason
	}
	return mqtt.UnspecifiedError
}

func (d *down) connack(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, d.to)
	c, err := mqtt.ParseConnack(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	c.Code = connackCode(c.Code)
	d.mu.Lock()
	c.SessionPresent = c.SessionPresent && !d.clean
	if c.Code == mqtt.Success {
		if d.assigned != "" {
			c.Properties = c.Properties.AppendString(mqtt.PropAssignedClientIdentifier, d.assigned)
		}
		if d.c.TopicAliases > 0 {
			c.Properties = c.Properties.AppendUint16(mqtt.PropTopicAliasMaximum, uint16(d.c.TopicAliases))
		}
	}
	d.mu.Unlock()
	return proxy.Send(emit, proxy.ToClient, mqtt.V5, c)
}

func (d *down) publish(f proxy.Frame, emit func(proxy.Frame) error) error {
	p, err := proxy.ParsePublish(&f, mqtt.V5)
	if err != nil {
		return err
	}
	if id, ok := p.Properties.Uint16(mqtt.PropTopicAlias); ok && int(id) > d.c.TopicAliases { // [MQTT-3.3.2-9]
		return &proxy.End{
			Why: "topic-alias", Err: fmt.Errorf("topic alias %d, maximum %d", id, d.c.TopicAliases),
			Client: mqtt.TopicAliasInvalid,
		}
	}
	if err := d.toServer.Resolve(&p); err != nil {
		return err
	}
	d.expiries.published(&p, time.Now())
	drop(d.conn, p.Properties, mqtt.PropTopicAlias)
	p.Properties = nil
	return proxy.Send(emit, proxy.ToServer, d.to, p)
}

func (d *down) disconnect(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, mqtt.V5)
	in, err := mqtt.ParseDisconnect(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	drop(d.conn, in.Properties)
	if in.Code != mqtt.NormalDisconnection { // [MQTT-3.14.4-3] is for 0 alone
		return &proxy.End{Why: "will", Err: fmt.Errorf("the client disconnects: %v", in.Code)}
	}
	return proxy.Send(emit, proxy.ToServer, d.to, mqtt.Disconnect{})
}
