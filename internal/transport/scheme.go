package transport

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Scheme says what a URL scheme stands for. To add one, append it to a copy
// of MQTTSchemes and pass the table in ListenConfig.Schemes or
// DialConfig.Schemes; Protocol tells the caller which gateway serves it.
type Scheme struct {
	Name      string // as in the URL, lower case: "mqtts"
	Protocol  string // what is spoken inside: "mqtt"
	Network   string // "tcp", "unix" or "udp"
	Port      uint16 // when the URL names none
	TLS       bool   // DTLS when the network is udp
	WebSocket bool   // not with udp
	// Packets makes listeners PacketListeners; with udp only, and without TLS.
	Packets bool
	// Path of the WebSocket resource when the URL names none.
	Path string
	// Subprotocols of the WebSocket that a server knows. A client offers the
	// first one unless told otherwise.
	Subprotocols []string
	// SRV is the service name for DNS SRV look-ups, without underscore.
	SRV string
}

// datagrams reports whether reads and writes have boundaries.
func (s *Scheme) datagrams() bool { return s.Network == "udp" }

// MQTTSchemes is the table for MQTT. The WebSocket ports are 8083 and 8084 for
// listening and for dialing alike, as EMQX and MQTT.js examples have them
// (mosquitto's clients use 1883 and 8883).
func MQTTSchemes() []Scheme {
	sub := []string{"mqtt", "mqttv3.1", "mqttv3.1.1"}
	return []Scheme{
		{Name: "mqtt", Protocol: "mqtt", Network: "tcp", Port: 1883, SRV: "mqtt"},
		{Name: "mqtts", Protocol: "mqtt", Network: "tcp", Port: 8883, TLS: true, SRV: "secure-mqtt"},
		{Name: "ws", Protocol: "mqtt", Network: "tcp", Port: 8083, WebSocket: true, Path: "/mqtt", Subprotocols: sub},
		{Name: "wss", Protocol: "mqtt", Network: "tcp", Port: 8084, TLS: true, WebSocket: true, Path: "/mqtt", Subprotocols: sub},
		{Name: "unix", Protocol: "mqtt", Network: "unix"},
	}
}

// Endpoint is a parsed URL.
type Endpoint struct {
	Scheme Scheme
	Host   string // name or address without brackets; "" for unix, or when listening on every address
	Port   uint16 // 0 for unix; otherwise 0 only when the URL says so
	Path   string // percent-decoded: the socket's path for unix, the resource for WebSocket, else whatever the URL holds
	// User and Query are decoded and otherwise left to the caller.
	User  *url.Userinfo
	Query url.Values
	// RawQuery is sent along when a WebSocket is dialed.
	RawQuery string
}

// Parse reads a URL; schemes nil means MQTTSchemes. URLs have no fragments here:
// # is an ordinary character. Errors never quote the user information.
func Parse(raw string, schemes []Scheme) (Endpoint, error) {
	if schemes == nil {
		schemes = MQTTSchemes()
	}
	name, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return Endpoint{}, fmt.Errorf("parse address %q: not a URL; one looks like %s://host:port", redact(raw), schemes[0].Name)
	}
	at := slices.IndexFunc(schemes, func(s Scheme) bool { return strings.EqualFold(s.Name, name) })
	if at < 0 {
		return Endpoint{}, fmt.Errorf("parse URL: scheme %q is none of %s", redact(name), names(schemes))
	}
	// There are no fragments: a # is the wildcard of a topic, or part of a password.
	u, err := url.Parse(strings.ReplaceAll(raw, "#", "%23"))
	if err != nil {
		return Endpoint{}, urlError(raw, rest, err)
	}
	e := Endpoint{Scheme: schemes[at], Path: u.Path, User: u.User, RawQuery: u.RawQuery}
	if e.Query, err = url.ParseQuery(u.RawQuery); err != nil {
		return Endpoint{}, fmt.Errorf("parse URL %q: the part after the question mark is not percent-encoded properly", redact(raw))
	}
	if e.Scheme.Network == "unix" {
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" {
			return Endpoint{}, fmt.Errorf("parse URL %q: a socket is named by its absolute path, with three slashes: %s:///run/name.sock", redact(raw), e.Scheme.Name)
		}
		if strings.ContainsRune(u.Path, 0) {
			return Endpoint{}, fmt.Errorf("parse URL %q: the path holds a NUL byte", redact(raw))
		}
		return e, nil
	}
	if strings.Count(u.Host, ":") > 1 && !strings.HasPrefix(u.Host, "[") {
		return Endpoint{}, fmt.Errorf("parse URL %q: an IPv6 address stands in brackets", redact(raw))
	}
	e.Host, e.Port = u.Hostname(), e.Scheme.Port
	if s := u.Port(); s != "" {
		p, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return Endpoint{}, fmt.Errorf("parse URL %q: port %q is not a number up to 65535", redact(raw), s)
		}
		e.Port = uint16(p)
	}
	if e.Scheme.WebSocket && e.Path == "" {
		e.Path = e.Scheme.Path
	}
	return e, nil
}

// Address is what net.Dial and net.Listen take: host:port or a path.
func (e Endpoint) Address() string {
	if e.Scheme.Network == "unix" {
		return e.Path
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// String is the URL for people: without user information, and with "…" for the
// query, which may hold a token.
func (e Endpoint) String() string {
	u := url.URL{Scheme: e.Scheme.Name, Path: e.Path}
	if e.Scheme.Network == "unix" {
		return e.Scheme.Name + "://" + u.EscapedPath()
	}
	u.Host = e.Address()
	if e.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}

func names(schemes []Scheme) string {
	all := make([]string, len(schemes))
	for i, s := range schemes {
		all[i] = s.Name + "://"
	}
	return strings.Join(all, ", ")
}

// urlError drops what net/url says as soon as the URL may hold a password:
// its messages quote pieces of it.
func urlError(raw, rest string, err error) error {
	if strings.Contains(rest, "@") {
		return fmt.Errorf("parse URL %q: a special character in the user name or password must be percent-encoded: @ as %%40, : as %%3A, / as %%2F, ? as %%3F, %% as %%25", redact(raw))
	}
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		err = ue.Err
	}
	return fmt.Errorf("parse URL %q: %w", raw, err)
}

// redact replaces everything between the scheme and the last @.
func redact(raw string) string {
	at := strings.LastIndexByte(raw, '@')
	if at < 0 {
		return raw
	}
	if i := strings.Index(raw, "://"); i >= 0 && i+3 <= at {
		return raw[:i+3] + "…" + raw[at:]
	}
	return "…" + raw[at:]
}
