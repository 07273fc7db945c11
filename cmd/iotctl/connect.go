package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/mqttsn"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

func parseURL(raw string) (transport.Endpoint, error) {
	return transport.Parse(raw, append(transport.MQTTSchemes(), deviceSchemes()...))
}

// endpoint is where to connect to.
func (s *settings) endpoint() transport.Endpoint {
	if s.device != nil {
		return s.deviceEndpoint()
	}
	name := "mqtt"
	switch {
	case s.unix != "":
		name = "unix"
	case s.ws || s.scheme == "ws" || s.scheme == "wss":
		name = "ws"
	}
	if s.usesTLS() && name != "unix" {
		name += "s"
	}
	schemes := transport.MQTTSchemes()
	at := slices.IndexFunc(schemes, func(c transport.Scheme) bool { return c.Name == name })
	e := transport.Endpoint{Scheme: schemes[at], Host: s.host, Port: schemes[at].Port, Path: schemes[at].Path}
	switch {
	case s.unix != "":
		e.Host, e.Path = "", s.unix
		return e
	case s.port >= 0:
		e.Port = uint16(s.port)
	case s.peer && e.Scheme.WebSocket && e.Scheme.TLS:
		e.Port = 8883
	case s.peer && e.Scheme.WebSocket:
		e.Port = 1883
	}
	if s.path != "" && e.Scheme.WebSocket {
		e.Path, e.RawQuery = s.path, s.query
	}
	return e
}

func (s *settings) dialConfig() (transport.DialConfig, error) {
	t, err := s.clientTLS()
	if err != nil {
		return transport.DialConfig{}, err
	}
	c := transport.DialConfig{
		LocalAddress: s.bind, Proxy: s.proxy, SRV: s.srv, TLS: t,
		Nagle: s.peer && !s.nodelay,
	}
	for _, h := range s.wsHeaders {
		name, value, _ := strings.Cut(h, ":")
		if c.Header == nil {
			c.Header = http.Header{}
		}
		c.Header.Add(textproto.TrimString(name), textproto.TrimString(value))
	}
	return c, nil
}

// clientOptions translates the settings; the caller adds callbacks.
func (s *settings) clientOptions() (client.Options, error) {
	target := s.endpoint()
	cfg, err := s.dialConfig()
	if err != nil {
		return client.Options{}, err
	}
	o := client.Options{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.DialEndpoint(ctx, target, cfg)
		},
		Version:        s.version,
		ClientID:       s.clientID(os.Getpid()),
		CleanStart:     !s.persistent,
		KeepAlive:      uint16(s.keepAlive),
		Username:       s.username,
		Properties:     s.properties["connect"],
		MaxInflight:    s.maxInflight,
		ConnectTimeout: s.connectTimeout,
		AliasTopics:    true,
		Reconnect:      client.ReconnectPolicy{Attempts: s.reconnect},
	}
	if s.password != nil {
		o.Password = []byte(*s.password)
	}
	if o.ClientID == "" && s.version == mqtt.V31 {
		o.ClientID = fmt.Sprintf("iotctl-%012x", rand.Uint64()&(1<<48-1)) // 3.1 has no anonymous clients
	}
	if s.willTopic != "" {
		o.Will = &client.Will{
			Topic: s.willTopic, Payload: s.willPayload, QoS: uint8(s.willQoS), Retain: s.willRetain,
			Properties: s.properties["will"],
		}
	}
	return o, nil
}

// brokerName is how messages call the other side.
func (s *settings) brokerName() string { return s.endpoint().Address() }

// failConnect turns what ended a client, or kept it from connecting, into an
// error with its exit code.
func (s *settings) failConnect(err error) error {
	if err == nil {
		return nil
	}
	var (
		refused *client.ConnectError
		left    *client.DisconnectedError
		network *transport.Error
		limit   *client.LimitError
		denied  *client.RefusedError
		told    *client.EndedError
		foreign *mqtt.Malformed
		strange *client.ForeignError
	)
	switch {
	case errors.As(err, &denied):
		return fail(exitRefused, fmt.Errorf("connect %s: %w", s.brokerName(), err), s.deviceHints(denied)...)
	case errors.As(err, &told):
		return fail(exitLost, fmt.Errorf("%s: %w", s.brokerName(), err))
	case errors.As(err, &refused):
		return fail(exitRefused, fmt.Errorf("connect %s: %w", s.brokerName(), err), s.refusedHints(refused)...)
	case errors.As(err, &left) && left.TakenOver():
		return fail(exitLost, fmt.Errorf("%s: another client has connected with the client identifier %q", s.brokerName(), s.clientID(os.Getpid())),
			"give each client its own identifier with -i, or let the broker choose one")
	case errors.Is(err, client.ErrClosedBeforeConnack), errors.Is(err, client.ErrUnanswered):
		hints := s.unansweredHints()
		if errors.As(err, &network) && network.Hint != "" {
			hints = typed(network)
		}
		return fail(exitConnect, fmt.Errorf("%s: %w", s.brokerName(), err), hints...)
	case errors.As(err, &strange):
		return fail(exitConnect, fmt.Errorf("%s: %w", s.brokerName(), err), s.wrongPortHints()...)
	case errors.As(err, &foreign):
		return fail(exitConnect, fmt.Errorf("%s: what the server sends is not MQTT %s: %w", s.brokerName(), s.version, err), append(s.wrongPortHints(), s.otherProtocols()...)...)
	case errors.As(err, &left), errors.Is(err, client.ErrConnectionLost), errors.Is(err, client.ErrFlapping):
		return fail(exitLost, fmt.Errorf("%s: %w", s.brokerName(), err), s.lostHints(err)...)
	case errors.As(err, &network):
		code := exitConnect
		if network.Op == "access" {
			code = exitRefused
		}
		return fail(code, err, typed(network)...)
	case errors.Is(err, mqttsn.ErrNoGateway):
		return fail(exitTimeout, err, s.silenceHints()...)
	case errors.Is(err, client.ErrTimeout):
		return fail(exitTimeout, fmt.Errorf("%s: %w", s.brokerName(), err), s.silenceHints()...)
	case errors.As(err, &limit):
		return fail(exitPublishRefused, err)
	}
	return fail(exitConnect, err)
}

