package main

import (
	"math"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// sessionSettings are what CONNECT carries: the session, the login, the will.
type sessionSettings struct {
	id, idPrefix string
	version      mqtt.Version // 0: not chosen
	keepAlive    int
	persistent   bool
	expiry       uint32
	expirySet    bool
	maxInflight  int

	username     *string
	password     *string
	passwordFile string
	askPassword  bool

	// properties by the command they go with
	properties map[string]mqtt.Properties

	willTopic   string
	willPayload []byte
	willQoS     int
	willRetain  bool
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

func prefixedID(prefix string, pid int) string { return prefix + strconv.Itoa(pid) }
