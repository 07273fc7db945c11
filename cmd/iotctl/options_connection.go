package main

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func connectionOptions() []option {
	g := groupConnection
	return []option{
		{
			long: "host", short: "h", progs: progAll, arg: "host", group: g, help: "connect to this host (default localhost)",
			lack: "-h argument given but no host specified.\n",
			set:  func(s *settings, v string) error { s.host = v; return nil },
		},
		{
			long: "port", short: "p", progs: progAll, arg: "port", group: g, help: "connect to this port (default 1883, with TLS 8883)",
			lack: "-p argument given but no port specified.\n", set: setPort,
		},
		{
			long: "url", short: "L", progs: progAll, arg: "url", group: g, help: "mqtt, mqtts, ws, wss or unix URL: scheme://user:password@host:port/topic?clientid=ID&version=5; of pub and sub also mqttsn, mqttsns, emqtcp, emqtcps, text, texts. It may stand without -L",
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

func sessionOptions() []option {
	g := groupSession
	return []option{
		{
			long: "id", short: "i", progs: progAll, arg: "id", group: g, help: "client identifier (default: the broker assigns one)",
			lack: "-i argument given but no id specified.\n",
			set: func(s *settings, v string) error {
				if s.idPrefix != "" {
					return complain("-i and -I argument cannot be used together.\n")
				}
				s.id = v
				return nil
			},
		},
		{
			long: "id-prefix", short: "I", progs: progAll, arg: "prefix", group: g, help: "client identifier: this prefix and the process id",
			lack: "-I argument given but no id prefix specified.\n",
			set: func(s *settings, v string) error {
				if s.id != "" {
					return complain("-i and -I argument cannot be used together.\n")
				}
				s.idPrefix = v
				return nil
			},
		},
		{
			long: "protocol-version", short: "V", progs: progAll, arg: "version", group: g, help: "31, 311 or 5 (default 311, of rr 5)",
			lack: "--protocol-version argument given but no version specified.\n", set: setVersion,
		},
		{
			long: "keepalive", short: "k", progs: progAll, arg: "seconds", group: g, help: "keep alive interval, 0 is off (default 60)",
			lack: "-k argument given but no keepalive specified.\n",
			set: func(s *settings, v string) error {
				n, err := s.number(v)
				if err != nil {
					return err
				}
				if (n < 5 || n > 65535) && (n != 0 || s.peer) {
					return complain("Invalid keepalive given, it must be between 5 and 65535 inclusive.\n")
				}
				s.keepAlive = n
				return nil
			},
		},
		{
			long: "disable-clean-session", short: "c", progs: progTalk, group: g, help: "keep the session at the broker; needs -i",
			set: func(s *settings, _ string) error { s.persistent = true; return nil },
		},
		{short: "x", long: "session-expiry", progs: progTalk, names: ownName, arg: "seconds", group: g, help: "session expiry interval, -1 is never; implies -V 5 (default 0, with -c never)", set: setExpiry},
		{
			short: "x", long: "session-expiry-interval", progs: progAll, names: peerName, arg: "seconds",
			lack: "-x argument given but no session expiry interval specified.\n", set: setExpiry,
		},
		{short: "M", long: "max-inflight", progs: progTalk, names: ownName, arg: "n", group: g, help: "at most this many messages without acknowledgement (default 20)", set: setMaxInflight},
		{short: "M", progs: progAll, names: peerName, arg: "n", lack: "-M argument given but max_inflight not specified.\n", set: setMaxInflight},
		{
			long: "username", short: "u", progs: progAll, arg: "name", group: g, help: "user name", lack: "-u argument given but no username specified.\n",
			set: func(s *settings, v string) error { s.username = &v; return nil },
		},
		{
			long: "pw", short: "P", progs: progAll, arg: "password", group: g, secret: true,
			help: "password; everybody on this machine can read it, so prefer --password-file, --ask-password or IOTCTL_PASSWORD",
			lack: "-P argument given but no password specified.\n",
			set: func(s *settings, v string) error {
				s.setPassword(&v, "", "", "")
				return nil
			},
		},
		{
			long: "password-file", progs: progAll, names: ownName, arg: "file", group: g, help: "read the password from the first line of this file",
			set: func(s *settings, v string) error {
				s.setPassword(nil, v, "", "")
				return nil
			},
		},
		{
			long: "ask-password", progs: progAll, names: ownName, group: g, help: "ask for the password on the terminal",
			set: func(s *settings, _ string) error { s.askPassword = true; return nil },
		},
		{
			long: "property", short: "D", progs: progAll, arg: "command name value", group: g,
			help: "add an MQTT 5.0 property to connect, publish, subscribe, unsubscribe, disconnect or will, as in -D publish content-type text/plain; user-property takes a name and a value; implies -V 5",
			lack: "--property argument given but not enough arguments specified.\n",
			set:  func(s *settings, v string) error { return s.setProperty(strings.Split(v, wordSeparator)) },
		},
		{
			long: "will-topic", progs: progPeers, arg: "topic", group: groupWill, help: "publish a will to this topic when the connection breaks",
			lack: "--will-topic argument given but no will topic specified.\n",
			set: func(s *settings, v string) error {
				if err := s.text(v, "--will-topic"); err != nil {
					return err
				}
				if !validName(v) {
					return complain("Invalid will topic '%s', does it contain '+' or '#'?", v)
				}
				s.willTopic = v
				return nil
			},
		},
		{
			long: "will-payload", progs: progPeers, arg: "text", group: groupWill, help: "payload of the will (default none)",
			lack: "--will-payload argument given but no will payload specified.\n",
			set:  func(s *settings, v string) error { s.willPayload = []byte(v); return nil },
		},
		{
			long: "will-qos", progs: progPeers, arg: "qos", group: groupWill, help: "QoS of the will (default 0)",
			lack: "--will-qos argument given but no will QoS specified.\n",
			set: func(s *settings, v string) (err error) {
				if s.willQoS, err = s.number(v); err == nil && (s.willQoS < 0 || s.willQoS > 2) {
					err = complain("Invalid will QoS %d.\n", s.willQoS)
				}
				return err
			},
		},
		{
			long: "will-retain", progs: progPeers, group: groupWill, help: "the will is retained",
			set: func(s *settings, _ string) error { s.willRetain = true; return nil },
		},
	}
}

func setVersion(s *settings, v string) error {
	switch v {
	case "mqttv31", "31":
		s.version = mqtt.V31
	case "mqttv311", "311":
		s.version = mqtt.V311
	case "mqttv5", "5":
		s.version = mqtt.V5
	default:
		if named, ok := map[string]mqtt.Version{"3": mqtt.V31, "3.1": mqtt.V31, "4": mqtt.V311, "3.1.1": mqtt.V311, "5.0": mqtt.V5}[v]; ok && !s.peer {
			s.version = named
			return nil
		}
		return complain("Invalid protocol version argument given.\n")
	}
	return nil
}

func setExpiry(s *settings, v string) error {
	n := int64(-1)
	if v != "∞" {
		var err error
		if n, err = strconv.ParseInt(v, 10, 64); err != nil {
			return complain("session-expiry-interval not a number.\n")
		}
	}
	if n < -1 || n > math.MaxUint32 {
		return complain("session-expiry-interval out of range.\n")
	}
	s.expiry, s.expirySet = uint32(n), true // -1 is the greatest, never
	if s.version == 0 && !s.peer20 {
		s.version = mqtt.V5
	}
	return nil
}

func setMaxInflight(s *settings, v string) error {
	n, err := s.number(v)
	if err != nil {
		return err
	}
	if n < 1 {
		return complain("Maximum inflight messages must be greater than 0.\n")
	}
	s.maxInflight = n
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
		return errors.New("the URL does not begin with mqtt://, mqtts://, ws://, wss:// or unix://, nor with mqttsn://, mqttsns://, emqtcp://, emqtcps://, text:// or texts://")
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

func prefixedID(prefix string, pid int) string { return prefix + strconv.Itoa(pid) }

// timeoutSeconds is -W under both names.
func (s *settings) setTimeout(v string) error {
	d, err := s.duration(v)
	if err != nil {
		return err
	}
	if s.peer {
		d = time.Duration(atoi(v)) * time.Second
	}
	if d <= 0 {
		if s.peer {
			return complain("Invalid timeout \"%d\".\n", atoi(v))
		}
		return fmt.Errorf("%q: must be above 0", v)
	}
	s.timeout = d
	return nil
}
