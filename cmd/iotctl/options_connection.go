package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// connectSettings say where the broker is and how it is reached.
type connectSettings struct {
	host      string
	port      int // -1: by scheme
	unix      string
	scheme    string          // of a URL; "" without one
	device    *deviceProtocol // that the scheme stands for; nil: MQTT
	path      string          // WebSocket resource
	query     string
	bind      string
	proxy     string
	srv       bool
	ws        bool
	wsHeaders []string
	nodelay   bool

	connectTimeout time.Duration // 0: the default
	reconnect      int           // attempts in a row, -1 for ever
	reconnectSet   bool
	maxDowntime    time.Duration
}

func connectionOptions() []option {
	g := groupConnection
	return []option{
		{
			long: "host", short: "h", progs: progAll, arg: "host", group: g, help: "connect to this host (default localhost)",
			lack: "-h argument given but no host specified.\n",
			set: func(s *settings, v string) error {
				if !s.peer && strings.Contains(v, "://") {
					return fail(exitUsage, errors.New("a URL is no host"), "without -h it is taken as a URL")
				}
				s.host = v
				return nil
			},
		},
		{
			long: "port", short: "p", progs: progAll, arg: "port", group: g, help: "connect to this port (default 1883, with TLS 8883)",
			lack: "-p argument given but no port specified.\n", set: setPort,
		},
		{
			long: "url", short: "L", progs: progAll, arg: "url", group: g, help: "mqtt, mqtts, ws, wss or unix URL: scheme://user:password@host:port/topic, with ?clientid=ID&version=5 behind it; of pub and sub also mqttsn, mqttsns, emqtcp, emqtcps, text, texts. It may stand without -L",
			lack: "-L argument given but no URL specified.\n", set: (*settings).setURL, secret: true,
		},
		{
			long: "unix", progs: progAll, arg: "path", group: g, help: "connect to this Unix socket",
			lack: "--unix argument given but no socket path specified.\n",
			set:  func(s *settings, v string) error { s.unix = v; return nil },
		},
		{
			long: "ws", progs: progAll, group: g, help: "connect through WebSocket, default port 8083, with TLS 8084",
			set: func(s *settings, _ string) error { s.ws = true; return nil },
		},
		{
			long: "ws-path", progs: progAll, names: ownName, arg: "path", group: g, help: "WebSocket resource (default /mqtt)",
			set: func(s *settings, v string) error { s.path = v; return nil },
		},
		{
			long: "ws-header", progs: progAll, names: ownName, arg: "'name: value'", group: g, help: "send this header with the WebSocket handshake; repeatable",
			set: func(s *settings, v string) error {
				if !strings.Contains(v, ":") {
					return fmt.Errorf("%q has no colon", v)
				}
				s.wsHeaders = append(s.wsHeaders, v)
				return nil
			},
		},
		{short: "A", long: "bind", progs: progAll, names: ownName, arg: "address", group: g, help: "connect from this local address", set: setBind},
		{short: "A", progs: progAll, names: peerName, arg: "address", lack: "-A argument given but no address specified.\n", set: setBind},
		{
			short: "S", long: "srv", progs: progAll, names: ownName, group: g, help: "find host and port by DNS service records",
			set: func(s *settings, _ string) error { s.srv = true; return nil },
		},
		{short: "S", progs: progAll, names: peerName, set: func(s *settings, _ string) error { s.srv = true; return nil }},
		{
			long: "proxy", progs: progAll, arg: "url", group: g, help: "connect through this SOCKS5 proxy: socks5h://user:password@host:port", secret: true,
			lack: "--proxy argument given but no proxy url specified.\n", set: setProxy,
		},
		{
			long: "nodelay", progs: progAll, group: g, help: "send small packets at once (always on under this name)",
			set: func(s *settings, _ string) error { s.nodelay = true; return nil },
		},
		{
			long: "connect-timeout", progs: progAll, names: ownName, arg: "time", group: g, help: "give up connecting after this time (default 10s, of mqttsn:// 30s)",
			set: func(s *settings, v string) (err error) { s.connectTimeout, err = s.duration(v); return },
		},
		{
			long: "reconnect", progs: progTalk, names: ownName, arg: "never|always|N", group: g,
			help: "when the connection breaks: give up, or try for ever or N times in a row (default: always for sub and, except as a device, for pub -l; never otherwise)",
			set:  setReconnect,
		},
		{
			long: "max-downtime", progs: progTalk, names: ownName, arg: "time", group: g, help: "give up when there has been no connection for this long",
			set: func(s *settings, v string) (err error) { s.maxDowntime, err = s.duration(v); return },
		},
	}
}

