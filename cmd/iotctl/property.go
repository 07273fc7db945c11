package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// propertyCommand is a command that -D names, with the properties that
// mosquitto's clients accept for it; nil for commands they refuse.
type propertyCommand struct {
	name    string
	where   mqtt.Where
	allowed []mqtt.PropertyID
}

var propertyCommands = []propertyCommand{
	{"connect", mqtt.In(mqtt.TypeConnect), []mqtt.PropertyID{
		mqtt.PropSessionExpiryInterval, mqtt.PropAuthenticationMethod, mqtt.PropAuthenticationData, mqtt.PropRequestProblemInformation,
		mqtt.PropRequestResponseInformation, mqtt.PropReceiveMaximum, mqtt.PropTopicAliasMaximum, mqtt.PropMaximumPacketSize, mqtt.PropUserProperty,
	}},
	{"publish", mqtt.In(mqtt.TypePublish), []mqtt.PropertyID{
		mqtt.PropPayloadFormat, mqtt.PropMessageExpiryInterval, mqtt.PropContentType, mqtt.PropResponseTopic,
		mqtt.PropCorrelationData, mqtt.PropTopicAlias, mqtt.PropUserProperty,
	}},
	{"subscribe", mqtt.In(mqtt.TypeSubscribe), []mqtt.PropertyID{mqtt.PropSubscriptionIdentifier, mqtt.PropUserProperty}},
	{"unsubscribe", mqtt.In(mqtt.TypeUnsubscribe), []mqtt.PropertyID{mqtt.PropUserProperty}},
	{"disconnect", mqtt.In(mqtt.TypeDisconnect), []mqtt.PropertyID{
		mqtt.PropSessionExpiryInterval, mqtt.PropServerReference, mqtt.PropReasonString, mqtt.PropUserProperty,
	}},
	{"will", mqtt.InWill, []mqtt.PropertyID{
		mqtt.PropPayloadFormat, mqtt.PropMessageExpiryInterval, mqtt.PropContentType, mqtt.PropResponseTopic,
		mqtt.PropCorrelationData, mqtt.PropWillDelayInterval, mqtt.PropUserProperty,
	}},
	{"auth", mqtt.In(mqtt.TypeAuth), nil},
	{"connack", mqtt.In(mqtt.TypeConnack), nil},
	{"puback", mqtt.In(mqtt.TypePuback), nil},
	{"pubrec", mqtt.In(mqtt.TypePubrec), nil},
	{"pubrel", mqtt.In(mqtt.TypePubrel), nil},
	{"pubcomp", mqtt.In(mqtt.TypePubcomp), nil},
}

// setProperty stores what follows -D: command, property, and one value, or two
// for a user property.
func (s *settings) setProperty(words []string) error {
	if !s.peer {
		if err := checkPropertyWords(words); err != nil {
			return err
		}
	}
	if len(words) < 3 {
		return complain("--property argument given but not enough arguments specified.\n")
	}
	at := -1
	for i, c := range propertyCommands {
		if strings.EqualFold(c.name, words[0]) {
			at = i
		}
	}
	if at < 0 {
		return complain("Invalid command given in --property argument.\n")
	}
	command := propertyCommands[at]
	id, ok := mqtt.PropertyByName(strings.ToLower(words[1]))
	if !ok {
		return complain("Invalid property name given in --property argument.\n")
	}
	if id == mqtt.PropUserProperty && len(words) < 4 {
		return complain("--property argument given but not enough arguments specified.\n")
	}
	if !id.AllowedIn(command.where) {
		return complain("%s property not allowed for %s in --property argument.\n", words[1], words[0])
	}
	supported := false
	for _, a := range command.allowed {
		supported = supported || a == id
	}
	if command.name == "connack" {
		return complain("?%s property not supported for %s in --property argument.\n", words[1], words[0])
	}
	if !supported {
		return complain("%s property not supported for %s in --property argument.\n", words[1], words[0])
	}
	p, err := s.appendProperty(s.properties[command.name], id, words[2:])
	if err != nil {
		return err
	}
	s.properties[command.name] = p
	if s.version == 0 || s.peer {
		s.version = mqtt.V5
	}
	return nil
}

