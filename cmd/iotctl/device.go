package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/emqtcp"
	"github.com/iotctl/iotctl/internal/client/iottext"
	"github.com/iotctl/iotctl/internal/transport"
)

// deviceProtocol is a protocol other than MQTT that pub and sub speak as a device.
// A URL chooses it.
type deviceProtocol struct {
	name    string
	schemes []transport.Scheme // plain, then TLS
	// topics: what a device publishes and receives has one. answers: the server
	// says what has become of it.
	// unflagged: some messages were there before, and nothing tells which.
	// filters: sub needs some. resumes: what is on its way survives the connection.
	topics, answers, unflagged, filters, resumes bool
	// client makes a client. nil: it is a client.Device, and dialect makes what that
	// needs; the time is the longest silence.
	client  func(s *settings, t *terminal, o client.Options) (client.API, error)
	dialect func(s *settings, id string) (client.Dialect, time.Duration, error)
	// has lists options, by their long names, that other devices lack.
	has []string
	// lacks says why options have no meaning, by their long names, beyond what
	// no device has.
	lacks map[string]string
	// check says what is wrong with the options together; nil: nothing is.
	check func(s *settings) error
	// checkTopic says what is wrong with one of -t.
	checkTopic func(s *settings, topic string) error
	// hints are for a login that was refused; nil: those of deviceHints.
	hints func(s *settings, e *client.RefusedError) []string
	// refused is a hint for a message or a subscription that was refused for this
	// reason; nil, or "": there is none.
	refused func(reason string) string
}

// deviceProtocols is the table of them.
func deviceProtocols() []*deviceProtocol {
	const none = "its messages have no topics, the server decides where they go"
	return []*deviceProtocol{
		{
			name: "the EMQ private TCP protocol", schemes: transport.EMQTCPSchemes(),
			dialect: emqtcpDialect,
			lacks: map[string]string{
				"topic": none, "verbose": none, "watch": none, "filter-out": none,
				"retain":       "nothing is retained",
				"strict":       "there are no subscriptions",
				"max-inflight": "messages are not acknowledged",
			},
		},
		{
			name: "the text protocol", schemes: transport.TextSchemes(), topics: true, answers: true, unflagged: true,
			dialect: iottextDialect,
			lacks: map[string]string{
				"retain":    "the value of a variable always stays until the next one",
				"username":  "a device is known by its id: -i",
				"keepalive": "the server asks whether a device is there",
			},
			checkTopic: checkTextTopic,
		},
		mqttsnProtocol(),
	}
}

// mqttOnly is why an option has no meaning for any of them; "" if it may have.
func mqttOnly(option string) string {
	switch option {
	case "protocol-version":
		return "there is one version"
	case "property":
		return "messages have no properties"
	case "unix", "ws", "ws-path", "ws-header":
		return "it is spoken over TCP"
	case "srv":
		return "it has no service records"
	case "unsubscribe", "exit-after-subscribe", "disable-clean-session", "session-expiry":
		return "subscriptions end with the connection"
	case "will-topic", "will-payload", "will-qos", "will-retain":
		return "it has no wills"
	case "no-retained", "retained-only", "remove-retained", "retain-as-published", "retain-handling":
		return "messages carry no retain flag"
	}
	return ""
}

// deviceOf is the protocol that a URL's scheme belongs to; nil for MQTT.
func deviceOf(scheme string) *deviceProtocol {
	for _, p := range deviceProtocols() {
		if slices.ContainsFunc(p.schemes, func(c transport.Scheme) bool { return c.Name == scheme }) {
			return p
		}
	}
	return nil
}

// deviceSchemes lists those of all of them.
func deviceSchemes() []transport.Scheme {
	var all []transport.Scheme
	for _, p := range deviceProtocols() {
		all = append(all, p.schemes...)
	}
	return all
}

// lack says why an option has no meaning; "" if it has.
func (p *deviceProtocol) lack(a assignment) string {
	switch reason, lacks := p.lacks[a.option.long]; {
	case lacks:
		return reason
	case slices.Contains(p.has, a.option.long):
		return ""
	case a.option.long == "qos" && a.value != "0":
		return "messages have no QoS"
	}
	return mqttOnly(a.option.long)
}

// checkDevice refuses what the protocol cannot express. Defaults are often meant
// for MQTT and do no harm; what was typed is refused.
func (s *settings) checkDevice(given []assignment) error {
	p := s.device
	if err := s.onlySN(given); err != nil {
		return err
	}
	switch {
	case p == nil:
		return nil
	case s.prog&(progDevices|progDoctor) == 0:
		return fail(exitUsage, fmt.Errorf("iotctl %s speaks MQTT, and not %s", s.prog, p.name), "iotctl pub, iotctl sub")
	}
	for _, a := range given {
		if reason := p.lack(a); reason != "" {
			return fail(exitUsage, fmt.Errorf("%s does not go with %s://: %s", a.option.name(), s.scheme, reason))
		}
	}
	if err := s.checkIdle(given); err != nil {
		return err
	}
	if !slices.Contains(p.has, "qos") {
		s.qos, s.retain = 0, false
	}
	if !p.topics {
		s.topics = nil
	}
	if p.check != nil {
		if err := p.check(s); err != nil {
			return err
		}
	}
	for _, topic := range s.topics {
		err := p.checkTopic(s, topic)
		if f := (*failure)(nil); errors.As(err, &f) {
			return err
		}
		if err != nil {
			return fail(exitUsage, fmt.Errorf("-t %q: %w", topic, err))
		}
	}
	return nil
}

