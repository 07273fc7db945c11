package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/mqttsn"
	codec "github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

// mqttsnProtocol is a client of MQTT-SN, which has most of what MQTT has.
func mqttsnProtocol() *deviceProtocol {
	const (
		noUser = "clients say no name: --psk-identity or --cert prove one"
		onUDP  = "it is spoken over UDP"
		oneway = "one message waits for its acknowledgement at a time"
		no5    = "it is of MQTT 5.0"
	)
	return &deviceProtocol{
		name: "MQTT-SN", schemes: transport.MQTTSNSchemes(), topics: true, filters: true, answers: true, resumes: true,
		client: newSN,
		has: []string{
			"qos", "disable-clean-session", "unsubscribe", "exit-after-subscribe", "no-retained", "retained-only", "remove-retained",
			"will-topic", "will-payload", "will-qos", "will-retain",
		},
		lacks: map[string]string{
			"unix": onUDP, "ws": onUDP, "ws-path": onUDP, "ws-header": onUDP, "proxy": "the proxy is for TCP", "nodelay": onUDP,
			"username": noUser, "pw": noUser, "password-file": noUser, "ask-password": noUser,
			"max-inflight": oneway, "session-expiry": "the gateway decides how long it keeps a session",
			"retain-as-published": no5, "retain-handling": no5,
		},
		check:      checkSN,
		checkTopic: checkSNTopic,
		hints:      snHints,
		refused:    snRefused,
	}
}

// speaksSN reports whether the URL is of MQTT-SN.
func (s *settings) speaksSN() bool {
	return s.device != nil && s.device.schemes[0].Protocol == transport.MQTTSNSchemes()[0].Protocol
}

// onlySN refuses what was typed and means something with MQTT-SN alone.
func (s *settings) onlySN(given []assignment) error {
	if s.speaksSN() || s.peer {
		return nil
	}
	for _, a := range given {
		own := slices.ContainsFunc(snOptions(), func(o option) bool { return o.long == a.option.long })
		if own || a.option.long == "qos" && s.qos < 0 {
			name := a.option.name()
			if !own {
				name += " -1"
			}
			return fail(exitUsage, fmt.Errorf("%s goes with MQTT-SN alone", name), fmt.Sprintf("iotctl %s mqttsn://HOST …", s.prog))
		}
	}
	s.qos = max(s.qos, 0) // of a file of defaults
	return nil
}

// checkSN finds what makes no sense together.
func checkSN(s *settings) error {
	switch sn := &s.sn; {
	case s.qos < 0 && s.prog == progSub:
		return fail(exitUsage, errors.New("-q -1 is for publishing: who subscribes has a connection"), "-q 0, -q 1 or -q 2")
	case s.qos < 0 && (s.willTopic != "" || s.persistent):
		return fail(exitUsage, errors.New("-q -1 publishes without a connection: it has no will and no session"))
	case sn.longNames && s.qos >= 0:
		return fail(exitUsage, errors.New("--long-names is for -q -1: other messages go by name in any case"))
	case sn.sleep == 0 && sn.wakeEvery != 0:
		return fail(exitUsage, errors.New("--wake-every needs --sleep"), "--sleep 60 --wake-every 30")
	case sn.sleep != 0 && (sn.sleep < time.Second || sn.sleep > 65535*time.Second):
		return fail(exitUsage, fmt.Errorf("--sleep %s: must be from 1s to 65535s", sn.sleep))
	case sn.sleep != 0 && (sn.wakeEvery < 0 || sn.wakeEvery > sn.sleep):
		return fail(exitUsage, fmt.Errorf("--wake-every %s: must be within --sleep, %s", sn.wakeEvery, sn.sleep))
	case sn.sleep != 0 && (s.removeRetained || s.exitAfterSub):
		return fail(exitUsage, errors.New("--sleep does not go with --remove-retained and -E: these need a client that is awake"))
	case sn.discover && s.usesTLS():
		return fail(exitUsage, errors.New("--discover does not go with mqttsns://: a gateway tells its plain address"), "mqttsn://, or the gateway's name")
	case !sn.discover && (len(sn.search) > 0 || sn.radius >= 0):
		return fail(exitUsage, errors.New("--interface and --radius need --discover"))
	case !sn.discover && s.host == "":
		return fail(exitUsage, fmt.Errorf("%s:// names no host", s.scheme), s.scheme+"://HOST, or --discover")
	case s.host == "":
		group := netip.MustParseAddrPort(mqttsn.DefaultGroup)
		s.host, s.port = group.Addr().String(), int(group.Port())
	}
	return nil
}

func checkSNTopic(s *settings, topic string) error {
	o := s.snTopics()
	t := o.TopicOf(topic)
	if err := t.Check(s.prog == progSub); err != nil {
		return err
	}
	if s.qos < 0 && t.Kind == codec.NormalTopic && !s.sn.longNames {
		return fail(exitUsage, fmt.Errorf("-t %q: at QoS -1 a topic is predefined or has two bytes", topic), "--predefined ID, or --long-names if the gateway knows them")
	}
	return nil
}

// snTopics is the part of the options that names topics.
func (s *settings) snTopics() mqttsn.Options {
	return mqttsn.Options{Names: s.sn.names, Short: s.sn.short || s.qos < 0}
}

