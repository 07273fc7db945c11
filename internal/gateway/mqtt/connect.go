package mqtt

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/router"
	"github.com/iotctl/iotctl/internal/session"
)

// refuse ends the connection with a CONNACK: the reason code in 5.0, the
// nearest return code before. That a client waits for approval is not hidden:
// the code is for its display.
func (c *conn) refuse(code mqtt.ReasonCode, why string, err error) error {
	e := &gateway.End{Why: why, Err: err, Mute: true}
	ack := mqtt.Connack{Code: code}
	if c.version == mqtt.V5 && err != nil && (!c.g.cfg.HideReasons || isPending(err)) {
		ack.Properties = ack.Properties.AppendString(mqtt.PropReasonString, gateway.Clip(err.Error()))
	}
	last, aerr := ack.Append(nil, c.version)
	if aerr == nil && c.out.tooLarge(len(last)) {
		last, aerr = mqtt.Connack{Code: code}.Append(nil, c.version)
	}
	if aerr == nil {
		e.Last, e.Mute = last, false
	}
	return e
}

// connect handles the first packet.
func (c *conn) connect(ctx context.Context, h mqtt.Header, body []byte) error {
	p, err := mqtt.ParseConnect(body, h.Flags, &c.opts)
	c.version = p.Version
	c.opts.Version = p.Version
	if err == nil {
		err = h.Check(&c.opts)
	}
	if err != nil {
		return c.badConnect(p, err)
	}
	c.out.init(&p, c.g.cfg.TopicAliasMaximum)
	c.session.problemInfo = p.Version == mqtt.V5 && !c.g.cfg.HideReasons
	if v, ok := p.Properties.Byte(mqtt.PropRequestProblemInformation); ok && v == 0 {
		c.session.problemInfo = false
	}
	if err := c.chooseClientID(&p); err != nil {
		return err
	}
	c.creds = c.credentials(&p)
	if method, ok := p.Properties.String(mqtt.PropAuthenticationMethod); ok {
		data, _ := p.Properties.Bytes(mqtt.PropAuthenticationData)
		return c.beginExchange(ctx, p, method, data)
	}
	id, err := c.authenticate(ctx)
	if err != nil {
		return err
	}
	c.creds = nil
	return c.accept(ctx, &p, id, nil)
}

// badConnect answers a CONNECT that breaks a rule. Before 5.0 only a wrong
// version or client identifier has an answer. // [MQTT-3.1.4-1] [MQTT3-3.1.4-1]
func (c *conn) badConnect(p mqtt.Connect, err error) error {
	code := reasonOf(err)
	switch {
	case p.Version == mqtt.V5:
	case code == mqtt.UnsupportedProtocolVersion, code == mqtt.ClientIdentifierNotValid:
		if p.Version != mqtt.V31 && p.Version != mqtt.V311 {
			c.version = mqtt.V311 // an answer that every client can read // [MQTT3-3.1.2-2]
		}
	default:
		return &gateway.End{Why: "protocol", Err: err, Mute: true}
	}
	return c.refuse(code, "protocol", err)
}

// chooseClientID assigns an identifier to a client that has none.
// // [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT3-3.1.3-8]
func (c *conn) chooseClientID(p *mqtt.Connect) error {
	c.clientID = p.ClientID
	c.Name(c.clientID)
	if p.ClientID != "" {
		return nil
	}
	if p.Version == mqtt.V31 || p.Version == mqtt.V311 && !p.CleanStart {
		return c.refuse(mqtt.ClientIdentifierNotValid, "client-id", errors.New("empty client identifier without clean session"))
	}
	c.clientID = "auto-" + rand.Text()
	c.Name(c.clientID)
	return nil
}

func (c *conn) credentials(p *mqtt.Connect) *auth.Credentials {
	info := c.Info()
	creds := &auth.Credentials{
		ClientID: p.ClientID, HasUsername: p.HasUsername, Username: p.Username,
		HasPassword: p.HasPassword, Password: append([]byte(nil), p.Password...),
		TLS: info.TLS, Listener: info.Listener, Protocol: "mqtt",
	}
	if info.Remote.IsValid() {
		creds.Remote = net.TCPAddrFromAddrPort(info.Remote)
	}
	return creds
}