// checkIdle refuses what was typed and would do nothing: a user name in the URL
// where there are none, and what belongs to TLS where there is no TLS.
func (s *settings) checkIdle(given []assignment) error {
	for _, a := range given {
		reason := s.device.lacks["username"]
		u, err := parseURL(a.value)
		if a.option.long == "url" && err == nil && u.User != nil && reason != "" && (u.User.Username() != "" || s.device.lacks["pw"] != "") {
			return fail(exitUsage, fmt.Errorf("user name and password in the URL do not go with %s://: %s", s.scheme, reason))
		}
		psk := a.option.long == "psk" || a.option.long == "psk-identity" || a.option.long == "psk-file" // see checkTLS
		if a.option.group == groupTLS && a.option.long != "no-tls" && !psk && !s.noTLS && !s.usesTLS() {
			return fail(exitUsage, fmt.Errorf("%s is for %s://: %s:// is not encrypted", a.option.name(), s.device.schemes[1].Name, s.scheme),
				s.device.schemes[1].Name+"://HOST")
		}
	}
	return nil
}

func checkTextTopic(s *settings, topic string) error {
	id, toDevice := strings.CutPrefix(topic, iottext.DevicePrefix)
	if s.prog == progSub && toDevice {
		return fmt.Errorf("messages to a device need no subscription: the device %q receives its own", id)
	}
	return iottext.CheckTopic(topic)
}

// deviceEndpoint is where to connect to, by the URL and the options behind it.
func (s *settings) deviceEndpoint() transport.Endpoint {
	scheme := s.device.schemes[0]
	if s.usesTLS() {
		scheme = s.device.schemes[1]
	}
	e := transport.Endpoint{Scheme: scheme, Host: s.host, Port: scheme.Port}
	if s.port >= 0 {
		e.Port = uint16(s.port)
	}
	return e
}

// newDevice makes the client of an engine.
func newDevice(s *settings, t *terminal, o client.Options) (client.API, error) {
	if s.device.client != nil {
		return s.device.client(s, t, o)
	}
	id := s.clientID(os.Getpid())
	if id == "" {
		return nil, fail(exitUsage, errors.New("a device needs an identifier"), "-i ID")
	}
	dialect, alive, err := s.device.dialect(s, id)
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	if s.debug {
		o.OnPacket = describedLog(t, dialect.Describe)
	}
	d, err := client.NewDevice(client.DeviceOptions{Options: o, Dialect: dialect, Alive: alive})
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	return d, nil
}

func emqtcpDialect(s *settings, id string) (client.Dialect, time.Duration, error) {
	c := emqtcp.Config{ClientID: id, Username: s.username, Alive: time.Duration(s.keepAlive) * time.Second}
	if s.password != nil {
		c.Password = []byte(*s.password)
	}
	d, err := emqtcp.New(c)
	return d, c.Alive, err
}

func iottextDialect(s *settings, id string) (client.Dialect, time.Duration, error) {
	c := iottext.Config{ID: id}
	if s.password != nil {
		c.Password = []byte(*s.password)
	}
	d, err := iottext.New(c)
	return d, 0, err
}

// refusalHint says why a message or a subscription may be refused.
func (s *settings) refusalHint(reason string) string {
	if s.device == nil || s.device.refused == nil {
		return ""
	}
	return s.device.refused(reason)
}

// deviceHints says what to type when a login is refused.
func (s *settings) deviceHints(e *client.RefusedError) []string {
	_, code, pending := strings.Cut(e.Reason, "pending approval, code ")
	switch {
	case s.device.hints != nil:
		return s.device.hints(s, e)
	case pending:
		return []string{"where the server runs: iotctl pair approve " + strings.TrimRight(code, `"`)}
	case strings.Contains(e.Reason, "invalid client id"): // so says iotctl serve
		return []string{"-i ID, without + and #, and not beginning with $"}
	case strings.Contains(e.Reason, "invalid user name") && s.username == nil:
		return []string{"the server wants a user name: -u NAME"}
	case strings.Contains(e.Reason, "invalid user name"):
		return []string{"-u NAME, without + and #, and not beginning with $"}
	case s.password == nil && s.device.lacks["username"] != "":
		return []string{"the server may want a password: --ask-password"}
	case s.password == nil:
		return []string{"the server may want a user name and a password: -u NAME --ask-password"}
	}
	return nil
}