// checkPropertyWords names the word after -D that is wrong, and those that are
// not. Under their own names mosquitto's clients say less.
func checkPropertyWords(words []string) error {
	if words[0] == "" {
		return nil // nothing follows, which is complained about elsewhere
	}
	var commands []string
	for _, c := range propertyCommands {
		if len(c.allowed) == 0 {
			continue
		}
		if strings.EqualFold(c.name, words[0]) {
			return c.checkName(words)
		}
		commands = append(commands, c.name)
	}
	return fmt.Errorf("%q is none of %s", words[0], strings.Join(commands, ", "))
}

func (c propertyCommand) checkName(words []string) error {
	if len(words) < 2 {
		return nil
	}
	names := make([]string, len(c.allowed))
	for i, id := range c.allowed {
		if names[i] = id.String(); strings.EqualFold(names[i], words[1]) {
			return nil
		}
	}
	return fmt.Errorf("%q is no property of %s; these are: %s", words[1], c.name, strings.Join(names, ", "))
}

func (s *settings) appendProperty(p mqtt.Properties, id mqtt.PropertyID, values []string) (mqtt.Properties, error) {
	for _, v := range values {
		if len(v) > mqtt.MaxFieldBytes {
			return p, complain("Property value too long for property %s.\n", id)
		}
	}
	var limit int64
	switch id.Wire() {
	case mqtt.WirePair:
		return p.AppendUserProperty(values[0], values[1]), nil
	case mqtt.WireByte:
		limit = 0xFF
	case mqtt.WireUint16:
		limit = 0xFFFF
	case mqtt.WireUint32:
		limit = 0xFFFFFFFF
	case mqtt.WireVarint:
		limit = mqtt.MaxRemaining
	default:
		return p.AppendBytes(id, []byte(values[0])), nil
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil {
		if !s.peer {
			return p, fmt.Errorf("%s: %q is not a number", id, values[0])
		}
		n = int64(atoi(values[0]))
	}
	if n < 0 || n > limit {
		return p, complain("Property value (%d) out of range for property %s.\n", n, id)
	}
	return p.Append(mqtt.Property{ID: id, Num: uint32(n)}), nil
}

// checkProperties looks for values and repetitions that the standard forbids.
func (s *settings) checkProperties() error {
	if s.version != mqtt.V5 {
		if len(s.properties) > 0 && !s.peer {
			return fmt.Errorf("properties need MQTT 5.0, not %s", s.version)
		}
		clear(s.properties)
		return nil
	}
	for _, c := range []struct{ name, shown string }{
		{"connect", "CONNECT"},
		{"publish", "PUBLISH"},
		{"subscribe", "SUBSCRIBE"},
		{"unsubscribe", "UNSUBSCRIBE"},
		{"disconnect", "DISCONNECT"},
		{"will", "Will"},
	} {
		p := s.properties[c.name]
		for _, command := range propertyCommands {
			if command.name != c.name {
				continue
			}
			if repeated(p, command.where) {
				return complaint(fmt.Sprintf("!Error in %s properties: Duplicate property in property list", c.shown))
			}
			if err := p.Validate(command.where, &mqtt.Options{Version: mqtt.V5}); err != nil {
				return complaint(fmt.Sprintf("!Error in %s properties: Protocol error", c.shown))
			}
		}
	}
	return nil
}

func repeated(p mqtt.Properties, w mqtt.Where) bool {
	seen := map[mqtt.PropertyID]bool{}
	for q := range p.All() {
		if seen[q.ID] && !q.ID.RepeatsIn(w) {
			return true
		}
		seen[q.ID] = true
	}
	return false
}
