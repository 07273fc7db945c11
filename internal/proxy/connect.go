package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// openMQTT reads the CONNECT, sends it through the stages to a broker, and waits for
// the answer; what the client sends meanwhile is not read.
func (s *session) openMQTT(ctx context.Context) error {
	packet, early, err := s.readConnect(ctx)
	if err != nil {
		return err
	}
	f, err := s.greet(packet)
	if err != nil {
		return err
	}
	st := s.state
	_ = s.client.SetReadDeadline(time.Time{})
	if err := s.pass(ctx, f, 0); err != nil {
		return err
	}
	if err := st.pumps[ToServer].flush(); err != nil {
		return err
	}
	if err := s.awaitAnswer(ctx, early != nil); err != nil {
		return err
	}
	if early != nil {
		return st.pumps[ToServer].step(ctx, early)
	}
	return nil
}

// readConnect gathers the first packet, and what came along behind it.
func (s *session) readConnect(ctx context.Context) (packet, early []byte, err error) {
	var b []byte
	for {
		buf, n, err := s.client.ReadWith(s.e.borrow)
		b = append(b, buf[:n]...)
		s.e.release(buf)
		if err != nil {
			return nil, nil, s.noConnect(ctx, b, err)
		}
		h, _, size, err := mqtt.Frame(b, s.e.cfg.ConnectBytes)
		switch {
		case b[0]>>4 != byte(mqtt.TypeConnect):
			return nil, nil, notConnect(b)
		case err == nil:
			return b[:size:size], append([]byte(nil), b[size:]...), nil
		case errors.Is(err, mqtt.ErrShort):
		default:
			if p, _ := mqtt.ParseConnect(b[min(size-h.Remaining, len(b)):], 0, &mqtt.Options{}); p.Version == mqtt.V5 {
				s.version = p.Version
			}
			return nil, nil, &End{Why: "protocol", Err: err, Client: codeOf(err)}
		}
	}
}

// noConnect is why there is no CONNECT.
func (s *session) noConnect(ctx context.Context, b []byte, err error) error {
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case isTimeout(err):
		return &End{Why: "connect-timeout", Err: fmt.Errorf("%d bytes and no complete CONNECT after %s", len(b), s.e.cfg.ConnectTimeout)}
	case errors.Is(err, io.EOF) && len(b) == 0:
		return &End{Why: "closed", Err: io.EOF}
	}
	return &End{Why: "network", Err: fmt.Errorf("before the end of CONNECT: %w", err)}
}

// notConnect is what a client is told that begins with something else: nothing.
func notConnect(b []byte) error {
	if what := transport.Sniff(b); what != "" && what != "MQTT" {
		return &End{Why: "protocol", Err: fmt.Errorf("the client speaks %s on a port for MQTT", what)}
	}
	return &End{Why: "protocol", Err: fmt.Errorf("the first packet is no CONNECT: %x", b[:min(len(b), 8)])}
}

func codeOf(err error) mqtt.ReasonCode {
	if bad := (*mqtt.Malformed)(nil); errors.As(err, &bad) {
		return bad.Code
	}
	return mqtt.UnspecifiedError
}

// greet judges the CONNECT and makes the stages.
func (s *session) greet(packet []byte) (Frame, error) {
	f, err := NewFrame(ToServer, packet)
	if err != nil {
		return f, err
	}
	o := mqtt.Options{}
	p, err := mqtt.ParseConnect(f.Body(), f.Header.Flags, &o)
	o.Version = p.Version
	if err == nil {
		err = f.Header.Check(&o)
	}
	s.version = p.Version
	if err != nil {
		return f, s.badConnect(err)
	}
	if p.ClientID == "" && (p.Version == mqtt.V31 || p.Version == mqtt.V311 && !p.CleanStart) { // [MQTT3-3.1.3-8]
		return f, &End{Why: "protocol", Err: errors.New("empty client identifier without clean session"), Client: mqtt.ClientIdentifierNotValid}
	}
	s.clientID = p.ClientID
	s.setIdle(p.KeepAlive)
	s.state.pumps = [2]*pump{newPump(s, ToServer), newPump(s, ToClient)} // stages may use their powers at once
	return f, s.openStages(&p)
}