// authenticate asks who the client is. Nothing of any session has been touched
// before the answer.
func (c *conn) authenticate(ctx context.Context) (auth.Identity, error) {
	if c.g.cfg.Authenticator == nil {
		return auth.Identity{}, c.refuse(mqtt.NotAuthorized, "auth", errors.New("nobody may connect: no authenticator is configured"))
	}
	ctx, cancel := context.WithTimeout(ctx, c.g.cfg.ConnectTimeout)
	defer cancel()
	id, verdict, err := c.g.cfg.Authenticator.Authenticate(ctx, *c.creds)
	c.creds.Password = nil // nobody needs it any more
	switch {
	case isPending(err):
		return id, c.refuse(mqtt.NotAuthorized, "pending", err)
	case err != nil:
		c.Log().Error("authentication failed", "err", err)
	case verdict == auth.Allow:
		id.ClientID = c.clientID
		return id, nil
	}
	code, cause := mqtt.NotAuthorized, errors.New("the client names no user")
	if c.creds.HasUsername {
		code, cause = mqtt.BadUserNameOrPassword, fmt.Errorf("user %q: name or password is wrong", c.creds.Username)
	}
	refusal := c.refuse(code, "auth", nil)
	if e := (*gateway.End)(nil); errors.As(refusal, &e) {
		e.Err = cmp.Or(err, cause) // for the log alone: all such clients get the same answer
	}
	return id, refusal
}

// isPending reports whether err is that the client waits for an operator.
func isPending(err error) bool {
	var pending *auth.Pending
	return errors.As(err, &pending)
}

// accept attaches the client to its session and answers.
func (c *conn) accept(ctx context.Context, p *mqtt.Connect, id auth.Identity, authData []byte) error {
	o, err := c.sessionOptions(p)
	if err != nil {
		return c.refuse(reasonOf(err), "will", err)
	}
	link, resumed, err := c.g.b.Attach(ctx, id, o, c)
	if err != nil {
		return c.refuse(reasonOf(err), "refused", err)
	}
	defer func() {
		if c.Link() == nil { // no answer could be made
			link.Detach(broker.Farewell{})
		}
	}()
	ack := mqtt.Connack{SessionPresent: resumed.Present}
	requested := c.session.expiry
	c.session.expiry = resumed.Expiry
	keepAlive, serverKeepAlive := c.agreeKeepAlive(p.KeepAlive)
	if c.version == mqtt.V5 {
		ack.Properties = c.connackProperties(p, requested, serverKeepAlive, authData)
	}
	b, err := ack.Append(nil, c.version)
	if err != nil || c.out.tooLarge(len(b)) {
		return &gateway.End{Why: "too-large", Err: errors.New("CONNACK above the client's maximum packet size"), Mute: true}
	}
	c.Log().Debug("client connected", "user", id.Name, "version", c.version.String(), "present", resumed.Present)
	if err := c.Accept(link, b); err != nil {
		return err
	}
	c.g.count(b)
	c.KeepAlive(keepAlive)
	return nil
}

// agreeKeepAlive settles the keep alive: how long the client may be silent, 0 for
// ever, and the server's own when the client has to be told.
// // [MQTT-3.1.2-21] [MQTT-3.1.2-22]
func (c *conn) agreeKeepAlive(asked uint16) (silence time.Duration, server uint16) {
	limit := c.g.cfg.MaxKeepAlive
	if limit == 0 {
		limit = 65535 * time.Second
	}
	keepAlive := time.Duration(asked) * time.Second
	if c.version == mqtt.V5 && (asked == 0 || keepAlive > limit) {
		keepAlive = limit
		if c.g.cfg.MaxKeepAlive == 0 {
			keepAlive = 10 * time.Minute
		}
		server = uint16(keepAlive / time.Second)
	}
	return keepAlive * 3 / 2, server
}

