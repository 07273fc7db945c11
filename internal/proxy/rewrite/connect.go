package rewrite

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

func (s *stage) connect(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, s.conn.Version)
	c, err := mqtt.ParseConnect(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	n := names{c.ClientID, c.Username}
	if n.client == "" && s.f.c.ClientID != "" {
		n.client = newClientID()
		s.mu.Lock()
		s.made = n.client
		s.mu.Unlock()
	}
	if s.topics, err = newTopics(&s.f.plan, n); err != nil {
		return refused(err, mqtt.ClientIdentifierNotValid)
	}
	if s.userProperties, err = withNames(s.f.plan.properties, n); err != nil {
		return refused(err, mqtt.ClientIdentifierNotValid)
	}
	if err := s.identify(&c, n); err != nil {
		return refused(err, mqtt.ClientIdentifierNotValid)
	}
	if c.Will != nil {
		if err := s.will(&c); err != nil {
			return refused(err, mqtt.TopicNameInvalid)
		}
	}
	if k := s.f.c.KeepAlive; k > 0 {
		s.ping = c.KeepAlive == 0 || time.Duration(c.KeepAlive)*time.Second > k
		c.KeepAlive = uint16(k / time.Second)
	}
	s.session(&c)
	c.Properties = s.properties(c.Properties, proxy.ToServer, mqtt.In(mqtt.TypeConnect))
	return proxy.Send(emit, f.Direction, s.conn.Version, c)
}

func refused(err error, code mqtt.ReasonCode) *proxy.End {
	return &proxy.End{Why: "rewrite", Err: err, Client: code}
}

// newClientID makes a name for a client that has none.
func newClientID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// identify changes what the client says of itself.
func (s *stage) identify(c *mqtt.Connect, n names) (err error) {
	if t := s.f.c.ClientID; t != "" {
		if c.ClientID, err = expand(t, n, keep); err != nil {
			return err
		}
	}
	cr := s.f.c.Credentials
	if cr.Remove {
		c.HasUsername, c.Username, c.HasPassword, c.Password = false, "", false, nil
	}
	if cr.Username != "" {
		c.HasUsername = true
		if c.Username, err = expand(cr.Username, n, keep); err != nil {
			return err
		}
	}
	if password := *s.f.password.Load(); password != nil {
		c.HasPassword, c.Password = true, password
		if c.Version < mqtt.V5 { // [MQTT3-3.1.2-22]
			c.HasUsername = true
		}
	}
	return nil
}

func (s *stage) will(c *mqtt.Connect) error {
	w := *c.Will
	if s.topics != nil {
		var err error
		if w.Topic, err = s.topics.toServer(w.Topic); err != nil {
			return fmt.Errorf("will: %w", err)
		}
		if w.Properties, err = s.response(w.Properties, proxy.ToServer); err != nil {
			return fmt.Errorf("will: %w", err)
		}
	}
	m := s.f.c.Publish
	w.QoS, w.Retain = m.qos(w.QoS), m.retain(w.Retain)
	w.Properties = s.properties(w.Properties, proxy.ToServer, mqtt.InWill)
	c.Will = &w
	return nil
}

// session changes what the client says of its session, and learns the rest.
func (s *stage) session(c *mqtt.Connect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Properties, s.expiry = s.cap(c.Properties)
	expiry, _ := c.Properties.Uint32(mqtt.PropSessionExpiryInterval)
	s.lasting = expiry > 0 || c.Version < mqtt.V5 && !c.CleanStart
	s.maxBytes[proxy.ToClient] = maximumPacketSize(c.Properties)
	if s.exchanges[proxy.ToClient].Map {
		share := s.raise(proxy.ToClient, receiveMaximum(c.Properties))
		if c.Version == mqtt.V5 {
			c.Properties = c.Properties.Without(mqtt.PropReceiveMaximum).AppendUint16(mqtt.PropReceiveMaximum, share)
		}
	}
}

func (s *stage) connack(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, s.conn.Version)
	c, err := mqtt.ParseConnack(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	if c.Code == mqtt.Success {
		s.accepted(&c)
	}
	c.Properties = s.properties(c.Properties, f.Direction, mqtt.In(mqtt.TypeConnack))
	return proxy.Send(emit, f.Direction, s.conn.Version, c)
}

// accepted tells the client what has become of its wishes.
func (s *stage) accepted(c *mqtt.Connack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v5 := s.conn.Version == mqtt.V5
	s.maxBytes[proxy.ToServer] = maximumPacketSize(c.Properties)
	if s.exchanges[proxy.ToServer].Map {
		share := s.raise(proxy.ToServer, receiveMaximum(c.Properties))
		if v5 {
			c.Properties = c.Properties.Without(mqtt.PropReceiveMaximum).AppendUint16(mqtt.PropReceiveMaximum, share)
		}
	}
	if v5 && s.made != "" { // the name that it is to come back with
		c.Properties = c.Properties.Without(mqtt.PropAssignedClientIdentifier).
			AppendString(mqtt.PropAssignedClientIdentifier, s.made)
	}
	if v5 && s.expiry != nil && !c.Properties.Has(mqtt.PropSessionExpiryInterval) {
		c.Properties = c.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, *s.expiry)
	}
	if info, ok := c.Properties.String(mqtt.PropResponseInformation); ok && s.topics != nil {
		if inner, ok := strings.CutPrefix(info, s.topics.prefix); ok {
			c.Properties = c.Properties.Without(mqtt.PropResponseInformation).
				AppendString(mqtt.PropResponseInformation, s.topics.strip+inner)
		}
	}
	if s.ping {
		s.pinger.Start(s.f.c.KeepAlive)
	}
}