// newSN makes the client.
func newSN(s *settings, t *terminal, o client.Options) (client.API, error) {
	if o.ClientID == "" { // for this run
		o.ClientID = fmt.Sprintf("iotctl-%012x", rand.Uint64()&(1<<48-1))
	}
	if s.debug {
		o.OnPacket = describedLog(t, mqttsn.Describe)
	}
	sn := s.snTopics()
	sn.Options = o
	sn.Forwarded, sn.NodeID = s.sn.forwarded, s.sn.node
	sn.Retry, sn.Jitter, sn.Congestion = s.sn.retry, 0.1, s.sn.congested
	if sn.Retries = s.sn.retries; s.sn.retrySet && sn.Retries == 0 {
		sn.Retries = -1
	}
	sn.Connectionless, sn.NamedMinusOne = s.qos < 0, s.sn.longNames
	if s.usesTLS() {
		sn.MaxDatagram = maxDTLS
	}
	if s.sn.discover {
		sn.Dial = s.discoverAndDial(t)
	}
	sn.OnRejected = func(topic string, code codec.ReturnCode) {
		if s.onRejected != nil {
			s.onRejected(fmt.Sprintf("%v (%d)", code, uint8(code)))
		}
	}
	c, err := mqttsn.NewClient(sn)
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	if s.exitAfterSub {
		c.Halt() // what comes with the SUBACK is for the next run
	}
	return c, nil
}

// maxDTLS is what a record holds.
const maxDTLS = 1 << 14

// discoverAndDial looks for a gateway before each connection.
func (s *settings) discoverAndDial(t *terminal) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		cfg, err := s.dialConfig()
		if err != nil {
			return nil, err
		}
		target, err := s.searchTarget(ctx)
		if err != nil {
			return nil, err
		}
		found, err := mqttsn.Discover(ctx, mqttsn.Search{
			Target: target, Interfaces: s.sn.search, Radius: uint8(s.radius()), Delay: time.Second,
		})
		if err != nil {
			return nil, err
		}
		if !s.quiet {
			t.notef("gateway %d at %s", found.ID, found.Addr)
		}
		e := s.deviceEndpoint()
		e.Host, e.Port = found.Addr.Addr().String(), found.Addr.Port()
		return transport.DialEndpoint(ctx, e, cfg)
	}
}

func (s *settings) radius() int {
	if s.sn.radius < 0 {
		return 1
	}
	return s.sn.radius
}

// searchTarget is whom to ask for a gateway.
func (s *settings) searchTarget(ctx context.Context) (netip.AddrPort, error) {
	e := s.deviceEndpoint()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", e.Host)
	if err != nil {
		return netip.AddrPort{}, &transport.Error{Op: "resolve", Target: e.Host, Problem: err.Error(), Err: err}
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), e.Port), nil
}

// doze lets a client sleep that is to.
func (s *settings) doze(c client.API) error {
	sleeper, ok := c.(*mqttsn.Client)
	if !ok || s.sn.sleep == 0 {
		return nil
	}
	every := s.sn.wakeEvery
	if every == 0 {
		every = s.sn.sleep / 2
	}
	return sleeper.Doze(s.sn.sleep, every)
}

// snHints say what to type when a connection is refused.
func snHints(s *settings, e *client.RefusedError) []string {
	switch {
	case strings.HasPrefix(e.Reason, codec.Congestion.String()):
		return []string{"the gateway has too much to do, or cannot reach its broker: try again later"}
	case !s.usesTLS():
		return []string{"the gateway may not let this client identifier in (-i), or only through mqttsns://"}
	}
	return nil
}

// snRefused says what the return codes may mean.
func snRefused(reason string) string {
	for code, hint := range map[codec.ReturnCode]string{
		codec.Congestion:     "the gateway has too much to do, or cannot reach its broker: try again later, or --wait-congestion 10",
		codec.InvalidTopicID: "the gateway does not know this number: predefined topics stand in its configuration, below topics.predefined of mqttsn",
		codec.NotSupported:   "the client may lack the right to this topic, or the gateway does not have this quality of service: MQTT-SN has one code for both",
	} {
		if strings.HasPrefix(reason, code.String()+" (") {
			return hint
		}
	}
	return ""
}

// loadPSK finds the pre-shared key that --psk-file or IOTCTL_PSK promise.
func (s *settings) loadPSK() error {
	if !s.speaksSN() || !s.usesTLS() {
		return nil
	}
	if s.psk == "" && s.sn.pskFile == "" {
		s.psk = os.Getenv("IOTCTL_PSK")
	}
	if s.sn.pskFile != "" {
		line, err := readPassword(s.sn.pskFile)
		if err != nil {
			return fail(exitUsage, fmt.Errorf("file of the pre-shared key: %w", err))
		}
		identity, key, both := strings.Cut(strings.TrimSpace(line), ":")
		if !both {
			identity, key = s.pskID, identity
		}
		if s.pskID != "" && s.pskID != identity {
			return fail(exitUsage, fmt.Errorf("the key in %q is of another identity than --psk-identity says", s.sn.pskFile))
		}
		s.psk, s.pskID = key, identity
	}
	switch {
	case s.psk == "" && s.pskID != "":
		return fail(exitUsage, errors.New("--psk-identity needs a key"), "--psk-file FILE, or set IOTCTL_PSK")
	case s.psk != "" && s.pskID == "":
		return fail(exitUsage, errors.New("a pre-shared key needs an identity"), "--psk-identity NAME")
	case s.psk != "" && (s.cert != "" || s.caFile != "" || s.caPath != ""):
		return fail(exitUsage, errors.New("a pre-shared key takes the place of certificates: --cert, --cafile and --capath do not go with it"))
	}
	return nil
}

// messageQoS is the one that a client is given.
func (s *settings) messageQoS() uint8 {
	if s.qos < 0 {
		return mqttsn.MinusOne
	}
	return uint8(s.qos)
}
