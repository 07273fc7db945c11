package main

import (
	"fmt"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// settings is what the options of a client add up to. The fields of each table of
// options are a struct of their own beside it, in options_*.go.
type settings struct {
	prog     program
	operands []string // arguments that are neither options nor a URL
	// inherited counts the first of the topics, which come from sources below the
	// command line.
	inherited int
	// peer: called by the name of one of mosquitto's clients; peer20: in the
	// forms of its release 2.0.
	peer, peer20 bool

	connectSettings
	sessionSettings
	doctorSettings
	tlsSettings
	messageSettings
	generateSettings
	subscribeSettings
	outputSettings
	showSettings
	waitSettings
	recordSettings
	replaySettings
	retainedSettings
	profileSettings
	payloadSettings
	call requestSettings
	top  topSettings
	sn   snSettings

	debug, quiet bool
	noDefaults   bool

	// onRejected is told why a message of QoS 0 was not taken, after all.
	onRejected func(reason string)
	// onState and onPacket see what the client's OnState and OnPacket do.
	onState  func(client.State)
	onPacket func(dir client.Direction, raw []byte)
}

func newSettings(p program, peer bool) *settings {
	s := &settings{prog: p, peer: peer}
	s.port, s.sn.radius = -1, -1
	s.keepAlive = 60
	s.maxInflight = 20
	s.properties = map[string]mqtt.Properties{}
	s.repeat = 1
	s.randomFilter = 1000
	s.output = "text"
	s.loops, s.keepQoS, s.keepRetain = 1, true, true
	if p&(progRecord|progRetained|progGet) != 0 {
		s.qos = 2
	}
	if p&(progRR|progRequest|progReply|progExact) != 0 {
		s.version = mqtt.V5
	}
	s.trafficDefaults()
	return s
}

// topic is where pub and rr publish to.
func (s *settings) topic() string {
	if len(s.topics) == 0 {
		return ""
	}
	return s.topics[len(s.topics)-1]
}

// check finds what is wrong with the options together, in mosquitto's order,
// and completes the CONNECT properties.
func (s *settings) check() error {
	switch {
	case s.willPayload != nil && s.willTopic == "":
		return complain("Will payload given, but no will topic given.")
	case s.willRetain && s.willTopic == "":
		return complain("Will retain given, but no will topic given.")
	}
	if err := s.checkTLS(); err != nil {
		return err
	}
	if s.version == 0 && s.prog != progDoctor { // which tries all
		s.version = mqtt.V311
	}
	if err := s.checkSession(); err != nil {
		return err
	}
	if s.prog == progSub && (s.device == nil || s.device.filters) && len(s.topics) == 0 && (s.peer20 || len(s.unsubscribe) == 0) {
		return s.hinted(complain("You must specify a topic to subscribe to."), "iotctl sub -t FILTER, as in 'sensors/#' or '#' for all")
	}
	if s.format != "" && s.output != "text" && s.output != "" {
		return fmt.Errorf("-o %s and -F exclude each other", s.output)
	}
	if s.host == "" {
		s.host = "localhost"
	}
	if err := s.checkPayload(); err != nil {
		return err
	}
	return s.checkProperties()
}

func (s *settings) checkSession() error {
	nameless := s.id == "" // a prefix alone names no session
	if s.version != mqtt.V5 {
		if !s.peer && (s.retainAsPublished || s.retainHandling != 0 || s.expirySet) {
			return fmt.Errorf("--retain-as-published, --retain-handling and -x need MQTT 5.0, not %s", s.version)
		}
		if s.persistent && nameless {
			return complain("You must provide a client id if you are using the -c option.")
		}
		return nil
	}
	const never = 0xFFFFFFFF
	if s.persistent && !s.expirySet {
		s.expiry = never
	}
	if s.expiry == never && nameless {
		return complain("You must provide a client id if you are using an infinite session expiry interval.")
	}
	if s.expiry > 0 {
		s.properties["connect"] = s.properties["connect"].AppendUint32(mqtt.PropSessionExpiryInterval, s.expiry)
	}
	// As mosquitto: who wants few messages asks for no more of them. Its library
	// states 20 in any case.
	most := s.count
	if s.prog == progRR {
		most = 1
	}
	if s.peer && (most == 0 || most > 20) {
		most = 20
	}
	if most > 0 && most <= 20 && !s.properties["connect"].Has(mqtt.PropReceiveMaximum) {
		s.properties["connect"] = s.properties["connect"].AppendUint16(mqtt.PropReceiveMaximum, uint16(most))
	}
	return nil
}

// clientID is what CONNECT carries.
func (s *settings) clientID(pid int) string {
	if s.idPrefix != "" {
		return prefixedID(s.idPrefix, pid)
	}
	return s.id
}