// badConnect answers a CONNECT that breaks a rule. Before 5.0 only a wrong version or
// client identifier has an answer.
func (s *session) badConnect(err error) error {
	e := &End{Why: "protocol", Err: err, Client: codeOf(err)}
	switch {
	case s.version == mqtt.V5:
		e.Text = clip(err.Error())
	case e.Client == mqtt.UnsupportedProtocolVersion, e.Client == mqtt.ClientIdentifierNotValid:
		if s.version != mqtt.V31 && s.version != mqtt.V311 {
			s.version = mqtt.V311 // an answer that every client can read // [MQTT3-3.1.2-2]
		}
	default:
		e.Client = 0
	}
	return e
}

// clip bounds a reason string.
func clip(s string) string { return s[:min(len(s), 200)] }

// setIdle derives the idle limit from a keep alive in seconds.
func (s *session) setIdle(keepAlive uint16) {
	switch {
	case s.e.cfg.KeepAliveSlack < 0:
		s.idle = 0
	case keepAlive == 0:
		s.idle = s.e.cfg.IdleTimeout
	default:
		s.idle = time.Duration(keepAlive)*time.Second*3/2 + s.e.cfg.KeepAliveSlack
	}
}

// openStages makes the stages of this connection.
func (s *session) openStages(p *mqtt.Connect) error {
	if len(s.e.cfg.Stages) == 0 {
		return nil
	}
	info := s.client.Info()
	st := s.state
	st.conn = &Conn{
		Number: s.number, Began: s.began, Client: info, Metrics: s.e.m,
		Log:     s.e.log.With("conn", s.number, "remote", info.Peer(), "client", p.ClientID),
		Version: p.Version, ClientID: p.ClientID, Username: p.Username,
		KeepAlive: time.Duration(p.KeepAlive) * time.Second,
		Powers:    powers{s},
	}
	for _, factory := range s.e.cfg.Stages {
		stage, err := factory.Open(st.conn)
		if err != nil {
			return err
		}
		if stage == nil {
			continue
		}
		at := len(st.stages)
		st.stages = append(st.stages, stage)
		st.emits = append(st.emits, func(f Frame) error {
			if f.Direction == ToServer {
				return s.pass(st.ctx, f, at+1)
			}
			return s.pass(st.ctx, f, at-1)
		})
	}
	return nil
}

// pass hands f to the stage at that place, or out.
func (s *session) pass(ctx context.Context, f Frame, at int) error {
	st := s.state
	if at >= 0 && at < len(st.stages) {
		return st.stages[at].Handle(ctx, f, st.emits[at])
	}
	return s.out(ctx, f)
}

// out is the end of a direction. The first packet for the broker has it dialed.
func (s *session) out(ctx context.Context, f Frame) error {
	st := s.state
	if f.Direction == ToClient {
		if f.Header.Type == mqtt.TypeConnack {
			st.told.Store(true)
		}
		s.traffic.passed(ToClient, f.Header, len(f.Bytes), f.Body())
		return st.sinks[ToClient].add(f.Bytes)
	}
	if !s.connected() {
		if err := s.connectServer(ctx, f); err != nil {
			return err
		}
	}
	s.traffic.passed(ToServer, f.Header, len(f.Bytes), f.Body())
	return st.sinks[ToServer].add(f.Bytes)
}

// connectServer dials a broker for the CONNECT that has come out of the stages.
func (s *session) connectServer(ctx context.Context, f Frame) error {
	if f.Header.Type != mqtt.TypeConnect {
		return &End{Why: "protocol", Err: fmt.Errorf("%v before the broker has had a CONNECT", f.Header.Type), Client: mqtt.ProtocolError}
	}
	p, err := mqtt.ParseConnect(f.Body(), f.Header.Flags, &mqtt.Options{})
	if err != nil {
		return &End{Why: "stage", Err: fmt.Errorf("the CONNECT for the broker: %w", err), Client: mqtt.UnspecifiedError}
	}
	s.sversion = p.Version
	if s.e.cfg.FollowReference && p.Version == mqtt.V5 {
		s.state.connect = append([]byte(nil), f.Bytes...)
	}
	key := p.ClientID
	if key == "" { // the broker will make one up
		key = s.client.Info().Peer()
	}
	return s.dial(ctx, key)
}