func (s *settings) refusedHints(e *client.ConnectError) []string {
	code := e.Code
	switch code { // of 3.x, or of a server that knows no 5.0
	case mqtt.V3UnacceptableProtocolVersion:
		code = mqtt.UnsupportedProtocolVersion
	case mqtt.V3BadUserNameOrPassword:
		code = mqtt.BadUserNameOrPassword
	case mqtt.V3NotAuthorized:
		code = mqtt.NotAuthorized
	}
	switch {
	case code == mqtt.UnsupportedProtocolVersion:
		return []string{"try another version: -V 311 or -V 5"}
	case (code == mqtt.NotAuthorized || code == mqtt.BadUserNameOrPassword) && s.username == nil && s.leftOut != "":
		return []string{fmt.Sprintf("the profile %q is for the broker that it names alone; --profile %s takes it here, too", s.leftOut, s.leftOut)}
	case (code == mqtt.NotAuthorized || code == mqtt.BadUserNameOrPassword) && s.username == nil:
		return []string{"the broker may want a user name and a password: -u NAME --ask-password"}
	}
	return nil
}

// typed is the hint of a network error, with the option to type.
func typed(e *transport.Error) []string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case e.Hint == "":
		return nil
	case errors.As(e.Err, &authority):
		return []string{e.Hint + ": --cafile FILE"}
	case errors.As(e.Err, &host):
		return []string{e.Hint + ": --tls-server-name NAME"}
	case strings.HasSuffix(e.Hint, "pre-shared key"):
		return []string{e.Hint + ": --psk-identity NAME --psk-file FILE"}
	case strings.HasSuffix(e.Hint, "client certificate and its key"):
		return []string{e.Hint + ": --cert FILE --key FILE"}
	}
	return []string{e.Hint}
}

// unansweredHints say why somebody accepts a connection and closes it.
func (s *settings) unansweredHints() []string {
	return append([]string{"the broker may be full, or its access rules may not let this address in: its log or its counters tell"}, s.wrongPortHints()...)
}

// wrongPortHints ask whether the other side is what it is taken for.
func (s *settings) wrongPortHints() []string {
	speaks := "is this the right port, and does MQTT " + s.version.String()
	if s.device != nil {
		speaks = "is this the right port, and does " + s.device.name
	}
	if s.usesTLS() {
		speaks += " belong there?"
	} else {
		speaks += " without TLS belong there?"
	}
	hints := []string{speaks}
	if s.device != nil {
		return hints
	}
	e := s.endpoint()
	for _, p := range deviceProtocols() {
		for _, c := range p.schemes {
			if c.Port == e.Port && c.Network == e.Scheme.Network && s.prog&progDevices != 0 {
				hints = append(hints, fmt.Sprintf("it is the usual port of %s:  iotctl %s %s://%s", p.name, s.prog, c.Name, e.Host))
			}
		}
	}
	return hints
}

func (s *settings) lostHints(err error) []string {
	if errors.Is(err, client.ErrFlapping) {
		return []string{"give each client its own identifier with -i"}
	}
	return nil
}

// silenceHints say why nobody answers.
func (s *settings) silenceHints() []string {
	if s.device == nil || s.device.schemes[0].Network != "udp" {
		return nil
	}
	if s.sn.discover {
		return []string{"is a gateway there that answers in this group? Its settings name the group below multicast, and --interface the network; mqttsn://HOST goes without asking"}
	}
	return []string{"is this the right port? Over UDP nobody says that it is not"}
}

// otherProtocols says how they are chosen.
func (s *settings) otherProtocols() []string {
	if s.device != nil || s.prog&progDevices == 0 {
		return nil
	}
	var urls []string
	for _, p := range deviceProtocols() {
		scheme := p.schemes[0]
		if s.usesTLS() {
			scheme = p.schemes[1]
		}
		if scheme.Network != s.endpoint().Scheme.Network {
			continue
		}
		urls = append(urls, scheme.Name+"://"+s.brokerName())
	}
	return []string{"the URL chooses another protocol: " + strings.Join(urls, ", ")}
}

// downtime ends the client when it has been without a connection for too long.
type downtime struct {
	limit time.Duration
	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func (d *downtime) state(st client.State, end func()) {
	if d.limit <= 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch st.Kind {
	case client.StateLost:
		d.timer = time.AfterFunc(d.limit, func() {
			d.mu.Lock()
			d.over = true
			d.mu.Unlock()
			end()
		})
	case client.StateConnected, client.StateClosed:
		if d.timer != nil {
			d.timer.Stop()
		}
	}
}

func (d *downtime) exceeded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}