func setPort(s *settings, v string) error {
	n, err := s.number(v)
	if err != nil {
		return err
	}
	if n < 0 || n > 65535 {
		return complain("Invalid port given: %d", n)
	}
	s.port = n
	return nil
}

func setBind(s *settings, v string) error { s.bind = v; return nil }

func setProxy(s *settings, v string) error {
	if !strings.HasPrefix(v, "socks5h://") {
		if !s.peer { // the value may hold a password
			return errors.New("a proxy is given as socks5h://user:password@host:port")
		}
		return complain("Unsupported proxy protocol: %s", v)
	}
	s.proxy = v
	return nil
}

func setReconnect(s *settings, v string) error {
	s.reconnectSet = true
	switch v {
	case "never":
		s.reconnect = 0
	case "always":
		s.reconnect = -1
	default:
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return fmt.Errorf("%q: must be never, always or a number of attempts", v)
		}
		s.reconnect = n
	}
	return nil
}

// setURL reads -L. Unlike mosquitto's clients it follows the rules of RFC 3986.
func (s *settings) setURL(v string) error {
	known := false
	for _, scheme := range []string{"mqtt", "mqtts", "ws", "wss", "unix"} {
		known = known || strings.HasPrefix(v, scheme+"://")
	}
	scheme, _, _ := strings.Cut(v, "://")
	if device := deviceOf(scheme); device != nil && !s.peer {
		return s.setDeviceURL(device, v)
	}
	if !known && !s.peer {
		return withScheme(v, errors.New("the URL does not begin with mqtt://, mqtts://, ws://, wss:// or unix://, nor with mqttsn://, mqttsns://, emqtcp://, emqtcps://, text:// or texts://"))
	}
	if !known {
		return complain("unsupported URL scheme.\n")
	}
	u, err := parseURL(v)
	if err != nil {
		return err
	}
	topic := strings.TrimPrefix(u.Path, "/")
	s.scheme, s.device = u.Scheme.Name, nil
	switch {
	case u.Scheme.Network == "unix":
		s.unix, topic = u.Path, ""
	case u.Scheme.WebSocket && !s.peer:
		// The path is the resource; the topic comes with -t.
		s.path, topic = u.Path, ""
		s.query = websocketQuery(u.Query)
	case u.Scheme.WebSocket:
		u.Path = ""
	}
	if s.peer && topic == "" {
		return complain("Invalid URL for -L argument specified - topic missing.")
	}
	s.host = u.Host
	s.port = int(u.Port)
	if s.peer && u.Scheme.WebSocket && !strings.HasSuffix(authority(v), ":"+strconv.Itoa(int(u.Port))) {
		s.port = 1883
		if u.Scheme.TLS {
			s.port = 8883
		}
	}
	s.setURLUser(u.User)
	if topic != "" {
		if err := s.addTopic(topic, "-L topic"); err != nil {
			return err
		}
	}
	return s.urlQuery(u.Query)
}

// setDeviceURL reads a URL of another protocol than MQTT. Its path is the topic,
// where there are topics.
func (s *settings) setDeviceURL(p *deviceProtocol, v string) error {
	u, err := parseURL(v)
	if err != nil {
		return err
	}
	topic := strings.TrimPrefix(u.Path, "/")
	if topic != "" && !p.topics {
		return fmt.Errorf("%s has no topics: the URL ends behind the port", p.name)
	}
	s.device, s.scheme, s.host, s.port = p, u.Scheme.Name, u.Host, int(u.Port)
	s.setURLUser(u.User)
	if topic != "" {
		s.topics = append(s.topics, topic)
	}
	if id := u.Query.Get("clientid"); id != "" {
		s.id = id
	}
	return nil
}

func (s *settings) setURLUser(u *url.Userinfo) {
	if u == nil {
		return
	}
	name := u.Username()
	s.username = &name
	if pw, ok := u.Password(); ok {
		s.setPassword(&pw, "", "", "")
	}
}

// urlQuery takes what the part behind the question mark says about the client.
func (s *settings) urlQuery(q url.Values) error {
	if id := q.Get("clientid"); id != "" {
		s.id = id
	}
	if v := q.Get("version"); v != "" {
		return setVersion(s, v)
	}
	return nil
}

// websocketQuery leaves to the server what is not meant for us.
func websocketQuery(q url.Values) string {
	q.Del("clientid")
	version := q.Get("version")
	q.Del("version")
	rest := q.Encode()
	if version != "" {
		q.Set("version", version)
	}
	return rest
}

func authority(raw string) string {
	_, rest, _ := strings.Cut(raw, "://")
	rest, _, _ = strings.Cut(rest, "/")
	return rest
}
