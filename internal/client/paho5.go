package client

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/log"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// paho5 holds the conversation of MQTT 5.0.
type paho5 struct {
	c       *Client
	client  *paho.Client
	connack bool          // running: Done is valid
	packet  *paho.Connect // without the will, which the library only encodes
	// connectPacket is sent in place of the library's CONNECT, which loses
	// properties of the will and the order of all of them.
	connectPacket []byte
	unencodable   error // instead of it
	w             wire
}

func newPaho5(c *Client, id string, clean bool) *paho5 {
	p := &paho5{c: c, packet: &paho.Connect{
		ClientID:     id,
		CleanStart:   clean,
		KeepAlive:    c.o.KeepAlive,
		PasswordFlag: c.o.Password != nil,
		Password:     c.o.Password,
		Properties:   connectProperties(c.o.Properties),
	}}
	if c.o.Username != nil {
		p.packet.UsernameFlag, p.packet.Username = true, *c.o.Username
	}
	p.connectPacket, p.unencodable = c.connectPacket(id, clean).Append(nil, c.o.Version)
	return p
}

func (p *paho5) connect(w wire) error {
	if p.unencodable != nil {
		return p.unencodable
	}
	p.w = w
	w.l.c.mu.Lock()
	w.l.connectPacket = p.connectPacket
	w.l.c.mu.Unlock()
	p.client = paho.NewClient(paho.ClientConfig{
		Conn:          w,
		PacketTimeout: never,
		AuthHandler:   p,
		PingHandler:   &pinger{l: w.l},
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(paho.PublishReceived) (bool, error) { return true, nil }, // no PUBLISH reaches the library
		},
		OnClientError: func(err error) {
			// After DISCONNECT nothing of the library's is of interest. In all
			// other cases the link, or pinger, has its own reason already.
			if !w.l.leaving() {
				w.l.fail(fmt.Errorf("%w: %w", ErrConnectionLost, err))
			}
		},
	})
	if _, err := p.client.Connect(context.Background(), p.packet); err != nil {
		return err
	}
	p.connack = true
	return nil
}

func (p *paho5) wait() {
	if p.connack {
		<-p.client.Done()
	}
}

// Authenticate implements paho.Auther.
func (p *paho5) Authenticate(a *paho.Auth) *paho.Auth {
	props, err := p.c.authenticate(mqtt.ReasonCode(a.ReasonCode), authProperties(a.Properties))
	if err != nil {
		p.w.l.fail(fmt.Errorf("authentication: %w", err))
	}
	return &paho.Auth{ReasonCode: byte(mqtt.ContinueAuthentication), Properties: pahoAuthProperties(props)}
}

// Authenticated implements paho.Auther.
func (p *paho5) Authenticated() {}

// pinger is the keep alive of paho.golang with an eye on the whole link: the
// library's own sees only what passes through the library, and sends PINGREQ
// right after CONNACK.
type pinger struct {
	l        *link
	answered atomic.Bool
}

// Run implements paho.Pinger. A PINGREQ goes out when nothing was sent for
// keepAlive seconds, and has as long for its answer.
func (p *pinger) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	if keepAlive == 0 {
		return nil
	}
	interval := time.Duration(keepAlive) * time.Second
	timer := time.NewTimer(interval)
	defer timer.Stop()
	waiting := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if waiting && !p.answered.Load() {
			p.l.fail(fmt.Errorf("PINGREQ: %w", ErrTimeout))
			return ErrTimeout
		}
		waiting = false
		idle := time.Since(time.Unix(0, p.l.lastSent.Load()))
		if idle < interval {
			timer.Reset(interval - idle)
			continue
		}
		p.answered.Store(false)
		waiting = true
		if _, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(conn); err != nil {
			return err
		}
		timer.Reset(interval)
	}
}

// PacketSent implements paho.Pinger; the link knows when it sent what.
func (*pinger) PacketSent() {}

// PacketReceived implements paho.Pinger.
func (*pinger) PacketReceived() {}

// PingResp implements paho.Pinger.
func (p *pinger) PingResp() { p.answered.Store(true) }

// SetDebug implements paho.Pinger.
func (*pinger) SetDebug(log.Logger) {}

func connectProperties(props mqtt.Properties) *paho.ConnectProperties {
	out := &paho.ConnectProperties{RequestProblemInfo: true}
	for p := range props.All() {
		switch p.ID {
		case mqtt.PropSessionExpiryInterval:
			out.SessionExpiryInterval = &p.Num
		case mqtt.PropAuthenticationMethod:
			out.AuthMethod = string(p.Bytes)
		case mqtt.PropAuthenticationData:
			out.AuthData = p.Bytes
		case mqtt.PropRequestProblemInformation:
			out.RequestProblemInfo = p.Num != 0
		case mqtt.PropRequestResponseInformation:
			out.RequestResponseInfo = p.Num != 0
		case mqtt.PropReceiveMaximum:
			n := uint16(p.Num)
			out.ReceiveMaximum = &n
		case mqtt.PropTopicAliasMaximum:
			n := uint16(p.Num)
			out.TopicAliasMaximum = &n
		case mqtt.PropMaximumPacketSize:
			out.MaximumPacketSize = &p.Num
		case mqtt.PropUserProperty:
			out.User.Add(string(p.Bytes), string(p.Value))
		}
	}
	return out
}

func authProperties(a *paho.AuthProperties) mqtt.Properties {
	var out mqtt.Properties
	if a == nil {
		return nil
	}
	if a.AuthMethod != "" {
		out = out.AppendString(mqtt.PropAuthenticationMethod, a.AuthMethod)
	}
	if len(a.AuthData) > 0 {
		out = out.AppendBytes(mqtt.PropAuthenticationData, a.AuthData)
	}
	if a.ReasonString != "" {
		out = out.AppendString(mqtt.PropReasonString, a.ReasonString)
	}
	for _, u := range a.User {
		out = out.AppendUserProperty(u.Key, u.Value)
	}
	return out
}

func pahoAuthProperties(props mqtt.Properties) *paho.AuthProperties {
	out := &paho.AuthProperties{}
	for p := range props.All() {
		switch p.ID {
		case mqtt.PropAuthenticationMethod:
			out.AuthMethod = string(p.Bytes)
		case mqtt.PropAuthenticationData:
			out.AuthData = p.Bytes
		case mqtt.PropReasonString:
			out.ReasonString = string(p.Bytes)
		case mqtt.PropUserProperty:
			out.User.Add(string(p.Bytes), string(p.Value))
		}
	}
	return out
}