// awaitAnswer reads from the broker until CONNACK has come. While it exchanges AUTH
// packets with the client, those of the client are read, too. early: the client has
// sent something already that waits.
func (s *session) awaitAnswer(ctx context.Context, early bool) error {
	if !s.connected() { // a stage has kept the CONNECT
		return nil
	}
	st := s.state
	late := time.Now().Add(s.e.cfg.AnswerTimeout)
	for !s.answered {
		_ = s.server.SetReadDeadline(late)
		err := s.readAnswer(ctx)
		if r := (*redirect)(nil); errors.As(err, &r) {
			err = s.follow(ctx, r)
		}
		if err != nil {
			return err
		}
		if s.answered || !st.challenged {
			continue
		}
		if early {
			return &End{Why: "protocol", Err: errors.New("packets before the end of the authentication"), Client: mqtt.ProtocolError, Server: mqtt.ProtocolError}
		}
		st.challenged = false
		if err := st.pumps[ToServer].once(ctx); err != nil {
			if errors.Is(err, io.EOF) {
				return &End{Why: "closed", Err: err}
			}
			return err
		}
	}
	_ = s.server.SetReadDeadline(time.Time{})
	st.connect = nil
	return nil
}

// readAnswer reads once from the broker, before CONNACK.
func (s *session) readAnswer(ctx context.Context) error {
	buf, n, err := s.server.ReadWith(s.e.borrow)
	defer s.e.release(buf)
	switch {
	case err == nil:
		return s.state.pumps[ToClient].frames(ctx, buf[:n])
	case ctx.Err() != nil:
		return errInterrupted
	case isTimeout(err):
		return &End{
			Why: "no-answer", Err: fmt.Errorf("broker %s has not answered CONNECT within %s", s.up.name, s.e.cfg.AnswerTimeout),
			Client: mqtt.ServerUnavailable, Text: "the broker does not answer",
		}
	case errors.Is(err, io.EOF):
		return &End{Why: "no-answer", Err: fmt.Errorf("broker %s has closed the connection in place of CONNACK", s.up.name)}
	}
	return &End{Why: "network", Err: fmt.Errorf("broker: %w", err)}
}

// arrived judges a packet before the stages see it.
func (s *session) arrived(d Direction, h mqtt.Header, packet []byte) error {
	v := s.version
	if d == ToClient {
		v = s.sversion
	}
	if err := judge(h, d, v); err != nil {
		return err
	}
	if s.e.cfg.Strict {
		if _, _, err := mqtt.Parse(packet, mqtt.Options{Version: v, FromServer: d == ToClient}); err != nil {
			return err
		}
	}
	switch {
	case d == ToServer:
		if h.Type == mqtt.TypeDisconnect {
			s.left.Store(true)
		}
	case h.Type == mqtt.TypeConnack:
		return s.takeConnack(Frame{Direction: d, Header: h, Bytes: packet})
	case h.Type == mqtt.TypeAuth && !s.answered:
		s.state.challenged = true
	case !s.answered && h.Type != mqtt.TypeDisconnect:
		return &mqtt.Malformed{Packet: h.Type, Code: mqtt.ProtocolError, Clause: clauseFor(v, "MQTT3-3.2.0-1", "MQTT-3.2.0-1"), Reason: "the broker sends it before CONNACK"}
	}
	return nil
}

// takeConnack reads what the proxy has to know of the broker's answer.
func (s *session) takeConnack(f Frame) error {
	if s.answered {
		return &mqtt.Malformed{Packet: f.Header.Type, Code: mqtt.ProtocolError, Clause: "MQTT-3.2.0-2", Reason: "a second CONNACK"}
	}
	p, err := mqtt.ParseConnack(f.Body(), f.Header.Flags, &mqtt.Options{Version: s.sversion, FromServer: true})
	if err != nil {
		return err
	}
	if ref, ok := p.Properties.String(mqtt.PropServerReference); ok && s.e.cfg.FollowReference && !s.state.followed &&
		(p.Code == mqtt.UseAnotherServer || p.Code == mqtt.ServerMoved) {
		s.state.followed = true
		return &redirect{ref}
	}
	if seconds, ok := p.Properties.Uint16(mqtt.PropServerKeepAlive); ok && s.version == mqtt.V5 { // [MQTT-3.1.2-21]
		s.setIdle(seconds)
	}
	s.answered = true
	return nil
}