func (c *conn) connackProperties(p *mqtt.Connect, requested time.Duration, keepAlive uint16, authData []byte) mqtt.Properties {
	cfg := &c.g.cfg
	var props mqtt.Properties
	if c.session.expiry != requested {
		props = props.AppendUint32(mqtt.PropSessionExpiryInterval, expirySeconds(c.session.expiry))
	}
	if cfg.ReceiveMaximum < 65535 {
		props = props.AppendUint16(mqtt.PropReceiveMaximum, uint16(cfg.ReceiveMaximum))
	}
	props = props.AppendUint32(mqtt.PropMaximumPacketSize, uint32(cfg.MaxPacketBytes))
	if p.ClientID == "" {
		props = props.AppendString(mqtt.PropAssignedClientIdentifier, c.clientID) // [MQTT-3.1.3-7]
	}
	if cfg.TopicAliasMaximum > 0 {
		props = props.AppendUint16(mqtt.PropTopicAliasMaximum, uint16(cfg.TopicAliasMaximum))
	}
	if keepAlive > 0 {
		props = props.AppendUint16(mqtt.PropServerKeepAlive, keepAlive)
	}
	if v, ok := p.Properties.Byte(mqtt.PropRequestResponseInformation); ok && v == 1 && cfg.ResponseInformation != "" && !strings.ContainsAny(c.clientID, "+#/") {
		info := strings.ReplaceAll(cfg.ResponseInformation, "%c", c.clientID)
		if len(info) <= mqtt.MaxFieldBytes { // the identifier alone may be that long
			props = props.AppendString(mqtt.PropResponseInformation, info)
		}
	}
	if c.session.method != "" {
		props = props.AppendString(mqtt.PropAuthenticationMethod, c.session.method) // [MQTT-4.12.0-5]
		if len(authData) > 0 {
			props = props.AppendBytes(mqtt.PropAuthenticationData, authData)
		}
	}
	return props
}

// expirySeconds is a session expiry interval on the wire.
// // [MQTT-3.1.2.11.2]
func expirySeconds(d time.Duration) uint32 {
	if d == broker.Never {
		return math.MaxUint32
	}
	return uint32(min(d/time.Second, math.MaxUint32-1))
}

// sessionOptions reads what the client asks of its session.
func (c *conn) sessionOptions(p *mqtt.Connect) (broker.SessionOptions, error) {
	o := broker.SessionOptions{
		ClientID:       c.clientID,
		CleanStart:     p.CleanStart,
		ReceiveMaximum: c.g.cfg.ReceiveMaximum,
		Window:         session.Window{ReceiveMaximum: c.g.cfg.MaxInflight},
	}
	if p.Version == mqtt.V5 {
		if v, ok := p.Properties.Uint32(mqtt.PropSessionExpiryInterval); ok {
			o.Expiry = broker.Seconds(v)
		}
		if v, ok := p.Properties.Uint16(mqtt.PropReceiveMaximum); ok {
			o.Window.ReceiveMaximum = min(o.Window.ReceiveMaximum, int(v))
		}
	} else {
		o.ReceiveMaximum = 0 // unknown to the client, so not held against it
		if !p.CleanStart {
			o.Expiry = c.g.cfg.SessionExpiry
		}
	}
	c.session.expiry = o.Expiry
	if c.out.maxPacket > 0 {
		o.Window.Fits = c.out.fits
	}
	if p.Will == nil {
		return o, nil
	}
	w, err := c.will(p.Will)
	o.Will = w
	return o, err
}

// will reads the will message. Its properties but the delay and the expiry
// become those of the message. // [MQTT-3.1.3.2]
func (c *conn) will(w *mqtt.Will) (*broker.Will, error) {
	if err := router.ValidateName(w.Topic); err != nil {
		return nil, err
	}
	out := &broker.Will{Message: message.View{
		Topic: []byte(w.Topic), Payload: w.Payload, QoS: w.QoS, Retain: w.Retain,
		Properties: w.Properties.Without(mqtt.PropWillDelayInterval, mqtt.PropMessageExpiryInterval),
	}}
	if v, ok := w.Properties.Uint32(mqtt.PropWillDelayInterval); ok {
		out.Delay = time.Duration(v) * time.Second
	}
	if v, ok := w.Properties.Uint32(mqtt.PropMessageExpiryInterval); ok {
		out.Message.Expiry, out.Message.HasExpiry = v, true
	}
	return out, nil
}

// maxRounds bounds an enhanced authentication.
const maxRounds = 8

// beginExchange opens the enhanced authentication that CONNECT asks for.
// // [MQTT-4.12.0-1]
func (c *conn) beginExchange(ctx context.Context, p mqtt.Connect, method string, data []byte) error {
	e := c.g.cfg.Enhanced.Find(method)
	if e == nil {
		return c.refuse(mqtt.BadAuthenticationMethod, "auth", fmt.Errorf("authentication method %q is not offered", method))
	}
	c.session.method = method
	c.session.exchange = e.Begin(*c.creds)
	c.pending = detachConnect(p)
	return c.nextRound(ctx, data)
}

// detachConnect copies what aliases the read buffer.
func detachConnect(p mqtt.Connect) *mqtt.Connect {
	p.Properties = append(mqtt.Properties(nil), p.Properties...)
	p.Password = nil
	if p.Will != nil {
		w := *p.Will
		w.Payload = append([]byte(nil), w.Payload...)
		w.Properties = append(mqtt.Properties(nil), w.Properties...)
		p.Will = &w
	}
	return &p
}

// nextRound carries an enhanced authentication on, for CONNECT and for
// re-authentication alike.
func (c *conn) nextRound(ctx context.Context, data []byte) error {
	c.session.rounds++
	if c.session.rounds > maxRounds {
		return c.failExchange(mqtt.NotAuthorized, errors.New("too many rounds"))
	}
	ctx, cancel := context.WithTimeout(ctx, c.g.cfg.ConnectTimeout)
	defer cancel()
	reply, id, verdict, err := c.session.exchange.Next(ctx, data)
	switch {
	case err != nil || verdict == auth.Deny:
		if err != nil {
			c.Log().Info("enhanced authentication failed", "method", c.session.method, "err", err)
		}
		return c.failExchange(mqtt.NotAuthorized, nil)
	case verdict == auth.Ignore:
		return c.sendAuth(mqtt.ContinueAuthentication, reply) // [MQTT-4.12.0-2]
	}
	c.session.exchange, c.session.rounds = nil, 0
	id.ClientID = c.clientID
	if p := c.pending; p != nil {
		c.pending = nil
		return c.accept(ctx, p, id, reply)
	}
	if err := c.Link().SetIdentity(id); err != nil {
		return ended(mqtt.NotAuthorized, "auth", err)
	}
	return c.sendAuth(mqtt.Success, reply)
}

func (c *conn) failExchange(code mqtt.ReasonCode, err error) error {
	if c.pending != nil {
		return c.refuse(code, "auth", err)
	}
	return ended(code, "auth", err) // [MQTT-4.12.1-2]
}

func (c *conn) sendAuth(code mqtt.ReasonCode, data []byte) error {
	a := mqtt.Auth{Code: code}
	a.Properties = a.Properties.AppendString(mqtt.PropAuthenticationMethod, c.session.method)
	if len(data) > 0 {
		a.Properties = a.Properties.AppendBytes(mqtt.PropAuthenticationData, data)
	}
	b, err := a.Append(nil, c.version)
	if err != nil || c.out.tooLarge(len(b)) {
		return &gateway.End{Why: "too-large", Err: errors.New("AUTH above the client's maximum packet size"), Mute: true}
	}
	c.g.count(b)
	c.Send(b)
	c.Flush()
	return nil
}

// auth handles AUTH.
func (c *conn) auth(ctx context.Context, p mqtt.Auth) error {
	method, _ := p.Properties.String(mqtt.PropAuthenticationMethod)
	data, _ := p.Properties.Bytes(mqtt.PropAuthenticationData)
	if c.session.method == "" || method != c.session.method {
		return c.authError(mqtt.ProtocolError, fmt.Errorf("AUTH with method %q, CONNECT had %q", method, c.session.method)) // [MQTT-4.12.0-7]
	}
	switch {
	case p.Code == mqtt.ContinueAuthentication && c.session.exchange != nil:
	case p.Code == mqtt.Reauthenticate && c.session.exchange == nil && c.Link() != nil:
		c.session.exchange = c.g.cfg.Enhanced.Find(method).Begin(*c.creds) // CONNECT has found it
	default:
		return c.authError(mqtt.ProtocolError, fmt.Errorf("AUTH with reason code %#02x at this point", uint8(p.Code)))
	}
	return c.nextRound(ctx, data)
}

func (c *conn) authError(code mqtt.ReasonCode, err error) error {
	if c.Link() == nil {
		return c.refuse(code, "protocol", err)
	}
	return ended(code, "protocol", err)
}
